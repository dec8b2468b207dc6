"""The parts of the verifier by themselves: bounds on times, the index of checkpoints, files."""

import json
import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core.errors import VerificationError
from gateway.core.note import VerifierKey
from gateway.evidence.audit.clock import Clock
from gateway.evidence.audit.fault import Faulty
from gateway.evidence.audit.files import check_archive, check_blob
from gateway.evidence.audit.heads import Checker
from gateway.evidence.audit.index import ANCHOR, MAX_LINE_BYTES, Index, Source, Trust, index
from gateway.evidence.report import Fault
from tests.unit.evidence.forge import ORIGIN, Forge, Key, blob_path, root, sample

SKEW, LATER = 300, 400 * 86_400
WITNESS = Key(9, "witness.example")
OTHER = Key(8, "other.example")


def made_at(forge: Forge, seq: int) -> float:
    """Return the time that a record bears, POSIX; the forge's clock counts in tenths."""
    record = json.loads(forge.lines[seq])
    return 1_795_510_800 + record["monotonic_ns"] / 1e9


def stamped(time: str) -> Callable[[dict[str, object]], None]:
    """Return a change of a record's time."""
    return lambda record: record.update(time=time)


def signed(forge: Forge, size: int, seconds: int, witness: Key = WITNESS) -> str:
    """Return a checkpoint with a witness's signature of that time."""
    note = forge.note(size)
    return note + witness.cosign(note.partition("\n\n")[0] + "\n", seconds)


def faulted(forge: Forge, notes: dict[int, list[str]]) -> tuple[str, int] | None:
    """Return code and seq of the fault of a log whose checkpoints are those; segment by segment."""
    keys = [VerifierKey.parse(key.vkey(4)) for key in (WITNESS, OTHER)]
    key = VerifierKey.parse(forge.key.vkey())
    before: Clock | None = None
    try:
        for begin, end in zip(forge.starts, [*forge.starts[1:], forge.seq], strict=True):
            clock = Clock()
            sources = [Source(ANCHOR, "a", None, note) for each in notes.values() for note in each]
            checker = Checker(sources, keys, clock)
            for seq in range(begin, end + 1):
                for number, source in enumerate(sources):
                    if seq > begin and source.text in notes.get(seq, []):
                        top = root(forge.leaves(seq))
                        checker.check((seq, number, 0, 0), ORIGIN, key, top)
                if begin < seq < end:
                    record = json.loads(forge.lines[seq])
                    (clock.start if record["kind"] == "start" else clock.follow)(seq, record)
            if before is not None:
                clock.join(before)
            before = clock
    except Faulty as exc:
        return exc.fault.code, exc.fault.seq
    return None


def test_a_witness_of_about_the_same_time_agrees() -> None:
    """House: clocks differ, and a signature takes its time."""
    forge = sample()
    for skew in (1 - SKEW, 0, SKEW - 1):
        now = int(made_at(forge, 19)) + skew
        assert faulted(forge, {20: [signed(forge, 20, now)]}) is None


def test_records_younger_than_the_signature_over_them_are_a_fault() -> None:
    """C2SP tlog-cosignature: the witness saw this checkpoint at that time."""
    forge = sample()
    now = int(made_at(forge, 19))
    for early in (SKEW + 1, LATER):
        note = signed(forge, 20, now - early)
        assert faulted(forge, {20: [note]}) == ("time_after_witness", 19)


def test_records_older_than_the_signature_before_them_are_a_fault() -> None:
    """House: anchors are given the newest checkpoint, so what it lacks is younger."""
    forge = sample(1)
    now = int(made_at(forge, 4))
    for late in (SKEW + 2, LATER):
        assert faulted(forge, {5: [signed(forge, 5, now + late)]}) == ("backdated", 5)
    assert faulted(forge, {5: [signed(forge, 5, now + SKEW - 2)]}) is None


def test_one_backdated_record_is_found_further_on() -> None:
    """House: not only the record next to the checkpoint can lie."""
    forge = sample(1, changes={8: stamped("2026-11-24T00:00:00.000000Z")})
    now = int(made_at(forge, 4))
    assert faulted(forge, {5: [signed(forge, 5, now)]}) == ("backdated", 8)
    assert faulted(forge, {5: [forge.note(5)]}) is None


def test_a_signature_reaches_into_the_next_segment() -> None:
    """House: segments are checked side by side, and their times put together afterwards."""
    forge = sample()
    first, second = forge.starts[1:]
    late = int(made_at(forge, first - 1)) + LATER
    assert faulted(forge, {first: [signed(forge, first, late)]}) == ("backdated", first + 1)
    assert faulted(forge, {first + 1: [signed(forge, first + 1, late)]}) == ("backdated", first + 1)
    changes = {second + 3: stamped("2026-11-24T00:00:00.000000Z")}
    forge = sample(changes=changes)
    now = int(made_at(forge, first - 1))
    assert faulted(forge, {first: [signed(forge, first, now)]}) == ("backdated", second + 3)


