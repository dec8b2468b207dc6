from pathlib import Path

import pytest

from gateway.core.errors import EvidenceUnavailable
from gateway.evidence.space import Level, Space, Watermarks, free_percent
from tests.fakes_clock import FakeClock
from tests.unit.evidence.logs import RealClock, ScriptedDisk, check_log, kinds, open_log

MARKS = Watermarks(warn=20, reads_only=10, stop=5, reserve_bytes=1000)


class Gauge:
    """A file system that is as full as a test says."""

    def __init__(self, free: float) -> None:
        self.free = free
        self.error: OSError | None = None
        self.looks = 0

    def __call__(self, folder: Path) -> float:
        """Answer, and count the questions."""
        self.looks += 1
        if self.error is not None:
            raise self.error
        return self.free


@pytest.mark.parametrize(
    ("free", "level", "taken"),
    [
        (100, Level.PLENTY, {"read", "write", "refusal", "outcome"}),
        (20, Level.PLENTY, {"read", "write", "refusal", "outcome"}),
        (19.9, Level.WARN, {"read", "write", "refusal", "outcome"}),
        (10, Level.WARN, {"read", "write", "refusal", "outcome"}),
        (9.9, Level.READS_ONLY, {"read", "refusal", "outcome"}),
        (5, Level.READS_ONLY, {"read", "refusal", "outcome"}),
        (4.9, Level.STOP, {"outcome"}),
        (0, Level.STOP, {"outcome"}),
    ],
)
def test_the_fuller_the_disk_the_less_is_taken(
    tmp_path: Path, free: float, level: Level, taken: set[str]
) -> None:
    """evidence.md §5: 20 % warn, 10 % reads only, 5 % stop; what closes something always may."""
    space = Space(tmp_path, MARKS, FakeClock(), Gauge(free))
    space.reserve()
    assert space.look() is level
    asked = {
        "read": ("intent", "read"),
        "write": ("intent", "write"),
        "refusal": ("refusal", None),
        "outcome": ("outcome", None),
    }
    assert {name for name, (kind, effect) in asked.items() if not space.refusal(kind, effect)} == (
        taken
    )


def test_an_effect_that_nobody_knows_is_not_taken_for_a_read(tmp_path: Path) -> None:
    """house: fail closed."""
    space = Space(tmp_path, MARKS, FakeClock(), Gauge(7))
    space.reserve()
    assert space.refusal("intent", None)


def test_the_disk_is_looked_at_once_a_second(tmp_path: Path) -> None:
    """house: a look is a system call, and calls are many."""
    clock, gauge = FakeClock(), Gauge(100)
    space = Space(tmp_path, MARKS, clock, gauge)
    for _ in range(3):
        space.look()
    assert gauge.looks == 1
    gauge.free = 1
    clock.advance(0.999)
    assert space.look() is Level.PLENTY
    clock.advance(0.001)
    assert space.look() is Level.STOP


def test_a_disk_that_does_not_answer_takes_nothing(tmp_path: Path) -> None:
    """house: fail closed, and without another error."""
    gauge = Gauge(100)
    gauge.error = OSError(5, "Input/output error")
    space = Space(tmp_path, MARKS, FakeClock(), gauge)
    space.reserve()
    assert space.look() is Level.STOP
    assert space.refusal("intent", "read")


def test_the_real_disk_says_how_much_is_free(tmp_path: Path) -> None:
    """statvfs(3): a share of what there is."""
    assert 0 <= free_percent(tmp_path) <= 100


def test_the_reserve_holds_real_room_and_is_given_once(tmp_path: Path) -> None:
    """house: blocks, not a hole in a file."""
    space = Space(tmp_path, Watermarks(0, 0, 0, 100_000), FakeClock(), Gauge(100))
    assert not space.release()
    space.reserve()
    seen = (tmp_path / "reserve.bin").stat()
    assert (seen.st_size, seen.st_mode & 0o777) == (100_000, 0o600)
    assert seen.st_blocks * 512 >= 100_000
    assert space.release()
    assert not (tmp_path / "reserve.bin").exists()
    assert not space.release()
    assert space.refusal("intent", "read")


def test_half_a_reserve_is_none(tmp_path: Path) -> None:
    """house: it would hold room back from the records that are to fit."""
    space = Space(tmp_path, Watermarks(0, 0, 0, 2**60), FakeClock(), Gauge(100))
    with pytest.raises(OSError, match="No space|too large"):
        space.reserve()
    assert not space.reserved
    assert not (tmp_path / "reserve.bin").exists()


def test_the_reserve_is_taken_again_when_there_is_room(tmp_path: Path) -> None:
    """house: and not while the disk is almost full."""
    clock, gauge = FakeClock(), Gauge(3)
    space = Space(tmp_path, MARKS, clock, gauge)
    space.reserve()
    space.release()
    space.restore()
    assert space.refusal("intent", "read")
    clock.advance(1)
    gauge.free = 50
    space.restore()
    assert space.reserved
    assert (tmp_path / "reserve.bin").stat().st_size == 1000


