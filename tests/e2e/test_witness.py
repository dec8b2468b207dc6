"""A witness process, and a log that is honest, cut back or forked."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import pytest

from gateway.core.note import Note, VerifierKey
from gateway.evidence.anchoring.anchor import CONFLICT, AnchorError
from gateway.evidence.anchoring.witness_client import WitnessAnchor, http_client
from gateway.wiring import SystemClock
from tests.e2e.processes import running
from tests.unit.witness.logs import ORIGIN, MemoryLog

pytestmark = pytest.mark.e2e

BAILIWICK = [sys.executable, "-m", "gateway", "witness"]


@dataclass(frozen=True)
class Host:
    """Where a witness lives: its key and what it remembers."""

    key: Path
    vkey: VerifierKey
    folder: Path

    def command(self, *logs: VerifierKey) -> list[str]:
        """Return how the witness is started."""
        given = [word for key in logs for word in ("--log", str(key))]
        where = ["--folder", str(self.folder), "--key", str(self.key)]
        return [*BAILIWICK, "serve", *where, "--port", "0", "--json", *given]

    @contextmanager
    def witness(self, *logs: VerifierKey) -> Iterator[tuple[str, int]]:
        """Run the witness; yield its URL and process id."""
        with running(self.command(*(logs or (MemoryLog().key.verifier,)))) as ready:
            assert ready["vkey"] == str(self.vkey)
            yield ready["url"], ready["process_id"]

    def conflicts(self) -> list[dict[str, str]]:
        """Return what was refused and kept."""
        return [json.loads(p.read_bytes()) for p in (self.folder / "conflicts").glob("*.json")]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with a fresh key, made as an operator makes it."""
    key = tmp_path / "witness.key"
    command = [*BAILIWICK, "keygen", str(key), "--name", "witness.example/w1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert key.stat().st_mode & 0o777 == 0o600
    return Host(key, VerifierKey.parse(done.stdout.strip()), tmp_path / "witness")


async def deliver(host: Host, url: str, log: MemoryLog) -> str:
    """Deliver the log's newest checkpoint as a gateway that has just started would."""
    async with http_client() as client:
        anchor = WitnessAnchor("w", url, host.vkey, client, SystemClock())
        with anyio.fail_after(20):
            return await anchor.deliver(log.note(), log.size, log.nodes)


async def test_a_witness_cosigns_what_continues_the_log(host: Host) -> None:
    """C2SP tlog-witness, end to end."""
    log = MemoryLog("a", "b", "c")
    with host.witness() as (url, _):
        for leaf in "defg":
            confirmed = Note.parse(await deliver(host, url, log))
            assert confirmed.cosigned_at(host.vkey)
            assert confirmed.signed_by(log.key.verifier)
            log.append(leaf)
        async with http_client() as client:
            assert f"log {ORIGIN} size 6 at " in (await client.get(url)).text


async def test_a_witness_that_was_killed_remembers_and_refuses_a_log_cut_back(host: Host) -> None:
    """Issue: rollback by the key holder is found out; C2SP: persisted before the answer."""
    log = MemoryLog("a", "b", "c", "d")
    with host.witness() as (url, process_id):
        await deliver(host, url, log)
        os.kill(process_id, signal.SIGKILL)
    with host.witness() as (url, _):
        with pytest.raises(AnchorError) as refused:
            await deliver(host, url, MemoryLog("a", "b", "c"))
        assert refused.value.reason_code == CONFLICT
        log.append("e")
        assert Note.parse(await deliver(host, url, log)).cosigned_at(host.vkey)


@pytest.mark.parametrize("leaves", ["abx", "abxde"])
async def test_a_fork_is_refused_and_kept(host: Host, leaves: str) -> None:
    """Issue: two versions of one log, both signed by its key."""
    fork = MemoryLog(*leaves)
    with host.witness() as (url, process_id):
        await deliver(host, url, MemoryLog("a", "b", "c"))
        os.kill(process_id, signal.SIGKILL)
    with host.witness() as (url, _):
        with pytest.raises(AnchorError) as refused:
            await deliver(host, url, fork)
        assert refused.value.reason_code == CONFLICT
    (kept,) = host.conflicts()
    assert kept["refused"] == fork.note()
    assert Note.parse(kept["held"]).text == Note.parse(MemoryLog("a", "b", "c").note()).text


async def test_a_key_that_was_succeeded_signs_no_more_after_a_restart(host: Host) -> None:
    """docs/evidence.md, epochs."""
    old, new = MemoryLog("a", "b"), MemoryLog("a", seed=2)
    keys = (old.key.verifier, new.key.verifier)
    with host.witness(*keys) as (url, _):
        await deliver(host, url, new)
    with host.witness(*keys) as (url, _):
        with pytest.raises(AnchorError):
            await deliver(host, url, old)


def test_a_state_that_cannot_be_read_keeps_the_witness_from_starting(host: Host) -> None:
    """House: 3 is "could not find out", and one sentence says what to do."""
    (host.folder / "held").mkdir(parents=True)
    (host.folder / "held" / "x.json").write_bytes(b"{}")
    command = host.command(MemoryLog().key.verifier)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert str(host.folder / "held" / "x.json") in done.stderr


async def test_a_body_that_is_too_long_is_refused_on_the_wire(host: Host) -> None:
    """House: 64 KiB, before anything is parsed."""
    with host.witness() as (url, _):
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            answer = await client.post(f"{url}/add-checkpoint", content=bytes(70_000))
    assert answer.status_code == 400
