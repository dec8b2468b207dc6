"""The data-plane listener: Granian, HTTP/1.1 only, on a socket of our own.

The socket is bound without SO_REUSEPORT, so two gateways never share a port unseen. A signal stops
the listener and lets calls in flight finish for a while; what is left then is cancelled, and each
cancelled call has closed its evidence before `serve` returns.
HTTP/2 is not offered, not even by prior knowledge, since its framing has not been probed; the
header timeout is short, and WebSockets are off. Does not decide what the application answers.
"""

import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import anyio
from granian.constants import HTTPModes, Interfaces
from granian.errors import ConfigurationError, FatalError
from granian.http import HTTP1Settings
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.embed import Server as Granian

from gateway.app.asgi import Scope, Send
from gateway.app.body import Receive
from gateway.core.errors import GatewayError, SettingsError
from gateway.settings import Server

HEADER_TIMEOUT_MS: Final = 10_000
MAX_HEAD_BYTES: Final = 64 * 1024
BACKLOG: Final = 1024
BACKPRESSURE: Final = 2048
"""Requests in progress, open streams included; further connections wait."""
LINGER_SECONDS: Final = 1.0
"""How long connections may stay open once every call has ended."""

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def bind(listener: Server) -> socket.socket:
    """Take the address, or say who cannot have it. Nobody can connect before `serve`.

    Raises:
        SettingsError: the address cannot be had.
    """
    try:
        found = socket.getaddrinfo(listener.host, listener.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, ValueError) as exc:
        raise _cannot_listen(listener, exc) from exc
    try:
        # A restart is not kept out by connections that linger; a living listener still keeps out.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.bind(address)
    except OSError as exc:
        bound.close()
        raise _cannot_listen(listener, exc) from exc
    return bound


async def serve(
    app: Application, listener: Server, bound: socket.socket, on_ready: Callable[[], None]
) -> None:
    """Serve until a signal asks to stop; a second one does not wait for calls in flight.

    Args:
        app: the application.
        listener: where to listen, and how long to drain.
        bound: what `bind` returned; taken over.
        on_ready: called once connections are accepted.

    Raises:
        SettingsError: somebody else listens there.
        GatewayError: the listener did not start, or ended by itself.
    """
    try:
        # Of two that bound at the same time, the kernel lets one listen.
        bound.listen(BACKLOG)
    except OSError as exc:
        raise _cannot_listen(listener, exc) from exc
    draining = Draining(app)
    server = _Granian(draining, bound)
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.run, tasks.cancel_scope)
            await server.started.wait()
            on_ready()
            await anext(signals)
            server.stop()  # type: ignore[no-untyped-call]
            await _drain(draining, signals, listener.drain_seconds)
            await _linger(server, tasks.cancel_scope)
        # Calls also end before evidence does if the listener failed.
        await draining.cancel()
    if server.failure:
        raise GatewayError(f"{listener.address}: the listener ended by itself ({server.failure})")


class Draining:
    """An application whose requests can be waited for, and cancelled. Owned by `serve`."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._requests: set[anyio.CancelScope] = set()
        self._one_ended = anyio.Event()
        self._cancelled = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, unless it comes after `cancel`."""
        if self._cancelled:
            return
        with anyio.CancelScope() as request:
            self._requests.add(request)
            try:
                await self._app(scope, receive, send)
            finally:
                self._requests.discard(request)
                self._one_ended.set()
                self._one_ended = anyio.Event()

    async def ended(self) -> None:
        """Wait until no request is in flight."""
        while self._requests:
            await self._one_ended.wait()

    async def cancel(self) -> None:
        """Cancel every request and wait for it: only a record being written still takes time."""
        self._cancelled = True
        for request in self._requests:
            request.cancel()
        await self.ended()


class _Granian(Granian):
    """Granian on a socket that is ours, which says when it has started and why it ended."""

    def __init__(self, app: Application, bound: socket.socket) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(
                header_read_timeout=HEADER_TIMEOUT_MS, max_buffer_size=MAX_HEAD_BYTES
            ),
            websockets=False,
            backlog=BACKLOG,
            backpressure=BACKPRESSURE,
            log_enabled=False,
        )
        self._bound = bound
        self.started = anyio.Event()
        self.ended = anyio.Event()
        self.failure = ""

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        """See Granian."""
        super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        self.started.set()

    def _init_shared_socket(self) -> None:
        # Granian's own would set SO_REUSEPORT. It closes the descriptor that it is given.
        self._ssp = None
        descriptor = self._bound.detach()
        self._shd = SocketHolder(descriptor, False, BACKLOG)  # type: ignore[call-arg,assignment]

    async def run(self, whole: anyio.CancelScope) -> None:
        """Serve until `stop`; on any other end, cancel the whole of which this is a part."""
        reason = "a worker ended"
        try:
            await self.serve()
        except (ConfigurationError, FatalError, OSError, RuntimeError) as exc:
            reason = str(exc)
        self.ended.set()
        if not self.interrupt_signal:
            self.failure = reason
            whole.cancel()


async def _drain(
    draining: Draining, signals: AsyncIterator[signal.Signals], seconds: float
) -> None:
    """Wait for the calls in flight until the time is up or a second signal comes; cancel the rest.

    Each cancelled call records its outcome.
    """
    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on_signal, signals, tasks.cancel_scope)
            await draining.ended()
            tasks.cancel_scope.cancel()
    await draining.cancel()


async def _cancel_on_signal(
    signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope
) -> None:
    await anext(signals)
    scope.cancel()


async def _linger(server: _Granian, whole: anyio.CancelScope) -> None:
    """Let the last answers go out; a peer that does not read, or never ends its head, is left."""
    with anyio.move_on_after(LINGER_SECONDS):
        await server.ended.wait()
    whole.cancel()


def _cannot_listen(listener: Server, exc: Exception) -> SettingsError:
    reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
    reason = reason[:1].lower() + reason[1:]
    return SettingsError(f"{listener.address}: cannot listen ({reason})")
