"""Logs with sealed segments, and a keeper over them, for the tests of retention."""

import os
from pathlib import Path
from typing import Any

from gateway.core.canonical import digest
from gateway.evidence import blobs
from gateway.evidence.anchoring.anchored import Confirmation, keep
from gateway.evidence.heads import newest_size
from gateway.evidence.retention.keeper import Keeper
from gateway.evidence.segments import records, segments
from gateway.evidence.writer import SegmentWriter
from tests.fakes_store import FakeStore
from tests.unit.evidence.logs import TickingClock, open_log

SEGMENT_BYTES = 3_000


async def sealed_log(folder: Path, calls: int = 12) -> list[Path]:
    """Write a log of several segments, close it, and return those that are sealed."""
    log = open_log(folder, segment_bytes=SEGMENT_BYTES)
    for number in range(calls):
        await log.append("intent", {"call_id": f"c{number}", "note": "x" * 400})
        await log.append("outcome", {"call_id": f"c{number}", "status": "completed"})
    await log.close()
    return segments(folder)[:-1]


async def blob_log(folder: Path, *bodies: list[bytes]) -> list[str]:
    """Write a log with one segment for each list, whose records name blobs of these bodies."""
    log = open_log(folder, segment_bytes=SEGMENT_BYTES)
    for number, group in enumerate(bodies):
        for body in group:
            name = blobs.put(folder, body)
            age(folder, name)
            blob = {"digest": name, "bytes": len(body), "sealed": None}
            await log.append("outcome", {"call_id": f"c{number}", "blob": blob})
        # Too long for the segment, so that the next begins.
        await log.append("outcome", {"call_id": f"d{number}", "note": "x" * SEGMENT_BYTES})
        await log.append("outcome", {"call_id": f"e{number}", "note": "x" * SEGMENT_BYTES})
    await log.close()
    return [digest(body) for group in bodies for body in group]


def age(folder: Path, name: str) -> None:
    """Let a blob be one that nobody relied on for a long time."""
    os.utime(blobs.blob_path(folder, name), (1, 1))


def anchor(folder: Path) -> int:
    """Confirm the newest checkpoint; return its size."""
    size = newest_size(folder)
    keep(folder, Confirmation("a", size, "t", "note"))
    return size


class LaterClock(TickingClock):
    """A clock an hour after the ones that the logs are written with."""

    def wall_ns(self) -> int:
        """Return the next second, an hour later."""
        return super().wall_ns() + 3600 * 10**9


class Kept:
    """A log that is open for writing, and its keeper."""

    def __init__(self, folder: Path, store: Any = None, **options: Any) -> None:
        self.folder = folder
        self.store = FakeStore() if store is None else store
        self.clock = LaterClock()
        self.log: SegmentWriter = open_log(folder)
        self.keeper = Keeper(
            folder, self.log.append, self.clock, store=self.store, **{"keep_days": 0, **options}
        )

    async def __aenter__(self) -> "Kept":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.log.close()

    def archived(self) -> list[tuple[str, str]]:
        """Return segment and action of every `archive` record, oldest first."""
        return archived(self.folder)


def archived(folder: Path) -> list[tuple[str, str]]:
    """Return segment and action of every `archive` record, oldest first."""
    return [
        (record.fields["segment"], record.fields["action"])
        for record in records(folder)
        if record.kind == "archive"
    ]