@pytest.mark.parametrize(
    ("marks", "effect", "taken"),
    [
        (Watermarks(101, 0, 0, 0), "write", True),
        (Watermarks(101, 101, 0, 0), "read", True),
        (Watermarks(101, 101, 0, 0), "write", False),
        (Watermarks(101, 101, 101, 0), "read", False),
    ],
    ids=["warned", "reads only: read", "reads only: write", "stopped"],
)
async def test_a_writer_refuses_what_its_disk_has_no_room_for(
    tmp_path: Path, marks: Watermarks, effect: str, taken: bool
) -> None:
    """house: the refusal leaves no record, and an outcome is written all the same."""
    log = open_log(tmp_path, watermarks=marks)
    if taken:
        await log.append("intent", {"call_id": "a"}, effect=effect)
    else:
        with pytest.raises(EvidenceUnavailable):
            await log.append("intent", {"call_id": "a"}, effect=effect)
        await log.append("stream-part", {"call_id": "b"}, effect=effect)
    assert log.healthy() == (marks.stop == 0)
    await log.close()
    assert ("intent" in kinds(tmp_path)) == taken
    check_log(tmp_path)


class Full(ScriptedDisk):
    """A disk that has room only while there is no reserve."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.full = False
        self._reserve = folder / "reserve.bin"

    def write(self, fd: int, data: memoryview) -> int:
        """Write, if somebody made room."""
        if self.full and self._reserve.exists():
            raise OSError(28, "No space left on device")
        return super().write(fd, data)


RESERVE = Watermarks(0, 0, 0, 4096)


async def test_what_closes_a_call_gets_the_reserve(tmp_path: Path) -> None:
    """evidence.md §5: what was begun can be closed; nothing is begun until there is room again."""
    disk = Full(tmp_path)
    log = open_log(tmp_path, disk=disk, clock=RealClock(), watermarks=RESERVE)
    await log.append("intent", {"call_id": "a"})
    disk.full = True
    with pytest.raises(EvidenceUnavailable):
        await log.append("intent", {"call_id": "b"})
    assert (tmp_path / "reserve.bin").exists()
    assert not log.healthy()
    await log.append("outcome", {"call_id": "a", "status": "done"})
    await log.close()
    assert kinds(tmp_path) == ["segment", "start", "intent", "outcome", "stop"]
    check_log(tmp_path)


@pytest.mark.parametrize("segment_bytes", [10**6, 1700], ids=["stop", "seal and stop"])
async def test_a_run_ends_in_order_on_a_full_disk(tmp_path: Path, segment_bytes: int) -> None:
    """house: `stop`, and the seal that it needs, may use the reserve."""
    disk = Full(tmp_path)
    log = open_log(tmp_path, disk=disk, watermarks=RESERVE, segment_bytes=segment_bytes)
    await log.append("refusal", {"call_id": "a", "note": "x" * 250})
    disk.full = True
    await log.close()
    check_log(tmp_path)
    assert ("seal" in kinds(tmp_path)) == (segment_bytes == 1700)
    assert kinds(tmp_path)[-1] == "stop"


async def test_no_call_is_taken_until_the_reserve_is_there_again(tmp_path: Path) -> None:
    """house: healthy again only then."""
    disk, marks = Full(tmp_path), Watermarks(101, 101, 101, 4096)
    log = open_log(tmp_path, disk=disk, watermarks=marks)
    disk.full = True
    await log.append("outcome", {"call_id": "a", "status": "done"})
    assert not (tmp_path / "reserve.bin").exists()
    assert not log.healthy()
    with pytest.raises(EvidenceUnavailable):
        await log.append("refusal", {"call_id": "b"})
    await log.close()


async def test_a_full_disk_is_no_reason_for_a_heartbeat_to_use_the_reserve(tmp_path: Path) -> None:
    """house: it closes nothing, and comes every minute."""
    disk = Full(tmp_path)
    log = open_log(tmp_path, disk=disk, watermarks=Watermarks(101, 101, 101, 4096))
    disk.full = True
    with pytest.raises(EvidenceUnavailable):
        await log.append("heartbeat", {})
    assert (tmp_path / "reserve.bin").exists()
    await log.close()


async def test_a_start_without_room_for_the_reserve_is_refused(tmp_path: Path) -> None:
    """house: a run that could not be closed is not begun."""
    with pytest.raises(EvidenceUnavailable):
        open_log(tmp_path, watermarks=Watermarks(0, 0, 0, 2**60))
    await open_log(tmp_path).close()
    check_log(tmp_path)
