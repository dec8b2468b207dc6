"""JSON pointers (RFC 6901), with one extension: `*` stands for every member or element.

The catalogue marks values with them, and a redacted record names with them what it lacks.
https://www.rfc-editor.org/rfc/rfc6901. Does not know what a pointer is for.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

ANY: Final = "*"
"""The segment that stands for every member or element; a member of that name is meant too."""
_POINTER: Final = re.compile(r"(?:/(?:[^/~]|~[01])*)*")


def is_pointer(text: Any) -> bool:
    """Say whether this is a pointer; the empty text points at the whole."""
    return isinstance(text, str) and bool(_POINTER.fullmatch(text))


def segments(pointer: str) -> tuple[str, ...]:
    """Return the unescaped segments of a pointer.

    Raises:
        ValueError: it is not a pointer.
    """
    if not is_pointer(pointer):
        raise ValueError("not a JSON pointer")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def joined(pointer: str, segment: str | int) -> str:
    """Return the pointer to a member or element of what `pointer` points at."""
    return f"{pointer}/{str(segment).replace('~', '~0').replace('/', '~1')}"


def replaced(value: Any, path: tuple[str, ...], new: Any) -> Any:
    """Return `value` with what stands at `path` replaced; what is given stays as it was.

    Raises:
        LookupError: nothing stands there.
    """
    if not path:
        return new
    head, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        return {**value, head: replaced(value[head], rest, new)}
    if isinstance(value, list):
        index = int(head) if head.isdecimal() else len(value)
        return [*value[:index], replaced(value[index], rest, new), *value[index + 1 :]]
    raise LookupError("a scalar has no members")


def differences(old: Any, new: Any, where: str = "") -> dict[str, Any]:
    """Return by pointer what `old` holds where `new` holds something else: enough to go back."""
    if old is new:
        return {}
    found: dict[str, Any] = {}
    if isinstance(old, Mapping) and isinstance(new, Mapping) and list(old) == list(new):
        for name in old:
            found |= differences(old[name], new[name], joined(where, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, item in enumerate(old):
            found |= differences(item, new[index], joined(where, index))
    else:
        found[where] = old
    return found
