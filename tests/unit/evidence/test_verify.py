import ast
import fcntl
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PosixPath
from typing import Any

import pytest

from gateway import evidence
from gateway.core.note import VerifierKey
from gateway.core.record import Receipt, leaf_hash
from gateway.evidence.report import Fault, Report
from gateway.evidence.segments import name, segments
from gateway.evidence.verify import PROGRESS_EVERY, Trust, verify
from tests.unit.evidence.forge import Forge, Key, sample
from tests.unit.evidence.logs import link, open_log, raw_lines, segment_entry, write_log

Entries = list[tuple[str, dict[str, Any]]]


def store(folder: Path, raw: list[bytes]) -> None:
    """Make a log of one segment with these raw lines."""
    (folder / name(0)).write_bytes(b"".join(raw))


def where(report: Report) -> tuple[str, int, str, int]:
    """Return code, seq, segment and line of the fault."""
    assert isinstance(report.fault, Fault)
    return report.fault.code, report.fault.seq, report.fault.segment, report.fault.line


async def test_a_good_log_is_reported_as_what_it_holds(tmp_path: Path) -> None:
    """house: counts, head, and no more than can be said without a checkpoint."""
    await write_log(tmp_path, 3)
    log = open_log(tmp_path)
    await log.append("refusal", {"call_id": "r"})
    await log.append("intent", {"call_id": "open"})
    await log.close()
    await open_log(tmp_path).close()
    log = open_log(tmp_path)
    await log.append("intent", {"call_id": "still open"})
    report = verify(tmp_path)
    await log.close()
    raw = raw_lines(tmp_path)[: report.records]
    assert (report.records, report.segments) == (18, 1)
    assert (report.calls, report.outcomes, report.refusals) == (5, 4, 1)
    assert (report.orphaned, report.open_intents) == (1, 1)
    assert report.head == Receipt(17, leaf_hash(raw[-1][:-1]))
    assert report.key.startswith(f"{report.origin}+")
    assert report.sound
    assert report.verdict == "valid prefix, end unproven"


