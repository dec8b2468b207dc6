r"""What a server or an OpenAPI file says that it can do, as claims for a person to read.

Everything here was written by others and may be hostile: names are taken only in one plain
spelling, and text is shown on one line, cut short, with every character that a terminal, an editor
or a YAML reader could obey or hide as `\u….`. Does not believe any of it: see `suggestion.py`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
"""What a tool may be called (MCP 2025-11-25, server/tools); of anything else nothing is drafted."""
HINTS: Final = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
"""Annotations of a tool (MCP, ToolAnnotations): claims of the server about itself."""
MAX_SHOWN: Final = 120
"""Longest text of others in a draft, in characters."""
MAX_ARGUMENTS: Final = 12

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s|[\r\n\x85\u2028\u2029]")
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Default_Ignorable_Code_Point (Unicode, DerivedCoreProperties) that are no format characters."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One tool of an MCP server, or one operation of an HTTP API."""

    name: str
    title: str = ""
    description: str = ""
    arguments: tuple[str, ...] = ()
    hints: Mapping[str, bool] = field(default_factory=dict)
    operation: str | None = None
    """Method and path template of an HTTP operation, such as `GET /customers/{id}`."""
    deprecated: bool = False

    def said(self) -> list[str]:
        """Return what is claimed of it, one harmless line each."""
        described = ": ".join(filter(None, (shown(self.title), shown(sentence(self.description)))))
        arguments = [shown(name, 40) for name in self.arguments[:MAX_ARGUMENTS]]
        if len(self.arguments) > MAX_ARGUMENTS:
            arguments.append("…")
        hints = [f"{name} {str(value).lower()}" for name, value in self.hints.items()]
        lines = (
            ("says: ", described),
            ("arguments: ", ", ".join(arguments)),
            ("claims: ", ", ".join(hints)),
            ("says that it is ", "deprecated" if self.deprecated else ""),
        )
        return [label + text for label, text in lines if text]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that was offered and cannot be drafted; it stays denied."""

    name: str
    """Harmless to show."""
    why: str


Sorted = tuple[tuple[Offer, ...], tuple[LeftOut, ...]]


def of_tools(tools: Iterable[Any]) -> Sorted:
    """Read the entries of an MCP `tools/list`: those that can be drafted, and the others."""
    offers, left_out = list[Offer](), list[LeftOut]()
    for number, tool in enumerate(tools, start=1):
        name = tool.get("name") if isinstance(tool, Mapping) else None
        if isinstance(name, str):
            offers.append(_of_tool(name, tool))
        else:
            left_out.append(LeftOut(f"entry {number}", "it has no name"))
    kept, refused = sort_out(offers)
    return kept, (*left_out, *refused)


def sort_out(offers: Sequence[Offer]) -> Sorted:
    """Keep what has one plain name of its own; two of one name are two tools, so neither stays."""
    times = Counter(offer.name for offer in offers)
    kept, left_out = [], dict[str, str]()
    for offer in offers:
        if not NAME.fullmatch(offer.name):
            left_out[shown(offer.name)] = "a name is 1 to 128 of the characters A-Z a-z 0-9 _ . -"
        elif times[offer.name] > 1:
            left_out[offer.name] = f"{times[offer.name]} have this name"
        else:
            kept.append(offer)
    return tuple(kept), tuple(LeftOut(name, why) for name, why in left_out.items())


def shown(text: str, longest: int = MAX_SHOWN) -> str:
    r"""Return text of others as one line of visible characters, at most `longest` of them.

    The spelling of what is not visible is JSON's: UTF-16 units as `\u….`.
    """
    kept = "".join(map(_visible, text[: longest + 1].strip()))
    return kept if len(kept) <= longest else kept[: longest - 1] + "…"


def sentence(text: str) -> str:
    """Return the first sentence, or the first line if that is shorter."""
    return _SENTENCE_END.split(text.strip()[: 4 * MAX_SHOWN], maxsplit=1)[0]


def _visible(character: str) -> str:
    # isprintable() is false for what Unicode calls other or a separator, but for the plain space.
    if character.isprintable() and not _INVISIBLE.match(character):
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _of_tool(name: str, tool: Mapping[str, Any]) -> Offer:
    annotations = _object(tool.get("annotations"))
    hints = {hint: annotations[hint] for hint in HINTS if type(annotations.get(hint)) is bool}
    properties = _object(_object(tool.get("inputSchema")).get("properties"))
    title = _text(tool.get("title")) or _text(annotations.get("title"))
    description = _text(tool.get("description"))
    return Offer(name, title, description, tuple(map(str, properties)), hints)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
