"""What a decision costs, by engine and by the number of agents that have a charter.

    python -m benchmarks.policy [--json] [--rounds N] [--calls N] [--load]

Engines: embedded (its child process), cedar (in process), and opa where the binary is found
(`OPA_BIN`, `PATH`, `.tools/bin/opa`). All run at once and are asked in turn, round by round, so
that a slow moment of the machine meets them all; quote ratios of one run. With `--load`, instead,
how long reading a bundle of so many YAML charters takes, and how much of it is YAML.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from benchmarks import fleet
from gateway.policy import documents
from gateway.policy.bundle import Bundle, load
from gateway.policy.engines import Engine, engine_of
from gateway.settings.policy import OPA, Policy

AGENTS: Final = (10, 1_000, 10_000)
ENGINES: Final = ("embedded", "opa", "cedar")
_TICK_US: Final = 10**6 / os.sysconf("SC_CLK_TCK")
_ROOT: Final = Path(__file__).parents[1]


class SystemClock:
    """The machine's clocks."""

    wall_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)


@dataclass
class Runner:
    """One engine with one bundle, and what was measured of it."""

    engine: str
    agents: int
    point: Engine
    pids: list[int]
    """Of its processes; empty when it runs in ours."""
    start_seconds: float
    grown_mb: float
    """By how much its start let this process grow."""
    documents: Iterator[bytes]
    """For ever, each agent in turn."""
    first_ms: float = 0.0
    """Median of the first call of an agent, for which an engine may have to read its charter."""
    waits_ms: list[list[float]] = field(default_factory=list)
    """By round."""
    caller_us: float = 0.0
    engine_us: float = 0.0

    async def first_calls(self, callers: int) -> None:
        """Have each agent that calls call for the first time."""
        resident, waits = _resident_mb(os.getpid()), []
        for document in islice(self.documents, callers):
            began = time.perf_counter()
            await self.point.decide(document)
            waits.append((time.perf_counter() - began) * 1000)
        self.first_ms = statistics.median(waits)
        self.grown_mb += _resident_mb(os.getpid()) - resident

    async def round(self, calls: int) -> None:
        """Ask so many times, one after another."""
        batch = list(islice(self.documents, calls))
        await self.point.decide(batch[0])  # what was cold since the last round
        waits = []
        own, theirs = time.process_time(), _cpu_us(self.pids)
        for document in batch:
            began = time.perf_counter()
            await self.point.decide(document)
            waits.append((time.perf_counter() - began) * 1000)
        self.caller_us += (time.process_time() - own) * 1e6
        self.engine_us += _cpu_us(self.pids) - theirs
        self.waits_ms.append(waits)

    def row(self) -> dict[str, Any]:
        """Return the figures."""
        medians = [statistics.median(waits) for waits in self.waits_ms]
        every = sorted(wait for waits in self.waits_ms for wait in waits)
        memory = sum(map(_resident_mb, self.pids)) if self.pids else self.grown_mb
        return {
            "engine": self.engine,
            "agents": self.agents,
            "median_ms": round(statistics.median(medians), 3),
            "first_ms": round(self.first_ms, 3),
            "p99_ms": round(every[len(every) * 99 // 100], 3),
            "caller_cpu_us": round(self.caller_us / len(every)),
            "engine_cpu_us": round(self.engine_us / len(every)),
            "memory_mb": round(memory),
            "start_seconds": round(self.start_seconds, 2),
        }


def _cpu_us(pids: list[int]) -> float:
    return sum(
        _TICK_US
        * sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[11:13]))
        for pid in pids
    )


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmRSS")) / 1024


def _children() -> set[int]:
    own = Path(f"/proc/{os.getpid()}/task")
    return {int(pid) for task in own.iterdir() for pid in (task / "children").read_text().split()}


# --- starting ---


def _find_opa() -> str | None:
    local = _ROOT / ".tools" / "bin" / "opa"
    found = os.environ.get("OPA_BIN") or shutil.which("opa")
    return found or (str(local) if local.is_file() else None)