def test_nothing_in_the_folder_is_changed(tmp_path: Path) -> None:
    """house: an auditor leaves no trace, torn tail or not."""
    store(tmp_path, [*link([segment_entry(), ("start", {})]), b"torn"])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    verify(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_progress_is_told(tmp_path: Path) -> None:
    """house: a long check says that it is alive."""
    forge = Forge()
    forge.segment()
    forge.start()
    for _ in range(2 * PROGRESS_EVERY):
        forge.add("refusal")
    forge.store(tmp_path)
    told: list[int] = []
    assert verify(tmp_path, told.append).sound
    assert told == [PROGRESS_EVERY, 2 * PROGRESS_EVERY]


# Step 1: segments.


def test_a_folder_without_segments_is_no_log(tmp_path: Path) -> None:
    """house: nothing there is not the same as nothing wrong."""
    report = verify(tmp_path)
    assert where(report) == ("segment_missing", 0, name(0), 0)
    assert (report.records, report.head) == (0, None)


@pytest.mark.parametrize("which", [0, 1, -2], ids=["first", "middle", "last but one"])
async def test_a_missing_segment_is_named(tmp_path: Path, which: int) -> None:
    """house: the names alone show the hole."""
    await write_log(tmp_path, 20, segment_bytes=1500)
    missing = segments(tmp_path)[which]
    missing.unlink()
    code, seq, segment, line = where(verify(tmp_path))
    assert (code, segment, line) == ("segment_missing", missing.name, 0)
    assert name(seq) == missing.name


async def test_swapped_segments_are_found(tmp_path: Path) -> None:
    """house: a segment under another's name is not believed."""
    await write_log(tmp_path, 20, segment_bytes=1500)
    first, second = segments(tmp_path)[1:3]
    text = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(text)
    code, _, segment, line = where(verify(tmp_path))
    assert (code, segment, line) == ("seq_broken", first.name, 1)


@pytest.mark.parametrize("empty", [1, -1], ids=["middle", "last"])
async def test_an_empty_segment_is_found(tmp_path: Path, empty: int) -> None:
    """house: torn if it is the last, as after a crash; damaged elsewhere."""
    await write_log(tmp_path, 20, segment_bytes=1500)
    path = segments(tmp_path)[empty]
    path.write_bytes(b"")
    (tmp_path / "checkpoints.jsonl").unlink()
    code, _, segment, line = where(verify(tmp_path))
    assert (segment, line) == (path.name, 1)
    assert code == ("torn_tail" if empty == -1 else "record_damaged")


# Step 2: lines.


@pytest.mark.parametrize("kept", [1, 40, -1], ids=["one byte", "part", "all but the newline"])
async def test_a_truncated_last_line_is_a_torn_tail(tmp_path: Path, kept: int) -> None:
    """house: what a crash leaves is told apart from damage."""
    await write_log(tmp_path, 2)
    raw = raw_lines(tmp_path)
    store(tmp_path, [*raw[:-1], raw[-1][:kept]])
    # No crash tears what a checkpoint covers: it was synced before that was signed.
    assert where(verify(tmp_path))[:2] == ("record_damaged", len(raw) - 1)
    (tmp_path / "checkpoints.jsonl").unlink()
    report = verify(tmp_path)
    assert where(report) == ("torn_tail", len(raw) - 1, name(0), len(raw))
    assert report.records == len(raw) - 1


async def test_a_line_without_newline_in_an_earlier_segment_is_damage(tmp_path: Path) -> None:
    """house: only the last segment can be torn."""
    await write_log(tmp_path, 20, segment_bytes=1500)
    path = segments(tmp_path)[1]
    path.write_bytes(path.read_bytes()[:-1])
    code, _, segment, line = where(verify(tmp_path))
    assert (code, segment) == ("record_damaged", path.name)
    assert line == path.read_bytes().count(b"\n") + 1


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(lambda line: b"\x00" * 100, id="NULs"),
        pytest.param(lambda line: b"", id="empty line"),
        pytest.param(lambda line: line + line, id="two records on one line"),
        pytest.param(lambda line: line.replace(b'"v":1', b'"v":1,"v":1'), id="duplicate key"),
        pytest.param(lambda line: line.replace(b'"v":1', b'"v":2'), id="other version"),
        pytest.param(lambda line: line.replace(b'"intent"', b'"gossip"'), id="unknown kind"),
        pytest.param(lambda line: line.replace(b"xxx", b"x\xffx"), id="not UTF-8"),
        pytest.param(lambda line: b"\xef\xbb\xbf" + line, id="byte order mark"),
        pytest.param(lambda line: b"[" + line + b"]", id="array"),
    ],
)
async def test_a_line_that_is_no_record_is_named(
    tmp_path: Path, bad: Callable[[bytes], bytes]
) -> None:
    """house: read strictly or not at all."""
    await write_log(tmp_path, 3)
    raw = raw_lines(tmp_path)
    store(tmp_path, [*raw[:4], bad(raw[4][:-1]) + b"\n", *raw[5:]])
    assert where(verify(tmp_path)) == ("record_damaged", 4, name(0), 5)


async def test_carriage_returns_do_not_pass(tmp_path: Path) -> None:
    """house: a log that went through a text tool is not the log that was written."""
    await write_log(tmp_path, 3)
    raw = raw_lines(tmp_path)
    store(tmp_path, [line[:-1] + b"\r\n" for line in raw])
    assert where(verify(tmp_path))[0] == "record_damaged"


# Step 3: seq.


async def test_a_dropped_line_is_named(tmp_path: Path) -> None:
    """house: the seq that is missing, and the line where it should be."""
    await write_log(tmp_path, 3)
    raw = raw_lines(tmp_path)
    store(tmp_path, raw[:4] + raw[5:])
    assert where(verify(tmp_path)) == ("seq_broken", 4, name(0), 5)


async def test_swapped_lines_are_named(tmp_path: Path) -> None:
    """house: the first line that is out of its place."""
    await write_log(tmp_path, 3)
    raw = raw_lines(tmp_path)
    store(tmp_path, [*raw[:4], raw[5], raw[4], *raw[6:]])
    assert where(verify(tmp_path)) == ("seq_broken", 4, name(0), 5)


async def test_a_repeated_line_is_named(tmp_path: Path) -> None:
    """house: no record counts twice."""
    await write_log(tmp_path, 3)
    raw = raw_lines(tmp_path)
    store(tmp_path, [*raw[:5], raw[4], *raw[5:]])
    assert where(verify(tmp_path)) == ("seq_broken", 5, name(0), 6)


# Step 4: prev.


