import hashlib
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import VerificationError
from gateway.evidence.recovery import recover
from gateway.evidence.segments import name, segments
from gateway.evidence.verify import verify
from tests.unit.evidence.logs import (
    kinds,
    link,
    objects,
    open_log,
    raw_lines,
    segment_entry,
    write_log,
)


def aside(folder: Path) -> dict[str, bytes]:
    """Return the files of cut bytes."""
    return {path.name: path.read_bytes() for path in folder.glob("torn-*")}


async def reopen(folder: Path) -> list[dict[str, Any]]:
    """Open and close the log; return what the new run recorded between `start` and `stop`."""
    before = len(raw_lines(folder))
    await open_log(folder).close()
    assert verify(folder).fault is None
    added = objects(folder)[before:]
    return [record for record in added if record["kind"] not in ("start", "stop", "segment")]


async def test_a_clean_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    """house: nothing is cut, nothing is orphaned, the chain is one."""
    await write_log(tmp_path, 3)
    assert await reopen(tmp_path) == []
    assert kinds(tmp_path) == [
        *("segment", "start", *["intent", "outcome"] * 3, "stop"),
        *("start", "stop"),
    ]
    assert aside(tmp_path) == {}


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(b'{"v":1,"seq":9', id="half a line"),
        pytest.param(b"x", id="one byte"),
        pytest.param(b"\x00" * 4096, id="NULs"),
        pytest.param(b"\x00" * 100 + b"\n", id="NULs with a newline"),
        pytest.param(b'{"v":1}\n{"v":1', id="a bad line and half a line"),
        pytest.param(b"\n", id="an empty line"),
    ],
)
async def test_a_torn_tail_is_moved_aside_and_recorded(tmp_path: Path, tail: bytes) -> None:
    """house: cut, kept, and told by a `gap` record."""
    await write_log(tmp_path, 2)
    path = tmp_path / name(0)
    good = path.read_bytes()
    path.write_bytes(good + tail)
    await open_log(tmp_path).close()
    assert path.read_bytes().startswith(good)
    assert verify(tmp_path).fault is None
    file = f"torn-000000000000-{len(good)}-1.bin"
    assert aside(tmp_path) == {file: tail}
    gap = next(record for record in objects(tmp_path) if record["kind"] == "gap")
    assert {key: gap[key] for key in ("segment", "offset", "bytes", "file", "digest")} == {
        "segment": name(0),
        "offset": len(good),
        "bytes": len(tail),
        "file": file,
        "digest": f"sha256:{hashlib.sha256(tail).hexdigest()}",
    }
    assert await reopen(tmp_path) == []


async def test_the_first_unreadable_line_of_the_last_segment_ends_the_log(tmp_path: Path) -> None:
    """house: a batch may reach the disk out of order, so later good lines go too."""
    await write_log(tmp_path, 2)
    raw = raw_lines(tmp_path)
    raw[4] = b"\x00" * (len(raw[4]) - 1) + b"\n"
    (tmp_path / name(0)).write_bytes(b"".join(raw))
    await open_log(tmp_path).close()
    assert list(aside(tmp_path).values()) == [b"".join(raw[4:])]
    assert raw_lines(tmp_path)[:4] == raw[:4]
    assert verify(tmp_path).fault is None


async def test_every_torn_length_of_the_last_record_recovers(tmp_path: Path) -> None:
    """house: whatever a crash left of a line, the log opens and nothing before it is lost."""
    await write_log(tmp_path / "whole", 1)
    raw = raw_lines(tmp_path / "whole")
    for length in range(1, len(raw[-1])):
        folder = tmp_path / str(length)
        folder.mkdir()
        (folder / name(0)).write_bytes(b"".join(raw[:-1]) + raw[-1][:length])
        end = recover(folder)
        assert (end.seq, end.offset) == (len(raw) - 1, len(b"".join(raw[:-1])))
        assert [gap["bytes"] for gap in end.gaps] == [length]


async def test_an_intent_without_outcome_is_closed_as_orphaned(tmp_path: Path) -> None:
    """house: never silently; those that were closed stay as they are."""
    log = open_log(tmp_path)
    for call_id in ("a", "b", "c"):
        await log.append("intent", {"call_id": call_id})
    await log.append("outcome", {"call_id": "b", "status": "done"})
    await log.append("refusal", {"call_id": "d"})
    await log.close()
    added = await reopen(tmp_path)
    assert [(r["kind"], r["call_id"], r["status"]) for r in added] == [
        ("outcome", "a", "orphaned"),
        ("outcome", "c", "orphaned"),
    ]
    assert verify(tmp_path).orphaned == 2
    assert await reopen(tmp_path) == []


async def test_an_open_intent_is_found_in_an_earlier_segment(tmp_path: Path) -> None:
    """house: all segments are read."""
    log = open_log(tmp_path, segment_bytes=1500)
    await log.append("intent", {"call_id": "early"})
    for number in range(20):
        await log.append("refusal", {"call_id": f"r{number}", "note": "x" * 100})
    await log.close()
    assert len(segments(tmp_path)) > 2
    assert [record["call_id"] for record in await reopen(tmp_path)] == ["early"]


async def test_an_outcome_that_was_torn_off_leaves_its_call_orphaned(tmp_path: Path) -> None:
    """house: the cut and the open call are both told, the cut first."""
    log = open_log(tmp_path)
    await log.append("intent", {"call_id": "a"})
    await log.append("outcome", {"call_id": "a", "status": "done"})
    await log.close()
    raw = raw_lines(tmp_path)
    (tmp_path / name(0)).write_bytes(b"".join(raw[:3]) + raw[3][:-5])
    assert [r["kind"] for r in await reopen(tmp_path)] == ["gap", "outcome"]


