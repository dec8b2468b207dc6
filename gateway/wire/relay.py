"""An upstream's body, cut into pieces of which exactly one is the last that matters.

The caller may get every piece but the final one at once; the final one waits for its outcome to be
on disk. In an event stream it is the event that answers the request; in any other body it is the
last chunk. The bytes are not changed. Does not record and does not write to the caller.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import anyio

from gateway.core.call import RequestId
from gateway.core.errors import UpstreamError
from gateway.wire.sse import EventSplitter

DRAIN_SECONDS: Final = 1.0
"""Longest wait for the end of a stream whose answer has come."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of the body; the final piece comes exactly once and last."""

    data: bytes
    final: bool = False


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Say whether these response headers announce server-sent events."""
    media_type = headers.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() == "text/event-stream"


def pieces(
    headers: Mapping[str, str], body: AsyncIterator[bytes], rpc_id: RequestId | None
) -> AsyncGenerator[Piece, None]:
    """Cut a body as its media type asks for.

    Raises:
        UpstreamError: whatever `body` raises, or an event that is too long.
    """
    return _events(body, rpc_id) if is_event_stream(headers) else _chunks(body)


def error_event(message: bytes) -> bytes:
    """Return a JSON-RPC message as one event, for a stream that must end with an error."""
    return b"event: message\ndata: " + message + b"\n\n"


async def _chunks(body: AsyncIterator[bytes]) -> AsyncGenerator[Piece, None]:
    held = b""
    async for chunk in body:
        if held and chunk:
            yield Piece(held)
        # An empty chunk is no last chunk: what is held may be the end of the body.
        held = chunk or held
    yield Piece(held, final=True)


async def _events(
    body: AsyncIterator[bytes], rpc_id: RequestId | None
) -> AsyncGenerator[Piece, None]:
    splitter = EventSplitter()
    async for chunk in body:
        passed = b""
        for event in splitter.feed(chunk):
            if event.answers(rpc_id):
                if passed:
                    yield Piece(passed)
                yield Piece(event.raw, final=True)
                await _drain(body)
                return
            passed += event.raw
        if passed:
            yield Piece(passed)
    yield Piece(splitter.rest(), final=True)


async def _drain(body: AsyncIterator[bytes]) -> None:
    """Read on to the end, so that the connection can be used again.

    What comes after the answer is in no record, so it is not relayed: its first byte ends the
    exchange, and so does an upstream that does not end.
    """
    with suppress(UpstreamError), anyio.move_on_after(DRAIN_SECONDS):
        async for chunk in body:
            if chunk:
                return