async def test_a_flipped_bit_anywhere_in_a_record_names_that_record(tmp_path: Path) -> None:
    """house: each byte of a record in the middle, flipped in turn, its newline included."""
    await write_log(tmp_path, 3)
    raw = raw_lines(tmp_path)
    for place in range(len(raw[4])):
        line = bytearray(raw[4])
        line[place] ^= 1
        store(tmp_path, [*raw[:4], bytes(line), *raw[5:]])
        _, seq, segment, number = where(verify(tmp_path))
        assert (seq, segment, number) == (4, name(0), 5), f"byte {place}"


async def test_a_changed_record_at_the_end_of_a_segment_is_named_there(tmp_path: Path) -> None:
    """house: it shows in the next segment, and is named in its own."""
    await write_log(tmp_path, 20, segment_bytes=1500)
    path = segments(tmp_path)[1]
    raw = path.read_bytes().split(b"\n")
    raw[-2] = raw[-2].replace(b'"time":"2026', b'"time":"2025')
    path.write_bytes(b"\n".join(raw))
    code, seq, segment, line = where(verify(tmp_path))
    assert (code, segment, line) == ("record_damaged", path.name, len(raw) - 1)
    assert f'"seq":{seq},'.encode() in raw[-2]


@pytest.mark.parametrize("at_end", [False, True], ids=["inside", "last of its segment"])
async def test_a_changed_prev_names_its_own_record(tmp_path: Path, at_end: bool) -> None:
    """house: the record after it tells which of the two was changed, also across segments."""
    await write_log(tmp_path, 20, segment_bytes=1500)
    path = segments(tmp_path)[1]
    raw = path.read_bytes().split(b"\n")
    index = len(raw) - 2 if at_end else 2
    raw[index] = raw[index].replace(b"sha256:", b"sha257:", 1)
    path.write_bytes(b"\n".join(raw))
    code, seq, segment, line = where(verify(tmp_path))
    assert (code, segment, line) == ("record_damaged", path.name, index + 1)
    assert f'"seq":{seq},'.encode() in raw[index]


def test_a_first_record_that_follows_something_is_damaged(tmp_path: Path) -> None:
    """house: a log begins from nothing."""
    forge = Forge(changes={0: lambda record: record.update(prev="sha256:" + "1" * 64)})
    forge.segment()
    forge.start()
    forge.store(tmp_path)
    assert where(verify(tmp_path)) == ("record_damaged", 0, name(0), 1)


async def test_a_changed_last_record_is_why_the_end_is_unproven(tmp_path: Path) -> None:
    """house: nothing follows it that could contradict it, and the report claims nothing of it."""
    await write_log(tmp_path, 1)
    raw = raw_lines(tmp_path)
    store(tmp_path, [*raw[:-1], raw[-1].replace(b"2026", b"2025")])
    (tmp_path / "checkpoints.jsonl").unlink()
    assert verify(tmp_path).verdict == "valid prefix, end unproven"


# Steps 5 and 7: what records say; lies about segments, seals and keys are in test_mutations.py.


@pytest.mark.parametrize(
    ("entries", "code", "seq"),
    [
        pytest.param(
            [("outcome", {"call_id": "a"})], "outcome_without_intent", 2, id="outcome alone"
        ),
        pytest.param(
            [
                ("intent", {"call_id": "a"}),
                ("outcome", {"call_id": "a"}),
                ("outcome", {"call_id": "a"}),
            ],
            "outcome_without_intent",
            4,
            id="second outcome",
        ),
        pytest.param(
            [("intent", {"call_id": "a"}), ("intent", {"call_id": "a"})],
            "intent_repeated",
            3,
            id="second intent",
        ),
        pytest.param([("intent", {})], "call_id_missing", 2, id="no call_id"),
        pytest.param(
            [("outcome", {"call_id": ["a"]})], "call_id_missing", 2, id="call_id is no text"
        ),
        pytest.param([("segment", {})], "segment_mismatch", 2, id="segment record inside"),
        pytest.param([("archive", {})], "archive_malformed", 2, id="archive of nothing"),
        pytest.param(
            [("archive", {"segment": name(0), "action": "shipped"})],
            "archive_malformed",
            2,
            id="archive without digest",
        ),
    ],
)
def test_well_linked_records_must_also_agree(
    tmp_path: Path, entries: Entries, code: str, seq: int
) -> None:
    """house: one bad log a rule, its chain whole."""
    forge = Forge()
    forge.segment()
    forge.start()
    for kind, fields in entries:
        forge.add(kind, **fields)
    forge.store(tmp_path)
    assert where(verify(tmp_path)) == (code, seq, name(0), seq + 1)


