"""A draft of a system's catalogue file, for a person to review: everything in it is unclassified.

What the server says of its tools stands in comments beside them. A file that exists is only added
to: new tools, and a mark on those that are gone, are inserted as whole lines; every other byte
stays. Whatever comes out was read again by the reader of bundles and says exactly what it should,
whatever hostile text its comments hold. Does not read or write files, and does not classify.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final, Literal

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.nodes import MappingNode, Node
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from gateway.core.errors import BundleError
from gateway.core.system_shape import UNCLASSIFIED
from gateway.policy import documents
from gateway.policy.offer import LeftOut, Offer
from gateway.policy.suggestion import suggestion

State = Literal["new", "known", "moved", "gone"]
"""Of a tool, between the file and what is offered now; moved: its operation is another one."""
GONE: Final = "# gone: this was no longer offered when the file was last updated"
MAX_LEFT_OUT: Final = 50
"""Most of what is left out that the head of a draft names."""
_WIDE: Final = 1 << 20
_PLAIN: Final = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[A-Za-z][A-Za-z0-9_.-]*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Head:
    """What the catalogue says of a system as a whole; only its owner can know it."""

    owner: str
    domain: str
    environment: str
    protocol: Literal["mcp", "http"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One tool: as it is offered, and as the file has it."""

    name: str
    state: State
    offer: Offer | None
    """None if it is gone."""
    effect: Any
    """Effect that the file gives it; None for a new one."""


def fresh(head: Head, offers: Sequence[Offer], left_out: Sequence[LeftOut]) -> str:
    """Return the text of a new file.

    Args:
        head: of the system.
        offers: what can be done, at least one thing, each name once.
        left_out: what the file says that it does not hold.

    Raises:
        BundleError: a text cannot stand in a bundle.
    """
    members = {
        "owner": head.owner,
        "domain": head.domain,
        "environment": head.environment,
        "protocol": head.protocol,
    }
    lines = [*_introduction(left_out), *_yaml(members), "tools:", *_entries(offers, indent=2)]
    text = "".join(f"{line}\n" for line in lines)
    return _proved("the draft", text, {**members, "tools": _unclassified(offers)})


def updated(
    path: str, text: str, protocol: str, offers: Sequence[Offer], left_out: Sequence[LeftOut]
) -> str:
    """Return the text of a file with new tools added and those that are gone marked.

    Raises:
        BundleError: the file cannot be read, is of another protocol, or cannot be added to.
    """
    value = documents.read(path, text).value
    entries = compare(path, value, protocol, offers, left_out)
    key, tools = _tools_of(path, text)
    new = [entry.offer for entry in entries if entry.state == "new" and entry.offer]
    gone = {entry.name for entry in entries if entry.state == "gone"}
    column = tools.value[0][0].start_mark.column
    # New tools come last among edits of one place: a mark stays beside what it marks.
    top = (_next_line(text, key.end_mark.index), 0, [*_entries(new, column)])
    edits = [*_marks(text, tools, gone), top]
    wanted = {**value, "tools": {**value["tools"], **_unclassified(new)}}
    return _proved(path, _edited(text, edits), wanted)


def compare(
    path: str,
    value: Mapping[str, Any],
    protocol: str,
    offers: Iterable[Offer],
    left_out: Iterable[LeftOut],
) -> list[Entry]:
    """Return how what is offered and what a file says of a system stand to each other.

    Raises:
        BundleError: the file is of another protocol, or holds no tools.
    """
    if value.get("protocol") != protocol:
        raise BundleError(f"{path}: `protocol` is not {protocol}, which is what was asked")
    tools = value.get("tools")
    if not isinstance(tools, dict) or not tools:
        raise BundleError(f"{path}: `tools` holds nothing to add to; write a new draft")
    found = [_entry(offer, tools) for offer in offers]
    # What is left out is still offered: two of one name, for example.
    offered = {entry.name for entry in found} | {one.name for one in left_out}
    missing = [name for name in tools if name not in offered]
    return found + [Entry(name, "gone", None, _member(tools[name], "effect")) for name in missing]


def all_new(offers: Iterable[Offer]) -> list[Entry]:
    """Return the entries of a new file."""
    return [Entry(offer.name, "new", offer, None) for offer in offers]


