"""One test an attack: what somebody does to a log, and the name under which it is found."""

import hashlib
import json
from pathlib import Path

import pytest

from gateway.core.errors import VerificationError
from gateway.core.note import VerifierKey
from gateway.evidence.report import Report
from gateway.evidence.verify import Trust, verify
from tests.unit.evidence.forge import Forge, Key, blob_path, compress, sample

TORN = "torn-000000000000-100-1.bin"


def found(report: Report) -> tuple[str, int]:
    """Return code and seq of the fault."""
    assert report.fault is not None, report
    assert not report.sound
    assert report.verdict == "faulty"
    return report.fault.code, report.fault.seq


def where(folder: Path, trust: Trust | None = None) -> tuple[str, int]:
    """Verify and return what was found; several processes must find the same."""
    return found(verify(folder, trust=trust, workers=1))


def elsewhere(folder: Path, *notes: str) -> Trust:
    """Keep checkpoints outside the log's folder, as an anchor does."""
    path = folder.parent / "anchor.jsonl"
    path.write_text("".join(json.dumps({"note": note}) + "\n" for note in notes))
    return Trust(anchors=(path,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where logs are stored."""
    return tmp_path / "evidence"


def test_the_log_that_is_attacked_below_is_sound(folder: Path) -> None:
    """House: else every finding below could have another cause."""
    forge = sample()
    forge.store(folder)
    assert verify(folder).verdict == "closed"
    trust = elsewhere(folder, forge.note(5), forge.note())
    assert verify(folder, trust=trust).verdict == "whole up to record 30 (anchored)"


@pytest.mark.parametrize("position", range(64))
def test_a_flipped_bit_names_its_record(folder: Path, position: int) -> None:
    """House: 64 places over all records, newlines among them, a different bit each time."""
    forge = sample()
    forge.store(folder)
    at = 0
    total = sum(len(line) + 1 for line in forge.lines)
    target = position * (total - 1) // 63
    seq = 0
    for seq, line in enumerate(forge.lines):  # noqa: B007
        if target <= at + len(line):
            break
        at += len(line) + 1
    begin = max(start for start in forge.starts if start <= seq)
    path = forge.path(folder, begin)
    data = bytearray(path.read_bytes())
    data[sum(len(line) + 1 for line in forge.lines[begin:seq]) + target - at] ^= 1 << position % 8
    path.write_bytes(data)
    code, named = where(folder)
    if seq == forge.seq - 1:  # Nothing follows the last one but its checkpoint.
        assert code == "record_damaged"
        assert named in (seq - 1, seq)
    else:
        assert (code in ("record_damaged", "seq_broken"), named) == (True, seq)


def test_a_line_dropped_in_the_middle(folder: Path) -> None:
    """House: seq has no gap."""
    forge = sample()
    forge.store(folder)
    path = forge.path(folder, 0)
    raw = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(raw[:4] + raw[5:]))
    assert where(folder) == ("seq_broken", 4)


def test_the_last_line_dropped(folder: Path) -> None:
    """C2SP tlog-checkpoint: the log is not smaller than its checkpoint."""
    forge = sample()
    forge.store(folder)
    path = forge.path(folder, forge.starts[-1])
    path.write_bytes(path.read_bytes()[: -len(forge.lines[-1]) - 1])
    assert where(folder) == ("records_missing", 30)


def test_the_last_segment_dropped(folder: Path) -> None:
    """C2SP tlog-checkpoint: as above."""
    forge = sample()
    forge.store(folder)
    forge.path(folder, forge.starts[-1]).unlink()
    assert where(folder) == ("records_missing", forge.starts[-1])


def test_the_last_line_of_a_segment_dropped(folder: Path) -> None:
    """House: a segment that is not the last ends with its seal."""
    forge = sample()
    forge.store(folder)
    path = forge.path(folder, 0)
    path.write_bytes(path.read_bytes()[: -len(forge.lines[forge.starts[1] - 1]) - 1])
    assert where(folder) == ("seq_broken", forge.starts[1] - 1)


def test_two_segments_swapped(folder: Path) -> None:
    """House: a segment under another's name is not believed."""
    forge = sample()
    forge.store(folder)
    first, second = (forge.path(folder, begin) for begin in forge.starts[:2])
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    assert where(folder) == ("seq_broken", 0)


def test_lines_reordered(folder: Path) -> None:
    """House: the first line out of its place."""
    forge = sample()
    forge.store(folder)
    path = forge.path(folder, 0)
    raw = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*raw[:5], raw[6], raw[5], *raw[7:]]))
    assert where(folder) == ("seq_broken", 5)


