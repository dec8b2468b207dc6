import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.errors import EvidenceUnavailable
from gateway.evidence.segments import segments
from tests.fakes_clock import FakeClock
from tests.unit.evidence.logs import ScriptedDisk, check_log, kinds, objects, open_log, write_log


async def test_every_segment_says_where_it_begins_and_where_it_ends(tmp_path: Path) -> None:
    """docs/evidence.md: frontier, open calls and roots, here over many rotations and two runs."""
    log = open_log(tmp_path, segment_bytes=2500)
    for number in range(40):
        await log.append("intent", {"call_id": f"c{number}"})
        if number % 3:
            await log.append("outcome", {"call_id": f"c{number}", "status": "done"})
    await log.close()
    begun = [record for record in check_log(tmp_path) if record["kind"] == "segment"]
    assert len(begun) > 6
    assert max(len(record["open_calls"]) for record in begun) > 8
    await write_log(tmp_path, 20, segment_bytes=2500)
    check_log(tmp_path)


async def test_no_segment_is_longer_than_was_asked_for(tmp_path: Path) -> None:
    """house: its seal included."""
    await write_log(tmp_path, 40, segment_bytes=2500)
    sizes = [path.stat().st_size for path in segments(tmp_path)]
    assert len(sizes) > 4
    assert 1500 < max(sizes) <= 2500


async def test_a_batch_longer_than_a_segment_is_spread_over_several(tmp_path: Path) -> None:
    """house: each part under its own head."""
    log = open_log(tmp_path, segment_bytes=2500)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(log.append, "intent", {"call_id": f"c{number}"})
    await log.close()
    check_log(tmp_path)
    assert kinds(tmp_path).count("segment") > 5


async def test_a_record_longer_than_a_segment_has_one_to_itself(tmp_path: Path) -> None:
    """house: what may be admitted may be recorded."""
    log = open_log(tmp_path, segment_bytes=2000)
    for number in range(3):
        await log.append("intent", {"call_id": f"c{number}", "body": "x" * 5000})
    await log.close()
    check_log(tmp_path)
    assert [sorted(kinds_of(path)) for path in segments(tmp_path)] == [
        ["seal", "segment", "start"],
        *[["intent", "seal", "segment"]] * 3,
        ["segment", "stop"],
    ]


def kinds_of(path: Path) -> list[str]:
    """Return the kinds of one segment's records."""
    return [json.loads(line)["kind"] for line in path.read_bytes().split(b"\n")[:-1]]


async def test_a_segment_that_is_old_enough_is_sealed(tmp_path: Path) -> None:
    """house: at the first record after its time, and not before."""
    clock = FakeClock()
    log = open_log(tmp_path, clock=clock, segment_seconds=60)
    clock.advance(59)
    await log.append("intent", {"call_id": "young"})
    clock.advance(1)
    await log.append("intent", {"call_id": "old"})
    await log.append("intent", {"call_id": "young again"})
    await log.close()
    check_log(tmp_path)
    assert [kinds_of(path) for path in segments(tmp_path)] == [
        ["segment", "start", "intent", "seal"],
        ["segment", "intent", "intent", "stop"],
    ]


@pytest.mark.parametrize("room", [0, 50, 400, 900])
async def test_a_disk_that_fills_up_at_a_rotation_is_survived(tmp_path: Path, room: int) -> None:
    """house: in the seal or in the first record of the new segment; both come when there is room.

    Meanwhile the empty segment grows old, and must not be sealed for that.
    """
    disk, clock = ScriptedDisk(), FakeClock()
    log = open_log(tmp_path, segment_bytes=1800, disk=disk, clock=clock, segment_seconds=3600)
    await log.append("intent", {"call_id": "a", "note": "x" * 200})
    disk.room = room
    with anyio.fail_after(5):
        for call_id in ("b", "c"):
            with pytest.raises(EvidenceUnavailable):
                await log.append("intent", {"call_id": call_id, "note": "x" * 900})
            clock.advance(3600)
        disk.room = None
        await log.append("intent", {"call_id": "d", "note": "x" * 900})
    await log.close()
    check_log(tmp_path)
    assert [r["call_id"] for r in objects(tmp_path) if r["kind"] == "intent"] == ["a", "d"]