def test_a_log_must_begin_with_a_segment_record(tmp_path: Path) -> None:
    """house: the first line of each segment says where it stands."""
    store(tmp_path, link([("start", {})]))
    assert where(verify(tmp_path)) == ("segment_mismatch", 0, name(0), 1)


def test_the_record_with_the_fault_is_not_counted(tmp_path: Path) -> None:
    """house: the report is of the valid prefix."""
    forge = Forge()
    forge.segment()
    forge.start()
    forge.add("intent", call_id="a")
    forge.add("outcome")
    forge.store(tmp_path)
    report = verify(tmp_path)
    assert (report.records, report.outcomes, report.open_intents) == (3, 0, 1)
    assert report.head is not None and report.head.seq == 2
    assert (report.sound, report.verdict) == (False, "faulty")


# Several segments at a time.


@pytest.mark.parametrize("faulty", [False, True])
def test_several_processes_find_what_one_finds(tmp_path: Path, faulty: bool) -> None:
    """house: every claim of a segment is compared with what the one before it came to."""
    forge = sample(4)
    forge.store(tmp_path)
    if faulty:
        path = forge.path(tmp_path, forge.starts[2])
        path.write_bytes(path.read_bytes().replace(b"c2-1", b"c2-9"))
    one, two = verify(tmp_path, workers=1), verify(tmp_path, workers=2)
    assert (one, one.sound) == (two, not faulty)


@pytest.mark.parametrize("faulty", [False, True])
def test_a_log_across_segments_keeps_its_open_calls(tmp_path: Path, faulty: bool) -> None:
    """house: a call may end in a later segment."""
    forge = Forge()
    forge.segment()
    forge.start()
    forge.add("intent", call_id="long")
    forge.seal()
    seq = forge.segment(open_calls=[] if faulty else ["long"])
    forge.add("outcome", call_id="long")
    forge.store(tmp_path)
    report = verify(tmp_path)
    if faulty:
        assert where(report) == ("segment_mismatch", seq, name(seq), 1)
    else:
        assert (report.fault, report.open_intents) == (None, 0)


# What is told and is no fault.


def told(forge: Forge, folder: Path) -> list[tuple[str, int]]:
    """Store a log; return the notices about times."""
    forge.store(folder)
    report = verify(folder)
    assert report.sound
    codes = ("clock_step", "silence", "time_unreadable")
    return [(notice.code, notice.seq) for notice in report.notes if notice.code in codes]


@pytest.mark.parametrize("own_segment", [False, True], ids=["within", "across segments"])
def test_a_silence_is_told(tmp_path: Path, own_segment: bool) -> None:
    """house: nothing for more than two heartbeats."""
    forge = Forge()
    forge.segment()
    forge.start(heartbeat_seconds=10)
    forge.now_ns += 19_000_000_000
    forge.call("in time")
    if own_segment:
        forge.seal()
        forge.segment()
    forge.now_ns += 21_000_000_000
    forge.call("late")
    assert told(forge, tmp_path) == [("silence", 6 if own_segment else 4)]


def test_the_time_between_two_runs_is_no_silence(tmp_path: Path) -> None:
    """house: monotonic times compare within one run only."""
    forge = Forge()
    forge.segment()
    forge.start(heartbeat_seconds=10)
    forge.now_ns += 100_000_000_000
    forge.start(heartbeat_seconds=10)
    assert told(forge, tmp_path) == []


def test_a_run_that_begins_before_the_one_before_it_is_told(tmp_path: Path) -> None:
    """house: somebody set the clock between two runs."""
    forge = Forge()
    forge.segment()
    forge.start()
    forge.seal()
    forge.segment()
    forge.now_ns -= 2_000_000_000 - 500_000_000
    seq = forge.start()
    assert told(forge, tmp_path) == [("clock_step", seq)]


def test_a_record_without_a_time_is_told(tmp_path: Path) -> None:
    """house: every record has both times."""
    forge = Forge(changes={2: lambda record: record.update(monotonic_ns=1.5)})
    forge.segment()
    forge.start()
    forge.call("a")
    assert told(forge, tmp_path) == [("time_unreadable", 2)]