def rotated() -> tuple[Forge, Key, int]:
    """Return a log that handed over to another key, the old key, and the seq of the hand-over."""
    forge = sample(2, closed=False)
    old = forge.key
    seq = forge.rotate(Key(2))
    forge.call("after")
    forge.checkpoint()
    return forge, old, seq


def test_a_log_that_rotated_its_key_is_sound(folder: Path) -> None:
    """House: up to the hand-over the old key signs, after it the new one."""
    forge, old, seq = rotated()
    forge.heads.insert(-1, json.dumps({"note": forge.note(seq, old)}))
    forge.heads.insert(-1, json.dumps({"note": forge.note(seq + 1)}))
    forge.store(folder)
    assert verify(folder).fault is None


def test_a_checkpoint_signed_by_a_retired_key(folder: Path) -> None:
    """CVE-2023-31439: an old key vouches for nothing after its epoch."""
    forge, old, seq = rotated()
    agreed = json.loads(forge.heads[-2])["size"]
    forge.heads.insert(-1, json.dumps({"note": forge.note(seq + 1, old)}))
    forge.store(folder)
    assert where(folder) == ("checkpoint_signature", agreed)


def test_a_checkpoint_backdated_with_the_new_key(folder: Path) -> None:
    """House: nor does a new key vouch for what was before it."""
    forge, _, seq = rotated()
    agreed = json.loads(forge.heads[-2])["size"]
    forge.heads.insert(-1, json.dumps({"note": forge.note(seq, forge.key)}))
    forge.store(folder)
    assert (agreed, where(folder)) == (seq, ("checkpoint_signature", seq - 1))


def test_an_old_checkpoint_presented_as_the_newest(folder: Path) -> None:
    """House: sizes never go back."""
    forge = sample()
    forge.heads.append(forge.heads[0])
    forge.store(folder)
    assert where(folder) == ("checkpoint_order", 31)


def forked() -> tuple[Forge, Forge]:
    """Return a log and a fork of it, both signed by its real key, equal up to record 12."""
    one, two = sample(), sample(changes={12: lambda record: record.update(note="other")})
    assert one.lines[:12] == two.lines[:12]
    assert one.lines[12] != two.lines[12]
    return one, two


def test_a_fork_by_the_key_holder(folder: Path) -> None:
    """House, issue 3: whole in itself; a checkpoint given to somebody else shows it."""
    one, two = forked()
    two.store(folder)
    assert verify(folder).verdict == "closed"
    trust = elsewhere(folder, one.note(5), one.note(13), one.note())
    assert where(folder, trust) == ("forked", 5)


def test_a_fork_against_the_remembered_checkpoint(folder: Path) -> None:
    """House: the verifier remembers what it saw."""
    one, two = forked()
    two.store(folder)
    assert where(folder, Trust(remembered=one.note(20))) == ("forked", 0)


def test_a_whole_log_rewritten_by_the_key_holder(folder: Path) -> None:
    """House, issue 3: nothing of it is what the anchor saw."""
    original = sample()
    rewritten = sample(changes={1: lambda record: record.update(run="other")})
    rewritten.store(folder)
    assert verify(folder).verdict == "closed"
    assert where(folder, elsewhere(folder, original.note())) == ("forked", 0)


def test_a_log_rolled_back_by_the_key_holder(folder: Path) -> None:
    """House: shorter than what the verifier saw the last time."""
    forge = sample()
    remembered = forge.note()
    del forge.lines[25:], forge.heads[-1]
    forge.store(folder)
    assert verify(folder).fault is None
    assert where(folder, Trust(remembered=remembered)) == ("rolled_back", 25)


