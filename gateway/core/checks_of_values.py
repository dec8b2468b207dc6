"""Checks of the shape of a value, put together from small ones, each fault with its place.

A check says everything that is wrong, never raises, and passes over nothing: a member that no
check knows is a fault. Does not know what a charter is (`charter_shape.py`).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from gateway.core.fault import Fault, Path, dotted

Check = Callable[[Path, Any], Iterator[Fault]]

_RFC3339: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_WORD: Final = re.compile(r"\S")


def invalid(path: Path, must: str, code: str = "member_invalid") -> Fault:
    """Return the fault of a value that is not what it must be."""
    return Fault(code, path, f"`{dotted(path) or 'the document'}` must be {must}.")


def holds(accepts: Callable[[Any], bool], must: str, code: str = "member_invalid") -> Check:
    """Return a check for one value, which `must` describes."""

    def check(path: Path, value: Any) -> Iterator[Fault]:
        if not accepts(value):
            yield invalid(path, must, code)

    return check


def one_of(allowed: Sequence[str], code: str) -> Check:
    """Return a check for one of these words."""
    return holds(lambda value: value in allowed, f"one of {', '.join(allowed)}", code)


def unless(objection: Callable[[Any], str | None], code: str) -> Check:
    """Return a check for a value to which there is no objection, which goes on after its name."""

    def check(path: Path, value: Any) -> Iterator[Fault]:
        if said := objection(value):
            yield Fault(code, path, f"`{dotted(path)}` {said}.")

    return check


def members(
    required: Mapping[str, Check],
    optional: Mapping[str, Check] | None = None,
    *,
    meanings: Mapping[str, str] | None = None,
    unknown: str = "member_unknown",
) -> Check:
    """Return a check for an object with these members, at least one, and no others.

    Args:
        required: checks by the name of a member that must be there.
        optional: checks by the name of a member that may be there.
        meanings: what to say for a member that is missing.
        unknown: the code of a member that is not known.
    """
    known = {**required, **(optional or {})}

    def check(path: Path, value: Any) -> Iterator[Fault]:
        if not isinstance(value, Mapping) or not (value or required):
            yield invalid(path, f"a set of {', '.join(known)}")
            return
        for name in (name for name in required if name not in value):
            hint = (meanings or {}).get(name)
            missing = f"`{dotted((*path, name))}` is missing{f'; say {hint}' if hint else ''}."
            yield Fault("member_missing", (*path, name), missing)
        for name, item in value.items():
            here = (*path, str(name))
            if name in known:
                yield from known[name](here, item)
            else:
                names = ", ".join(known)
                yield Fault(unknown, here, f"`{dotted(here)}` is not known; known are {names}.")

    return check


def each(check: Check, *, empty: bool = False) -> Check:
    """Return a check for a list of which every item passes `check`."""

    def checked(path: Path, value: Any) -> Iterator[Fault]:
        if not isinstance(value, list) or not (value or empty):
            yield invalid(path, "a list" if empty else "a list with at least one entry")
            return
        for index, item in enumerate(value):
            yield from check((*path, str(index)), item)

    return checked


def named(check: Check, names: Check = lambda path, name: iter(())) -> Check:
    """Return a check for an object of which every value passes `check`, every name `names`."""

    def checked(path: Path, value: Any) -> Iterator[Fault]:
        if not isinstance(value, Mapping) or not value:
            yield invalid(path, "a set with at least one entry")
            return
        for name, item in value.items():
            yield from names((*path, str(name)), name)
            yield from check((*path, str(name)), item)

    return checked


def also(check: Check, more: Callable[[Path, Mapping[str, Any]], Iterator[Fault]]) -> Check:
    """Return a check for what several members of an object say together."""

    def checked(path: Path, value: Any) -> Iterator[Fault]:
        yield from check(path, value)
        if isinstance(value, Mapping):
            yield from more(path, value)

    return checked


def is_text(value: Any) -> bool:
    """Say whether this is a text that holds more than white space."""
    return isinstance(value, str) and bool(_WORD.search(value))


def is_count(value: Any) -> bool:
    """Say whether this is a whole number above zero."""
    return type(value) is int and value > 0


def is_number(value: Any) -> bool:
    """Say whether this is a number; true and false are none."""
    return type(value) in (int, float)


def is_instant(value: Any) -> bool:
    """Say whether the rules' RFC 3339 parser reads it, in a year that fits in nanoseconds."""
    try:
        readable = isinstance(value, str) and _RFC3339.fullmatch(value)
        return bool(readable) and 1970 <= datetime.fromisoformat(value).year < 2262
    except ValueError:
        return False


TEXT: Final = holds(is_text, "a text, not empty")
FLAG: Final = holds(lambda value: isinstance(value, bool), "true or false")
TRUE: Final = holds(lambda value: value is True, "true, or be left out")
COUNT: Final = holds(is_count, "a whole number above zero", "not_positive")
