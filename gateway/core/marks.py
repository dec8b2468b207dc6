"""Which values of a record the catalogue marks: by JSON pointer, a tool at a time.

A tool that the catalogue does not list is not trusted to be harmless: all that was said to it and
by it is redacted. Methods other than `tools/call` have no entry. Does not look at values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.pointer import ANY, segments

Marks = tuple[tuple[tuple[str, ...], str], ...]
"""Paths still to be walked, each with the class of what stands at its end."""
NONE: Final[Marks] = ()


@dataclass(frozen=True, slots=True)
class ToolMarks:
    """The marks of one tool."""

    arguments: Marks = NONE
    result: Marks = NONE
    whole: str | None = None
    """Class of everything that is said to the tool and by it, if all of it is redacted."""

    def beside(self, other: "ToolMarks") -> "ToolMarks":
        """Return these marks, with another catalogue's of the same tool marked as well."""
        if other == self or self.whole:
            return self
        if other.whole:
            return other
        return ToolMarks(
            _stricter_first(self.arguments + other.arguments),
            _stricter_first(self.result + other.result),
        )


UNMARKED: Final = ToolMarks()
UNKNOWN: Final = ToolMarks((((), "unknown"),), (((), "unknown"),), "unknown")
EVERYTHING: Final = ToolMarks((((), "secret"),), (((), "secret"),), "secret")
"""For a record with more secrets than can be followed."""


class Catalogue:
    """The marks of every tool, read once.

    Args:
        systems: the catalogue, by system name, without faults.
    """

    def __init__(self, systems: Mapping[str, Mapping[str, Any]]) -> None:
        self._tools = {
            (system, tool): ToolMarks(
                _marks(entry.get("redact", {}).get("arguments", {})),
                _marks(entry.get("redact", {}).get("result", {})),
            )
            for system, said in systems.items()
            for tool, entry in said.get("tools", {}).items()
        }

    def beside(self, other: "Catalogue") -> "Catalogue":
        """Return this catalogue, with what another one marks of the same tools marked as well."""
        both = Catalogue({})
        both._tools = {
            key: own.beside(other._tools[key]) if key in other._tools else own
            for key, own in self._tools.items()
        }
        return both

    def of(self, fields: Mapping[str, Any]) -> ToolMarks:
        """Return the marks for a record of a call or of its answer."""
        call, request = fields.get("call"), fields.get("request")
        key: tuple[Any, Any]
        if isinstance(call, Mapping) and isinstance(request, Mapping):
            if call.get("action") != "tools/call":
                return UNMARKED
            key = (request.get("system"), call.get("name"))
        elif fields.get("tool") is None:
            return UNMARKED
        else:
            key = (fields.get("system"), fields["tool"])
        return self._tools.get(key, UNKNOWN)


def below(marks: Marks, segment: str | int) -> Marks:
    """Return the marks that apply to a member or element."""
    if not marks:
        return NONE
    name = str(segment)
    return tuple((path[1:], kind) for path, kind in marks if path and path[0] in (name, ANY))


def here(marks: Marks) -> str | None:
    """Return the class of the value itself, if it is marked."""
    return next((kind for path, kind in marks if not path), None)


def _marks(pointers: Mapping[str, str]) -> Marks:
    found = [(segments(pointer), kind) for pointer, kind in pointers.items()]
    return _stricter_first(tuple(found))


def _stricter_first(marks: Marks) -> Marks:
    # Where two pointers meet, the stricter class is the one that is said.
    return tuple(sorted(marks, key=lambda mark: mark[1] != "secret"))
