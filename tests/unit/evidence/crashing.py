"""A process that dies at the n-th step of its writer: run by `test_crash_matrix.py`, step by step.

A step is before, within or after each call of `Disk`, and before each change of a name and each
opening for writing or syncing, as the interpreter's audit events tell (sys.addaudithook). SIGKILL
leaves what the kernel has; with `power` what was not synced is lost too. One fork a step.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.evidence.blobs import put
from gateway.evidence.signer import KeyRing
from tests.unit.evidence.logs import TickingClock, open_log

PLAN = {"segment_bytes": 2600, "checkpoint_records": 5, "read_interval_seconds": 1e9}
_NAMES = {"os.rename", "os.remove", "os.mkdir", "os.truncate"}


class Death:
    """Counts steps and dies at one of them; tells what is synced, for who comes after."""

    def __init__(self, step: int, within: Path, tell: Callable[[str, Any], None]) -> None:
        self._left, self._within, self._tell = step, str(within), tell
        self._known: set[str] = set()

    def step(self) -> None:
        """Go on, or die."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_synced(self, fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        self._known.add(path)
        self._tell("synced", [path, os.fstat(fd).st_size])

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """Hear of a system call that is about to be made."""
        if event in _NAMES:
            counts = event == "os.truncate" or self._within in str(args[0])
        elif event == "open":
            folder = args[2] & os.O_DIRECTORY
            changes = folder or args[2] & os.O_ACCMODE != os.O_RDONLY
            counts = changes and self._within in str(args[0])
        else:
            counts = False
        if counts:
            self.step()

    def write(self, fd: int, data: memoryview) -> int:
        """Write in two halves."""
        if os.readlink(f"/proc/self/fd/{fd}") not in self._known:
            self._is_synced(fd)
        self.step()
        half = os.write(fd, data[: len(data) // 2])
        self.step()
        written = half + os.write(fd, data[half:])
        self.step()
        return written

    def fdatasync(self, fd: int) -> None:
        """Sync."""
        self.step()
        os.fdatasync(fd)
        self._is_synced(fd)
        self.step()

    def ftruncate(self, fd: int, length: int) -> None:
        """Cut."""
        os.ftruncate(fd, length)


async def run(folder: Path, death: Any, tell: Callable[[str, Any], None]) -> None:
    """Serve some calls; tell what was acknowledged, and what an upstream then did."""
    keys = KeyRing(folder.parent / "log.keys")
    log = open_log(folder, disk=death, clock=TickingClock(), keys=keys, **PLAN)

    async def record(kind: str, effect: str, **fields: Any) -> None:
        receipt = await log.append(kind, fields, effect=effect)
        tell("receipt", [receipt.seq, receipt.leaf_hash, effect])

    async def call(name: str, effect: str) -> None:
        call_id = f"{os.getpid()}-{name}"
        body = f"{call_id} {'x' * 500}".encode()
        await record("intent", effect, call_id=call_id, blob=put(folder, body))
        tell("effect", [call_id, effect])
        await record("outcome", effect, call_id=call_id, status="done")

    await call("alone", "write")
    for number in range(2):
        names = [(f"{number}-{index}", ("read", "write")[index % 2]) for index in range(3)]
        await asyncio.gather(*(call(*name) for name in names))
    await call("read", "read")
    await log.close()


def child(folder: Path, step: int, report: Path) -> None:
    """Run until death, in a process of its own."""
    out = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(what: str, value: Any) -> None:
        os.write(out, json.dumps([what, value]).encode() + b"\n")

    death = Death(step, folder.parent, tell)
    sys.addaudithook(death.hook)
    asyncio.run(run(folder, death, tell))
    os._exit(0)


def die(folder: Path, step: int, power: bool, report: Path) -> bool:
    """Run a child that dies at this step; say whether it did."""
    pid = os.fork()
    if pid == 0:
        try:
            child(folder, step, report)
        finally:
            os._exit(70)
    status = os.waitpid(pid, 0)[1]
    if not os.WIFSIGNALED(status):
        assert os.WEXITSTATUS(status) == 0, f"step {step}: {status}"
        return False
    if power:
        lose(report)
    return True


def lose(report: Path) -> None:
    """Cut every file of the log to what was synced of it."""
    said = [json.loads(line) for line in report.read_text().splitlines()]
    for path, length in dict(value for what, value in said if what == "synced").items():
        os.truncate(path, min(length, os.stat(path).st_size))


def main(top: Path, template: Path, power: bool, shard: int, shards: int, twice: bool) -> None:
    """Make a crashed copy of the template for each step of a shard, below `top`."""
    step, alive = 1 + shard, True
    while alive:
        copy = top / f"{step:04d}"
        shutil.copytree(template, copy)
        alive = die(copy / "log", step, power, copy / "told")
        if alive and twice:
            # Within its recovery, or soon after it.
            die(copy / "log", 1 + step * 7 % 40, power, copy / "told")
        step += shards


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    main(Path(options.pop("top")), Path(options.pop("template")), **options)
