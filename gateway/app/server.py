"""The data-plane listener: Granian, HTTP/1.1 only, stopped by SIGTERM or SIGINT.

HTTP/2 is not offered, not even by prior knowledge, since its framing has not been probed; the
header timeout is short, and WebSockets are off. Does not decide what the application answers.
"""

import signal
from collections.abc import Callable
from typing import Final

import anyio
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server as Granian

from gateway.app.asgi import App
from gateway.settings import Server

HEADER_TIMEOUT_MS: Final = 10_000
MAX_HEAD_BYTES: Final = 64 * 1024
BACKPRESSURE: Final = 2048
"""Requests in progress, open streams included; further connections wait."""


async def serve(app: App, listener: Server, on_ready: Callable[[], None]) -> None:
    """Serve until a signal asks to stop.

    Args:
        app: the application.
        listener: where to listen.
        on_ready: called once connections are accepted.
    """
    server = Granian(
        app,
        address=listener.host,
        port=listener.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_TIMEOUT_MS, max_buffer_size=MAX_HEAD_BYTES
        ),
        websockets=False,
        backlog=1024,
        backpressure=BACKPRESSURE,
        log_enabled=False,
    )
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve)
            await _until_connectable(listener)
            on_ready()
            async for _ in signals:
                server.stop()  # type: ignore[no-untyped-call]
                break


async def _until_connectable(listener: Server) -> None:
    """Wait until the listener accepts connections; the server has no event for it."""
    while True:
        try:
            stream = await anyio.connect_tcp(listener.host, listener.port)
        except OSError:
            await anyio.sleep(0.01)
            continue
        await stream.aclose()
        return