def test_what_no_checkpoint_covers_is_told(tmp_path: Path) -> None:
    """house: a report claims no more than it can."""
    forge = sample(1)
    forge.add("start", heartbeat_seconds=60)
    forge.add("intent", call_id="open")
    forge.store(tmp_path)
    notes = {notice.code: notice.seq for notice in verify(tmp_path).notes}
    assert notes == {
        "open_intents": forge.seq,
        "key_unproven": 0,
        "records_uncovered": forge.seq - 2,
        "records_unanchored": 0,
    }


def test_a_pinned_key_that_signed_makes_a_log_trusted(tmp_path: Path) -> None:
    """house: else the log names its own key."""
    forge = sample(1)
    forge.store(tmp_path)
    pinned = Trust(keys=(VerifierKey.parse(forge.key.vkey()),))
    assert (verify(tmp_path, trust=pinned).trusted, verify(tmp_path).trusted) == (True, False)


def test_anchors_may_keep_notes_as_they_are(tmp_path: Path) -> None:
    """C2SP signed-note: one behind another, or a JSON object a line."""
    forge = sample(1)
    forge.store(tmp_path)
    anchor = tmp_path / "anchor.txt"
    anchor.write_text(forge.note(3) + forge.note(5) + f'{{"note":{json.dumps(forge.note(7))}}}\n')
    report = verify(tmp_path, trust=Trust(anchors=(anchor,)))
    assert (report.checkpoints, report.anchored_size) == (4, 7)
    assert report.verdict == "whole up to record 6 (anchored)"


def test_an_unfinished_last_checkpoint_is_told(tmp_path: Path) -> None:
    """house: it may be being written, and recovery cuts it."""
    forge = sample(1)
    forge.store(tmp_path)
    path = tmp_path / "checkpoints.jsonl"
    path.write_bytes(path.read_bytes() + b'{"size":')
    report = verify(tmp_path)
    assert (report.verdict, "checkpoint_torn" in {n.code for n in report.notes}) == ("closed", True)


@pytest.mark.parametrize("line", ["{}", "x", '{"note":"x"}', '{"note":7}', "[]"])
def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    """house: the file, and the first record that no sound checkpoint covers."""
    forge = sample(1)
    forge.heads.append(line)
    forge.store(tmp_path)
    report = verify(tmp_path)
    assert where(report) == ("checkpoint_malformed", forge.seq, "checkpoints.jsonl", 2)


def test_a_checkpoint_line_that_names_another_size_is_named(tmp_path: Path) -> None:
    """house: whoever reads the line's size must read that of the note."""
    forge = sample(1)
    forge.heads.append(json.dumps({"size": forge.seq + 1, "note": forge.note()}))
    forge.store(tmp_path)
    assert where(verify(tmp_path))[:2] == ("checkpoint_malformed", forge.seq)


async def test_lines_with_unicode_separators_are_one_record_each(tmp_path: Path) -> None:
    """house: U+2028, U+2029 and U+0085 stand raw in a line and end none."""
    log = open_log(tmp_path)
    await log.append("intent", {"call_id": "a", "text": "x\u2028y\u2029z\u0085\x0b\x0c"})
    await log.append("outcome", {"call_id": "a"})
    await log.close()
    assert "\u2028".encode() in (tmp_path / name(0)).read_bytes()
    report = verify(tmp_path)
    assert (report.fault, report.records) == (None, 5)


# A log that is being written.


