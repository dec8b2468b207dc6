"""An upstream's body, cut into pieces of which exactly one is the last that matters.

The caller may get every piece but the final one at once; the final one waits for its outcome to be
on disk. In an event stream it is the event that answers the request; in any other body it is the
last chunk, or all of a JSON body that a receipt will be put into and that is therefore held in
memory, up to `MAX_HELD`. The bytes are not changed here.
Does not record and does not write to the caller.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

import anyio

from gateway.core.call import RequestId
from gateway.core.errors import UpstreamError
from gateway.wire.receipt import MAX_SPLICED
from gateway.wire.sse import EventSplitter

DRAIN_SECONDS: Final = 1.0
"""Longest wait for the end of a stream whose answer has come."""
MAX_HELD: Final = MAX_SPLICED
"""Longest JSON body that is held whole, in bytes, for each call that is under way."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of the body; the final piece comes exactly once and last."""

    data: bytes
    final: bool = False
    message: Literal["json", "event"] | None = None
    """What a final piece is, when it holds the whole answer: a JSON body, or one event."""
    opens: bool = False
    """Whether that event is the first of its stream."""


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Say whether these response headers announce server-sent events."""
    return _media_type(headers) == "text/event-stream"


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def pieces(
    headers: Mapping[str, str],
    body: AsyncIterator[bytes],
    rpc_id: RequestId | None,
    hold: int | None = None,
) -> AsyncGenerator[Piece, None]:
    """Cut a body as its media type asks for.

    Args:
        headers: of the response.
        body: its chunks.
        rpc_id: of the request, which tells its answer from other events.
        hold: longest JSON body, in bytes, when JSON is to become one piece; None: it comes in
            chunks.

    Raises:
        UpstreamError: whatever `body` raises, or an event or a held body that is too long.
    """
    if is_event_stream(headers):
        return _events(body, rpc_id)
    # Clients look for these words anywhere in the header.
    if hold is not None and "application/json" in headers.get("content-type", "").lower():
        return _whole(body, hold)
    return _chunks(body)


def error_event(message: bytes) -> bytes:
    """Return a JSON-RPC message as one event, for a stream that must end with an error."""
    return b"event: message\ndata: " + message + b"\n\n"


async def _whole(body: AsyncIterator[bytes], longest: int) -> AsyncGenerator[Piece, None]:
    held = bytearray()
    async for chunk in body:
        held += chunk
        if len(held) > longest:
            raise UpstreamError("the upstream's answer is too long", code="upstream_body_size")
    yield Piece(bytes(held), final=True, message="json")


async def _chunks(body: AsyncIterator[bytes]) -> AsyncGenerator[Piece, None]:
    held = b""
    async for chunk in body:
        # An empty chunk is no last chunk: what is held may be the end of the body.
        if not chunk:
            continue
        if held:
            yield Piece(held)
        held = chunk
    yield Piece(held, final=True)


async def _events(
    body: AsyncIterator[bytes], rpc_id: RequestId | None
) -> AsyncGenerator[Piece, None]:
    splitter = EventSplitter()
    async for chunk in body:
        passed: list[bytes] = []
        for event in splitter.feed(chunk):
            if event.answers(rpc_id):
                if passed:
                    yield Piece(b"".join(passed))
                yield Piece(event.raw, final=True, message="event", opens=event.first)
                await _drain(body)
                return
            passed.append(event.raw)
        if passed:
            yield Piece(b"".join(passed))
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
