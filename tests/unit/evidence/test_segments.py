from pathlib import Path

import pytest
from backports import zstd

from gateway.core.errors import VerificationError
from gateway.evidence.segments import first_seq, lines, lines_from_end, name, records, segments
from tests.unit.evidence.logs import link, segment_entry, write_log


@pytest.mark.parametrize(
    ("seq", "text"),
    [
        pytest.param(0, "seg-000000000000.jsonl", id="first"),
        pytest.param(1234, "seg-000000001234.jsonl", id="padded to 12 digits"),
        pytest.param(10**12, "seg-1000000000000.jsonl", id="longer than the padding"),
    ],
)
def test_the_name_of_a_segment_holds_its_first_seq(seq: int, text: str) -> None:
    """house: the name and the seq are read back from one another."""
    assert name(seq) == text
    assert first_seq(Path(text)) == seq


@pytest.mark.parametrize(
    "text",
    ["seg-12.jsonl", "seg-000000000000.jsonl.gz", "seg-000000000000.jsonl.zst.part", "writer.lock"],
)
def test_another_name_is_not_that_of_a_segment(text: str) -> None:
    """house: what is not a segment is not read as one."""
    with pytest.raises(ValueError, match="not the name"):
        first_seq(Path(text))


def test_segments_are_listed_by_seq_and_alone(tmp_path: Path) -> None:
    """house: numeric order, also beyond the padding; other files are none of the log."""
    for seq in (10**12, 0, 999):
        (tmp_path / name(seq)).touch()
    for other in ("writer.lock", "torn-000000000000-12-1.bin", "seg-1.jsonl", "notes.txt"):
        (tmp_path / other).touch()
    assert [first_seq(path) for path in segments(tmp_path)] == [0, 999, 10**12]


def test_a_compressed_segment_is_one_of_the_log_and_reads_the_same(tmp_path: Path) -> None:
    """docs/evidence.md: RFC 8878."""
    raw = [b"a\n", b"b" * 100_000 + b"\n", b"c\n"]
    path = tmp_path / (name(7) + ".zst")
    path.write_bytes(zstd.compress(b"".join(raw)))
    assert segments(tmp_path) == [path]
    assert first_seq(path) == 7
    assert list(lines(path)) == raw
    assert list(lines_from_end(path)) == raw[::-1]


def test_the_raw_segment_counts_where_the_compressed_one_lies_beside_it(tmp_path: Path) -> None:
    """house: a crash fell between the two, and only the raw one is known to be whole."""
    (tmp_path / (name(0) + ".zst")).touch()
    (tmp_path / name(0)).touch()
    assert segments(tmp_path) == [tmp_path / name(0)]


@pytest.mark.parametrize(
    "data", [b"not compressed", zstd.compress(b"a\n" * 1000)[:-4]], ids=["no frame", "cut short"]
)
def test_a_compressed_segment_that_cannot_be_read_is_an_error(tmp_path: Path, data: bytes) -> None:
    """house: damage is not the end of the segment."""
    path = tmp_path / (name(0) + ".zst")
    path.write_bytes(data)
    with pytest.raises(OSError, match="decompressed"):
        list(lines(path))


def test_lines_end_at_the_newline_byte_only(tmp_path: Path) -> None:
    """house: U+2028, U+0085, form feed and CR do not end a line."""
    raw = ["a\u2028b\n".encode(), "c\u0085d\n".encode(), b"e\x0cf\r\n", b"unfinished"]
    path = tmp_path / name(0)
    path.write_bytes(b"".join(raw))
    assert list(lines(path)) == raw


async def test_records_are_read_across_segments_in_order(tmp_path: Path) -> None:
    """house: a reader sees one log, whatever its files."""
    await write_log(tmp_path, 30, segment_bytes=2000)
    assert len(segments(tmp_path)) > 3
    seqs = [record.seq for record in records(tmp_path)]
    assert seqs == list(range(len(seqs)))


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    """house: a log may be read while it grows."""
    raw = link([segment_entry(), ("start", {}), ("stop", {})])
    (tmp_path / name(0)).write_bytes(b"".join(raw)[:-1])
    assert [record.kind for record in records(tmp_path)] == ["segment", "start"]


def test_a_line_that_is_not_a_record_is_an_error(tmp_path: Path) -> None:
    """house: damage is never skipped."""
    (tmp_path / name(0)).write_bytes(b"\x00\x00\n")
    with pytest.raises(VerificationError) as raised:
        list(records(tmp_path))
    assert raised.value.reason_code == "record_unreadable"