def test_a_record_backdated(folder: Path) -> None:
    """House: the time is part of what is hashed."""
    forge = sample()
    forge.store(folder)
    path = forge.path(folder, 0)
    raw = path.read_bytes().splitlines(keepends=True)
    raw[5] = raw[5].replace(b"2026-11-24", b"2026-11-23")
    path.write_bytes(b"".join(raw))
    assert where(folder) == ("record_damaged", 5)


def test_a_record_backdated_by_the_key_holder(folder: Path) -> None:
    """House: its wall time leaves its monotonic time behind, which is told."""
    back = {5: lambda record: record.update(time="2026-11-23T09:00:00.000000Z")}
    sample(changes=back).store(folder)
    report = verify(folder)
    assert report.sound
    assert [(n.seq, n.code) for n in report.notes if n.code == "clock_step"] == [
        (5, "clock_step"),
        (6, "clock_step"),
    ]


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        pytest.param(lambda raw: raw.replace(b'"v":1', b'"v":1,"v":1'), "d", id="duplicate key"),
        pytest.param(lambda raw: raw[:-1] + raw, "d", id="two records on one line"),
        pytest.param(lambda raw: raw[:-1] + b"\r\n", "d", id="CRLF"),
        pytest.param(lambda raw: b"\x00" * (len(raw) - 1) + b"\n", "d", id="NULs"),
        pytest.param(lambda raw: raw.replace(b":", b": ", 1), "d", id="respelled"),
    ],
)
def test_a_line_that_reads_otherwise(folder: Path, attack: object, code: str) -> None:
    """House: one line is one record, spelled as it was hashed."""
    assert callable(attack)
    forge = sample()
    forge.store(folder)
    path = forge.path(folder, 0)
    raw = path.read_bytes().splitlines(keepends=True)
    raw[4] = attack(raw[4])
    path.write_bytes(b"".join(raw))
    assert where(folder) == ("record_damaged", 4)


def with_blob() -> tuple[Forge, str, int]:
    """Return a log with a blob, its digest, and the seq of the record that names it."""
    forge = Forge()
    forge.segment()
    forge.start()
    forge.call("a", blob=forge.blob(b"x" * 100_000))
    forge.checkpoint()
    return forge, next(iter(forge.blobs)), 3


def test_a_log_with_a_blob_is_sound(folder: Path) -> None:
    """House: else the two findings below could have another cause."""
    with_blob()[0].store(folder)
    assert verify(folder).fault is None


def test_a_deleted_blob(folder: Path) -> None:
    """House: a record names what must be there."""
    forge, digest, seq = with_blob()
    forge.store(folder)
    blob_path(folder, digest).unlink()
    assert where(folder) == ("blob_missing", seq)


def test_a_changed_blob(folder: Path) -> None:
    """House: a blob is named by its digest."""
    forge, digest, seq = with_blob()
    forge.store(folder)
    blob_path(folder, digest).write_bytes(b"y" * 100_000)
    assert where(folder) == ("blob_damaged", seq)


@pytest.mark.parametrize("digest", ["sha256:../../x", "sha256:" + "A" * 64, "md5:00", 7, None])
def test_a_blob_that_names_another_file(folder: Path, digest: object) -> None:
    """House: nothing but a digest becomes part of a path."""
    forge = Forge()
    forge.segment()
    forge.start()
    forge.call("a", blob={"digest": digest})
    forge.store(folder)
    assert where(folder) == ("blob_malformed", 3)


def archived(folder: Path) -> tuple[Forge, Path]:
    """Store a log whose first segment is compressed, as its archive record says."""
    forge = sample(2, closed=False)
    forge.store(folder)
    path, digest = compress(folder, 0)
    forge.add(
        "archive", segment="seg-000000000000.jsonl", action="compressed", digest=digest, bytes=1
    )
    forge.checkpoint()
    forge.store(folder)
    forge.path(folder, 0).unlink()
    return forge, path


def test_a_log_with_a_compressed_segment_is_sound(folder: Path) -> None:
    """RFC 8878: reads as the raw one did."""
    forge, _ = archived(folder)
    assert (verify(folder).fault, verify(folder).records) == (None, forge.seq)


