"""Streamable HTTP upstreams on pyqwest: one call, one request, streamed both ways.

Headers are built from an allow-list, so the agent's token, cookies and hop-by-hop headers cannot
pass. No redirects, no retries, no cookies, no proxies from the environment, no decompression;
leaving or cancelling closes the exchange at once, also before the head has come. An answer in a
content encoding is refused: nobody here could check what it says. Does not parse bodies.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio
import pyqwest

from gateway.core.call import ToolCall
from gateway.core.errors import UpstreamError, UpstreamTimeout
from gateway.ports import UpstreamResponse
from gateway.settings import System
from gateway.upstream.credentials import bearer_from
from gateway.wire.admission import may_forward

RELAYED: Final = frozenset({"allow", "cache-control", "content-type", "retry-after"})
"""Response headers that reach the agent, beside those that start with `mcp-`."""
_PROXY_VARIABLES: Final = ("http_proxy", "https_proxy", "all_proxy")
_FAILURES: Final = (
    ConnectionError,
    TimeoutError,
    pyqwest.ReadError,
    pyqwest.RemoteProtocolError,
    pyqwest.WriteError,
)


@dataclass(frozen=True, slots=True)
class _Target:
    url: str
    authorization: str | None
    head_timeout_seconds: float


class HTTPUpstream:
    """The `Upstream` port for systems spoken to over HTTP. Owns its connection pool."""

    def __init__(self, systems: Mapping[str, System]) -> None:
        self._targets = {
            name: _Target(
                system.url,
                bearer_from(system.credential_file) if system.credential_file else None,
                system.head_timeout_seconds,
            )
            for name, system in systems.items()
        }
        _forget_proxies()
        self._transport = pyqwest.HTTPTransport(
            tls_include_system_certs=True,
            pool_max_idle_per_host=512,
            enable_gzip=False,
            enable_brotli=False,
            enable_zstd=False,
            enable_cookie_store=False,
            follow_redirects=False,
            enable_otel=False,
        )

    def send(self, call: ToolCall) -> AbstractAsyncContextManager[UpstreamResponse]:
        """Send the call; see the port."""
        return self._exchange(call)

    @asynccontextmanager
    async def _exchange(self, call: ToolCall) -> AsyncIterator[UpstreamResponse]:
        target = self._targets.get(call.system)
        if target is None:
            raise UpstreamError(
                f"no system {call.system} in settings", code="upstream_unconfigured"
            )
        response = await self._head(call, target)
        async with response:
            _check_head(response)
            yield UpstreamResponse(response.status, _relayed(response), _body(response))

    async def _head(self, call: ToolCall, target: _Target) -> pyqwest.Response:
        request = pyqwest.Request(
            call.request.method,
            target.url,
            pyqwest.Headers(_equipped(call.request.headers, target).items()),
            call.request.body,
        )
        try:
            with anyio.fail_after(target.head_timeout_seconds):
                return await self._transport.execute(request)
        except TimeoutError as exc:
            raise UpstreamTimeout("the upstream did not answer in time") from exc
        except _FAILURES as exc:
            raise UpstreamError("the upstream cannot be reached") from exc

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._transport.aclose()


def _equipped(headers: Mapping[str, str], target: _Target) -> dict[str, str]:
    """Return the headers to send: the allowed ones of the agent, and our own credential."""
    equipped = {name: value for name, value in headers.items() if may_forward(name)}
    equipped["accept-encoding"] = "identity"
    if target.authorization:
        equipped["authorization"] = target.authorization
    return equipped


def _check_head(response: pyqwest.Response) -> None:
    """Refuse what is no answer that could be relayed, such as a switch to another protocol."""
    if not 200 <= response.status <= 599:
        raise UpstreamError("the status is not that of an answer")
    # Every line counts: a header that comes twice could say `identity` first.
    if any(line.lower() != "identity" for line in response.headers.getall("content-encoding")):
        raise UpstreamError("the answer is encoded", code="upstream_encoding_refused")


def _relayed(response: pyqwest.Response) -> dict[str, str]:
    return {
        name: value
        for name, value in response.headers.items()
        if name in RELAYED or name.startswith("mcp-")
    }


async def _body(response: pyqwest.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.content:
            yield bytes(chunk)
    except _FAILURES as exc:
        raise UpstreamError("the upstream broke off", code="upstream_broke_off") from exc


def _forget_proxies() -> None:
    """Clear proxy variables: the client honours them, has no switch, and calls would leave us."""
    for name in list(os.environ):
        if name.lower() in _PROXY_VARIABLES:
            del os.environ[name]