def test_a_size_of_which_the_segment_holds_no_time_is_compared_with_the_one_before() -> None:
    """House: a segment's first record is only there to begin it."""
    forge = sample()
    size = forge.starts[1] + 1
    early = int(made_at(forge, size - 1)) - LATER
    assert faulted(forge, {size: [signed(forge, size, early)]}) == ("time_after_witness", size - 1)


def test_the_same_size_signed_again_says_nothing_of_what_came_after_it() -> None:
    """C2SP tlog-witness: a witness may sign the same checkpoint again, when it is asked to."""
    forge = sample(1)
    now = int(made_at(forge, 4))
    notes = [signed(forge, 5, now), signed(forge, 5, now + LATER, OTHER)]
    assert faulted(forge, {5: notes}) is None
    assert faulted(forge, {5: notes[::-1]}) is None


def test_an_older_signature_does_not_take_back_a_newer_one() -> None:
    """House: the latest time that a witness named counts, whichever size it is of."""
    # 400 s before the others.
    forge = sample(1, changes={8: stamped("2026-11-24T08:53:21.000000Z")})
    now = int(made_at(forge, 4))
    notes = {5: [signed(forge, 5, now)], 7: [signed(forge, 7, now - 200)]}
    assert faulted(forge, notes) == ("backdated", 8)
    notes = {5: [signed(forge, 5, now - 200)], 7: [signed(forge, 7, now)]}
    assert faulted(forge, notes) == ("backdated", 8)


def test_a_time_without_a_zone_cannot_be_read() -> None:
    """RFC 3339 §5.6: else it would depend on where the auditor is."""
    clock = Clock()
    clock.follow(1, {"time": "2026-11-24T00:00:00.000000", "monotonic_ns": 1})
    assert [notice.code for notice in clock.notices] == ["time_unreadable"]


def test_only_keys_of_witnesses_are_keys_of_witnesses() -> None:
    """C2SP tlog-cosignature: type 4; with the log's own key it would be its own witness."""
    with pytest.raises(VerificationError) as caught:
        Trust(witness_keys=(VerifierKey.parse(Key().vkey()),))
    assert caught.value.reason_code == "key_malformed"
    assert Trust(witness_keys=(VerifierKey.parse(WITNESS.vkey(4)),)).witness_keys


# --- the index


def notes_of(found: Index) -> list[tuple[int, str]]:
    """Return size and text of each checkpoint of an index."""
    claims = found.between(-1, None)
    return [(size, found.sources[n].read(at, length)) for size, n, at, length in claims]


def fault_of(folder: Path, trust: Trust | None = None) -> Fault:
    """Return the fault of the files of checkpoints in a folder."""
    fault = index(folder, trust or Trust(), ORIGIN).fault
    assert fault is not None
    return fault


@pytest.mark.parametrize("name", ["checkpoints.jsonl", "anchored.jsonl"])
def test_a_file_of_the_log_is_lines_of_json_only(tmp_path: Path, name: str) -> None:
    """docs/evidence.md: so that the first line which is none is the fault."""
    (tmp_path / name).write_text(sample().note() + "x\n")
    fault = fault_of(tmp_path)
    assert (fault.code, fault.line) == ("checkpoint_malformed", 1)


def test_a_line_that_is_too_long_is_no_unfinished_line(tmp_path: Path) -> None:
    """House: or whatever follows it would be passed over with a notice."""
    forge = sample()
    row = json.dumps({"pad": "x" * MAX_LINE_BYTES, "note": forge.note()})
    (tmp_path / "checkpoints.jsonl").write_text(f"{row}\n{forge.heads[-1]}\n")
    assert fault_of(tmp_path).code == "checkpoint_malformed"


def test_notes_and_lines_follow_one_another_in_a_file_from_elsewhere(tmp_path: Path) -> None:
    """C2SP signed-note: a note ends with its last signature."""
    forge, path = sample(), tmp_path / "kept"
    notes = [forge.note(5), signed(forge, 9, 7), forge.note(20), forge.note(31)]
    line = json.dumps({"note": notes[2]}) + "\n"
    path.write_text(notes[0] + notes[1] + line + line + notes[3])
    found = index(tmp_path, Trust(anchors=(path,)), ORIGIN)
    assert found.fault is None
    assert [note for _, note in notes_of(found)] == [*notes[:3], notes[2], notes[3]]


