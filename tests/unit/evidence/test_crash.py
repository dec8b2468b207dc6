import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from gateway.evidence.segments import records
from tests.unit.evidence.logs import check_log, kinds, open_calls_of, open_log

REPOSITORY = Path(__file__).parents[3]

LIMITED = """
import asyncio, resource, signal, sys
from pathlib import Path
from gateway.core.errors import EvidenceUnavailable
from tests.unit.evidence.logs import open_log

async def main():
    log = open_log(Path(sys.argv[1]))
    number = 0
    try:
        while True:
            await log.append("intent", {"call_id": f"c{number}", "note": "x" * 900})
            number += 1
    except EvidenceUnavailable:
        pass
    unhealthy = not log.healthy()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await log.append("intent", {"call_id": "after"})
    await log.close()
    print(number, unhealthy)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main())
"""


def test_a_real_disk_limit_is_survived(tmp_path: Path) -> None:
    """house, RLIMIT_FSIZE: short write, then EFBIG; all that was acknowledged is there."""
    child = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY)
        ),
    )
    assert child.stderr == ""
    number, unhealthy = child.stdout.split()
    assert unhealthy == "True"
    check_log(tmp_path)
    assert kinds(tmp_path).count("intent") == int(number) + 1


KILLED = """
import asyncio, os, sys
from pathlib import Path
from tests.unit.evidence.logs import open_log

async def calls(log, worker):
    number = 0
    while True:
        number += 1
        for kind in ("intent", "outcome"):
            call_id = f"{os.getpid()}-{worker}-{number}"
            receipt = await log.append(kind, {"call_id": call_id, "note": "x" * 300})
            os.write(1, f"{receipt.seq} {receipt.leaf_hash}\\n".encode())

async def main():
    log = open_log(Path(sys.argv[1]), segment_bytes=30_000)
    await asyncio.gather(*(calls(log, worker) for worker in range(6)))

asyncio.run(main())
"""


def run_and_kill(folder: Path, after: int) -> set[tuple[int, str]]:
    """Run a child that appends, kill it after it acknowledged so many; return what it did."""
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder)], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    with child.stdout as pipe:
        told = [pipe.readline() for _ in range(after)]
        os.kill(child.pid, signal.SIGKILL)
        told += pipe.readlines()
    child.wait(timeout=10)
    whole = [line.split() for line in told if line.endswith(b"\n")]
    return {(int(seq), leaf_hash.decode()) for seq, leaf_hash in whole}


async def test_no_acknowledged_record_is_lost_by_a_kill(tmp_path: Path) -> None:
    """house: kill -9 anywhere; every reopened log is valid and keeps what it said."""
    acknowledged: set[tuple[int, str]] = set()
    for after in (1, 2, 3, 7, 13, 40, 77, 130, 201, 333):
        acknowledged |= run_and_kill(tmp_path, after)
        await open_log(tmp_path).close()
        check_log(tmp_path)
        assert open_calls_of(tmp_path) == []
        assert acknowledged <= {(r.seq, r.leaf_hash) for r in records(tmp_path)}
    assert kinds(tmp_path).count("start") == 20
