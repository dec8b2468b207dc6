"""`bailiwick serve`: run the gateway."""

import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio

from gateway.app.asgi import App
from gateway.app.listener import Listener, listeners
from gateway.app.server import serve_all
from gateway.background import background
from gateway.cli import output
from gateway.cli.options import DEFAULT_SETTINGS, Json, SettingsPath
from gateway.settings import Settings, load
from gateway.wiring import Gateway, build

_LOG = logging.getLogger(__name__)


def serve(settings: SettingsPath = DEFAULT_SETTINGS, json: Json = False) -> None:
    """Run the gateway.

    It runs until SIGTERM or ctrl-C, and starts only if the policy passes its self-test and the
    evidence log can be written. Calls in flight are waited for (server.drain_seconds); a second
    signal ends them. SIGHUP brings the policy bundle that lies there now into force; one that is
    refused leaves the old one where it was. With --json, one line on stdout says when connections
    are accepted.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("bailiwick: %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    loaded = load(settings)
    # First of all, so that a start on a taken port leaves nothing in the evidence log.
    with listeners(loaded) as taken, _no_end_by_hangup():
        anyio.run(_run, loaded, taken, json)


class PlainFormatter(logging.Formatter):
    """Log lines as plain text: a message may hold foreign text, and is one line of it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the message without what a terminal would obey."""
        return output.printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """Return the traceback, line by line, without what a terminal would obey."""
        return "\n".join(map(output.printable, super().formatException(ei).split("\n")))


@contextmanager
def _no_end_by_hangup() -> Iterator[None]:
    """Ignore SIGHUP, which would end the process, where nobody takes it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


async def _run(settings: Settings, taken: Sequence[Listener], json: bool) -> None:
    # Around everything: a hangup that comes too early waits, and one that comes too late is lost,
    # but neither ends the process.
    with anyio.open_signal_receiver(signal.SIGHUP) as hangups:
        async with build(settings) as gateway:
            served = [(listener, App(gateway, listener.terminator)) for listener in taken]
            drain_seconds = settings.server.drain_seconds
            async with background() as tasks:
                tasks.start_soon(_reload_on_hangup, gateway, hangups)
                await serve_all(served, drain_seconds, lambda: _announce(gateway, taken, json))
    # The receiver leaves the default behind it, which would end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    output.note("stopped")


async def _reload_on_hangup(gateway: Gateway, hangups: AsyncIterator[signal.Signals]) -> None:
    async for _ in hangups:
        if await gateway.policy.reload():
            # Logged, not noted: that nobody reads stderr any more must not end the gateway.
            _LOG.warning("policy %s is in force", gateway.policy.bundle.revision)


def _announce(gateway: Gateway, taken: Sequence[Listener], json: bool) -> None:
    server, policy = gateway.settings.server, gateway.policy.bundle
    url = f"http://{server.address}"
    systems = {name: f"{url}/{name}/mcp" for name in gateway.settings.systems}
    terminators = {
        listener.terminator: listener.address for listener in taken if listener.terminator
    }
    if json:
        output.as_json(
            {
                "url": url,
                "public_url": server.url,
                "terminators": terminators,
                "systems": systems,
                "policy_revision": policy.revision,
                "process_id": os.getpid(),
            }
        )
        return
    output.note(f"listening on {url}, policy {policy.revision} ({policy.digest[:19]}…)")
    for name, address in terminators.items():
        output.note(f"  terminator {name} at {address}")
    for name, endpoint in systems.items():
        output.note(f"  {name} at {endpoint}")
    for charter, faults in policy.faults.items():
        if faults:
            output.note(f"  charter {charter} is incomplete and denies everything: charter check")
