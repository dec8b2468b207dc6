"""A local HTTP/1.1 peer on a raw socket, which sees the very bytes that a client sent.

It parses no more than it needs to find the end of a request, and writes exactly what the test
gives it. Does not check anything itself.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    line: str
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in the order of arrival, repeated ones too."""
    body: bytes

    def values(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key == name]


class Exchange:
    """The peer's end of one request."""

    def __init__(
        self, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.received = received
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes) -> None:
        """Write these bytes."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    async def left(self) -> None:
        """Wait until the client has closed the connection, whatever it still sends."""
        try:
            while await self._reader.read(65536):
                pass
        except ConnectionError:
            return


Answering = Callable[[Exchange], Awaitable[bool | None]]
"""Answers one request; true keeps the connection open."""


class Peer:
    """A server; `answering` may be changed between requests."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.port = 0
        self.requests: list[Received] = []
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Where the peer listens."""
        return f"http://127.0.0.1:{self.port}/mcp"

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                received = await _received(reader)
                self.requests.append(received)
                if not await self.answering(Exchange(received, reader, writer)):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def hang_up(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def peer(answering: Answering) -> AsyncIterator[Peer]:
    """Run a peer on a free port of loopback."""
    served = Peer(answering)
    server = await asyncio.start_server(served.connected, "127.0.0.1", 0, limit=1 << 20)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        served.hang_up()
        with anyio.CancelScope(shield=True), anyio.move_on_after(2):
            await server.wait_closed()


def response(
    body: bytes = b"{}", *headers: str, status: str = "200 OK", length: int | None = None
) -> bytes:
    """Return a response; without headers it is JSON."""
    lines = headers or ("Content-Type: application/json",)
    size = f"Content-Length: {len(body) if length is None else length}"
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, size, "", ""]).encode("latin-1") + body


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body (RFC 9112 §7.1)."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def stream_head(media_type: str = "text/event-stream") -> bytes:
    """Return the head of a chunked response."""
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()


LAST_CHUNK = b"0\r\n\r\n"


def answers(data: bytes, keep: bool = True) -> Answering:
    """Return what answers every request with the same bytes."""

    async def answer(exchange: Exchange) -> bool:
        await exchange.send(data)
        return keep

    return answer


async def _received(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head[:-4].split("\r\n")
    pairs = (entry.partition(":") for entry in rest)
    headers = tuple((name.lower(), value.strip()) for name, _, value in pairs)
    fields = dict(headers)
    if fields.get("transfer-encoding"):
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(fields.get("content-length", "0")))
    return Received(line, headers, body)
