import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from gateway.core.errors import VerificationError
from gateway.core.merkle import Frontier
from gateway.core.record import encode, leaf_hash
from gateway.evidence.anchoring.anchored import Confirmation, keep
from gateway.evidence.recovery import Recovered, recover
from gateway.evidence.segments import name, segments
from gateway.evidence.signer import add_epoch
from gateway.evidence.tree import NodeFile
from tests.fakes_clock import FakeClock
from tests.unit.evidence.logs import (
    PLAN,
    Tree,
    check_log,
    checkpoints,
    forget_checkpoints,
    keys_of,
    kinds,
    leaves_of,
    objects,
    open_calls_of,
    open_log,
    raw_lines,
    write_log,
)


def recovered(folder: Path) -> Recovered:
    """Recover a log that nobody has open."""
    tree = NodeFile(folder)
    try:
        return recover(folder, tree)
    finally:
        tree.close()


def aside(folder: Path) -> dict[str, bytes]:
    """Return the files of cut bytes."""
    return {path.name: path.read_bytes() for path in folder.glob("torn-*")}


async def reopen(folder: Path) -> list[dict[str, Any]]:
    """Open and close the log; return what the new run recorded between `start` and `stop`."""
    before = len(raw_lines(folder))
    await open_log(folder).close()
    check_log(folder)
    assert open_calls_of(folder) == []
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
    check_log(tmp_path)
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
    forget_checkpoints(tmp_path)
    raw = raw_lines(tmp_path)
    raw[4] = b"\x00" * (len(raw[4]) - 1) + b"\n"
    (tmp_path / name(0)).write_bytes(b"".join(raw))
    await open_log(tmp_path).close()
    assert list(aside(tmp_path).values()) == [b"".join(raw[4:])]
    assert raw_lines(tmp_path)[:4] == raw[:4]
    check_log(tmp_path)


async def test_every_torn_length_of_the_last_record_recovers(tmp_path: Path) -> None:
    """house: whatever a crash left of a line, the log opens and nothing before it is lost."""
    await write_log(tmp_path / "whole", 1)
    raw = raw_lines(tmp_path / "whole")
    for length in range(1, len(raw[-1])):
        folder = tmp_path / str(length)
        folder.mkdir()
        (folder / name(0)).write_bytes(b"".join(raw[:-1]) + raw[-1][:length])
        end = recovered(folder)
        assert end.seq == len(raw) - 1
        assert (folder / name(0)).read_bytes() == b"".join(raw[:-1])
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
    assert await reopen(tmp_path) == []


async def test_an_open_intent_is_found_in_an_earlier_segment(tmp_path: Path) -> None:
    """house: the last segment's first record carries it."""
    log = open_log(tmp_path, segment_bytes=2500)
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
    forget_checkpoints(tmp_path)
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
    check_log(tmp_path)
    assert kinds(tmp_path) == ["segment", "start", *(["gap"] if left else []), "stop"]


async def test_a_cut_whose_record_was_lost_is_told_at_the_next_start(tmp_path: Path) -> None:
    """house: a crash between the cut and its `gap` record hides nothing."""
    await write_log(tmp_path, 1)
    path = tmp_path / name(0)
    good = path.read_bytes()
    path.write_bytes(good + b"torn")
    first = recovered(tmp_path)
    assert path.read_bytes() == good
    assert [name.endswith(".untold") for name in aside(tmp_path)] == [True]
    assert recovered(tmp_path).gaps == first.gaps
    assert [(r["kind"], r["bytes"]) for r in await reopen(tmp_path)] == [("gap", 4)]
    assert [name.endswith(".bin") for name in aside(tmp_path)] == [True]
    assert await reopen(tmp_path) == []


async def test_a_cut_whose_record_is_there_is_not_told_twice(tmp_path: Path) -> None:
    """house: a crash fell between the `gap` record and the new name of the cut bytes."""
    await write_log(tmp_path, 1)
    path = tmp_path / name(0)
    with path.open("ab") as file:
        file.write(b"torn")
    await open_log(tmp_path).close()
    (told,) = aside(tmp_path)
    (tmp_path / told).rename(tmp_path / f"{told}.untold")
    assert await reopen(tmp_path) == []
    assert list(aside(tmp_path)) == [told]


async def test_two_cuts_at_one_place_are_both_kept(tmp_path: Path) -> None:
    """house: the second does not overwrite the first."""
    await write_log(tmp_path, 1)
    path = tmp_path / name(0)
    for tail in (b"first", b"second"):
        with path.open("ab") as file:
            file.write(tail)
        recovered(tmp_path)
    assert sorted(aside(tmp_path).values()) == [b"first", b"second"]
    assert [record["bytes"] for record in await reopen(tmp_path)] == [5, 6]


