"""What the tests of this folder share: a clock, a scripted disk, and logs made by the writer."""

import json
import os
import threading
from pathlib import Path
from typing import Any

from gateway.core.record import NO_PREV, encode, leaf_hash
from gateway.evidence.segments import segments
from gateway.evidence.writer import SegmentWriter


class TickingClock:
    """A `Clock` that moves on by a second each time it is read."""

    def __init__(self) -> None:
        self._ns = 1_795_510_800_000_000_000

    def wall_ns(self) -> int:
        """Return the next second."""
        self._ns += 1_000_000_000
        return self._ns

    def monotonic_ns(self) -> int:
        """Return the next second."""
        return self.wall_ns()


class ScriptedDisk:
    """The real disk, except where a test says otherwise."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.room: int | None = None
        """Bytes that still fit; then a short write, then ENOSPC, as a full disk does."""
        self.sync_error: OSError | None = None
        self.cut_error: OSError | None = None
        self.gate: threading.Event | None = None
        """While set to an event, a sync waits for it."""
        self.syncing = threading.Event()
        """Set when a sync has begun."""

    def write(self, fd: int, data: memoryview) -> int:
        """Write as much as there is room for."""
        self.calls.append("write")
        if self.room is None:
            return os.write(fd, data)
        if self.room == 0:
            raise OSError(28, "No space left on device")
        written = os.write(fd, data[: self.room])
        self.room -= written
        return written

    def fdatasync(self, fd: int) -> None:
        """Sync when the gate is open."""
        self.syncing.set()
        if self.gate is not None:
            self.gate.wait()
        self.calls.append("fdatasync")
        if self.sync_error is not None:
            raise self.sync_error
        os.fdatasync(fd)

    def ftruncate(self, fd: int, length: int) -> None:
        """Cut, or fail as told."""
        self.calls.append("ftruncate")
        if self.cut_error is not None:
            raise self.cut_error
        os.ftruncate(fd, length)


def open_log(folder: Path, **options: Any) -> SegmentWriter:
    """Open a writer with a clock of its own."""
    return SegmentWriter.open(folder, TickingClock(), version="test", **options)


async def write_log(folder: Path, calls: int, **options: Any) -> None:
    """Write a log of `calls` calls, each with its outcome, and close it."""
    log = open_log(folder, **options)
    for number in range(calls):
        await log.append("intent", {"call_id": f"c{number}", "note": "x" * 40})
        await log.append("outcome", {"call_id": f"c{number}", "status": "done"})
    await log.close()


def link(entries: list[tuple[str, dict[str, Any]]]) -> list[bytes]:
    """Return well-linked raw lines, as a writer with other rules would have left them."""
    prev, raw = NO_PREV, []
    for seq, (kind, fields) in enumerate(entries):
        line = encode(seq, prev, kind, fields)
        prev = leaf_hash(line)
        raw.append(line + b"\n")
    return raw


def segment_entry(first_seq: int = 0, previous: str | None = None) -> tuple[str, dict[str, Any]]:
    """Return the entry that begins a segment."""
    return "segment", {"format": "gw-1", "first_seq": first_seq, "previous": previous, "time": "t"}


def raw_lines(folder: Path) -> list[bytes]:
    """Return every raw line of the log, read without the code under test."""
    return [
        line + b"\n" for path in segments(folder) for line in path.read_bytes().split(b"\n")[:-1]
    ]


def objects(folder: Path) -> list[dict[str, Any]]:
    """Return every record of the log, read without the code under test."""
    return [json.loads(line) for line in raw_lines(folder)]


def kinds(folder: Path) -> list[str]:
    """Return the kind of every record of the log."""
    return [record["kind"] for record in objects(folder)]