def test_a_compressed_segment_that_does_not_decompress(folder: Path) -> None:
    """House: what is there and cannot be read was changed."""
    _, path = archived(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    code, _ = where(folder)
    assert code in ("archive_damaged", "record_damaged", "seq_broken")


def test_a_compressed_segment_compressed_again(folder: Path) -> None:
    """House: the same records, but not the file that the log tells of."""
    forge, path = archived(folder)
    from backports import zstd

    path.write_bytes(zstd.compress(zstd.decompress(path.read_bytes()), 19) + zstd.compress(b""))
    assert where(folder) == ("archive_damaged", 0)


def deleted(folder: Path, said: int | None = 0) -> Forge:
    """Store a log whose first segment was deleted; `said` is the segment that it says it was."""
    forge = sample(2, closed=False)
    if said is not None:
        forge.delete(said, forge.starts[1])
    forge.checkpoint()
    forge.store(folder)
    forge.path(folder, 0).unlink()
    return forge


def test_a_segment_deleted_in_order_is_no_fault(folder: Path) -> None:
    """House: the log says so, and a checkpoint proves what it goes on from."""
    forge = deleted(folder)
    report = verify(folder)
    assert (report.fault, report.first) == (None, forge.starts[1])
    assert "segments_deleted" in {notice.code for notice in report.notes}


@pytest.mark.parametrize("said", [None, 4], ids=["nothing", "another"])
def test_a_first_segment_deleted_without_a_word(folder: Path, said: int | None) -> None:
    """House: what the log does not say it deleted is missing."""
    deleted(folder, said)
    assert where(folder) == ("segment_missing", 0)


def test_a_log_that_deleted_all_that_was_remembered(folder: Path) -> None:
    """House: what cannot be compared with the memory is not taken for its continuation."""
    forge = deleted(folder)
    assert where(folder, Trust(remembered=forge.note(5))) == (
        "remembered_unchecked",
        forge.starts[1],
    )
    assert verify(folder, trust=Trust(remembered=forge.note(12))).sound


def test_a_blob_deleted_with_its_segment(folder: Path) -> None:
    """House: a crash may come between the blobs of a deleted segment and the segment."""
    forge, digest, seq = with_blob()
    forge.seal()
    forge.segment()
    forge.store(folder)
    blob_path(folder, digest).unlink()
    assert where(folder) == ("blob_missing", seq)
    forge.delete(0, forge.starts[1])
    forge.blobs.clear()
    forge.store(folder)
    assert where(folder) == ("blob_missing", seq)
    forge.checkpoint()
    forge.store(folder)
    report = verify(folder)
    assert report.sound
    assert [n.seq for n in report.notes if n.code == "blobs_deleted"] == [seq]


def test_a_forged_frontier_behind_deleted_segments(folder: Path) -> None:
    """RFC 6962 §2.1: no checkpoint has the root of a history that was made up."""
    forge = deleted(folder)
    path = forge.path(folder, forge.starts[1])
    other = sample(2, closed=False, changes={3: lambda record: record.update(note="other")})
    other.delete(0, other.starts[1])
    other.heads = forge.heads
    other.store(folder)
    other.path(folder, 0).unlink()
    assert path.exists()
    assert where(folder) == ("checkpoint_mismatch", 0)


def test_an_unproven_frontier_behind_deleted_segments(folder: Path) -> None:
    """House: without any checkpoint nobody knows what was before."""
    forge = deleted(folder)
    (folder / "checkpoints.jsonl").unlink()
    assert where(folder) == ("frontier_unproven", forge.starts[1])


def test_a_deletion_that_nothing_signed_covers(folder: Path) -> None:
    """House: who can write to the folder can add a record, and the key is not needed for it."""
    forge = sample(3, closed=False)
    pinned = (VerifierKey.parse(forge.key.vkey()),)
    trust = Trust(keys=pinned, anchors=elsewhere(folder, forge.note()).anchors)
    forge.delete(0, forge.starts[1])
    forge.delete(forge.starts[1], forge.starts[2])
    forge.store(folder)
    for begin in forge.starts[:2]:
        forge.path(folder, begin).unlink()
    assert where(folder) == ("segment_missing", 0)
    assert where(folder, trust) == ("segment_missing", 0)
    forge.checkpoint()
    forge.store(folder)
    for begin in forge.starts[:2]:
        forge.path(folder, begin).unlink()
    assert verify(folder).sound
    # Signed here, but not by what is kept elsewhere.
    assert where(folder, trust) == ("segment_missing", 0)
    report = verify(folder, trust=elsewhere(folder, forge.note()))
    assert report.verdict == f"records {forge.starts[2]} to {forge.seq - 1} (anchored)"


def test_a_deletion_that_no_witness_covers(folder: Path) -> None:
    """C2SP tlog-cosignature: whoever asks a witness believes no more than it signed."""
    witness = Key(7, "witness.example")
    forge = deleted(folder)
    trust = Trust(witness_keys=(VerifierKey.parse(witness.vkey(4)),))
    assert where(folder, trust) == ("segment_missing", 0)
    note = forge.note()
    forge.anchor(note + witness.cosign(note.partition("\n\n")[0] + "\n"))
    forge.store(folder)
    forge.path(folder, 0).unlink()
    assert verify(folder, trust=trust).sound


@pytest.mark.parametrize("covered_by", [None, True, "99", 99.0, 10, 0])
def test_a_deletion_that_names_no_checkpoint_of_the_whole_segment(
    folder: Path, covered_by: object
) -> None:
    """House: nothing is deleted before a checkpoint covers it to its end."""
    forge = sample(2, closed=False)
    assert forge.starts[1] == 11
    forge.delete(0, covered_by)
    forge.checkpoint()
    forge.store(folder)
    forge.path(folder, 0).unlink()
    assert where(folder) == ("segment_missing", 0)


@pytest.mark.parametrize(
    ("said", "spoken", "missing"),
    [([0], [], 1), ([1], [], None), ([1], [0], 0), ([0, 1], [0, 1], None), ([], [0], 0)],
)
def test_every_deleted_segment_that_the_log_speaks_of_is_named(
    folder: Path, said: list[int], spoken: list[int], missing: int | None
) -> None:
    """House: the last one always; older ones if a record tells of them, as one still here does."""
    forge = sample(3, closed=False)
    for number in spoken:
        named = f"seg-{forge.starts[number]:012d}.jsonl"
        forge.add("archive", segment=named, action="compressed", digest="sha256:x")
    for number in said:
        forge.delete(forge.starts[number], forge.starts[number + 1])
    forge.checkpoint()
    forge.store(folder)
    for begin in forge.starts[:2]:
        forge.path(folder, begin).unlink()
    if missing is None:
        assert verify(folder).fault is None
    else:
        assert where(folder) == ("segment_missing", forge.starts[missing])


def run(*kinds: str) -> Forge:
    """Return a log of records of these kinds, behind its first `segment`; all of it signed."""
    forge = Forge()
    forge.segment()
    for kind in kinds:
        match kind:
            case "segment":
                forge.segment()
            case "seal":
                forge.seal()
            case "start":
                forge.start()
            case _:
                forge.add(kind, call_id="a", run="r")
    forge.checkpoint()
    return forge


@pytest.mark.parametrize("kind", ["intent", "refusal", "heartbeat", "stop"])
@pytest.mark.parametrize(
    "between", [(), ("seal", "segment"), ("seal", "segment", "seal", "segment")], ids=len
)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_record_after_a_stop(
    folder: Path, kind: str, between: tuple[str, ...], workers: int
) -> None:
    """House: a run that ended in order writes no more, and another begins with a start."""
    if workers > 1 and (not between or kind != "intent"):
        workers = 1
    forge = run("start", "stop", *between, kind)
    forge.store(folder)
    report = verify(folder, workers=workers)
    assert found(report) == ("record_after_stop", forge.seq - 1)
    assert report.head is not None and report.head.seq < forge.seq - 1


@pytest.mark.parametrize("between", [(), ("seal", "segment"), ("seal", "segment", "seal")])
def test_a_start_after_a_stop(folder: Path, between: tuple[str, ...]) -> None:
    """House: a segment that is full ends before the start of the next run."""
    more = ("segment",) if between[2:] else ()
    run("start", "stop", *between, *more, "start", "heartbeat", "stop").store(folder)
    assert verify(folder).verdict == "closed"


@pytest.mark.parametrize("between", [(), ("seal", "segment")], ids=len)
def test_a_log_that_begins_without_a_start(folder: Path, between: tuple[str, ...]) -> None:
    """House: nothing is recorded before the start of a run."""
    forge = run(*between, "heartbeat", "start")
    forge.store(folder)
    assert where(folder) == ("start_missing", forge.seq - 2)


def with_gap(**changed: object) -> Forge:
    """Return a log that tells of a torn end."""
    forge = Forge()
    forge.segment()
    forge.start()
    digest = "sha256:" + hashlib.sha256(b"torn").hexdigest()
    said = {"file": TORN, "segment": "seg-000000000000.jsonl", "offset": 9, "digest": digest}
    forge.add("gap", **{**said, "bytes": 4, **changed})
    forge.checkpoint()
    return forge


@pytest.mark.parametrize("name", [TORN, TORN + ".untold"])
def test_a_gap_is_told(folder: Path, name: str) -> None:
    """House: what a crash tore off is no fault, and nobody is kept from knowing."""
    with_gap().store(folder)
    (folder / name).write_bytes(b"torn")
    report = verify(folder)
    assert (report.fault, report.gaps) == (None, 1)
    codes = [(n.code, n.seq) for n in report.notes if n.code.startswith("gap")]
    assert codes == [("gap", 2)]


def test_a_gap_whose_bytes_were_changed(folder: Path) -> None:
    """FIPS 180-4: the record names them by digest."""
    with_gap().store(folder)
    (folder / TORN).write_bytes(b"tom")
    assert where(folder) == ("gap_file_damaged", 2)


def test_a_gap_whose_bytes_are_gone(folder: Path) -> None:
    """House: they are not part of the log, so that is told and no fault."""
    with_gap().store(folder)
    report = verify(folder)
    assert report.sound
    assert [n.code for n in report.notes if n.seq == 2] == ["gap", "gap_file_missing"]


@pytest.mark.parametrize(
    "change", [{"file": "../secret"}, {"file": None}, {"bytes": "4"}, {"digest": None}], ids=str
)
def test_a_gap_that_does_not_say_of_what(folder: Path, change: dict[str, object]) -> None:
    """House: nothing but the name of a torn end becomes part of a path."""
    with_gap(**change).store(folder)
    assert where(folder) == ("gap_malformed", 2)


def test_records_that_a_start_took_over_are_told(folder: Path) -> None:
    """House: before that start anybody could have written them."""
    forge = run("start", "heartbeat", "heartbeat")
    seq = forge.start(adopted={"from": 2, "to": 4})
    forge.start(adopted=None)
    forge.store(folder)
    report = verify(folder)
    assert report.sound
    assert [n.seq for n in report.notes if n.code == "records_adopted"] == [seq]


@pytest.mark.parametrize(
    "adopted",
    [
        [],
        {},
        {"from": 2, "to": 2},
        {"from": -1, "to": 2},
        {"from": True, "to": 2},
        {"from": 0, "to": 99},
    ],
)
def test_a_start_that_does_not_say_what_it_took_over(folder: Path, adopted: object) -> None:
    """House: read strictly or not at all."""
    forge = run("start")
    seq = forge.start(adopted=adopted)
    forge.store(folder)
    assert where(folder) == ("start_malformed", seq)


def test_log_and_checkpoints_truncated_together(folder: Path) -> None:
    """House, issue 3: only an anchor can show it."""
    forge = sample()
    anchored = forge.note()
    del forge.lines[forge.starts[2] :], forge.heads[2:], forge.starts[2:]
    forge.store(folder)
    report = verify(folder)
    assert (report.fault, report.verdict) == (None, "valid prefix, end unproven")
    assert where(folder, elsewhere(folder, anchored)) == ("records_missing", forge.seq)


def test_an_anchored_file_of_another_log(folder: Path) -> None:
    """C2SP tlog-checkpoint: the origin says which log."""
    forge, other = sample(), sample(origin="example.com/other/0", key=Key(3, "example.com/other/0"))
    forge.anchor(other.note())
    forge.store(folder)
    code, _ = where(folder)
    assert code == "checkpoint_origin"


def test_an_anchor_that_knows_another_log_only(folder: Path) -> None:
    """House: an anchor that says nothing of this log proves nothing, and that is said."""
    forge, other = sample(), sample(origin="example.com/other/0", key=Key(3, "example.com/other/0"))
    forge.store(folder)
    assert where(folder, elsewhere(folder, other.note())) == ("checkpoint_origin", 0)
    trust = elsewhere(folder, other.note(), forge.note())
    assert verify(folder, trust=trust).sound


@pytest.mark.parametrize(
    "forgery",
    [
        pytest.param({"signature": "AAAA" * 21 + "AA=="}, id="no signature"),
        pytest.param({"previous_key": Key(9).vkey()}, id="another key before"),
        pytest.param({"epoch": 1}, id="the same epoch"),
        pytest.param({"epoch": 3}, id="another epoch than was signed"),
        pytest.param({"key": Key(9).vkey()}, id="another key than was signed"),
        pytest.param({"key": Key(2, "example.com/other").vkey()}, id="another name"),
        pytest.param({"key": "x"}, id="no key"),
    ],
)
def test_a_forged_rotation(folder: Path, forgery: dict[str, object]) -> None:
    """House: only the key in force hands over."""
    forge = sample(1, closed=False)
    seq = forge.rotate(Key(2), **forgery)
    forge.checkpoint()
    forge.store(folder)
    assert where(folder) == ("rotation_forged", seq)


def test_a_rotation_to_no_later_epoch(folder: Path) -> None:
    """House: epochs only rise, whoever signs."""
    forge = sample(1, closed=False)
    forge.epoch = 0
    seq = forge.rotate(Key(2))
    forge.store(folder)
    assert where(folder) == ("rotation_forged", seq)


def test_another_key_at_a_new_segment(folder: Path) -> None:
    """House: a segment names the key in force and cannot change it."""
    forge = sample(1, closed=False)
    forge.seal()
    forge.key, forge.epoch = Key(2), 2
    seq = forge.segment()
    forge.checkpoint()
    forge.store(folder)
    assert where(folder) == ("segment_mismatch", seq)


def test_a_log_by_another_key(folder: Path) -> None:
    """House: a log names its own key, so an auditor pins one."""
    sample(key=Key(2)).store(folder)
    pinned = Trust(keys=(VerifierKey.parse(Key(1).vkey()),))
    assert verify(folder).sound
    assert where(folder, pinned) == ("key_unknown", 0)


def test_a_log_by_another_key_that_hands_over_to_the_pinned_one(folder: Path) -> None:
    """House: to be named by a stranger is not to have signed."""
    forge = sample(1, closed=False, key=Key(2))
    forge.rotate(Key(1))
    forge.store(folder)
    pinned = Trust(keys=(VerifierKey.parse(Key(1).vkey()),))
    assert where(folder, pinned) == ("key_unknown", 0)


def test_a_cosignature_that_is_none(folder: Path) -> None:
    """C2SP tlog-cosignature: it is over this checkpoint, or it is nothing."""
    forge, witness = sample(), Key(7, "witness.example")
    note, other = forge.note(), forge.note(5)
    text = [n.partition("\n\n")[0] + "\n" for n in (note, other)]
    trust = Trust(witness_keys=(VerifierKey.parse(witness.vkey(4)),))
    forge.anchor(note + witness.cosign(text[0]))
    forge.store(folder)
    assert verify(folder, trust=trust).anchored_size == 31
    assert verify(folder).anchored_size == 0
    forge.anchored[:] = []
    forge.anchor(note + witness.cosign(text[1]))
    forge.store(folder)
    assert where(folder, trust)[0] == "cosignature_invalid"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param({"root": "sha256:" + "0" * 64}, "segment_mismatch", id="root"),
        pytest.param({"first_seq": 1}, "segment_mismatch", id="first seq"),
    ],
)
def test_a_seal_that_lies(folder: Path, change: dict[str, object], code: str) -> None:
    """House: a seal names the root of everything before it."""
    forge = sample(1, closed=False)
    seq = forge.seal(**change)
    forge.store(folder)
    assert where(folder) == (code, seq)


