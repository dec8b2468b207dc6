"""`bailiwick serve`: run the gateway."""

import logging
import os

import anyio

from gateway.app.asgi import App
from gateway.app.server import serve as listen
from gateway.cli import output
from gateway.cli.options import DEFAULT_SETTINGS, Json, SettingsPath
from gateway.settings import Settings, load
from gateway.wiring import Gateway, build


def serve(settings: SettingsPath = DEFAULT_SETTINGS, json: Json = False) -> None:
    """Run the gateway.

    It runs until SIGTERM or ctrl-C, and starts only if the policy passes its self-test and the
    evidence log can be written. With --json, one line on stdout says when connections are accepted.
    """
    logging.basicConfig(level=logging.WARNING, format="bailiwick: %(levelname)s %(message)s")
    anyio.run(_run, load(settings), json)


async def _run(settings: Settings, json: bool) -> None:
    async with build(settings) as gateway:
        await listen(App(gateway), settings.server, lambda: _announce(gateway, json))
    output.note("stopped")


def _announce(gateway: Gateway, json: bool) -> None:
    server, policy = gateway.settings.server, gateway.policy
    url = f"http://{server.host}:{server.port}"
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