def _entry(offer: Offer, tools: Mapping[str, Any]) -> Entry:
    if offer.name not in tools:
        return Entry(offer.name, "new", offer, None)
    tool = tools[offer.name]
    same = _member(tool, "operation") == offer.operation
    return Entry(offer.name, "known" if same else "moved", offer, _member(tool, "effect"))


def _member(tool: Any, name: str) -> Any:
    return tool.get(name) if isinstance(tool, dict) else None


# --- text ---


def _introduction(left_out: Sequence[LeftOut]) -> Iterator[str]:
    yield "# Draft, not reviewed. Every tool is unclassified, so it is denied to everyone until a"
    yield "# person writes its effect and impacts. `says`, `arguments` and `claims` are what the"
    yield "# system says of itself: no reason to allow anything. `consider` comes from methods,"
    yield "# hints and names; a hint or a name can raise a risk there, and never lower one."
    if left_out:
        yield "# Left out, and so denied:"
    for one in left_out[:MAX_LEFT_OUT]:
        yield f"#   {one.name or '(empty)'}: {one.why}"
    if len(left_out) > MAX_LEFT_OUT:
        yield f"#   and {len(left_out) - MAX_LEFT_OUT} more"


def _entries(offers: Iterable[Offer], indent: int) -> Iterator[str]:
    for offer in offers:
        for said in offer.said():
            yield f"{' ' * indent}# {said}"
        if considered := suggestion(offer).text():
            yield f"{' ' * indent}# consider: {considered}"
        for line in _yaml(_unclassified([offer])):
            yield " " * indent + line


def _unclassified(offers: Iterable[Offer]) -> dict[str, dict[str, Any]]:
    return {
        offer.name: {
            **({"operation": offer.operation} if offer.operation else {}),
            "effect": UNCLASSIFIED,
            "impacts": [],
        }
        for offer in offers
    }


def _yaml(members: Mapping[str, Any]) -> list[str]:
    writer = YAML()
    writer.width = _WIDE
    stream = StringIO()
    writer.dump(_written(members), stream)
    return stream.getvalue().split("\n")[:-1]


def _written(value: Any) -> Any:
    if isinstance(value, Mapping):
        return CommentedMap({_written(name): _written(item) for name, item in value.items()})
    if isinstance(value, list):
        made = CommentedSeq(value)
        made.fa.set_flow_style()
        return made
    # Quoted unless every YAML of every version reads it as text: `yes`, `1e3` and `-` would not do.
    return value if _PLAIN.fullmatch(value) else DoubleQuotedScalarString(value)


def _proved(path: str, text: str, wanted: Mapping[str, Any]) -> str:
    """Return the text, once a reader of bundles has read exactly that from it."""
    if documents.read(path, text).value != wanted:
        raise BundleError(f"{path}: cannot be written or added to safely; edit it by hand")
    return text


# --- places in a file that exists ---

_Edit = tuple[int, int, list[str]]
"""At which character, how many of them go, and which lines come there."""


def _tools_of(path: str, text: str) -> tuple[Node, MappingNode]:
    root = YAML(typ="safe", pure=True).compose(text)
    found = [(key, node) for key, node in root.value if key.value == "tools"]
    key, tools = found[0]
    if not isinstance(tools, MappingNode) or tools.flow_style:
        line = key.start_mark.line + 1
        raise BundleError(f"{path}:{line}: write each of `tools` on a line of its own")
    return key, tools


def _marks(text: str, tools: MappingNode, gone: set[str]) -> Iterator[_Edit]:
    for key, _ in tools.value:
        start = key.start_mark.index - key.start_mark.column
        before = _line_before(text, start)
        marked = text[before:start].strip() == GONE
        if key.value in gone and not marked:
            yield start, 0, [" " * key.start_mark.column + GONE]
        elif key.value not in gone and marked:
            yield before, start - before, []


def _line_before(text: str, start: int) -> int:
    return text.rfind("\n", 0, max(start - 1, 0)) + 1


def _next_line(text: str, index: int) -> int:
    return text.find("\n", index) + 1


def _edited(text: str, edits: Iterable[_Edit]) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    for index, going, lines in sorted(edits, key=lambda edit: edit[0], reverse=True):
        inserted = "".join(line + end for line in lines)
        text = text[:index] + inserted + text[index + going :]
    return text
