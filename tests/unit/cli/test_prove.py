import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import CommandLine
from tests.unit.evidence.forge import ORIGIN, Forge, Key, leaf, sample, text

KEY = ("--key", Key().vkey())


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    """Return a log that is stored in the folder `log` of the test's."""
    made = sample()
    made.store(tmp_path / "log")
    return made


@pytest.fixture
def proof(bailiwick: CommandLine, tmp_path: Path, forge: Forge) -> Path:
    """Return the file of a proof of record 5."""
    assert forge.seq > 5
    made = tmp_path / "5.proof"
    done = bailiwick("evidence", "prove", 5, "--folder", tmp_path / "log", "--out", made)
    assert (done.status, done.out) == (0, "")
    return made


def receipt(forge: Forge, seq: int = 5) -> str:
    """Return the receipt of a record, as its caller was given it."""
    leaf_hash = text(leaf(forge.lines[seq]))
    return json.dumps({"origin": ORIGIN, "seq": seq, "leaf_hash": leaf_hash})


def test_a_proof_is_checked_with_nothing_but_the_key(
    bailiwick: CommandLine, proof: Path, forge: Forge
) -> None:
    """C2SP tlog-proof; house: the record is shown as it is stored."""
    done = bailiwick("evidence", "check-proof", proof, *KEY, "--receipt", receipt(forge))
    assert (done.status, done.out.startswith(f"proven: record 5 of {ORIGIN}\n")) == (0, True)
    assert forge.lines[5].decode() in done.out


def test_machines_get_the_receipt_and_the_record(
    bailiwick: CommandLine, proof: Path, forge: Forge
) -> None:
    """House: the receipt that the record's caller holds."""
    done = bailiwick("evidence", "check-proof", proof, *KEY, "--json")
    shown = json.loads(done.out)
    assert shown == {"receipt": json.loads(receipt(forge)), "record": json.loads(forge.lines[5])}


def test_without_a_file_the_proof_goes_to_stdout(
    bailiwick: CommandLine, tmp_path: Path, proof: Path
) -> None:
    """House: the same bytes, and nothing else."""
    done = bailiwick("evidence", "prove", 5, "--folder", tmp_path / "log")
    assert (done.status, done.out, done.err) == (0, proof.read_text(), "")


def test_a_file_that_is_there_is_not_overwritten(
    bailiwick: CommandLine, tmp_path: Path, proof: Path
) -> None:
    """House: a mistyped name destroys nothing, least of all evidence."""
    before = proof.read_bytes()
    done = bailiwick("evidence", "prove", 6, "--folder", tmp_path / "log", "--out", proof)
    assert (done.status, str(proof) in done.err) == (2, True)
    assert proof.read_bytes() == before


def test_a_file_that_cannot_be_written_is_said(
    bailiwick: CommandLine, tmp_path: Path, forge: Forge
) -> None:
    """House, style §4.8: 3 and one sentence."""
    out = tmp_path / "nowhere" / "proof"
    done = bailiwick("evidence", "prove", forge.seq - 1, "--folder", tmp_path / "log", "-o", out)
    assert (done.status, done.out, done.err.count("\n")) == (3, "", 1)


def test_what_is_not_there_or_not_covered_yet_is_not_proven(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """House, style §4.8: 1 is "no"."""
    made = sample()
    uncovered = made.add("start")
    made.store(tmp_path)
    for seq in (uncovered, uncovered + 1):
        done = bailiwick("evidence", "prove", seq, "--folder", tmp_path, "-o", tmp_path / "p")
        assert (done.status, f"record {seq}" in done.err) == (1, True)
    assert not (tmp_path / "p").exists()


def test_another_key_proves_nothing(bailiwick: CommandLine, proof: Path) -> None:
    """House: the key comes from elsewhere; the code is for scripts."""
    done = bailiwick("evidence", "check-proof", proof, "--key", Key(2).vkey())
    assert (done.status, "(checkpoint_signature)" in done.out) == (1, True)


def test_a_changed_line_proves_nothing(bailiwick: CommandLine, proof: Path) -> None:
    """C2SP tlog-proof: the record that it carries is the one that was logged."""
    lines = proof.read_text().split("\n")
    # The record travels as base64 in the line `extra`: two of its letters change places.
    at = next(number for number, line in enumerate(lines) if line.startswith("extra "))
    lines[at] = lines[at][:40] + lines[at][41] + lines[at][40] + lines[at][42:]
    proof.write_text("\n".join(lines))
    done = bailiwick("evidence", "check-proof", proof, *KEY)
    assert (done.status, "(inclusion_mismatch)" in done.out) == (1, True)


def test_a_receipt_of_another_record_is_a_broken_promise(
    bailiwick: CommandLine, proof: Path, forge: Forge
) -> None:
    """House: the log does not hold what it promised there."""
    done = bailiwick("evidence", "check-proof", proof, *KEY, "--receipt", receipt(forge, 6))
    assert (done.status, "(receipt_mismatch)" in done.out) == (1, True)


@pytest.mark.parametrize("given", ["", "[]", "{", "\udcff"])
def test_a_receipt_that_cannot_be_read_is_no_answer(
    bailiwick: CommandLine, proof: Path, given: str
) -> None:
    """House, style §4.8: 3 and one sentence; what is no text is none either."""
    done = bailiwick("evidence", "check-proof", proof, *KEY, "--receipt", given)
    assert (done.status, done.out, done.err.count("\n")) == (3, "", 1)


def test_a_key_or_a_file_that_cannot_be_read_is_no_answer(
    bailiwick: CommandLine, tmp_path: Path, proof: Path
) -> None:
    """House, style §4.8: neither holds nor fails."""
    assert bailiwick("evidence", "check-proof", proof, "--key", "key").status == 3
    assert bailiwick("evidence", "check-proof", tmp_path / "none", *KEY).status == 3


def test_a_file_that_is_no_proof_proves_nothing(bailiwick: CommandLine, tmp_path: Path) -> None:
    """C2SP tlog-proof; house: whoever was promised a proof got none."""
    (tmp_path / "file").write_bytes(b"\xff\x00")
    done = bailiwick("evidence", "check-proof", tmp_path / "file", *KEY)
    assert (done.status, done.out.startswith("refused")) == (1, True)
