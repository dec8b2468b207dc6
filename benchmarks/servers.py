"""What the gateway is measured against: an instant upstream, and one bare hop in front of it.

    python -m benchmarks.servers stub PORT
    python -m benchmarks.servers hop PORT UPSTREAM

The hop uses the gateway's own server and client and does nothing else: no identity, no policy, no
evidence, so that what these cost shows as the difference.
"""

import asyncio
import sys
from typing import Any

import pyqwest
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

RESULT = (
    b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"' + b"x" * 120 + b'"}],'
    b'"isError":false}}'
)
JSON = [(b"content-type", b"application/json")]


async def _read(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _send(send: Any, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": JSON})
    await send({"type": "http.response.body", "body": body})


async def stub(_: Any, receive: Any, send: Any) -> None:
    """Answer every request at once with one tool result."""
    await _read(receive)
    await _send(send, RESULT)


class Hop:
    """Forward every request and stream the answer back."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._transport = pyqwest.HTTPTransport(
            pool_max_idle_per_host=512, enable_otel=False, follow_redirects=False
        )

    async def __call__(self, _: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        headers = pyqwest.Headers({"content-type": "application/json"})
        request = pyqwest.Request("POST", self._upstream, headers, await _read(receive))
        response = await self._transport.execute(request)
        async with response:
            await _send(send, b"".join([bytes(chunk) async for chunk in response.content]))


def main() -> None:
    """Serve until killed."""
    kind, port, *upstream = sys.argv[1:]
    server = Server(
        stub if kind == "stub" else Hop(*upstream),
        "127.0.0.1",
        int(port),
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        log_enabled=False,
    )
    asyncio.run(server.serve())


if __name__ == "__main__":
    main()
