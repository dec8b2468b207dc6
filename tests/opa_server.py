"""A real OPA on a Unix socket or on loopback, with a bundle folder made of a `Bundle`.

    async with opa_server(folder, bundle) as server:
        server.settings         as `[policy.opa]` names it
        server.pid              to stop (SIGSTOP) or to kill
    async with opa_point(folder, bundle) as point:
        point                   an `OPADecisionPoint` over such a server, started

What is started is ended by its own pid. Sockets lie in a short folder of their own, since their
paths are bounded (108 bytes). Does not sign and does not build archives: `write_bundle` makes the
folder that `opa build` takes.
"""

import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process

from gateway.policy.bundle import Bundle
from gateway.policy.opa import OPADecisionPoint
from gateway.ports import Clock
from gateway.settings.policy import OPA
from tests.fakes_policy import TINY_POLICY, TickingClock, tiny_bundle
from tests.opa_binary import ROOT, opa_binary

AUTHZ = ROOT / "rego" / "system" / "authz.rego"
BOOT_SECONDS = 20
PATIENT_SECONDS = 20.0
"""Deadline where something else is tested, so that a busy machine changes nothing."""


@dataclass(frozen=True)
class OPAServer:
    """A server that runs."""

    settings: OPA
    process: Process

    @property
    def pid(self) -> int:
        """Of this very server."""
        return self.process.pid


def write_bundle(folder: Path, bundle: Bundle, *, authz: bool = False) -> Path:
    """Write rules, data and manifest as OPA reads them; return the folder.

    Args:
        folder: is made.
        bundle: what to write; its tests are not written.
        authz: whether the rules of who may ask what are to be in it.
    """
    files = dict(bundle.policies)
    if authz:
        files["system/authz.rego"] = AUTHZ.read_text("utf-8")
    files["data.json"] = bundle.data.decode()
    files[".manifest"] = json.dumps({"revision": bundle.revision, "roots": [""]})
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


@asynccontextmanager
async def opa_server(
    folder: Path,
    bundle: Bundle,
    arguments: Sequence[str] = (),
    *,
    authz: bool = False,
    port: int | None = None,
    settings: OPA | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[OPAServer]:
    """Run OPA on the bundle while the block lasts.

    Args:
        folder: for the bundle; is made.
        bundle: what OPA decides by.
        arguments: of `opa run`, besides the address and the bundle.
        authz: whether the bundle holds the rules of who may ask what.
        port: listen on this port of 127.0.0.1 instead of a Unix socket.
        settings: how it is reached, where that is not by the bare address.
        environment: what OPA finds in its environment.
    """
    write_bundle(folder, bundle, authz=authz)
    with short_folder() as short:
        path = short / "s"
        address = f"unix://{path}" if port is None else f"127.0.0.1:{port}"
        where = OPA(socket=path) if port is None else OPA(url=f"http://{address}")
        everything = ["--addr", address, *arguments, "--bundle", str(folder)]
        target = str(path) if port is None else ("127.0.0.1", port)
        async with running_opa(everything, target, environment) as process:
            yield OPAServer(settings or where, process)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder for a socket."""
    with tempfile.TemporaryDirectory(prefix="opa-") as short:
        yield Path(short)


@asynccontextmanager
async def running_opa(
    arguments: Sequence[str],
    target: str | tuple[str, int],
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Process]:
    """Run `opa run --server` with these arguments, from the moment it accepts at `target`."""
    command = [opa_binary(), "run", "--server", "--skip-version-check", *arguments]
    with tempfile.TemporaryFile() as log:
        process = await anyio.open_process(
            command, stdout=log, stderr=log, env=dict(environment or {})
        )
        try:
            with anyio.fail_after(BOOT_SECONDS):
                while not accepts(target):
                    if process.returncode is not None:
                        log.seek(0)
                        raise AssertionError(f"OPA ended: {log.read().decode(errors='replace')}")
                    await anyio.sleep(0.01)
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            with anyio.CancelScope(shield=True):
                await process.wait()


@asynccontextmanager
async def opa_point(
    folder: Path,
    bundle: Bundle,
    deadline_seconds: float = PATIENT_SECONDS,
    clock: Clock | None = None,
) -> AsyncIterator[OPADecisionPoint]:
    """A started decision point over an OPA of its own."""
    async with opa_server(folder, bundle) as server:
        point = OPADecisionPoint(bundle, clock or TickingClock(), server.settings, deadline_seconds)
        await point.start()
        try:
            yield point
        finally:
            await point.aclose()


def opa_tiny_bundle(policy: str = TINY_POLICY, **members: Any) -> Bundle:
    """Return the tiny bundle without the rule that calls itself, which OPA refuses at load."""
    lines = [line for line in policy.splitlines() if "dive(" not in line]
    return replace(tiny_bundle("\n".join(lines)), **members)


def accepts(target: str | tuple[str, int]) -> bool:
    """Say whether somebody accepts connections at a socket's path or at an address."""
    family = socket.AF_UNIX if isinstance(target, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(target) == 0


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def signal_to(server: OPAServer, number: int) -> None:
    """Send a signal to this server only."""
    os.kill(server.pid, number)
