"""`bailiwick serve`: run the gateway."""

import logging
import os
import socket
from typing import Any

import anyio

from gateway.app.asgi import App
from gateway.app.server import bind
from gateway.app.server import serve as listen
from gateway.cli import output
from gateway.cli.options import DEFAULT_SETTINGS, Json, SettingsPath
from gateway.settings import Settings, load
from gateway.wiring import Gateway, build


def serve(settings: SettingsPath = DEFAULT_SETTINGS, json: Json = False) -> None:
    """Run the gateway.

    It runs until SIGTERM or ctrl-C, and starts only if the policy passes its self-test and the
    evidence log can be written. Calls in flight are waited for (server.drain_seconds); a second
    signal ends them. With --json, one line on stdout says when connections are accepted.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("bailiwick: %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    loaded = load(settings)
    # First of all, so that a start on a taken port leaves nothing in the evidence log.
    with bind(loaded.server) as bound:
        anyio.run(_run, loaded, bound, json)


class PlainFormatter(logging.Formatter):
    """Log lines as plain text: a message may hold foreign text, and is one line of it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the message without what a terminal would obey."""
        return output.printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """Return the traceback, line by line, without what a terminal would obey."""
        return "\n".join(map(output.printable, super().formatException(ei).split("\n")))


async def _run(settings: Settings, bound: socket.socket, json: bool) -> None:
    async with build(settings) as gateway:
        await listen(App(gateway), settings.server, bound, lambda: _announce(gateway, json))
    output.note("stopped")


def _announce(gateway: Gateway, json: bool) -> None:
    server, policy = gateway.settings.server, gateway.policy
    url = f"http://{server.address}"
    systems = {name: f"{url}/{name}/mcp" for name in gateway.settings.systems}
    if json:
        output.as_json(
            {
                "url": url,
                "systems": systems,
                "policy_revision": policy.revision,
                "process_id": os.getpid(),
            }
        )
        return
    output.note(f"listening on {url}, policy {policy.revision} ({policy.digest[:19]}…)")
    for name, endpoint in systems.items():
        output.note(f"  {name} at {endpoint}")
    for charter, faults in policy.faults.items():
        if faults:
            output.note(f"  charter {charter} is incomplete and denies everything: charter check")