async def test_a_log_that_ended_with_a_seal_goes_on_in_a_new_segment(tmp_path: Path) -> None:
    """house: a crash fell between the seal and its successor."""
    await write_log(tmp_path, 10, segment_bytes=2500)
    segments(tmp_path)[-1].unlink()
    (tmp_path / "checkpoints.jsonl").unlink()
    sealed = len(objects(tmp_path))
    assert kinds(tmp_path)[-1] == "seal"
    await open_log(tmp_path).close()
    check_log(tmp_path)
    assert kinds(tmp_path)[sealed] == "segment"


UNSYNCABLE: list[Path] = []
"""Folders whose names cannot be synced."""


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    if UNSYNCABLE and event == "open" and args[2] & os.O_DIRECTORY:
        if Path(str(args[0])) in UNSYNCABLE:
            raise OSError(5, "Input/output error")


sys.addaudithook(_refuse)


async def test_a_segment_whose_name_cannot_be_synced_is_the_last(tmp_path: Path) -> None:
    """house: records in a file that a crash could take away must not be acknowledged."""
    log = open_log(tmp_path, segment_bytes=1800)
    UNSYNCABLE.append(tmp_path)
    try:
        with anyio.fail_after(5), pytest.raises(EvidenceUnavailable):
            await log.append("intent", {"call_id": "a", "note": "x" * 900})
    finally:
        UNSYNCABLE.clear()
    with anyio.fail_after(5), pytest.raises(EvidenceUnavailable):
        await log.append("intent", {"call_id": "b"})
    assert not log.healthy()
    await log.close()
    await open_log(tmp_path).close()
    check_log(tmp_path)
    assert "intent" not in kinds(tmp_path)


@pytest.mark.parametrize("runs", [1, 3])
async def test_a_segment_grows_old_over_several_runs(tmp_path: Path, runs: int) -> None:
    """house: a restart a day must not keep a segment open for ever."""
    clock = FakeClock()
    for _ in range(runs):
        await open_log(tmp_path, clock=clock, segment_seconds=60).close()
        clock.advance(60 / runs)
    await open_log(tmp_path, clock=clock, segment_seconds=60).close()
    check_log(tmp_path)
    assert [kinds_of(path)[-1] for path in segments(tmp_path)] == ["seal", "stop"]


async def test_a_segment_that_begins_in_the_future_is_young(tmp_path: Path) -> None:
    """house: a clock that was set back does not make ages negative."""
    later, clock = FakeClock(), FakeClock()
    later.advance(3600)
    await open_log(tmp_path, clock=later, segment_seconds=60).close()
    log = open_log(tmp_path, clock=clock, segment_seconds=60)
    assert len(segments(tmp_path)) == 1
    clock.advance(60)
    await log.append("intent", {"call_id": "a"})
    await log.close()
    assert len(segments(tmp_path)) == 2


class IndexDisk(ScriptedDisk):
    """Tells which files were synced, and fails to sync the index when told."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[str] = []
        self.fails = False

    def fdatasync(self, fd: int) -> None:
        """Sync, or fail for the index."""
        name = Path(os.readlink(f"/proc/self/fd/{fd}")).name
        self.files.append(name)
        if self.fails and name == "nodes.bin":
            raise OSError(5, "Input/output error")
        super().fdatasync(fd)


async def test_the_index_is_durable_before_a_segment_has_a_successor(tmp_path: Path) -> None:
    """house: a sealed segment may be shipped away, and then only the index holds its hashes."""
    disk = IndexDisk()
    await write_log(tmp_path, 20, segment_bytes=2500, disk=disk)
    sealed, *_ = segments(tmp_path)
    last = len(disk.files) - disk.files[::-1].index(sealed.name) - 1
    assert disk.files[last + 1] == "nodes.bin"
    assert disk.files.count("nodes.bin") >= len(segments(tmp_path)) - 1


async def test_an_index_that_cannot_be_synced_ends_the_log(tmp_path: Path) -> None:
    """fsync(2): a second sync would succeed over hashes that are not there."""
    disk = IndexDisk()
    log = open_log(tmp_path, segment_bytes=1800, disk=disk)
    disk.fails = True
    with anyio.fail_after(5), pytest.raises(EvidenceUnavailable):
        await log.append("intent", {"call_id": "a", "note": "x" * 900})
    disk.fails = False
    with anyio.fail_after(5), pytest.raises(EvidenceUnavailable):
        await log.append("intent", {"call_id": "b"})
    await log.close()
    assert kinds(tmp_path)[-1] == "seal"
    await open_log(tmp_path).close()
    check_log(tmp_path)
