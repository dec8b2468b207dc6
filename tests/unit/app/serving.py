"""A gateway process whose listeners are real and whose parts are not: it tells what it was shown.

    python -m tests.unit.app.serving PORT SOCKET LISTEN CERTIFICATE KEY CLIENT_CA

Nobody is let in; the code of each refusal says which credential came, over what, and from where.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio

from gateway.app.asgi import App
from gateway.app.listener import listeners
from gateway.app.server import serve_all
from gateway.core.call import Request
from gateway.core.claims import Claims
from gateway.core.errors import CredentialRejected
from gateway.pipeline import Ports
from gateway.settings import Server, Settings
from gateway.wiring import Gateway
from tests.fakes_clock import FakeClock
from tests.fakes_evidence import FakeEvidenceLog
from tests.unit.app.settings import edge, settings

PEER = "127.0.0.2"
PUBLIC = "https://gw.test"
DRAIN_SECONDS = 20.0
"""Longer than a test waits for anything else."""


class Telling:
    """An authenticator that refuses everybody and says what it saw."""

    async def authenticate(self, request: Request) -> Claims:
        """See `Authenticator.authenticate`."""
        presented = request.credential
        vouching = presented.certificate.terminator if presented.certificate else "nobody"
        seen = [presented.scheme, vouching, request.source, request.resource]
        raise CredentialRejected("nobody is let in", code=" | ".join(seen))


def made(arguments: list[str]) -> Settings:
    """Return settings with each way of knowing a terminator."""
    port, path, listen, certificate, key, client_ca = arguments
    server = Server(port=int(port), public_url=PUBLIC, drain_seconds=DRAIN_SECONDS)
    tls = {"certificate": Path(certificate), "key": Path(key), "client_ca": Path(client_ca)}
    terminators = (
        edge("by-socket", socket=Path(path)),
        edge("by-peer", peer=PEER),
        edge("by-tls", listen=listen, **tls),
    )
    return settings(server=server, terminators=terminators)


async def main(wanted: Settings) -> None:
    """Serve until a signal comes."""
    nothing: Any = None
    ports = Ports(FakeClock(), Telling(), nothing, nothing, FakeEvidenceLog(), nothing)
    gateway = Gateway(wanted, ports, nothing)
    with listeners(wanted) as taken:
        served = [(listener, App(gateway, listener.terminator)) for listener in taken]
        await serve_all(served, wanted.server.drain_seconds, say_ready)


def say_ready() -> None:
    """Write the line that the test waits for."""
    sys.stdout.write(json.dumps({"process_id": os.getpid()}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(main, made(sys.argv[1:]))
