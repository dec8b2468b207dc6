"""Speaks HTTP byte by byte, so that a test decides what is really sent."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 15


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    head: bytes = b""


def send(url: str, raw: bytes, tls: ssl.SSLContext | None = None) -> Answer:
    """Send bytes to the listener of `url` and read one answer; status 0 if it hung up."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 0)
    with socket.create_connection(address, TIMEOUT_SECONDS) as connection:
        if tls is None:
            return _exchange(connection, raw)
        with tls.wrap_socket(connection, server_hostname=parts.hostname) as secured:
            return _exchange(secured, raw)


def send_to_socket(path: Path, raw: bytes) -> Answer:
    """Send bytes to a Unix socket, as `send` does."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        connection.connect(str(path))
        return _exchange(connection, raw)


def _exchange(connection: socket.socket, raw: bytes) -> Answer:
    connection.sendall(raw)
    received = b""
    while not _complete(received):
        try:
            chunk = connection.recv(65536)
        except ConnectionResetError:
            break
        if not chunk:
            break
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return Answer(int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/") else 0, body, head)


def request(
    url: str,
    body: bytes = b"",
    *,
    method: str = "POST",
    target: str | None = None,
    headers: list[tuple[str, str]] = (),  # type: ignore[assignment]
    drop: tuple[str, ...] = (),
    token: str | None = None,
) -> bytes:
    """Return the bytes of a request that is well-formed but for what the arguments change."""
    parts = urlsplit(url)
    lines = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Content-Length": str(len(body)),
    }
    if token:
        lines["Authorization"] = f"Bearer {token}"
    kept = [(name, value) for name, value in lines.items() if name not in drop]
    head = [f"{method} {target or parts.path} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in [*kept, *headers]]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def _complete(received: bytes) -> bool:
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return body.endswith(b"0\r\n\r\n")
