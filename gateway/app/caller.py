"""The `Caller` port over ASGI's `send`. Does not decide what is answered."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.core.canonical import dumps

Send = Callable[[dict[str, Any]], Awaitable[None]]


class ASGICaller:
    """The `Caller` port over ASGI's `send`. Owned by one request."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started = False

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Write the head; a stream must not be buffered by anyone on its way."""
        self._started = True
        lines = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        if headers.get("content-type", "").startswith("text/event-stream"):
            lines.append((b"x-accel-buffering", b"no"))
        await self._send({"type": "http.response.start", "status": status, "headers": lines})

    async def write(self, piece: bytes) -> None:
        """Write part of the body."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def finish(self, piece: bytes = b"") -> None:
        """Write the last part of the body."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": False})

    async def abort(self) -> None:
        """Leave the answer unfinished: the server then closes the connection in mid-body."""

    async def json(
        self, status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        """Write a whole JSON answer, which nobody stores unless the headers given say so."""
        own = {"content-type": "application/json", "cache-control": "no-store"}
        await self.start(status, own | dict(headers or {}))
        await self.finish(dumps(document))

    async def refuse_unforeseen(self) -> None:
        """Answer 500, or leave a begun answer unfinished."""
        if not self._started:
            message = "the gateway failed; the call was refused or its answer withheld"
            await self.json(500, {"error": {"code": "internal_error", "message": message}})