async def refused(folder: Path, code: str = "evidence_damaged") -> str:
    """Open a log that must be refused and left as it is; return what is said of it."""
    before = {path: path.read_bytes() for path in segments(folder)}
    with pytest.raises(VerificationError) as raised:
        open_log(folder)
    assert {path: path.read_bytes() for path in segments(folder)} == before
    assert aside(folder) == {}
    assert raised.value.reason_code == code
    return raised.value.message


async def test_a_torn_record_that_a_checkpoint_covers_refuses_to_open(tmp_path: Path) -> None:
    """evidence.md §5: what was synced before it was signed for cannot be torn by a crash."""
    await write_log(tmp_path, 2)
    path = tmp_path / name(0)
    raw = raw_lines(tmp_path)
    assert checkpoints(tmp_path)[-1][0] == len(raw)
    path.write_bytes(b"".join(raw)[:-1])
    assert f"line {len(raw)}" in await refused(tmp_path)
    path.write_bytes(b"".join(raw) + b"torn")
    assert [record["bytes"] for record in await reopen(tmp_path)] == [4]


@pytest.mark.parametrize("lost", ["record", "segment", "log"])
async def test_a_log_shorter_than_its_newest_checkpoint_refuses_to_open(
    tmp_path: Path, lost: str
) -> None:
    """house: a rollback, or records that somebody took from the end."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    last = segments(tmp_path)[-1]
    match lost:
        case "record":
            last.write_bytes(b"".join(last.read_bytes().splitlines(keepends=True)[:-1]))
        case "segment":
            last.unlink()
        case _:
            for path in segments(tmp_path):
                path.unlink()
    assert "is missing" in await refused(tmp_path, "records_missing")


async def test_records_other_than_those_signed_for_refuse_to_open(tmp_path: Path) -> None:
    """house: the last record has no successor whose `prev` would show the change."""
    await write_log(tmp_path, 2)
    path = tmp_path / name(0)
    raw = raw_lines(tmp_path)
    changed = raw[-1].replace(b'"monotonic_ns":1', b'"monotonic_ns":2')
    assert changed != raw[-1]
    path.write_bytes(b"".join([*raw[:-1], changed]))
    await refused(tmp_path, "checkpoint_mismatch")
    path.write_bytes(b"".join([*raw[:-1], changed]) + b"torn")
    await refused(tmp_path, "checkpoint_mismatch")


async def test_a_checkpoint_that_cannot_be_read_refuses_to_open(tmp_path: Path) -> None:
    """house: without it nobody knows what was signed for."""
    await write_log(tmp_path, 2)
    (tmp_path / "checkpoints.jsonl").write_bytes(b"{}\n")
    await refused(tmp_path, "checkpoint_malformed")


async def test_damage_in_an_earlier_segment_is_not_found_at_a_start(tmp_path: Path) -> None:
    """house: a start reads the last segment; the verifier reads them all."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    assert len(segments(tmp_path)) > 3
    segments(tmp_path)[1].write_bytes(b"\x00\n")
    await open_log(tmp_path).close()
    assert segments(tmp_path)[1].read_bytes() == b"\x00\n"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda line: line.replace(b'"v":1', b'"v":2'), id="unreadable"),
        pytest.param(lambda line: line.replace(b'"kind":"seal"', b'"kind":"stop"'), id="changed"),
        pytest.param(lambda line: b"", id="dropped"),
        pytest.param(lambda line: line[:-1], id="no newline"),
    ],
)
@pytest.mark.parametrize("torn", [b"", b"torn"], ids=["clean", "torn"])
async def test_damage_in_the_line_before_the_last_segment_refuses_to_open(
    tmp_path: Path, damage: Any, torn: bytes
) -> None:
    """house: it shows in the first line of the last segment, which must not be cut for it."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    before, last = segments(tmp_path)[-2:]
    raw = before.read_bytes().splitlines(keepends=True)
    before.write_bytes(b"".join([*raw[:-1], damage(raw[-1])]))
    last.write_bytes(last.read_bytes() + torn)
    assert last.name in await refused(tmp_path)


@pytest.mark.parametrize("checkpointed", [True, False])
async def test_damage_within_the_last_segment_names_the_line(
    tmp_path: Path, checkpointed: bool
) -> None:
    """house: a line that is not there is no torn tail, whatever was signed for."""
    await write_log(tmp_path, 3)
    if not checkpointed:
        forget_checkpoints(tmp_path)
    path = tmp_path / name(0)
    raw = raw_lines(tmp_path)
    path.write_bytes(b"".join([*raw[:3], *raw[4:]]))
    message = await refused(tmp_path)
    assert path.name in message
    assert "line 4" in message


async def test_a_changed_record_that_still_reads_refuses_to_open(tmp_path: Path) -> None:
    """house: no crash changes a record and keeps it readable; going on would vouch for it."""
    await write_log(tmp_path, 3)
    path = tmp_path / name(0)
    path.write_bytes(path.read_bytes().replace(b'"note":"xx', b'"note":"yx', 1))
    assert "line 4" in await refused(tmp_path)


async def test_a_missing_predecessor_refuses_to_open(tmp_path: Path) -> None:
    """house: the segment after the hole is not taken for a torn tail."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    before, last = segments(tmp_path)[-2:]
    before.unlink()
    assert last.name in await refused(tmp_path)