@pytest.mark.parametrize(
    "change",
    [
        {"frontier": ["00" * 32, "11" * 32]},
        {"frontier": []},
        {"open_calls": ["made-up"]},
        {"origin": "example.com/other/0"},
        {"epoch": 2},
        {"key": Key(5).vkey()},
        {"previous": None},
        {"previous": {"segment": "seg-000000000001.jsonl", "root": "x"}},
        {"format": "gw-2"},
        {"first_seq": 3},
    ],
    ids=str,
)
def test_a_segment_record_that_lies(folder: Path, change: dict[str, object]) -> None:
    """House: all that it claims is derived from the segment before."""
    forge = sample(1, closed=False)
    forge.seal()
    seq = forge.segment(**change)
    forge.call("more")
    forge.store(folder)
    assert where(folder) == ("segment_mismatch", seq)


@pytest.mark.parametrize(
    "change",
    [{"key": Key(1, "example.com/other/0").vkey()}, {"open_calls": ["made-up"]}, {"previous": {}}],
    ids=str,
)
def test_a_first_segment_record_that_lies(folder: Path, change: dict[str, object]) -> None:
    """House: a log begins from nothing, and its key bears its name."""
    forge = Forge()
    forge.segment(**change)
    forge.store(folder)
    assert where(folder) == ("segment_mismatch", 0)


