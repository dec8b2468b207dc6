"""A body as text: JSON, server-sent events or neither, changed where its messages change.

A message that is not changed keeps its bytes; a changed one is written anew, an event's data on one
`data:` line. https://html.spec.whatwg.org/multipage/server-sent-events.html. Does not know what
is changed, or why.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final

_EVENT_STREAM: Final = re.compile(r"\s*+(?:\ufeff\s*+)?(?:data|event|id|retry)?:")
_DATA_LINE: Final = re.compile(r"[\r\n]\ufeff?data:")
_BLANK: Final = re.compile(r"((?:\r\n|\n|\r(?!\n)){2,})")
_NEWLINE: Final = re.compile(r"\r\n|\n|\r")

MAX_DEPTH: Final = 100
"""Deepest nesting that is read; whoever changes values may walk them by recursion."""

Change = Callable[[Any], Any]
"""Returns the very value given when there is nothing to change."""


class Unreadable(Exception):
    """A text is not JSON that every parser reads in the same way."""


def parsed(text: str, deepest: int = MAX_DEPTH) -> Any:
    """Return the JSON value of a text.

    Raises:
        Unreadable: it is not JSON, names a key twice, or is nested more than `deepest` deep.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as exc:
        raise Unreadable from exc
    stack = [(value, 1)]
    while stack:
        container, depth = stack.pop()
        if isinstance(container, dict | list):
            if depth > deepest:
                raise Unreadable
            items = container.values() if isinstance(container, dict) else container
            stack += [(item, depth + 1) for item in items if isinstance(item, dict | list)]
    return value


def written(value: Any) -> str:
    """Return a JSON value as compact text that has a UTF-8 form."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if text.isascii() or text.encode("utf-8", "replace").decode() == text:
        return text
    return json.dumps(value, separators=(",", ":"))


def is_event_stream(text: str) -> bool:
    """Say whether a text can be server-sent events: it begins so, or has a line of data.

    No JSON has such a line. Blank lines, unknown fields and a byte order mark may come before it.
    """
    return bool(_EVENT_STREAM.match(text) or _DATA_LINE.search(text))


def changed_json(text: str, change: Change, deepest: int = MAX_DEPTH) -> str:
    """Return a JSON text with its value changed.

    Raises:
        Unreadable: as `parsed`.
    """
    value = parsed(text, deepest)
    new = change(value)
    return text if new is value else written(new)


def changed_events(text: str, change_data: Callable[[str], str], line: Callable[[str], str]) -> str:
    """Return server-sent events with the data of each changed, and every other line by itself."""
    pieces = _BLANK.split(text)
    pieces[::2] = [_event(piece, change_data, line) for piece in pieces[::2]]
    return "".join(pieces)


def _event(raw: str, change_data: Callable[[str], str], change_line: Callable[[str], str]) -> str:
    lines = _NEWLINE.split(raw)
    data = [line.removeprefix("\ufeff") for line in lines]
    data = [line[5:].removeprefix(" ") for line in data if line.startswith("data:")]
    joined = "\n".join(data)
    new = change_data(joined) if joined else joined
    others = [change_line(line) for line in lines if not _is_data(line)]
    if new == joined and others == [line for line in lines if not _is_data(line)]:
        return raw
    return "\n".join([*others, *(f"data: {part}" for part in new.split("\n") if data)])


def _is_data(line: str) -> bool:
    return line.removeprefix("\ufeff").startswith("data:")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object names a key twice")
    return members