async def test_a_log_whose_older_segments_were_shipped_away_goes_on(tmp_path: Path) -> None:
    """docs/evidence.md: a segment can be read on from its first line."""
    await write_log(tmp_path / "log", 20, segment_bytes=2500)
    whole = tmp_path / "whole"
    whole.mkdir()
    *older, last = segments(tmp_path / "log")
    for path in older:
        path.rename(whole / path.name)
    await open_log(tmp_path / "log").close()
    for path in older:
        (whole / path.name).rename(path)
    check_log(tmp_path / "log")
    assert kinds(tmp_path / "log")[-2:] == ["start", "stop"]


@pytest.mark.parametrize("kind", [b"stop", b"heartbeat"])
async def test_a_last_segment_that_begins_as_none_does_refuses_to_open(
    tmp_path: Path, kind: bytes
) -> None:
    """house: also where nothing is left before it; the log's key would be anybody's guess."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    forget_checkpoints(tmp_path)
    *older, last = segments(tmp_path)
    for path in older:
        path.unlink()
    first, *_ = last.read_bytes().splitlines(keepends=True)
    last.write_bytes(first.replace(b'"kind":"segment"', b'"kind":"' + kind + b'"'))
    assert "line 1" in await refused(tmp_path)


@pytest.mark.parametrize(
    ("found", "put"),
    [
        pytest.param(b'"frontier":["', b'"frontier":["00', id="a longer hash"),
        pytest.param(b'"frontier":["', b'"frontier":["x', id="no hash"),
        pytest.param(b'"frontier":[', b'"frontier":["' + b"0" * 64 + b'",', id="a hash too many"),
        pytest.param(b'"frontier":', b'"other":', id="no frontier"),
        pytest.param(b'"open_calls":[', b'"open_calls":7,"other":[', id="no calls"),
    ],
)
async def test_a_segment_that_does_not_say_where_it_begins_refuses_to_open(
    tmp_path: Path, found: bytes, put: bytes
) -> None:
    """docs/evidence.md: frontier and open calls; the reader does not go on from a guess."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    forget_checkpoints(tmp_path)
    last = segments(tmp_path)[-1]
    first, *_ = last.read_bytes().splitlines(keepends=True)
    assert found in first
    last.write_bytes(first.replace(found, put))
    assert "line 1" in await refused(tmp_path)


async def test_a_compressed_last_segment_goes_on_in_a_new_one(tmp_path: Path) -> None:
    """house: its successor was torn before its first record."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    *_, sealed, last = segments(tmp_path)
    last.unlink()
    forget_checkpoints(tmp_path)
    raw = sealed.read_bytes()
    packed = sealed.with_name(sealed.name + ".zst")
    # A skippable frame (RFC 8878 §3.1.2) makes the file longer than what it holds.
    skipped = b"\x50\x2a\x4d\x18" + (9999).to_bytes(4, "little") + bytes(9999)
    packed.write_bytes(zstd.compress(raw) + skipped)
    sealed.unlink()
    await open_log(tmp_path).close()
    sealed.write_bytes(raw)
    check_log(tmp_path)
    assert kinds(tmp_path)[-4:] == ["segment", "start", "outcome", "stop"]


async def test_a_compressed_segment_is_never_cut(tmp_path: Path) -> None:
    """house: what is compressed was whole once."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    *_, sealed, last = segments(tmp_path)
    last.unlink()
    forget_checkpoints(tmp_path)
    packed = sealed.with_name(sealed.name + ".zst")
    packed.write_bytes(zstd.compress(sealed.read_bytes()[:-1]))
    sealed.unlink()
    assert packed.name in await refused(tmp_path)


