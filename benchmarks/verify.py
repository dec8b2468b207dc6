"""How fast a log is verified: records a second, on one core and on all.

    python -m benchmarks.verify [CALLS]

Makes a log in a temporary folder as the gateway would (intents of about 2 KB, outcomes of about
0.6 KB, a checkpoint every 1,000 records, segments of 16 MB), with the record and tree code but not
the writer, so that making it is quick.
"""

import cProfile
import os
import pstats
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gateway.core.canonical import dumps
from gateway.core.checkpoint import Checkpoint
from gateway.core.instant import iso
from gateway.core.merkle import Frontier
from gateway.core.note import SigningKey
from gateway.core.record import NO_PREV, encode, leaf_hash
from gateway.evidence.segments import FORMAT, name
from gateway.evidence.verify import verify

ORIGIN = "example.com/bailiwick/0"
SEGMENT_BYTES = 16 * 1024 * 1024
BEGIN_NS = 1_795_510_800_000_000_000

INTENT = {
    "correlation": {"traceparent": "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01", "tracestate": None},
    "identity": {"iss": "https://id.example", "sub": "spiffe://example.com/agent/7", "kid": "k1"},
    "request": {
        "method": "POST",
        "target": "/mcp/tickets",
        "headers": {f"x-header-{n}": "v" * 24 for n in range(8)},
        "body_digest": "sha256:" + "12" * 32,
    },
    "call": {"protocol": "mcp", "action": "tools/call", "name": "ticket_create", "rpc_id": 7},
    "decision": {
        "effect": "permit",
        "reasons": [{"code": "granted", "rule": "grants"}],
        "bundle_digest": "sha256:" + "34" * 32,
    },
    "input": {
        "subject": {"groups": [f"group-{n}" for n in range(6)]},
        "resource": {"arguments": {f"argument_{n}": "words and more words " * 2 for n in range(8)}},
    },
    "timings": {f"step{n}_ns": 1_234_567 + n for n in range(8)},
}
OUTCOME = {
    "status": "completed",
    "system": "tickets",
    "tool": "ticket_create",
    "response": {"status": 200, "bytes": 300, "digest": "sha256:" + "56" * 32},
    "body": "x" * 160,
}


class Maker:
    """Writes one log."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.key = folder, SigningKey(ORIGIN, b"\x01" * 32)
        self.seq, self.prev, self.tree = 0, NO_PREV, Frontier()
        self.first, self.lines, self.length = 0, list[bytes](), 0
        self.heads: list[bytes] = []

    def add(self, kind: str, fields: dict[str, Any]) -> None:
        """Add one record."""
        ns = self.seq * 1_000_000
        times = {"time": iso(BEGIN_NS + ns), "monotonic_ns": ns}
        line = encode(self.seq, self.prev, kind, {**times, **fields})
        self.prev, self.seq = leaf_hash(line), self.seq + 1
        self.tree.append(bytes.fromhex(self.prev[7:]))
        self.lines.append(line)
        self.length += len(line) + 1
        if self.seq % 1000 == 0:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Sign the head."""
        note = self.key.sign_note(Checkpoint(ORIGIN, self.seq, self.tree.root()).text())
        self.heads.append(dumps({"size": self.seq, "note": note}))

    def segment(self) -> None:
        """Begin a segment, and seal the one before."""
        previous = None
        if self.lines:
            root = "sha256:" + self.tree.root().hex()
            self.add("seal", {"first_seq": self.first, "root": root})
            previous = {"segment": name(self.first), "root": "sha256:" + self.tree.root().hex()}
            self.store()
        self.first = self.seq
        fields = {"format": FORMAT, "origin": ORIGIN, "first_seq": self.seq, "previous": previous}
        peaks = [peak.hex() for peak in self.tree.peaks]
        more = {"frontier": peaks, "open_calls": [], "epoch": 1, "key": str(self.key.verifier)}
        self.add("segment", {**fields, **more})

    def store(self) -> None:
        """Write the segment."""
        (self.folder / name(self.first)).write_bytes(b"\n".join(self.lines) + b"\n")
        self.lines, self.length = [], 0


def make(folder: Path, calls: int) -> int:
    """Write a log of so many calls; return its bytes."""
    maker = Maker(folder)
    maker.segment()
    maker.add("start", {"heartbeat_seconds": 60})
    for number in range(calls):
        call_id = f"0199aaaa-{number:012d}"
        maker.add("intent", {"call_id": call_id, **INTENT})
        maker.add("outcome", {"call_id": call_id, **OUTCOME})
        if maker.length >= SEGMENT_BYTES:
            maker.segment()
    maker.add("stop", {})
    maker.checkpoint()
    maker.store()
    (folder / "checkpoints.jsonl").write_bytes(b"\n".join(maker.heads) + b"\n")
    return sum(path.stat().st_size for path in folder.glob("seg-*"))


def measure(folder: Path, workers: int) -> tuple[float, float]:
    """Return records a second, the best of three, and records a second of this process's CPU."""
    walls, cpus = [], []
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        report = verify(folder, workers=workers)
        walls.append(report.records / (time.perf_counter() - wall))
        cpus.append(report.records / (time.process_time() - cpu))
        assert report.verdict == "closed", report
    return max(walls), max(cpus)


def main() -> None:
    """Make a log and verify it."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        length = make(folder, calls)
        print(f"{2 * calls} records, {length / 2 / calls:.0f} bytes each")
        for workers in sorted({1, os.cpu_count() or 1}):
            wall, cpu = measure(folder, workers)
            # On a machine with other work the CPU's own time is the sturdier number.
            core = f", {cpu:,.0f} a second of CPU" if workers == 1 else ""
            print(f"{workers} process(es): {wall:,.0f} records/s{core}")
        if "--profile" in sys.argv:
            with cProfile.Profile() as profile:
                verify(folder, workers=1)
            pstats.Stats(profile).sort_stats("tottime").print_stats(14)


if __name__ == "__main__":
    main()
