"""The body of an answer without its secrets: its messages one by one, or all of it.

What a tool's marks do not speak of, although they speak of its result, is not trusted: data of
errors, notifications, a body that is no message. Does not find secrets (`blotter.py`), and does not
read server-sent events (`bodytext.py`).
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from gateway.core import bodytext
from gateway.core.blotter import Blotter
from gateway.core.marks import Marks, ToolMarks

_ENVELOPE: Final = frozenset({"jsonrpc", "id", "method", "result", "error"})
_HARMLESS_LINE: Final = re.compile(r"\ufeff?(?:(?:event|id|retry):.*|:\s*+(?:ping|keep-?alive)?|)")


def body(blotter: Blotter, marks: ToolMarks, text: Any) -> Any:
    """Return a body without its secrets; the very same if it has none."""
    if not isinstance(text, str) or not text:
        return text
    if marks.whole:
        return blotter.whole_text(text, marks.whole, min_echo=len(text) + 1)
    if not marks.result and not blotter.needed(text):
        return text
    if bodytext.is_event_stream(text):
        line = partial(_line, blotter, marks)
        return bodytext.changed_events(text, partial(_data, blotter, marks), line)
    return _data(blotter, marks, text)


def _data(blotter: Blotter, marks: ToolMarks, data: str) -> str:
    try:
        return bodytext.changed_json(data, partial(_message, blotter, marks))
    except bodytext.Unreadable:
        return _opaque(blotter, marks, data)


def _line(blotter: Blotter, marks: ToolMarks, line: str) -> str:
    return blotter.text(line) if _HARMLESS_LINE.fullmatch(line) else _opaque(blotter, marks, line)


def _opaque(blotter: Blotter, marks: ToolMarks, text: str) -> str:
    """Redact a text without structure: where the marks point cannot be told, so it goes whole."""
    if not marks.result:
        return blotter.text(text)
    return blotter.whole_text(text, marks.result[0][1], min_echo=len(text) + 1)


def _message(blotter: Blotter, marks: ToolMarks, message: Any) -> Any:
    """Redact a JSON-RPC message, or a list of them."""
    if isinstance(message, list):
        new = [_message(blotter, marks, one) for one in message]
        return new if any(a is not b for a, b in zip(new, message, strict=True)) else message
    return blotter.value(message, marks=_marks_of(message, marks.result))


def _marks_of(message: Any, result: Marks) -> Marks:
    """Return a tool's marks as marks of one message of its answer."""
    if not result:
        return result
    kind = result[0][1]
    if not isinstance(message, Mapping):
        return (((), kind),)
    unknown: list[tuple[str, ...]] = [(name,) for name in message if name not in _ENVELOPE]
    said = message.get("error")
    if isinstance(said, Mapping):
        unknown += [("error", name) for name in said if name != "code"]
    elif said is not None:
        unknown.append(("error",))
    if "result" in message and not isinstance(message["result"], Mapping):
        unknown.append(("result",))
    return (*((("result", *path), of) for path, of in result), *((path, kind) for path in unknown))