@contextmanager
def _sidecar(bundle: Bundle, folder: Path, binary: str) -> Iterator[OPA]:
    socket = folder / "opa.sock"
    read = fleet.as_opa_reads(bundle, folder / "bundle")
    command = [binary, "run", "--server", "--addr", f"unix://{socket}", "--log-level", "error"]
    with subprocess.Popen([*command, "--bundle", str(read)], stderr=subprocess.DEVNULL) as process:
        try:
            yield OPA(socket=socket)
        finally:
            process.kill()


@asynccontextmanager
async def _running(name: str, agents: int, folder: Path) -> AsyncIterator[Runner]:
    bundle, before, resident = fleet.in_memory(agents), _children(), _resident_mb(os.getpid())
    async with AsyncExitStack() as stack:
        began = time.perf_counter()
        opa = None
        if name == "opa":
            opa = stack.enter_context(_sidecar(bundle, folder, _find_opa() or ""))
        policy = Policy(folder, name, deadline_ms=10_000, processes=1, opa=opa)  # type: ignore[arg-type]
        point = engine_of(policy, bundle, SystemClock())
        await point.start()
        stack.push_async_callback(point.aclose)
        took, grown = time.perf_counter() - began, _resident_mb(os.getpid()) - resident
        pids = sorted(_children() - before)
        yield Runner(name, agents, point, pids, took, grown, cycle(fleet.asked(agents)))


async def measure(engines: list[str], rounds: int, calls: int, top: Path) -> list[dict[str, Any]]:
    """Return one row an engine and number of agents; growth is against the fewest agents."""
    runners = []
    async with AsyncExitStack() as stack:
        for name in engines:
            for agents in AGENTS:
                folder = top / f"{name}-{agents}"
                folder.mkdir()
                runners.append(await stack.enter_async_context(_running(name, agents, folder)))
        for runner in runners:
            await runner.first_calls(min(fleet.CALLERS, runner.agents))
        for _ in range(rounds):
            for runner in runners:
                await runner.round(calls)
        rows = [runner.row() for runner in runners]
    for row in rows:
        least = next(r for r in rows if r["engine"] == row["engine"])
        row["growth"] = round(row["median_ms"] / least["median_ms"], 2)
    return rows


def measure_load(agents: int, top: Path) -> dict[str, Any]:
    """Return how long `load` takes for so many charters, and how much of it reads YAML."""
    folder = fleet.on_disk(agents, top / f"load-{agents}")
    began = time.perf_counter()
    load(folder)
    whole = time.perf_counter() - began
    texts = [(p.name, p.read_text("utf-8")) for p in sorted((folder / "charters").iterdir())]
    began = time.perf_counter()
    for name, text in texts[:200]:
        documents.read(name, text)
    yaml = (time.perf_counter() - began) / len(texts[:200]) * len(texts)
    return {"agents": agents, "load_seconds": round(whole, 2), "yaml_share": round(yaml / whole, 2)}


def _print_table(rows: list[dict[str, Any]]) -> None:
    print(" ".join(f"{name:>13}" for name in rows[0]))
    for row in rows:
        print(" ".join(f"{value!s:>13}" for value in row.values()))


def main() -> None:
    """Measure and print one table, or one line of JSON a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", action="store_true", help="measure reading bundles instead")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--engine", action="append", choices=ENGINES)
    arguments = parser.parse_args()
    engines = arguments.engine or [n for n in ENGINES if n != "opa" or _find_opa()]
    with tempfile.TemporaryDirectory(prefix="bailiwick-bench-") as top:
        if arguments.load:
            rows = [measure_load(agents, Path(top)) for agents in AGENTS]
        else:
            rows = asyncio.run(measure(engines, arguments.rounds, arguments.calls, Path(top)))
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
    else:
        _print_table(rows)


if __name__ == "__main__":
    main()