def test_a_call_named_twice_among_the_open_ones(folder: Path) -> None:
    """House: open calls are a set."""
    forge = Forge()
    forge.segment()
    forge.start()
    forge.add("intent", call_id="a")
    forge.seal()
    seq = forge.segment(open_calls=["a", "a"])
    forge.store(folder)
    assert where(folder) == ("segment_mismatch", seq)


@pytest.mark.parametrize("kind", ["intent", "refusal", "stream-part"])
def test_a_blob_missing_behind_any_kind(folder: Path, kind: str) -> None:
    """House: whichever record names it."""
    forge = Forge()
    forge.segment()
    forge.start()
    seq = forge.add(kind, call_id="a", blob={"digest": "sha256:" + "0" * 64})
    forge.store(folder)
    assert where(folder) == ("blob_missing", seq)


def test_a_record_after_the_seal(folder: Path) -> None:
    """House: sealed is sealed."""
    forge = sample(1, closed=False)
    forge.seal()
    seq = forge.add("refusal")
    forge.store(folder)
    assert where(folder) == ("segment_mismatch", seq)


DAY = 24 * 3600
SIGNED_AT = 1_795_510_900
"""When the witness signs, unless a test says otherwise: shortly after the records' times."""


def witnessed(forge: Forge, seconds: int) -> Trust:
    """Keep the checkpoint over all records, cosigned at this time, and trust the witness."""
    witness, note = Key(7, "witness.example"), forge.note()
    forge.anchor(note + witness.cosign(note.partition("\n\n")[0] + "\n", seconds))
    return Trust(witness_keys=(VerifierKey.parse(witness.vkey(4)),))


