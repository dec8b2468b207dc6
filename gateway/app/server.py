"""The servers: Granian, HTTP/1.1 only, one on each listener, in one process and one event loop.

All of them start or none does. A signal stops all and lets calls in flight finish for a while; what
is left then is cancelled, and each cancelled call has closed its evidence before `serve` returns.
HTTP/2 is not offered, not even by prior knowledge, since its framing has not been probed; the
header timeout is short, and WebSockets are off. Does not decide what the application answers.
"""

import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import anyio
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.errors import ConfigurationError, FatalError
from granian.http import HTTP1Settings
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.embed import Server as Granian

from gateway.app.asgi import Scope
from gateway.app.body import Receive
from gateway.app.caller import Send
from gateway.app.listener import Listener, bind, cannot_listen
from gateway.core.errors import GatewayError
from gateway.settings import Server

__all__ = ["BACKLOG", "Application", "Draining", "bind", "serve", "serve_all"]

HEADER_TIMEOUT_MS: Final = 10_000
MAX_HEAD_BYTES: Final = 64 * 1024
BACKLOG: Final = 1024
BACKPRESSURE: Final = 2048
"""Requests in progress on a listener, open streams included; further connections wait."""
LINGER_SECONDS: Final = 1.0
"""How long connections may stay open once every call has ended."""

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


async def serve(
    app: Application, listener: Server, bound: socket.socket, on_ready: Callable[[], None]
) -> None:
    """Serve one application on one listener; see `serve_all`."""
    served = [(Listener(listener.address, bound), app)]
    await serve_all(served, listener.drain_seconds, on_ready)


async def serve_all(
    served: Sequence[tuple[Listener, Application]],
    drain_seconds: float,
    on_ready: Callable[[], None],
) -> None:
    """Serve until a signal asks to stop; a second one does not wait for calls in flight.

    Args:
        served: each listener, whose socket is taken over, and the application behind it.
        drain_seconds: how long calls in flight may go on after the first signal.
        on_ready: called once connections are accepted on all of them.

    Raises:
        SettingsError: somebody else listens there.
        GatewayError: a listener did not start, or ended by itself.
    """
    for listener, _ in served:
        try:
            # Of two that bound at the same time, the kernel lets one listen.
            listener.bound.listen(BACKLOG)
        except OSError as exc:
            raise cannot_listen(listener.address, exc) from exc
    draining = Draining()
    servers = [_Granian(draining.around(app), listener) for listener, app in served]
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as tasks:
            for server in servers:
                tasks.start_soon(server.run, tasks.cancel_scope)
            for server in servers:
                await server.started.wait()
            on_ready()
            await anext(signals)
            for server in servers:
                server.stop()  # type: ignore[no-untyped-call]
            await _drain(draining, signals, drain_seconds)
            await _linger(servers, tasks.cancel_scope)
        # Calls also end before evidence does if a listener failed.
        await draining.cancel()
    for server in servers:
        if server.failure:
            raise GatewayError(f"{server.address}: the listener ended by itself ({server.failure})")


class Draining:
    """Applications whose requests can be waited for, and cancelled. Owned by `serve_all`."""

    def __init__(self) -> None:
        self._requests: set[anyio.CancelScope] = set()
        self._one_ended = anyio.Event()
        self._cancelled = False

    def around(self, app: Application) -> Application:
        """Return the application, its requests counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            """Answer one request, unless it comes after `cancel`."""
            if self._cancelled:
                return
            with anyio.CancelScope() as request:
                self._requests.add(request)
                try:
                    await app(scope, receive, send)
                finally:
                    self._requests.discard(request)
                    self._one_ended.set()
                    self._one_ended = anyio.Event()

        return counted

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

    def __init__(self, app: Application, listener: Listener) -> None:
        tls = listener.tls
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
            ssl_cert=tls.certificate if tls else None,
            ssl_key=tls.key if tls else None,
            ssl_ca=tls.client_ca if tls else None,
            ssl_client_verify=tls is not None,
            ssl_protocol_min=SSLProtocols.tls13,
        )
        self.address = listener.address
        self._bound = listener.bound
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
        unix = self._bound.family == socket.AF_UNIX
        descriptor = self._bound.detach()
        self._shd = SocketHolder(descriptor, unix, BACKLOG)  # type: ignore[call-arg,assignment]

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


async def _linger(servers: Sequence[_Granian], whole: anyio.CancelScope) -> None:
    """Let the last answers go out; a peer that does not read, or never ends its head, is left."""
    with anyio.move_on_after(LINGER_SECONDS):
        for server in servers:
            await server.ended.wait()
    whole.cancel()