@pytest.mark.parametrize("left", [0, 1, 60], ids=["empty", "one byte", "half its first line"])
async def test_a_segment_that_never_began_is_removed(tmp_path: Path, left: int) -> None:
    """house: its predecessor goes on; only what was really written is a gap."""
    await write_log(tmp_path, 2)
    end = len(raw_lines(tmp_path))
    torn = tmp_path / name(end)
    torn.write_bytes(b'{"v":1,"seq":'.ljust(60, b"0")[:left])
    added = await reopen(tmp_path)
    assert segments(tmp_path) == [tmp_path / name(0)]
    assert [(r["kind"], r["segment"], r["offset"], r["bytes"]) for r in added] == (
        [("gap", name(end), 0, left)] if left else []
    )


@pytest.mark.parametrize("left", [b"", b'{"v":1,"se'], ids=["empty", "torn"])
async def test_a_log_that_never_began_begins(tmp_path: Path, left: bytes) -> None:
    """house: a crash at the very first record recovers too."""
    (tmp_path / name(0)).write_bytes(left)
    await open_log(tmp_path).close()
    assert verify(tmp_path).fault is None
    assert kinds(tmp_path) == ["segment", "start", *(["gap"] if left else []), "stop"]


async def test_a_cut_whose_record_was_lost_is_told_at_the_next_start(tmp_path: Path) -> None:
    """house: a crash between the cut and its `gap` record hides nothing."""
    await write_log(tmp_path, 1)
    path = tmp_path / name(0)
    good = path.read_bytes()
    path.write_bytes(good + b"torn")
    first = recover(tmp_path)
    assert path.read_bytes() == good
    assert recover(tmp_path) == first
    assert [(r["kind"], r["bytes"]) for r in await reopen(tmp_path)] == [("gap", 4)]
    assert await reopen(tmp_path) == []


async def test_two_cuts_at_one_place_are_both_kept(tmp_path: Path) -> None:
    """house: the second does not overwrite the first."""
    await write_log(tmp_path, 1)
    path = tmp_path / name(0)
    for tail in (b"first", b"second"):
        with path.open("ab") as file:
            file.write(tail)
        recover(tmp_path)
    assert sorted(aside(tmp_path).values()) == [b"first", b"second"]
    assert [record["bytes"] for record in await reopen(tmp_path)] == [5, 6]


async def refused(folder: Path) -> str:
    """Open a log that must be refused and left as it is; return what is said of it."""
    before = {path: path.read_bytes() for path in segments(folder)}
    with pytest.raises(VerificationError) as raised:
        open_log(folder)
    assert {path: path.read_bytes() for path in segments(folder)} == before
    assert aside(folder) == {}
    assert raised.value.reason_code == "evidence_damaged"
    return raised.value.message


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda line: line.replace(b'"v":1', b'"v":2'), id="unreadable"),
        pytest.param(lambda line: b"", id="dropped"),
        pytest.param(lambda line: line[:-1], id="no newline"),
    ],
)
async def test_damage_in_an_earlier_segment_refuses_to_open(tmp_path: Path, damage: Any) -> None:
    """house: that is no torn tail; the segment and the line are named."""
    await write_log(tmp_path, 20, segment_bytes=2000)
    path = segments(tmp_path)[1]
    raw = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*raw[:3], damage(raw[3]), *raw[4:]]))
    message = await refused(tmp_path)
    assert path.name in message
    assert "line 4" in message


async def test_a_changed_record_that_still_reads_refuses_to_open(tmp_path: Path) -> None:
    """house: no crash changes a record and keeps it readable; going on would vouch for it."""
    await write_log(tmp_path, 3)
    path = tmp_path / name(0)
    path.write_bytes(path.read_bytes().replace(b'"note":"xx', b'"note":"yx', 1))
    assert "line 4" in await refused(tmp_path)


async def test_a_changed_last_record_of_an_earlier_segment_refuses_to_open(tmp_path: Path) -> None:
    """house: it shows in the first line of the last segment, which must not be cut for it."""
    await write_log(tmp_path, 10, segment_bytes=2000)
    path = segments(tmp_path)[-2]
    raw = path.read_bytes().splitlines(keepends=True)
    changed = raw[-1].replace(b'"call_id":"c', b'"call_id":"d')
    assert changed != raw[-1]
    path.write_bytes(b"".join([*raw[:-1], changed]))
    assert segments(tmp_path)[-1].name in await refused(tmp_path)


@pytest.mark.parametrize("which", [0, 1, -2], ids=["first", "middle", "last but one"])
async def test_a_missing_segment_refuses_to_open(tmp_path: Path, which: int) -> None:
    """house: the segment after the hole is not taken for a torn tail."""
    await write_log(tmp_path, 20, segment_bytes=1500)
    missing = segments(tmp_path)[which]
    missing.unlink()
    assert missing.name in await refused(tmp_path)


def test_a_dropped_line_in_the_last_segment_refuses_to_open(tmp_path: Path) -> None:
    """house: a crash tears lines, it does not take one out."""
    raw = link([segment_entry(), ("start", {}), ("stop", {}), ("start", {})])
    (tmp_path / name(0)).write_bytes(b"".join([*raw[:2], *raw[3:]]))
    with pytest.raises(VerificationError):
        recover(tmp_path)
