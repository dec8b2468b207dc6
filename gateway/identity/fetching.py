"""Fetching a document of keys from its one configured place: a file or a URL.

Rules over HTTP: no redirects, no proxies, no compression; at most 256 KiB and 5 s in all; the
server is believed by the system's authorities or by those of one file, and by no others. What goes
wrong is said with the server's origin and the reason, never with a token, a query or a user.
Nothing here blocks the event loop. Does not read documents, and takes no URL from a caller.
"""

import os
import re
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import anyio
import httpx
from anyio import to_thread

from gateway.core.errors import IssuerUnavailable
from gateway.identity.jwks import MAX_BYTES
from gateway.identity.kept import Fetch

FETCH_SECONDS: Final = 5.0
_MAX_CA_BYTES: Final = 1024 * 1024
_MAX_TOKEN_BYTES: Final = 16 * 1024
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 §2.1, b68token."""


class Absent(IssuerUnavailable):
    """The server says that there is no such document (404)."""


def from_file(path: str) -> Fetch:
    """Return a fetch that reads a document from a file, each time anew."""

    async def fetch() -> bytes:
        with bounded(path):
            return await _read(Path(path), MAX_BYTES)

    return fetch


def from_url(url: str, *, ca_file: Path | None = None, token_file: Path | None = None) -> Fetch:
    """Return a fetch that gets a document over HTTP.

    Args:
        url: the only place that is asked.
        ca_file: PEM authorities that the server is believed by, instead of the system's; a changed
            file counts from the next fetch on.
        token_file: holds a token that is shown to that URL (RFC 6750 §2.1), read each time anew.
    """
    server = Server(ca_file, token_file)

    async def fetch() -> bytes:
        with bounded(origin(url)):
            return await server.get(url, show_token=True)

    return fetch


def origin(url: str) -> str:
    """Return scheme, host and port of a URL: what may be said aloud of it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the configured URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@contextmanager
def bounded(where: str) -> Iterator[None]:
    """Give everything in the block 5 s in all, and say failures of `where`.

    Raises:
        IssuerUnavailable: the block failed or took too long.
    """
    try:
        with anyio.fail_after(FETCH_SECONDS):
            yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as exc:
        raise IssuerUnavailable(f"{where}: {_reason(exc)}") from exc


class Server:
    """Gets documents over HTTP, as `from_url` says; wants to be in `bounded`."""

    def __init__(self, ca_file: Path | None, token_file: Path | None) -> None:
        self._ca_file = ca_file
        self._token_file = token_file
        self._pem: bytes | None = None
        self._context: ssl.SSLContext | None = None

    async def get(self, url: str, *, show_token: bool) -> bytes:
        """Return what is at the URL.

        Raises:
            IssuerUnavailable: the answer is no document; `Absent` if there is none.
            httpx.HTTPError, httpx.InvalidURL, OSError, ValueError: there is no answer.
        """
        # Without compression, so that the limit bounds what is held and not what was sent.
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        if show_token and self._token_file is not None:
            headers["authorization"] = f"Bearer {await _token(self._token_file)}"
        # Without TLS nobody is believed; what httpx makes by itself would cost 20 ms of the loop.
        secure = url.lower().startswith("https:")
        context = await self._believed() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        async with (
            httpx.AsyncClient(
                verify=context,
                trust_env=False,
                follow_redirects=False,
                timeout=None,  # noqa: S113
            ) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            return await _body(response, origin(url))

    async def _believed(self) -> ssl.SSLContext:
        pem = None if self._ca_file is None else await _read(self._ca_file, _MAX_CA_BYTES)
        if self._context is None or pem != self._pem:
            try:
                self._context = await to_thread.run_sync(_context, pem, abandon_on_cancel=True)
            except (ssl.SSLError, ValueError) as exc:
                raise IssuerUnavailable(f"{self._ca_file}: holds no PEM authorities") from exc
            self._pem = pem
        return self._context


async def _body(response: httpx.Response, where: str) -> bytes:
    if response.status_code == httpx.codes.NOT_FOUND:
        raise Absent(f"{where}: answered 404")
    if response.status_code != httpx.codes.OK:
        raise IssuerUnavailable(f"{where}: answered {response.status_code}")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BYTES:
            raise IssuerUnavailable(f"{where}: the document is larger than 256 KiB")
    return bytes(body)


def _context(pem: bytes | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if pem is None:
        context.load_default_certs()
    else:
        # An empty file is an error here; elsewhere it would mean the system's authorities. Bytes
        # beyond ASCII are comments.
        context.load_verify_locations(cadata=pem.decode("ascii", "ignore"))
    return context


async def _token(path: Path) -> str:
    token = (await _read(path, _MAX_TOKEN_BYTES)).strip()
    if not _TOKEN.fullmatch(token):
        raise IssuerUnavailable(f"{path}: does not hold one bearer token")
    return token.decode("ascii")


async def _read(path: Path, limit: int) -> bytes:
    """Return a file; left alone in its thread if the disk hangs."""
    try:
        content = await to_thread.run_sync(_read_regular, path, limit, abandon_on_cancel=True)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "no file has such a name"
        raise IssuerUnavailable(f"{path}: cannot be read ({reason})") from exc
    if content is None or len(content) > limit:
        raise IssuerUnavailable(f"{path}: is no regular file of at most {limit // 1024} KiB")
    return content


def _read_regular(path: Path, limit: int) -> bytes | None:
    # A pipe would hold its thread until somebody writes, and every refresh would take another one.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        return file.read(limit + 1)


def _reason(exc: BaseException) -> str:
    """Say what went wrong; a foreign message is not repeated, since it may hold what was sent."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not believed ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed ({cause.reason})"
        cause = cause.__cause__ or cause.__context__
    if isinstance(exc, TimeoutError):
        return f"took longer than {FETCH_SECONDS:.0f} seconds"
    if isinstance(exc, httpx.ConnectError):
        return "cannot be reached"
    return f"did not give a whole answer ({type(exc).__name__})"
