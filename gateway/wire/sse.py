"""Server-sent events, cut at their boundaries without being changed.

The bytes that come out are the bytes that went in; only the grouping is ours, so that the event
that carries a final JSON-RPC response can be held back until its outcome is on disk.
https://html.spec.whatwg.org/multipage/server-sent-events.html. Does not interpret other events.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.call import RequestId
from gateway.core.errors import UpstreamError

MAX_EVENT_BYTES: Final = 4 * 1024 * 1024
"""Longest event relayed; it is held whole until its end has come."""
_END: Final = re.compile(rb"(?:\r\n|\n|\r(?=[^\n]))(?:\r\n|\n|\r(?=[^\n]))")
_NEWLINE: Final = re.compile(rb"(\r\n|\n|\r)")
_BOM: Final = b"\xef\xbb\xbf"
_ANSWER: Final = re.compile(rb"result|error|\\u")
"""What an answer must hold somewhere; an escape may spell either word."""


@dataclass(frozen=True, slots=True)
class Event:
    """The raw bytes of one event, its blank line included."""

    raw: bytes
    first: bool = False
    """Whether it opens its stream: only there is a byte order mark skipped."""

    def data(self) -> bytes:
        """Return the event's data, its lines joined by newlines."""
        lines = []
        for line in _NEWLINE.split(self._text())[::2]:
            name, _, value = line.partition(b":")
            if name == b"data":
                lines.append(value.removeprefix(b" "))
        return b"\n".join(lines)

    def with_data(self, data: bytes) -> bytes:
        """Return the event with this data, without newlines, in the place of its first data line.

        Its other lines of data go; every other byte stays.
        """
        parts, written = _NEWLINE.split(self._text()), False
        changed = [] if len(self._text()) == len(self.raw) else [_BOM]
        for line, end in zip(parts[::2], [*parts[1::2], b""], strict=True):
            name, _, value = line.partition(b":")
            if name != b"data":
                changed += [line, end]
            elif not written:
                written = True
                changed += [b"data:", b" " if value.startswith(b" ") else b"", data, end]
        return b"".join(changed)

    def _text(self) -> bytes:
        return self.raw.removeprefix(_BOM) if self.first else self.raw

    def answers(self, request_id: RequestId | None) -> bool:
        """Say whether this event carries the JSON-RPC response to `request_id`.

        Read as leniently as clients read it, or they would have an answer that we took for none.

        Raises:
            UpstreamError: it is nested too deep to tell.
        """
        if request_id is None or not _ANSWER.search(self.raw):
            return False
        try:
            message = json.loads(self.data().decode("utf-8", "replace"), parse_int=float)
        except ValueError:
            return False
        except RecursionError as exc:
            raise UpstreamError(
                "an event of the upstream is nested too deep", code="upstream_event_size"
            ) from exc
        messages = message if isinstance(message, list) else [message]
        return any(_answers(one, request_id) for one in messages)


def _answers(message: Any, request_id: RequestId) -> bool:
    if not isinstance(message, dict) or message.get("method") is not None:
        return False
    if "error" in message and message.get("id") is None:
        return True  # JSON-RPC 2.0 §5: an error whose request's id could not be read.
    return ("result" in message or "error" in message) and _is(message.get("id"), request_id)


def _is(value: Any, request_id: RequestId) -> bool:
    """Say whether a client may take `value` for its id: some take "1" and 1.0 for 1, none true."""
    if isinstance(value, bool):
        return False
    return bool(value == request_id) or (isinstance(value, str) and value == str(request_id))


class EventSplitter:
    """Cuts a byte stream into events; keeps what has no end yet."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._first = True

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that `chunk` completes.

        Raises:
            UpstreamError: an event is longer than `MAX_EVENT_BYTES`.
        """
        # The end can begin at most three bytes before what is new.
        search_from = max(0, len(self._pending) - 3)
        self._pending += chunk
        events, start = [], 0
        while match := _END.search(self._pending, max(start, search_from)):
            events.append(Event(bytes(self._pending[start : match.end()]), self._first))
            start, self._first = match.end(), False
        del self._pending[:start]
        if max(len(self._pending), *(len(event.raw) for event in events), 0) > MAX_EVENT_BYTES:
            raise UpstreamError("an event of the upstream is too long", code="upstream_event_size")
        return events

    def rest(self) -> bytes:
        """Return the bytes after the last whole event."""
        return bytes(self._pending)
