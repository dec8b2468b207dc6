from pathlib import Path

import pytest

from gateway.evidence import find
from gateway.evidence.segments import lines, lines_from_end, name, records, segments
from tests.unit.evidence.logs import link, segment_entry, write_log


@pytest.mark.parametrize("count", [1, 5, 20, 1000])
async def test_the_newest_records_are_found_across_segments(tmp_path: Path, count: int) -> None:
    """House: the same as the end of the whole log."""
    await write_log(tmp_path, 30, segment_bytes=2000)
    assert find.newest(tmp_path, count) == find.Newest(tuple(records(tmp_path))[-count:], False)


async def test_older_segments_are_not_read(tmp_path: Path) -> None:
    """House: the cost of a look at the end does not grow with the log."""
    await write_log(tmp_path, 30, segment_bytes=2000)
    segments(tmp_path)[0].write_bytes(b"\x00\n")
    assert not find.newest(tmp_path, 10).unreadable
    assert find.newest(tmp_path, 1000).unreadable


def test_a_line_that_is_being_written_is_no_fault(tmp_path: Path) -> None:
    """House: a log may be read while it grows."""
    raw = link([segment_entry(), ("start", {}), ("stop", {})])
    (tmp_path / name(0)).write_bytes(b"".join(raw)[:-1])
    found = find.newest(tmp_path, 2)
    assert ([record.seq for record in found.records], found.unreadable) == ([0, 1], False)


def test_a_torn_line_before_the_newest_segment_is_a_fault(tmp_path: Path) -> None:
    """House: an older segment was synced whole before its successor was made."""
    raw = link([segment_entry(), ("start", {}), segment_entry(2, name(0))])
    (tmp_path / name(0)).write_bytes(b"".join(raw[:2])[:-1])
    (tmp_path / name(2)).write_bytes(raw[2])
    found = find.newest(tmp_path, 3)
    assert ([record.seq for record in found.records], found.unreadable) == ([0, 2], True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\n\na\n",
        b"a\nb",
        b"x" * 300_000 + b"\nb\n" + b"y" * 200_000,
        b"a" * 65_535 + b"\n" + b"b" * 65_535 + b"\n",
        "a\u2028b\u0085\x0c\r\n".encode() * 30_000,
    ],
    ids=["empty", "newline", "empty lines", "unfinished", "long", "at the blocks", "separators"],
)
def test_lines_from_the_end_are_the_lines_reversed(tmp_path: Path, data: bytes) -> None:
    """House: two readers, one file."""
    path = tmp_path / name(0)
    path.write_bytes(data)
    assert list(lines_from_end(path)) == list(lines(path))[::-1]
