"""What the writer does by itself: late syncs, checkpoints, heartbeats."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.errors import EvidenceUnavailable
from gateway.evidence import writer
from tests.fakes_clock import FakeClock
from tests.unit.evidence.logs import (
    RealClock,
    ScriptedDisk,
    check_log,
    checkpoints,
    kinds,
    objects,
    open_log,
)


class Anchors:
    """Remembers what was offered, and confirms what a test says."""

    def __init__(self) -> None:
        self.offered: list[tuple[str, int]] = []
        self.offers = threading.Event()
        self.asked = threading.Event()
        self.sizes: dict[str, int] = {}
        self.error: Exception | None = None

    def offer(self, note: str, size: int) -> None:
        """Take a checkpoint."""
        if self.error is not None:
            raise self.error
        self.offered.append((note, size))
        self.offers.set()

    def confirmed(self) -> Mapping[str, int]:
        """Return what a test says."""
        self.asked.set()
        return self.sizes


async def happened(event: threading.Event) -> None:
    """Wait, within bounds, for something that another thread does."""
    assert await anyio.to_thread.run_sync(event.wait, 4)


async def latched(log: Any) -> None:
    """Wait, within bounds, until a log takes nothing any more."""
    with anyio.fail_after(4):
        while log.healthy():
            await anyio.lowlevel.checkpoint()


async def read(log: Any, call_id: str = "read") -> None:
    """Record a call that only reads."""
    await log.append("intent", {"call_id": call_id}, effect="read")


def gated(folder: Path, **plan: Any) -> tuple[Any, ScriptedDisk, threading.Event]:
    """Open a log whose disk hangs from now on, in each sync."""
    disk = ScriptedDisk()
    log = open_log(folder, disk=disk, **plan)
    disk.gate = gate = threading.Event()
    disk.calls.clear()
    disk.syncing.clear()
    return log, disk, gate


async def test_what_is_not_synced_yet_has_no_receipt_to_show(tmp_path: Path) -> None:
    """house: a power cut may take it, and the receipt would then accuse an honest log."""
    log = open_log(tmp_path, read_interval_seconds=1e9)
    early = await log.append("intent", {"call_id": "a"}, effect="read")
    synced = await log.append("intent", {"call_id": "b"}, effect="write")
    assert (early.durable, synced.durable) == (False, True)
    await log.close()


async def test_a_read_need_not_wait_for_its_sync(tmp_path: Path) -> None:
    """settings: `read_interval_seconds`; it is written all the same."""
    log, disk, gate = gated(tmp_path, read_interval_seconds=1e9)
    with anyio.fail_after(4):
        await read(log)
    assert disk.calls == ["write"]
    assert kinds(tmp_path)[-1] == "intent"
    gate.set()
    await log.close()
    check_log(tmp_path)


@pytest.mark.parametrize(
    ("interval", "effect"),
    [(0.0, "read"), (1e9, "write"), (1e9, None), (1e9, "destructive")],
    ids=["no interval", "write", "unknown", "destructive"],
)
async def test_whatever_else_waits_for_its_sync(
    tmp_path: Path, interval: float, effect: str | None
) -> None:
    """house: only reads, and only if settings say so."""
    log, disk, gate = gated(tmp_path, read_interval_seconds=interval)
    acknowledged: list[Any] = []

    async def one() -> None:
        acknowledged.append(await log.append("intent", {"call_id": "a"}, effect=effect))

    with anyio.fail_after(4):
        async with anyio.create_task_group() as group:
            group.start_soon(one)
            await happened(disk.syncing)
            await anyio.wait_all_tasks_blocked()
            assert acknowledged == []
            gate.set()
    assert len(acknowledged) == 1
    await log.close()


async def test_a_batch_with_one_that_waits_is_synced_whole(tmp_path: Path) -> None:
    """house: one sync for all, the reads before it included."""
    log, disk, gate = gated(tmp_path, read_interval_seconds=1e9)
    with anyio.fail_after(4):
        async with anyio.create_task_group() as group:
            group.start_soon(log.append, "intent", {"call_id": "first"})
            await happened(disk.syncing)
            for number in range(5):
                group.start_soon(read, log, f"r{number}")
            group.start_soon(log.append, "intent", {"call_id": "last"})
            await anyio.wait_all_tasks_blocked()
            gate.set()
    assert disk.calls == ["write", "fdatasync"] * 2
    await log.close()
    check_log(tmp_path)


@pytest.mark.parametrize("by_latch", [False, True], ids=["quiet", "latched meanwhile"])
async def test_what_was_acknowledged_early_is_synced_within_the_interval(
    tmp_path: Path, by_latch: bool
) -> None:
    """settings: also if nothing follows, and if the log has stopped for another reason."""
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk, clock=RealClock(), read_interval_seconds=0.05)
    disk.calls.clear()
    disk.synced.clear()
    await read(log)
    if by_latch:
        log.latch("an outcome was lost")
    await happened(disk.synced)
    assert disk.calls == ["write", "fdatasync"]
    await log.close()


async def test_a_log_that_stops_syncs_what_it_acknowledged_early(tmp_path: Path) -> None:
    """house: a latched log ends without `stop`, not without its sync."""
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk, clock=FakeClock(), read_interval_seconds=1e6)
    disk.calls.clear()
    await read(log)
    log.latch("an outcome was lost")
    await log.close()
    assert disk.calls == ["write", "fdatasync"]
    assert kinds(tmp_path)[-1] == "intent"


async def test_a_late_sync_that_fails_latches(tmp_path: Path) -> None:
    """house: what was acknowledged may be lost; nothing more is taken, and no second sync tried."""
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk, clock=RealClock(), read_interval_seconds=0.02)
    disk.calls.clear()
    disk.sync_error = OSError(5, "Input/output error")
    await read(log)
    await latched(log)
    disk.sync_error = None
    with pytest.raises(EvidenceUnavailable):
        await read(log)
    await log.close()
    assert disk.calls == ["write", "fdatasync"]


async def test_a_checkpoint_covers_only_what_is_synced(tmp_path: Path) -> None:
    """house: a signed record that a crash loses would be damage."""
    log, disk, gate = gated(tmp_path, read_interval_seconds=1e9, checkpoint_records=3)
    with anyio.fail_after(4):
        await read(log)
        await happened(disk.syncing)
    assert not (tmp_path / "checkpoints.jsonl").read_bytes()
    gate.set()
    await log.close()
    check_log(tmp_path)
    assert [size for size, *_ in checkpoints(tmp_path)][0] == 3


async def test_checkpoints_are_due_by_records(tmp_path: Path) -> None:
    """evidence.md §3: never more between two of them, and each is offered to the anchors."""
    anchors = Anchors()
    log = open_log(tmp_path, anchors=anchors, clock=FakeClock(), checkpoint_records=4)
    for number in range(20):
        await log.append("refusal", {"call_id": f"c{number}"})
    await log.close()
    check_log(tmp_path)
    sizes = [0, *(size for size, *_ in checkpoints(tmp_path))]
    assert len(sizes) > 5
    assert max(later - size for size, later in zip(sizes, sizes[1:], strict=False)) == 4
    assert anchors.offered == [(note, size) for size, _, _, note in checkpoints(tmp_path)]


async def test_a_checkpoint_is_due_by_time(tmp_path: Path) -> None:
    """evidence.md §3: also if nothing follows the record."""
    anchors = Anchors()
    log = open_log(tmp_path, anchors=anchors, clock=RealClock(), checkpoint_seconds=0.02)
    await happened(anchors.offers)
    assert anchors.offered[0][1] == 2
    await log.close()


async def test_a_checkpoint_is_signed_when_a_segment_is_sealed(tmp_path: Path) -> None:
    """docs/evidence.md: on seal, whatever the records and the time."""
    anchors = Anchors()
    log = open_log(tmp_path, anchors=anchors, clock=FakeClock(), segment_bytes=2500)
    for number in range(50):
        await log.append("refusal", {"call_id": f"c{number}"})
    await log.close()
    seals = [record["seq"] for record in check_log(tmp_path) if record["kind"] == "seal"]
    sizes = [size for size, *_ in checkpoints(tmp_path)]
    assert len(seals) > 3
    assert len(sizes) == len(seals) + 1
    assert all(seal < size <= seal + 3 for seal, size in zip(seals, sizes, strict=False))


async def test_a_quiet_log_without_news_signs_nothing(tmp_path: Path) -> None:
    """house: `stop` is the end of it."""
    log = open_log(tmp_path, clock=FakeClock())
    await log.close()
    assert [size for size, *_ in checkpoints(tmp_path)] == [3]


async def test_a_checkpoint_that_cannot_be_kept_makes_the_log_unhealthy(tmp_path: Path) -> None:
    """house: until it can; no record is lost for it."""
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk, clock=FakeClock(), checkpoint_records=3)
    disk.room = 560
    await log.append("refusal", {"call_id": "a", "note": "x" * 300})
    await latched(log)
    disk.room = None
    await log.append("refusal", {"call_id": "b"})
    with anyio.fail_after(4):
        while not log.healthy():
            await anyio.lowlevel.checkpoint()
    await log.close()
    check_log(tmp_path)


async def test_a_silent_log_beats_and_says_what_its_anchors_confirmed(tmp_path: Path) -> None:
    """docs/evidence.md: a silence is evidence too."""
    anchors = Anchors()
    anchors.sizes = {"witness": 2}
    log = open_log(tmp_path, anchors=anchors, clock=RealClock(), heartbeat_seconds=0.02)
    await happened(anchors.asked)
    await log.close()
    beat = next(record for record in check_log(tmp_path) if record["kind"] == "heartbeat")
    assert beat["anchors"] == {"witness": 2}
    assert {"time", "monotonic_ns"} <= beat.keys()


async def test_a_busy_log_does_not_beat(tmp_path: Path) -> None:
    """house: its records say that it lives."""
    clock = FakeClock()
    log = open_log(tmp_path, clock=clock, heartbeat_seconds=60)
    for _ in range(5):
        clock.advance(59)
        await log.append("refusal", {"call_id": "a"})
    await log.close()
    assert "heartbeat" not in kinds(tmp_path)


async def test_a_latched_log_does_not_beat(tmp_path: Path) -> None:
    """house: a log that has stopped says nothing more."""
    anchors = Anchors()
    log = open_log(tmp_path, anchors=anchors, clock=FakeClock(), heartbeat_seconds=0)
    await happened(anchors.asked)
    log.latch("an outcome was lost")
    before = len(objects(tmp_path))
    await log.close()
    assert kinds(tmp_path)[before + 1 :] == []
    assert "stop" not in kinds(tmp_path)


async def test_a_batch_has_an_end(tmp_path: Path) -> None:
    """house: at most MAX_BATCH records a write, so that a checkpoint is never far behind."""
    log, disk, gate = gated(tmp_path)
    count = 2 * writer.MAX_BATCH + 1
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(log.append, "refusal", {"call_id": "first"})
            await happened(disk.syncing)
            for number in range(count):
                group.start_soon(log.append, "refusal", {"call_id": f"c{number}"})
            await anyio.wait_all_tasks_blocked()
            gate.set()
    assert disk.calls.count("write") == 1 + 3
    await log.close()
    assert kinds(tmp_path).count("refusal") == count + 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_thread_that_fails_ends_the_log(tmp_path: Path) -> None:
    """house: whatever went wrong, nobody is told that the log is well."""
    anchors = Anchors()
    log = open_log(tmp_path, anchors=anchors, clock=FakeClock(), checkpoint_records=3)
    anchors.error = ValueError("a fault of ours")
    await log.append("refusal", {"call_id": "a"})
    await latched(log)
    with anyio.fail_after(1), pytest.raises(EvidenceUnavailable):
        await log.append("refusal", {"call_id": "b"})
    await log.close()