def forged(folder: Path, *entries: tuple[str, dict[str, Any]]) -> None:
    """Append records as somebody without any key can: well linked, in the last segment."""
    last = raw_lines(folder)[-1][:-1]
    seq, prev = json.loads(last)["seq"] + 1, leaf_hash(last)
    with segments(folder)[-1].open("ab") as file:
        for number, (kind, fields) in enumerate(entries):
            line = encode(seq + number, prev, kind, {"time": "t", "monotonic_ns": 1, **fields})
            file.write(line + b"\n")
            prev = leaf_hash(line)


CALL = ("intent", {"call_id": "forged"}), ("outcome", {"call_id": "forged", "status": "done"})


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param(CALL, id="a call"),
        pytest.param((("gap", {}),), id="a gap"),
        pytest.param((("stop", {}),), id="a stop"),
        pytest.param((("segment", {}), *CALL), id="a call after a segment"),
    ],
)
async def test_records_after_a_stop_refuse_to_open(tmp_path: Path, entries: Any) -> None:
    """house: nobody wrote them, and the next checkpoint would sign for them."""
    await write_log(tmp_path, 2)
    forged(tmp_path, *entries)
    assert "follows a stop" in await refused(tmp_path, "record_after_stop")


async def rotated_after_stop(folder: Path) -> Path:
    """Write a log whose second run begins with a rotation; return its last segment."""
    clock = FakeClock()
    await write_log(folder, 2, clock=clock, segment_seconds=60)
    clock.advance(60)
    await open_log(folder, clock=clock, segment_seconds=60).close()
    assert kinds(folder)[-5:] == ["stop", "seal", "segment", "start", "stop"]
    return segments(folder)[-1]


async def test_records_after_a_stop_and_a_rotation_refuse_to_open(tmp_path: Path) -> None:
    """house: a `seal` and a `segment` that anybody can write do not end the wait for a start."""
    last = await rotated_after_stop(tmp_path)
    forget_checkpoints(tmp_path)
    last.write_bytes(last.read_bytes().splitlines(keepends=True)[0])
    forged(tmp_path, *CALL)
    assert "follows a stop" in await refused(tmp_path, "record_after_stop")


@pytest.mark.parametrize("left", [1, 2], ids=["segment", "start"])
async def test_a_crash_within_a_start_that_rotates_goes_on(tmp_path: Path, left: int) -> None:
    """house: after a stop, its `seal` and a `segment`, the next run brings the start."""
    last = await rotated_after_stop(tmp_path)
    forget_checkpoints(tmp_path)
    last.write_bytes(b"".join(last.read_bytes().splitlines(keepends=True)[:left]))
    assert await reopen(tmp_path) == []


async def test_a_crash_between_a_seal_after_a_stop_and_its_segment_goes_on(tmp_path: Path) -> None:
    """house: the wait for a start outlives the segment."""
    (await rotated_after_stop(tmp_path)).unlink()
    forget_checkpoints(tmp_path)
    assert await reopen(tmp_path) == []


async def test_a_record_after_a_seal_refuses_to_open(tmp_path: Path) -> None:
    """house: nothing is written into a sealed segment."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    segments(tmp_path)[-1].unlink()
    forget_checkpoints(tmp_path)
    forged(tmp_path, *CALL)
    assert "follows the seal" in await refused(tmp_path, "segment_mismatch")


async def test_a_segment_after_one_that_was_not_sealed_refuses_to_open(tmp_path: Path) -> None:
    """house: else a record put after a `stop` would only have to begin a segment."""
    await write_log(tmp_path, 2)
    last = raw_lines(tmp_path)[-1][:-1]
    seq, begins = json.loads(last)["seq"] + 1, objects(tmp_path)[0]
    begins |= {"first_seq": seq, "frontier": Tree(leaves_of(tmp_path)).peaks(seq)}
    del begins["seq"], begins["prev"], begins["kind"], begins["v"]
    line = encode(seq, leaf_hash(last), "segment", begins)
    (tmp_path / name(seq)).write_bytes(line + b"\n")
    assert "line 1" in await refused(tmp_path)


async def test_damage_before_the_last_segment_never_passes_for_a_torn_line(tmp_path: Path) -> None:
    """house: also where no checkpoint covers it."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    forget_checkpoints(tmp_path)
    before = segments(tmp_path)[-2]
    before.write_bytes(before.read_bytes()[:-1])
    assert "line 1" in await refused(tmp_path)


def starts(folder: Path) -> list[Any]:
    """Return what each start says that it took over."""
    return [record["adopted"] for record in objects(folder) if record["kind"] == "start"]


