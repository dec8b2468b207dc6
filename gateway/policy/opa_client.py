"""opa-python-client's async client, narrowed to the one query a gateway makes.

The one path and its parameters are constants: builtin errors are strict, since OPA otherwise skips
a deny rule that fails and answers 200; provenance says which bundle decided. No redirects, no
proxies, no cookies, no decompression, no retry on an answer; the body is read up to a bound.
Does not parse answers and does not keep the deadline of a decision (`opa.py`). None of the
library's management and ad-hoc calls may be used: a hardened OPA refuses them all.
"""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from opa_client.opa_async import AsyncOpaClient  # type: ignore[import-untyped]

from gateway.core.decision import MAX_ANSWER_BYTES
from gateway.core.errors import PolicyAnswerInvalid, SettingsError
from gateway.settings.policy import OPA

QUERY: Final = "/data/bailiwick/decision?provenance=true&strict-builtin-errors=true"

_CONNECTIONS: Final = 64
"""Beyond 16 in flight OPA's evaluation is the limit; more connections only queue inside OPA."""
_HEADERS: Final = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
_MAX_TOKEN_BYTES: Final = 4096
_TOKEN: Final = re.compile(rb"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Door:
    """Where OPA is, and what we show there."""

    socket: Path | None
    host: str
    port: int
    tls: ssl.SSLContext | None
    token: str | None


def door(opa: OPA) -> Door:
    """Read what the settings name: token, authorities, client certificate.

    Raises:
        SettingsError: one of the files is not what it should be.
    """
    token = None if opa.token_file is None else _token(opa.token_file)
    if opa.url is None:
        # The host of a Unix socket is a name only, for the request's Host header.
        return Door(opa.socket, "localhost", 80, None, token)
    parts = urlsplit(opa.url)
    secure = parts.scheme == "https"
    if not secure and (opa.certificate is not None or opa.ca is not None):
        raise SettingsError("policy.opa: ca and certificate need a url of https")
    host = parts.hostname or ""
    return Door(
        socket=None,
        host=f"[{host}]" if ":" in host else host,
        port=parts.port or (443 if secure else 80),
        tls=_tls(opa) if secure else None,
        token=token,
    )


class SidecarClient(AsyncOpaClient):  # type: ignore[misc]
    """One pool of connections to one OPA; use inside `async with`."""

    def __init__(self, where: Door, timeout_seconds: float) -> None:
        super().__init__(
            host=where.host,
            port=where.port,
            ssl=where.tls is not None,
            headers=_HEADERS,
            token=where.token,
            retries=0,
            timeout=timeout_seconds,
        )
        self._where = where
        self._session: aiohttp.ClientSession | None = None

    async def _init_session(self) -> None:
        # The base class knows no Unix sockets and no authorities but the system's.
        self._connector: aiohttp.BaseConnector
        if self._where.socket is not None:
            self._connector = aiohttp.UnixConnector(str(self._where.socket), limit=_CONNECTIONS)
        else:
            tls = self._where.tls
            self._connector = aiohttp.TCPConnector(ssl=tls or True, limit=_CONNECTIONS)
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
        self._session = aiohttp.ClientSession(
            headers=self.headers,
            connector=self._connector,
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            trace_configs=[trace],
        )

    async def ask(self, document: bytes) -> tuple[int, bytes]:
        """Ask for the decision on a JSON document; return the status, and the body of a 200.

        A connection kept alive that OPA dropped before its answer began (before the head of it was
        whole: the library does not tell less) is replaced once.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: there is no answer, or not a whole one.
            PolicyAnswerInvalid: it is larger than a decision may be.
        """
        body = b'{"input":' + document + b"}"
        connection = SimpleNamespace(reused=False)
        try:
            return await self._exchange(body, connection)
        except aiohttp.ClientConnectionError as exc:
            closed = self._session is None or self._session.closed
            if closed or not connection.reused or isinstance(exc, TimeoutError):
                raise
        return await self._exchange(body, connection)

    async def _exchange(self, body: bytes, connection: SimpleNamespace) -> tuple[int, bytes]:
        request = self._request(
            "POST",
            self.root_url + QUERY,
            data=body,
            allow_redirects=False,
            trace_request_ctx=connection,
        )
        async with request as response:
            if response.status != 200:
                return response.status, b""
            return response.status, await _bounded(response)


async def _note_reuse(
    session: aiohttp.ClientSession, context: SimpleNamespace, parameters: Any
) -> None:
    context.trace_request_ctx.reused = True


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """Read a body piece by piece; what is left unread is dropped with its connection."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise PolicyAnswerInvalid("the answer is larger than 1 MiB")
    return bytes(body)


def _token(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_TOKEN_BYTES + 1)
    except OSError as exc:
        raise SettingsError(f"policy.opa.token_file: {path}: {exc.strerror}") from exc
    token = content.removesuffix(b"\n").removesuffix(b"\r")
    if len(content) > _MAX_TOKEN_BYTES or not _TOKEN.fullmatch(token):
        raise SettingsError(f"policy.opa.token_file: {path}: must hold one token on one line")
    return token.decode("ascii")


def _tls(opa: OPA) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=opa.ca)
    except OSError as exc:
        raise SettingsError(f"policy.opa.ca: {opa.ca}: holds no PEM authorities ({exc})") from exc
    if opa.certificate is not None:
        try:
            # An empty password, so that nobody is asked for one at a terminal.
            context.load_cert_chain(opa.certificate, opa.key, password="")
        except OSError as exc:
            raise SettingsError(
                f"policy.opa.certificate: no pair of certificate and key ({exc})"
            ) from exc
    return context
