"""Server-sent events, cut at their boundaries without being changed.

The bytes that come out are the bytes that went in; only the grouping is ours, so that the event
that carries a final JSON-RPC response can be held back until its outcome is on disk.
https://html.spec.whatwg.org/multipage/server-sent-events.html. Does not interpret other events.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

from gateway.core.call import RequestId
from gateway.core.errors import UpstreamError

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""Longest event relayed; it is held whole until its end has come."""
_END: Final = re.compile(rb"(?:\r\n|\n|\r(?=[^\n]))(?:\r\n|\n|\r(?=[^\n]))")
_NEWLINE: Final = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """The raw bytes of one event, its blank line included."""

    raw: bytes

    def data(self) -> bytes:
        """Return the event's data, its lines joined by newlines."""
        lines = []
        for line in _NEWLINE.split(self.raw):
            name, _, value = line.partition(b":")
            if name == b"data":
                lines.append(value.removeprefix(b" "))
        return b"\n".join(lines)

    def answers(self, request_id: RequestId | None) -> bool:
        """Say whether this event carries the JSON-RPC response to `request_id`."""
        if request_id is None or (b"result" not in self.raw and b"error" not in self.raw):
            return False
        try:
            message = json.loads(self.data())
        except ValueError:
            return False
        return (
            isinstance(message, dict)
            and message.get("id") == request_id
            and type(message.get("id")) is type(request_id)
            and "method" not in message
        )


class EventSplitter:
    """Cuts a byte stream into events; keeps what has no end yet."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that `chunk` completes.

        Raises:
            UpstreamError: an event is longer than `MAX_EVENT_BYTES`.
        """
        # The end can begin at most three bytes before what is new.
        searched_from = max(0, len(self._pending) - 3)
        pending = self._pending + chunk
        events, start = [], 0
        while match := _END.search(pending, max(start, searched_from)):
            events.append(Event(pending[start : match.end()]))
            start = match.end()
        self._pending = pending[start:]
        if len(self._pending) > MAX_EVENT_BYTES:
            raise UpstreamError("an event of the upstream is too long", code="upstream_event_size")
        return events

    def rest(self) -> bytes:
        """Return the bytes after the last whole event."""
        return self._pending
