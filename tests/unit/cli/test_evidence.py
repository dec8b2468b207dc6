import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from gateway.evidence.report import Report
from tests.unit.cli.conftest import CommandLine, Done
from tests.unit.cli.test_keys import no_room
from tests.unit.evidence.forge import Forge, Key, sample


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a sound log of three segments, with a checkpoint for each."""
    sample().store(tmp_path / "log")
    return tmp_path / "log"


def verified(bailiwick: CommandLine, log: Path, *options: object) -> tuple[Done, dict[str, Any]]:
    """Return how a verification ended, and its report for machines."""
    done = bailiwick("evidence", "verify", "--folder", log, "--json", *options)
    return done, json.loads(done.out)


def cut(tmp_path: Path) -> Path:
    """Return a log that the holder of its key cut back, with a checkpoint for what is left."""
    sample(segments=2).store(tmp_path / "cut")
    return tmp_path / "cut"


def forked(tmp_path: Path) -> Path:
    """Return a log of the same key and size that tells another story."""
    change = {4: lambda record: record.update(note="y")}
    sample(changes=change).store(tmp_path / "forked")
    return tmp_path / "forked"


@pytest.mark.parametrize("group", ["evidence", "witness"])
def test_no_command_of_a_list_is_cut_short(bailiwick: CommandLine, group: str) -> None:
    """House: who reads the list learns what each command does, in 80 columns."""
    done = bailiwick(group, "--help")
    assert (done.status, "..." in done.out.replace("[ARGS]...", "")) == (0, False)


def test_options_that_can_be_given_again_say_what_they_take(bailiwick: CommandLine) -> None:
    """House: `VKEY` tells more than a type of Python."""
    for command in (("evidence", "verify"), ("witness", "serve")):
        assert "list[" not in bailiwick(*command, "--help").out
    for words in ("--key VKEY", "--anchor FILE", "--witness-key VKEY", "--remember FILE"):
        assert words in bailiwick("evidence", "verify", "--help").out


def test_a_sound_log_ends_with_0_and_a_damaged_one_with_1(
    bailiwick: CommandLine, log: Path
) -> None:
    """House, style §4.8: 1 is "no"; the message names the file and the line."""
    assert bailiwick("evidence", "verify", "--folder", log).status == 0
    path = log / "seg-000000000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b"c0-1", b"c0-9", 1))
    done = bailiwick("evidence", "verify", "--folder", log)
    assert (done.status, done.out.startswith("damaged: record ")) == (1, True)
    assert "seg-000000000000.jsonl, line " in done.out


def test_one_segment_and_many_are_told_in_whole_sentences(
    bailiwick: CommandLine, tmp_path: Path, log: Path
) -> None:
    """House: people read it."""
    sample(segments=1).store(tmp_path / "one")
    one = bailiwick("evidence", "verify", "--folder", tmp_path / "one").out
    many = bailiwick("evidence", "verify", "--folder", log).out
    assert "1 segment agrees with" in one and "1 checkpoint is signed and agrees" in one
    assert "3 segments follow one another" in many and "3 checkpoints are signed" in many


def test_machines_get_every_member_of_the_report(bailiwick: CommandLine, log: Path) -> None:
    """House: `Report`, what is derived from it, and nothing else."""
    done, report = verified(bailiwick, log)
    assert done.status == 0
    assert set(report) == {field.name for field in fields(Report)} | {"sound", "verdict"}
    told = ("sound", "records", "segments", "checkpoints", "checkpoint_size", "fault")
    assert [report[name] for name in told] == [True, 31, 3, 3, 31, None]


def test_machines_get_the_fault_in_members(bailiwick: CommandLine, log: Path) -> None:
    """House: `Fault`; the status is that of the sentence for people."""
    (log / "seg-000000000011.jsonl").unlink()
    done, report = verified(bailiwick, log)
    assert (done.status, report["sound"]) == (1, False)
    fault = report["fault"]
    assert (fault["code"], fault["seq"], fault["line"]) == ("segment_missing", 11, 0)


def test_a_fault_of_a_whole_file_names_no_line(bailiwick: CommandLine, log: Path) -> None:
    """House: lines are counted from 1."""
    (log / "seg-000000000011.jsonl").unlink()
    assert "  seg-000000000011.jsonl (segment_missing)\n" in (
        bailiwick("evidence", "verify", "--folder", log).out
    )


def test_a_pinned_key_that_signed_makes_the_log_trusted(bailiwick: CommandLine, log: Path) -> None:
    """House: one of several is enough, since a log may have had several."""
    keys = ("--key", Key(9).vkey(), "--key", Key().vkey())
    done, report = verified(bailiwick, log, *keys)
    assert (done.status, report["trusted"]) == (0, True)
    assert verified(bailiwick, log)[1]["trusted"] is False


def test_a_log_of_another_key_than_the_pinned_one_is_refused(
    bailiwick: CommandLine, log: Path
) -> None:
    """House: else anybody could have written it."""
    done, report = verified(bailiwick, log, "--key", Key(9).vkey())
    assert (done.status, report["fault"]["code"]) == (1, "key_unknown")


@pytest.mark.parametrize("option", ["--key", "--witness-key"])
@pytest.mark.parametrize("text", ["", "example.com/log", "a+b+c", "\udcff"])
def test_a_key_that_is_none_is_no_answer(
    bailiwick: CommandLine, log: Path, option: str, text: str
) -> None:
    """House, style §4.8: 3, one sentence and nothing on stdout."""
    done = bailiwick("evidence", "verify", "--folder", log, option, text)
    assert (done.status, done.out, done.err.count("\n")) == (3, "", 1)


def test_an_anchor_shows_that_the_end_was_cut_off(
    bailiwick: CommandLine, tmp_path: Path, log: Path
) -> None:
    """House: what is left is sound by itself; only what was kept elsewhere tells."""
    (tmp_path / "anchor").write_text(sample().note())
    anchor = ("--anchor", tmp_path / "anchor")
    assert verified(bailiwick, log, *anchor)[1]["anchored_size"] == 31
    assert verified(bailiwick, cut(tmp_path))[0].status == 0
    done, report = verified(bailiwick, cut(tmp_path), *anchor)
    assert (done.status, report["fault"]["code"]) == (1, "records_missing")


def test_an_anchor_that_cannot_be_read_is_named(
    bailiwick: CommandLine, tmp_path: Path, log: Path
) -> None:
    """House: the sentence is about the file that is wrong, not about the log."""
    done = bailiwick("evidence", "verify", "--folder", log, "--anchor", tmp_path / "none")
    assert (done.status, done.out) == (3, "")
    assert str(tmp_path / "none") in done.err


def test_only_a_witness_that_is_known_vouches(bailiwick: CommandLine, tmp_path: Path) -> None:
    """C2SP tlog-cosignature: anybody can add a line; the auditor's keys decide."""
    witness, made = Key(7, "witness.example/w"), sample()
    note = made.note()
    made.anchor(note + witness.cosign(note.partition("\n\n")[0] + "\n"))
    made.store(tmp_path)
    sizes = [
        verified(bailiwick, tmp_path, *options)[1]["anchored_size"]
        for options in ((), ("--witness-key", Key(8, "other").vkey(4)))
    ]
    known = verified(bailiwick, tmp_path, "--witness-key", witness.vkey(4))[1]
    assert (sizes, known["anchored_size"]) == ([0, 0], 31)


