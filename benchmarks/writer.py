"""How many records a second the evidence writer makes durable, by how many wait at once.

Each waiter appends one record after another and waits for its receipt, as a call does; everything
is on: chain, tree, checkpoints, node index. Run `python -m benchmarks.writer`; figures are of one
machine and one moment, so quote ratios.
"""

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from gateway.evidence.plan import Plan
from gateway.evidence.signer import KeyRing, create_keys
from gateway.evidence.writer import SegmentWriter


class SystemClock:
    """The machine's clocks."""

    wall_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)


NOTE = "x" * 1600
"""Makes a record about 2 KB long, as an intent is."""


async def measure(folder: Path, keys: KeyRing, waiters: int, seconds: float) -> dict[str, Any]:
    """Return what `waiters` waiters achieve in `seconds`."""
    log = SegmentWriter.open(folder, SystemClock(), keys, Plan(), about={"version": "bench"})
    waits: list[float] = []
    end = time.perf_counter() + seconds

    async def wait() -> None:
        while (began := time.perf_counter()) < end:
            await log.append("refusal", {"call_id": "c", "note": NOTE})
            waits.append(time.perf_counter() - began)

    await asyncio.gather(*(wait() for _ in range(waiters)))
    await log.close()
    waits.sort()
    return {
        "waiters": waiters,
        "records_per_second": round(len(waits) / seconds),
        "p50_ms": round(waits[len(waits) // 2] * 1000, 2),
        "p99_ms": round(waits[len(waits) * 99 // 100] * 1000, 2),
    }


def main() -> None:
    """Measure and print one line a number of waiters."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="bailiwick-bench-"))
    try:
        keys = KeyRing(create_keys(top / "keys"))
        for waiters in (1, 8, 32, 128):
            folder = top / f"log-{waiters}"
            print(json.dumps(asyncio.run(measure(folder, keys, waiters, arguments.seconds))))
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
