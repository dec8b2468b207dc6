"""Starts the real processes that end-to-end tests talk to, and ends them.

A process says that it is ready by one JSON line on stdout; waiting for it is bounded, and it is
ended by its own pid. Does not look for free ports: every server here is asked to choose one.
"""

import json
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

READY_SECONDS = 20
STOP_SECONDS = 5


@dataclass(frozen=True)
class CompanyServer:
    """A running sample company: where it is, and what it says it has seen."""

    url: str

    def executed(self) -> dict[str, int]:
        """Return how often each tool's body was entered."""
        return dict(self._control("/executed"))

    def seen(self) -> dict[str, Any]:
        """Return what arrived on the wire, executed or not."""
        return dict(self._control("/seen"))

    def _control(self, path: str) -> Any:
        # trust_env off: a proxy in the environment has no business on loopback.
        with httpx.Client(trust_env=False, timeout=READY_SECONDS) as client:
            answer = client.get(self.url.removesuffix("/mcp") + path)
        return answer.raise_for_status().json()


@contextmanager
def running(
    command: Sequence[str], *, env: dict[str, str] | None = None, cwd: str | None = None
) -> Iterator[dict[str, Any]]:
    """Run a process while the block lasts; yield the JSON of its ready line."""
    # Standard error is inherited, so that pytest shows it with a failing test.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0, env=env, cwd=cwd)
    with process:
        try:
            yield _ready(process)
        finally:
            _end(process)


def _ready(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], READY_SECONDS)
    line = process.stdout.readline() if readable else b""
    if not line:
        raise AssertionError(f"{process.args!r} did not say that it is ready")
    return dict(json.loads(line))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


@contextmanager
def company_server(*options: str) -> Iterator[CompanyServer]:
    """Run the sample company on a free port, with fresh counts."""
    command = [sys.executable, "-m", "gateway.demo.company", "--port", "0", *options]
    with running(command) as ready:
        yield CompanyServer(ready["url"])