def test_a_note_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    """House: memory is bounded by the longest note, not by the file."""
    path = tmp_path / "kept"
    path.write_bytes((b"x" * 60_000 + b"\n") * 15 * (MAX_LINE_BYTES // 1_000_000))
    path.write_bytes(path.read_bytes() * 10)
    tracemalloc.start()
    try:
        assert fault_of(tmp_path, Trust(anchors=(path,))).code == "checkpoint_malformed"
        assert tracemalloc.get_traced_memory()[1] < 5 * MAX_LINE_BYTES
    finally:
        tracemalloc.stop()


def test_what_never_becomes_a_note_is_read_once(tmp_path: Path) -> None:
    """House: it is joined once, at its end or at the longest that a note can be."""
    path = tmp_path / "kept"
    path.write_bytes(b"x\n" * MAX_LINE_BYTES)
    fault = fault_of(tmp_path, Trust(anchors=(path,)))
    assert (fault.code, fault.line) == ("checkpoint_malformed", 1)


def test_checkpoints_of_all_files_come_in_the_order_of_sizes(tmp_path: Path) -> None:
    """House: whatever the order within files from elsewhere."""
    forge, path = sample(), tmp_path / "kept"
    path.write_text("".join(map(forge.note, (31, 6, 20, 4, 4))))
    forge.anchor(forge.note(12), 12)
    forge.store(tmp_path)
    found = index(tmp_path, Trust(anchors=(path,), remembered=forge.note(7)), ORIGIN)
    claims = found.between(-1, None)
    kinds = [(size, found.sources[number].kind) for size, number, _, _ in claims]
    own = [int(json.loads(row)["note"].split("\n")[1]) for row in forge.heads]
    expected = [(size, 0, "checkpoints") for size in own] + [(12, 1, "anchored")]
    expected += [(size, 2, "anchor") for size in (4, 4, 6, 20, 31)] + [(7, 3, "remembered")]
    assert kinds == [(size, kind) for size, _, kind in sorted(expected)]
    assert [size for size, *_ in found.between(4, 12)] == [
        size for size, _ in kinds if 4 < size <= 12
    ]
    assert found.count_up_to(12) == sum(size <= 12 for size, _ in kinds)
    assert all(note.split("\n")[1] == str(size) for size, note in notes_of(found))


# --- files


def pipe(path: Path) -> None:
    """Put a pipe there."""
    os.mkfifo(path)


def folder(path: Path) -> None:
    """Put a folder there."""
    path.mkdir()


def link(path: Path) -> None:
    """Put a link there, to the very bytes."""
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_bytes(b"blob")
    path.symlink_to(elsewhere)


def dangling(path: Path) -> None:
    """Put a link there that leads nowhere."""
    path.symlink_to(path.with_name("nowhere"))


def no_parent(path: Path) -> None:
    """Put a file where its folder should be."""
    path.parent.rmdir()
    path.parent.write_bytes(b"")


def nothing(path: Path) -> None:
    """Put nothing there."""


def in_time(work: Callable[[], object]) -> str | None:
    """Return the code of the fault that some work ends with; it ends within seconds."""
    codes: list[str | None] = []

    def run() -> None:
        try:
            work()
            codes.append(None)
        except Faulty as exc:
            codes.append(exc.fault.code)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert codes, "it did not end, or with no fault"
    return codes[0]


@pytest.mark.parametrize(
    ("put", "code"),
    [
        (pipe, "blob_damaged"),
        (folder, "blob_damaged"),
        (link, "blob_damaged"),
        (dangling, "blob_damaged"),
        (no_parent, "blob_missing"),
        (nothing, "blob_missing"),
    ],
)
def test_only_a_regular_file_is_a_blob(
    tmp_path: Path, put: Callable[[Path], None], code: str
) -> None:
    """open(2): a link leads out of the log, and a pipe is never read to its end."""
    blob = Forge().blob(b"blob")
    path = blob_path(tmp_path, blob["digest"])
    path.parent.mkdir(parents=True)
    put(path)
    assert in_time(lambda: check_blob(tmp_path, blob, 3, tmp_path / "seg", 4)) == code


def test_a_pipe_is_no_empty_blob(tmp_path: Path) -> None:
    """open(2): a pipe that nobody writes reads as if it were empty."""
    blob = Forge().blob(b"")
    path = blob_path(tmp_path, blob["digest"])
    path.parent.mkdir(parents=True)
    pipe(path)
    assert in_time(lambda: check_blob(tmp_path, blob, 3, tmp_path / "seg", 4)) == "blob_damaged"


@pytest.mark.parametrize(
    ("put", "code"),
    [
        (pipe, "archive_damaged"),
        (folder, "archive_damaged"),
        (link, "archive_damaged"),
        (dangling, "archive_damaged"),
        (nothing, None),
    ],
)
def test_only_a_regular_file_is_a_compressed_segment(
    tmp_path: Path, put: Callable[[Path], None], code: str | None
) -> None:
    """House: one that is not there may have been deleted; the records say so."""
    path, digest = tmp_path / "seg-000000000000.jsonl.zst", Forge().blob(b"blob")["digest"]
    put(path)
    assert in_time(lambda: check_archive(path, digest, 0)) == code