def test_records_that_claim_to_be_younger_than_the_signature_over_them(folder: Path) -> None:
    """C2SP tlog-cosignature: the witness' time is signed; what it saw was there by then."""
    forge = sample()
    trust = witnessed(forge, SIGNED_AT - 400 * DAY)
    forge.store(folder)
    assert where(folder, trust) == ("time_after_witness", forge.seq - 1)


def test_a_record_that_is_backdated_before_what_a_witness_saw_earlier(folder: Path) -> None:
    """Issue: nothing was backdated; the holder of the key cannot put a call into last year."""
    forge = sample(closed=False)
    trust = witnessed(forge, SIGNED_AT)
    backdated = forge.seq + 1
    forge.changes[backdated] = lambda record: record.update(time="2025-10-01T00:00:00.000000Z")
    forge.call("one")
    forge.call("two")
    forge.checkpoint()
    forge.store(folder)
    assert where(folder, trust) == ("backdated", backdated)


def test_records_that_a_witness_signed_in_their_time_are_sound(folder: Path) -> None:
    """House: else the two findings above would show nothing."""
    forge = sample(closed=False)
    trust = witnessed(forge, SIGNED_AT)
    forge.call("one")
    forge.checkpoint()
    forge.store(folder)
    assert verify(folder, trust=trust).fault is None


def test_the_key_of_a_log_is_no_witness(folder: Path) -> None:
    """C2SP tlog-cosignature: a witness' key has a type of its own."""
    with pytest.raises(VerificationError):
        Trust(witness_keys=(VerifierKey.parse(sample().key.vkey()),))
