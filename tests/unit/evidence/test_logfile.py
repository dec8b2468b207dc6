from pathlib import Path

import pytest

from gateway.evidence.logfile import LogFile
from tests.unit.evidence.logs import ScriptedDisk


def made(folder: Path) -> tuple[LogFile, ScriptedDisk, Path]:
    """Return a file with one line in it, its disk and its path."""
    disk, path = ScriptedDisk(), folder / "file"
    file = LogFile(path, disk)
    file.append(b"first\n")
    return file, disk, path


@pytest.mark.parametrize("room", [0, 1, 5])
def test_a_write_is_whole_or_not_there_at_all(tmp_path: Path, room: int) -> None:
    """house: what a short write left is cut, and the next write lands in its place."""
    file, disk, path = made(tmp_path)
    disk.room = room
    with pytest.raises(OSError, match="No space"):
        file.append(b"second\n")
    assert path.read_bytes() == b"first\n"
    disk.room = None
    file.append(b"third\n")
    file.close()
    assert path.read_bytes() == b"first\nthird\n"
    assert (file.length, file.failure) == (12, None)


def test_a_write_that_takes_nothing_is_an_error(tmp_path: Path) -> None:
    """write(2): zero bytes without an error must not be waited for."""
    file, disk, path = made(tmp_path)

    def nothing(fd: int, data: memoryview) -> int:
        return 0

    disk.write = nothing  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no byte"):
        file.append(b"second\n")
    file.close()
    assert path.read_bytes() == b"first\n"


def test_a_failed_cut_is_final(tmp_path: Path) -> None:
    """house: nothing may follow torn bytes, even if the disk recovers."""
    file, disk, path = made(tmp_path)
    disk.room, disk.cut_error = 3, OSError(5, "Input/output error")
    with pytest.raises(OSError, match="No space"):
        file.append(b"second\n")
    disk.room = disk.cut_error = None
    with pytest.raises(OSError, match="cut back"):
        file.append(b"third\n")
    with pytest.raises(OSError, match="cut back"):
        file.sync()
    file.close()
    assert path.read_bytes() == b"first\nsec"


def test_a_failed_sync_is_final(tmp_path: Path) -> None:
    """fsync(2): a second one would succeed over data that is not there."""
    file, disk, path = made(tmp_path)
    disk.sync_error = OSError(5, "Input/output error")
    with pytest.raises(OSError, match="Input/output"):
        file.sync()
    disk.sync_error = None
    for again in (file.sync, lambda: file.append(b"second\n")):
        with pytest.raises(OSError, match="not trusted"):
            again()
    file.close()
    assert disk.calls == ["write", "fdatasync"]
    assert path.read_bytes() == b"first\n"


def test_only_what_is_new_is_synced(tmp_path: Path) -> None:
    """house: a sync is what a record costs."""
    file, disk, path = made(tmp_path)
    file.sync()
    file.sync()
    assert disk.calls == ["write", "fdatasync"]
    file.close()
    again = LogFile(path, disk)
    assert (again.length, again.unsynced) == (6, False)
    again.close()