@pytest.fixture
def written(tmp_path: Path) -> Iterator[None]:
    """Hold the log as its writer does."""
    with (tmp_path / "writer.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def unfinished(folder: Path, *, signed: bool) -> Forge:
    """Store a log whose last line lacks its end; a checkpoint may cover it."""
    forge = sample(2, closed=False)
    forge.add("refusal", call_id="r")
    if signed:
        forge.checkpoint()
    forge.store(folder)
    path = forge.path(folder, forge.starts[-1])
    path.write_bytes(path.read_bytes()[:-9])
    return forge


@pytest.mark.usefixtures("written")
def test_a_line_that_is_being_written_is_told(tmp_path: Path) -> None:
    """house: a writer holds the lock, so that is no torn end."""
    forge = unfinished(tmp_path, signed=False)
    report = verify(tmp_path)
    assert (report.fault, report.records) == (None, forge.seq - 1)
    assert [n.seq for n in report.notes if n.code == "still_written"] == [forge.seq - 1]


@pytest.mark.usefixtures("written")
def test_a_line_that_is_being_written_hides_nothing(tmp_path: Path) -> None:
    """house: what a checkpoint covers was written; the rest of the check is still taken."""
    forge = unfinished(tmp_path, signed=True)
    assert where(verify(tmp_path))[:2] == ("record_damaged", forge.seq - 1)
    unfinished(tmp_path, signed=False)
    (tmp_path / "checkpoints.jsonl").unlink()
    other = Trust(keys=(VerifierKey.parse(Key(9).vkey()),))
    assert where(verify(tmp_path, trust=other))[0] == "key_unknown"


def test_a_lock_that_nobody_holds_excuses_nothing(tmp_path: Path) -> None:
    """flock(2): a crash lets go of it and leaves the file."""
    forge = unfinished(tmp_path, signed=False)
    (tmp_path / "writer.lock").touch()
    assert where(verify(tmp_path))[:2] == ("torn_tail", forge.seq - 1)


def test_the_lock_is_let_go(tmp_path: Path) -> None:
    """house: a verification keeps no writer out."""
    sample().store(tmp_path)
    with (tmp_path / "writer.lock").open("w") as lock:
        verify(tmp_path)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def shrinking(folder: Path) -> tuple[Forge, Callable[[int], None]]:
    """Store a log, and return how its first two segments go while the first is read."""
    forge = Forge()
    forge.segment()
    forge.start()
    for _ in range(PROGRESS_EVERY):
        forge.add("refusal")
    for number in range(2):
        forge.seal()
        forge.segment()
        forge.delete(forge.starts[number], forge.starts[number + 1])
    forge.checkpoint()
    forge.store(folder)

    def shrink(_: int) -> None:
        for begin in forge.starts[:2]:
            forge.path(folder, begin).unlink(missing_ok=True)

    return forge, shrink


def test_segments_deleted_while_they_are_read_are_no_fault(tmp_path: Path) -> None:
    """house: they are listed again, and the log says that it deleted them."""
    forge, shrink = shrinking(tmp_path)
    report = verify(tmp_path, shrink, workers=1)
    assert (report.fault, report.first) == (None, forge.starts[2])


@pytest.mark.usefixtures("written")
def test_a_blob_deleted_while_the_log_is_read_is_no_fault(tmp_path: Path) -> None:
    """house: the checkpoint that covers its deletion may be younger than the first look."""
    forge = Forge()
    forge.segment()
    forge.start()
    forge.add("refusal", blob={"digest": "sha256:" + "0" * 64})
    for _ in range(PROGRESS_EVERY):
        forge.add("refusal")
    forge.seal()
    forge.segment()
    forge.delete(0, forge.starts[1])
    forge.store(tmp_path)

    def sign(_: int) -> None:
        forge.heads.clear()
        forge.checkpoint()
        forge.store(tmp_path)

    assert verify(tmp_path, sign, workers=1).sound


class Growing(PosixPath):
    """A file elsewhere; the log in `log` goes on, with another segment, when it is opened."""

    def open(self, *args: Any, **options: Any) -> Any:
        """Let the log grow, then open."""
        forge, log = sample(3), Path(self.parent) / "log"
        if not forge.path(log, forge.starts[2]).exists():
            forge.store(log)
        return super().open(*args, **options)


def test_a_log_that_goes_on_while_checkpoints_are_read_is_no_fault(tmp_path: Path) -> None:
    """house: what a checkpoint covers was there before it, so it is looked for afterwards."""
    folder, anchor = tmp_path / "log", Growing(tmp_path / "anchor.txt")
    forge = sample(2, closed=False)
    del forge.heads[1:]  # Checkpoints are only added, never changed.
    forge.store(folder)
    Path(anchor).write_text(sample(3).note())
    report = verify(folder, trust=Trust(anchors=(anchor,)))
    assert (report.fault, report.segments) == (None, 3)


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    plain = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    return plain | {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}


def test_the_verifier_stands_on_core_alone() -> None:
    """house: an auditor trusts core, the standard library and short files that only read."""
    folder, todo, seen = Path(evidence.__file__).parent, ["verify"], {"verify"}
    while todo:
        for module in imports_of(folder / f"{todo.pop().replace('.', '/')}.py"):
            room = module.removeprefix("gateway.evidence.")
            if room != module:
                todo += {room} - seen
                seen.add(room)
            else:
                assert module.startswith("gateway.core.") or module.split(".")[0] in (
                    sys.stdlib_module_names | {"backports"}
                )
    assert {room for room in seen if not room.startswith("audit.")} == {
        "verify",
        "report",
        "segments",
        "chain",
    }
