"""Reading a request body: bounded in size and in time, before anything looks at it.

A body that is too large, too slow or cut short never reaches the decoder. Does not parse.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from gateway.core.errors import AdmissionRefused, MessageTooLarge
from gateway.settings import Server

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


async def read_body(receive: Receive, headers: Mapping[str, str], limits: Server) -> bytes:
    """Read the whole body.

    Raises:
        MessageTooLarge: it is, or says it is, longer than the limit.
        AdmissionRefused: it came too slowly, or the caller left before its end.
    """
    _check_announced(headers.get("content-length"), limits.max_body_bytes)
    try:
        with anyio.fail_after(limits.body_total_seconds):
            return await _collect(receive, limits)
    except TimeoutError as exc:
        raise AdmissionRefused(
            "the body came too slowly", code="body_timeout", http_status=408
        ) from exc


async def _collect(receive: Receive, limits: Server) -> bytes:
    pieces: list[bytes] = []
    length = 0
    while True:
        with anyio.fail_after(limits.body_idle_seconds):
            message = await receive()
        if message["type"] == "http.disconnect":
            raise AdmissionRefused("the body ended early", code="body_incomplete", http_status=400)
        pieces.append(message.get("body", b""))
        length += len(pieces[-1])
        if length > limits.max_body_bytes:
            raise _too_large(limits.max_body_bytes)
        if not message.get("more_body", False):
            return b"".join(pieces)


def _check_announced(announced: str | None, limit: int) -> None:
    if announced is None:
        return
    if not announced.isdecimal():
        raise AdmissionRefused(
            "Content-Length is not a number", code="content_length_refused", http_status=400
        )
    if len(announced) > 12 or int(announced) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> MessageTooLarge:
    return MessageTooLarge(f"the body is longer than {limit} bytes")