def test_the_first_run_writes_what_it_remembers(
    bailiwick: CommandLine, tmp_path: Path, log: Path
) -> None:
    """C2SP signed-note: the checkpoint as it was signed; house: for its owner only."""
    (tmp_path / "mine").mkdir()
    file = tmp_path / "mine" / "checkpoint"
    assert verified(bailiwick, log, "--remember", file)[0].status == 0
    assert file.read_text() == sample().note()
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_log_that_went_on_replaces_what_is_remembered(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """House: the file is never half written: another name of the old one still has the old text."""
    file, old = tmp_path / "checkpoint", tmp_path / "old"
    assert verified(bailiwick, cut(tmp_path), "--remember", file)[0].status == 0
    old.hardlink_to(file)
    grown = grown_log(tmp_path)
    done, report = verified(bailiwick, tmp_path / "grown", "--remember", file)
    assert (done.status, report["anchored_size"]) == (0, sample(segments=2).seq)
    assert file.read_text() == grown.note()
    assert old.read_text() == sample(segments=2).note()


def grown_log(tmp_path: Path) -> Forge:
    """Return the log of `cut` with another run behind it, and store it."""
    grown = sample(segments=2)
    grown.start()
    grown.add("stop")
    grown.checkpoint()
    grown.store(tmp_path / "grown")
    return grown


def test_what_cannot_be_written_leaves_what_was_remembered(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """House, style §4.8: 3, and the next run still knows what the last one saw."""
    (tmp_path / "mine").mkdir()
    file = tmp_path / "mine" / "checkpoint"
    verified(bailiwick, cut(tmp_path), "--remember", file)
    grown_log(tmp_path)
    with no_room():
        done = bailiwick("evidence", "verify", "--folder", tmp_path / "grown", "--remember", file)
    assert (done.status, str(file) in done.err) == (3, True)
    assert file.read_text() == sample(segments=2).note()
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("other", "code"), [(cut, "rolled_back"), (forked, "forked")], ids=["smaller", "forked"]
)
def test_a_log_that_lost_or_changed_what_was_seen_is_refused(
    bailiwick: CommandLine, tmp_path: Path, log: Path, other: Any, code: str
) -> None:
    """House: and what is remembered stays, else the second try would succeed."""
    file = tmp_path / "checkpoint"
    verified(bailiwick, log, "--remember", file)
    assert verified(bailiwick, other(tmp_path))[0].status == 0
    for _ in range(2):
        done, report = verified(bailiwick, other(tmp_path), "--remember", file)
        assert (done.status, report["fault"]["code"]) == (1, code)
    assert file.read_text() == sample().note()


def test_a_damaged_log_is_not_remembered(bailiwick: CommandLine, tmp_path: Path, log: Path) -> None:
    """House: only what was found sound."""
    path = log / "seg-000000000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b"c0-1", b"c0-9", 1))
    assert verified(bailiwick, log, "--remember", tmp_path / "file")[0].status == 1
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("held", [b"", b"\xff\xfe", b"a\n1\n\n", b"shopping list\n"])
def test_a_file_that_holds_no_checkpoint_is_neither_believed_nor_overwritten(
    bailiwick: CommandLine, tmp_path: Path, log: Path, held: bytes
) -> None:
    """House, style §4.8: 3 and one sentence that names the file; an emptied one is no first run."""
    file = tmp_path / "file"
    file.write_bytes(held)
    done = bailiwick("evidence", "verify", "--folder", log, "--remember", file)
    assert (done.status, done.out, done.err.count("\n")) == (3, "", 1)
    assert str(file) in done.err
    assert file.read_bytes() == held


def test_a_place_where_nothing_can_be_remembered_is_said(
    bailiwick: CommandLine, tmp_path: Path, log: Path
) -> None:
    """House, style §4.8: neither a folder, nor a file in a folder that is not there."""
    for place in (tmp_path, tmp_path / "nowhere" / "file"):
        done = bailiwick("evidence", "verify", "--folder", log, "--remember", place)
        assert (done.status, done.err.count("\n"), str(place) in done.err) == (3, 1, True)
