"""What the tests of this folder share: clocks, a scripted disk, logs, and a check of a whole log.

The check shares no code with the gateway.
"""

import base64
import json
import os
import threading
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.core.record import NO_PREV, encode, leaf_hash
from gateway.evidence.plan import Plan
from gateway.evidence.signer import KeyRing, create_keys
from gateway.evidence.space import Watermarks
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


class RealClock:
    """The real time, for what the writer does by itself."""

    def wall_ns(self) -> int:
        """Return the time."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return the time that never goes back."""
        return time.monotonic_ns()


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
        self.synced = threading.Event()
        """Set when a sync has ended."""

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
        self.synced.set()

    def ftruncate(self, fd: int, length: int) -> None:
        """Cut, or fail as told."""
        self.calls.append("ftruncate")
        if self.cut_error is not None:
            raise self.cut_error
        os.ftruncate(fd, length)


PLAN = Plan(
    heartbeat_seconds=1e6,
    segment_seconds=1e9,
    checkpoint_records=10**9,
    checkpoint_seconds=1e6,
    watermarks=Watermarks(0, 0, 0, 0),
)
"""Nothing happens by itself, however the clock ticks and however full the disk is; a checkpoint is
signed at the close."""


def keys_of(folder: Path) -> KeyRing:
    """Return the keys of a log, made beside its folder when first asked for."""
    beside = folder.parent / f"{folder.name}.keys"
    if not beside.exists():
        create_keys(beside)
    return KeyRing(beside)


def open_log(
    folder: Path,
    disk: Any = None,
    clock: Any = None,
    anchors: Any = None,
    keys: KeyRing | None = None,
    **plan: Any,
) -> SegmentWriter:
    """Open a writer with a clock and keys of its own; `plan` changes the plan."""
    return SegmentWriter.open(
        folder,
        clock or TickingClock(),
        keys or keys_of(folder),
        replace(PLAN, **plan),
        about={"version": "test"},
        anchors=anchors,
        disk=disk,
    )


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


def forget_checkpoints(folder: Path) -> None:
    """Make of a closed log one whose run crashed before its first checkpoint."""
    (folder / "checkpoints.jsonl").unlink()


def raw_lines(folder: Path) -> list[bytes]:
    """Return every raw line of the log, read without the code under test."""
    return [
        line + b"\n"
        for path in sorted(folder.glob("seg-*.jsonl"))
        for line in path.read_bytes().split(b"\n")[:-1]
    ]


def objects(folder: Path) -> list[dict[str, Any]]:
    """Return every record of the log, read without the code under test."""
    return [json.loads(line) for line in raw_lines(folder)]


def kinds(folder: Path) -> list[str]:
    """Return the kind of every record of the log."""
    return [record["kind"] for record in objects(folder)]


def leaves_of(folder: Path) -> list[bytes]:
    """Return the leaf hash of every record (RFC 6962 §2.1)."""
    return [sha256(b"\0" + line[:-1]).digest() for line in raw_lines(folder)]


class Tree:
    """RFC 6962 §2.1 as its text has it: MTH(D[n]), split at the largest power of two below n."""

    def __init__(self, leaves: list[bytes]) -> None:
        self._leaves = leaves
        self._known: dict[tuple[int, int], bytes] = {}

    def root(self, size: int) -> str:
        """Return the root over the first `size` leaves, in hex."""
        return self._hash(0, size).hex() if size else sha256(b"").hexdigest()

    def peaks(self, size: int) -> list[str]:
        """Return the roots of the perfect subtrees, largest first, in hex."""
        found, begin = [], 0
        while begin < size:
            step = 1 << ((size - begin).bit_length() - 1)
            found.append(self._hash(begin, begin + step).hex())
            begin += step
        return found

    def span(self, begin: int, end: int) -> str:
        """Return the root over the leaves from `begin` to before `end`, in hex."""
        return self._hash(begin, end).hex()

    def _hash(self, begin: int, end: int) -> bytes:
        if end - begin == 1:
            return self._leaves[begin]
        if (begin, end) not in self._known:
            split = begin + (1 << ((end - begin - 1).bit_length() - 1))
            both = self._hash(begin, split) + self._hash(split, end)
            self._known[begin, end] = sha256(b"\1" + both).digest()
        return self._known[begin, end]


def checkpoints(folder: Path) -> list[tuple[int, str, str, str]]:
    """Return size, origin, root (hex) and note of every checkpoint kept."""
    found = []
    for line in (folder / "checkpoints.jsonl").read_text("utf-8").splitlines():
        kept = json.loads(line)
        origin, size, root = kept["note"].split("\n")[:3]
        assert int(size) == kept["size"]
        found.append((int(size), origin, base64.b64decode(root).hex(), kept["note"]))
    return found


def check_log(folder: Path) -> list[dict[str, Any]]:
    """Check everything that docs/evidence.md says of a log, in plain JSON; return its records."""
    told, leaves, open_calls = objects(folder), leaves_of(folder), dict[str, None]()
    tree = Tree(leaves)
    names = {int(path.name[4:16]): path.name for path in sorted(folder.glob("seg-*.jsonl"))}
    first, prev = None, "sha256:" + "0" * 64
    for seq, record in enumerate(told):
        assert (record["v"], record["seq"], record["prev"]) == (1, seq, prev)
        assert (record["kind"] == "segment") == (seq in names), seq
        if record["kind"] == "segment":
            assert seq == 0 or told[seq - 1]["kind"] == "seal"
            before = {"segment": names.get(first or 0), "root": f"sha256:{tree.root(seq)}"}
            assert record["previous"] == (before if seq else None)
            assert (record["first_seq"], record["frontier"]) == (seq, tree.peaks(seq))
            assert record["open_calls"] == list(open_calls)
            first = seq
        elif record["kind"] == "seal":
            assert (record["first_seq"], record["root"]) == (first, f"sha256:{tree.root(seq)}")
            assert seq + 1 in names or seq + 1 == len(told)
        elif record["kind"] == "intent":
            open_calls[record["call_id"]] = None
        elif record["kind"] == "outcome":
            del open_calls[record["call_id"]]
        prev = f"sha256:{leaves[seq].hex()}"
    if (folder / "checkpoints.jsonl").exists():
        sizes = [0]
        for size, _, root, _ in checkpoints(folder):
            assert sizes[-1] < size <= len(told)
            assert root == tree.root(size)
            sizes.append(size)
    return told


def open_calls_of(folder: Path) -> list[str]:
    """Return the calls that have no outcome."""
    left = dict[str, None]()
    for record in objects(folder):
        if record["kind"] == "intent":
            left[record["call_id"]] = None
        elif record["kind"] == "outcome":
            del left[record["call_id"]]
    return list(left)