async def test_a_start_names_the_records_that_nobody_signed_for(tmp_path: Path) -> None:
    """house: after a crash; those after the newest checkpoint, and none if it covers them all."""
    await write_log(tmp_path, 1)
    signed = len(raw_lines(tmp_path))
    await write_log(tmp_path, 1)
    path = tmp_path / "checkpoints.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    end = len(raw_lines(tmp_path))
    await write_log(tmp_path, 1)
    assert starts(tmp_path) == [None, None, {"from": signed, "to": end}]


async def test_forged_records_that_end_with_a_stop_are_named_too(tmp_path: Path) -> None:
    """house: a start and a stop around them are as easily forged."""
    await write_log(tmp_path, 1)
    signed = len(raw_lines(tmp_path))
    forged(tmp_path, ("start", {"adopted": None}), *CALL, ("stop", {}))
    await open_log(tmp_path).close()
    assert starts(tmp_path)[-1] == {"from": signed, "to": signed + 4}


def confirm(folder: Path, note: str, size: int) -> None:
    """Keep what an anchor confirmed."""
    keep(folder, Confirmation("a", size, "2026-11-24T09:00:00.000000Z", note))


async def test_a_log_shorter_than_what_an_anchor_confirmed_refuses_to_open(tmp_path: Path) -> None:
    """house: whoever cuts the log deletes its checkpoints too."""
    await write_log(tmp_path, 2)
    (size, _, _, note) = checkpoints(tmp_path)[-1]
    confirm(tmp_path, note, size)
    forget_checkpoints(tmp_path)
    path = tmp_path / name(0)
    path.write_bytes(b"".join(raw_lines(tmp_path)[:-1]))
    assert "is missing" in await refused(tmp_path, "records_missing")


@pytest.mark.parametrize("cut", [0, 1])
async def test_a_checkpoint_that_another_key_signed_refuses_to_open(
    tmp_path: Path, cut: int
) -> None:
    """house: nobody else may say what the log holds, be it true or not."""
    await write_log(tmp_path / "log", 2)
    (size, *_) = checkpoints(tmp_path / "log")[-1]
    frontier = Frontier()
    for leaf in leaves_of(tmp_path / "log")[: size - cut]:
        frontier.append(leaf)
    note = keys_of(tmp_path / "other").signer(PLAN.origin, 1)
    line = json.dumps({"note": note.checkpoint(size - cut, frontier.root()), "size": size - cut})
    (tmp_path / "log" / "checkpoints.jsonl").write_text(line + "\n")
    await refused(tmp_path / "log", "checkpoint_signature")


async def test_what_another_key_signed_in_the_name_of_an_anchor_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """house: anchors' confirmations are an index; a foreign or broken line stops no start."""
    log = tmp_path / "log"
    await write_log(log, 2)
    other = keys_of(tmp_path / "other").signer(PLAN.origin, 1)
    confirm(log, other.checkpoint(1000, bytes(32)), 1000)
    with (log / "anchored.jsonl").open("ab") as file:
        file.write(b"\x00\x00\n")
    await open_log(log).close()
    check_log(log)
    assert starts(log) == [None, None]
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 2


@pytest.mark.parametrize("segment_bytes", [2500, 10**6])
async def test_a_checkpoint_of_an_epoch_that_is_over_still_counts(
    tmp_path: Path, segment_bytes: int
) -> None:
    """house: signed by the key that the log names at that size; a crash took the newer ones."""
    log = tmp_path / "log"
    await write_log(log, 20, segment_bytes=segment_bytes)
    (signed, *_) = checkpoints(log)[-1]
    add_epoch(tmp_path / "log.keys")
    await write_log(log, 20, segment_bytes=segment_bytes)
    path = log / "checkpoints.jsonl"
    kept = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(row for row in kept if json.loads(row)["size"] <= signed))
    end = len(raw_lines(log))
    await open_log(log).close()
    assert starts(log)[-1] == {"from": signed, "to": end}
    check_log(log)


async def test_a_retired_key_cannot_sign_for_what_came_after_it(tmp_path: Path) -> None:
    """house: a thief of the old key says nothing about newer records."""
    log = tmp_path / "log"
    await write_log(log, 2)
    old = keys_of(log).signer(PLAN.origin, 1)
    add_epoch(tmp_path / "log.keys")
    await write_log(log, 2)
    with (log / "checkpoints.jsonl").open("a") as file:
        file.write(json.dumps({"size": 1000, "note": old.checkpoint(1000, bytes(32))}) + "\n")
    await refused(log, "checkpoint_signature")
