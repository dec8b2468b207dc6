"""Starts a real gateway in front of something, with a bundle of choice, and reads what it left.

Does not know what stands behind it.
"""

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import starter
from gateway.evidence.segments import records
from gateway.identity.dev import mint
from gateway.settings import load
from tests.e2e.processes import running

BUNDLES = Path(__file__).parent.parent / "bundles"
BILLING = "spiffe://bailiwick.example/agent/billing"
JSON_HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
}


@dataclass(frozen=True)
class RunningGateway:
    """A gateway process: where it is, and what it recorded."""

    url: str
    """Where the system `company` is reached."""
    base: str
    folder: Path
    process_id: int

    def token(self, subject: str = BILLING, seconds: int = 300) -> str:
        """Return a fresh token of the development issuer."""
        dev = load(self.folder / starter.SETTINGS_NAME).dev_issuer
        assert dev is not None
        return mint(dev, subject, seconds, time.time_ns() // 1_000_000_000)

    def bearer(self, subject: str = BILLING) -> dict[str, str]:
        """Return the headers of an MCP POST by `subject`."""
        return {**JSON_HEADERS, "authorization": f"Bearer {self.token(subject)}"}

    def records(self, kind: str | None = None) -> list[Mapping[str, Any]]:
        """Return the records of a kind, or all of them."""
        found = [record.fields for record in records(self.folder / "evidence")]
        return [fields for fields in found if kind in (None, fields["kind"])]

    def policy_children(self) -> list[int]:
        """Return the process ids of the policy engine's children."""
        tasks = Path(f"/proc/{self.process_id}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]

    def kill(self) -> None:
        """End the gateway as a crash would."""
        os.kill(self.process_id, signal.SIGKILL)


@contextmanager
def gateway(
    folder: Path, upstream: str, bundle: str | None = None, extra: str = ""
) -> Iterator[RunningGateway]:
    """Run a gateway in `folder` while the block lasts; a folder may be used again.

    Args:
        folder: where its settings, evidence and ledger are.
        upstream: endpoint of the system `company`.
        bundle: a folder of `tests/bundles`, or None for the shipped bundle.
        extra: more settings, as TOML.
    """
    settings = folder / starter.SETTINGS_NAME
    if not settings.exists():
        starter.create(folder, upstream, free_port())
        _lift_limits(folder / "policy")
        text = settings.read_text()
        if bundle:
            text = text.replace('bundle = "policy"', f'bundle = "{BUNDLES / bundle}"')
        settings.write_text(text + extra)
    command = [sys.executable, "-m", "gateway", "serve", "--json", "--settings", str(settings)]
    with running(command) as ready:
        yield RunningGateway(ready["systems"]["company"], ready["url"], folder, ready["process_id"])


def _lift_limits(policy: Path) -> None:
    """Let the example agents call as often as tests do; `test_chains.py` is about limits."""
    for charter in (policy / "charters").glob("*.yaml"):
        text = charter.read_text("utf-8")
        charter.write_text(re.sub(r"(calls_per_\w+): \d+", r"\1: 1000000", text), "utf-8")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
