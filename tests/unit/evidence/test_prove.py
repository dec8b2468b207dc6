import json
from pathlib import Path

import pytest

from gateway.core.errors import VerificationError
from gateway.core.note import VerifierKey
from gateway.core.proof import Proof
from gateway.evidence.prove import check_proof, check_receipt, prove
from tests.unit.evidence.forge import Forge, Key, leaf, sample, text
from tests.unit.evidence.logs import write_log

KEY = VerifierKey.parse(Key().vkey())


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    """Return a log of three segments that is stored in the test's folder."""
    made = sample()
    made.store(tmp_path)
    return made


def test_every_record_can_be_proven(tmp_path: Path, forge: Forge) -> None:
    """C2SP tlog-proof: for the newest checkpoint, the record included; read without an index."""
    for seq, line in enumerate(forge.lines):
        proven = check_proof(prove(tmp_path, seq).encode(), KEY)
        assert (proven.seq, proven.line, proven.checkpoint.size) == (seq, line, 31)


async def test_a_proof_is_the_same_with_the_index_and_without(tmp_path: Path) -> None:
    """House: the index only spares the reading."""
    folder = tmp_path / "evidence"
    await write_log(folder, 20, segment_bytes=3000)
    index = folder / "nodes.bin"
    with_index = [prove(folder, seq).encode() for seq in range(0, 40, 7)]
    index.write_bytes(b"\x00" * index.stat().st_size)
    damaged = [prove(folder, seq).encode() for seq in range(0, 40, 7)]
    index.unlink()
    without = [prove(folder, seq).encode() for seq in range(0, 40, 7)]
    assert with_index == damaged == without


def test_a_record_that_no_checkpoint_covers_cannot_be_proven_yet(tmp_path: Path) -> None:
    """House: it will be within seconds."""
    made = sample()
    seq = made.add("start")
    made.store(tmp_path)
    with pytest.raises(VerificationError) as caught:
        prove(tmp_path, seq)
    assert caught.value.reason_code == "not_covered"


@pytest.mark.parametrize("seq", [-1, 31, 10**9])
def test_a_record_that_is_not_there_cannot_be_proven(
    tmp_path: Path, forge: Forge, seq: int
) -> None:
    """House: no proof of nothing."""
    assert forge.seq == 31
    with pytest.raises(VerificationError) as caught:
        prove(tmp_path, seq)
    assert caught.value.reason_code == "record_missing"


def test_a_changed_log_makes_no_proof(tmp_path: Path, forge: Forge) -> None:
    """House: what is handed out holds."""
    path = forge.path(tmp_path, 0)
    path.write_bytes(path.read_bytes().replace(b"c0-1", b"c0-9"))
    with pytest.raises(VerificationError) as caught:
        prove(tmp_path, 20)
    assert caught.value.reason_code == "checkpoint_mismatch"


def test_records_behind_deleted_segments_can_be_proven(tmp_path: Path, forge: Forge) -> None:
    """RFC 6962 §2.1.1: the frontier stands for what was deleted, as far as it goes."""
    forge.path(tmp_path, 0).unlink()
    assert check_proof(prove(tmp_path, 30).encode(), KEY).seq == 30


def test_a_proof_that_needs_deleted_segments_is_not_made(tmp_path: Path) -> None:
    """House: said as what it is."""
    made = Forge()
    made.segment()
    made.start()
    made.add("seal", first_seq=0, root=text(b"\x00" * 32))
    made.segment()
    made.checkpoint()
    made.store(tmp_path)
    made.path(tmp_path, 0).unlink()
    # Of the frontier (2 + 1 leaves) record 3 needs both peaks, and has them.
    assert prove(tmp_path, 3).index == 3
    with pytest.raises(VerificationError):
        prove(tmp_path, 1)


def test_another_key_proves_nothing(tmp_path: Path, forge: Forge) -> None:
    """House: the key comes from elsewhere."""
    data = prove(tmp_path, 5).encode()
    assert forge.key.vkey() == str(KEY)
    with pytest.raises(VerificationError) as caught:
        check_proof(data, VerifierKey.parse(Key(2).vkey()))
    assert caught.value.reason_code == "checkpoint_signature"


def test_a_proof_with_another_record_proves_nothing(tmp_path: Path, forge: Forge) -> None:
    """C2SP tlog-proof: what it carries is signed by nobody until it is checked."""
    proof = prove(tmp_path, 5)
    other = Proof(proof.index, proof.hashes, proof.note, forge.lines[6])
    with pytest.raises(VerificationError) as caught:
        check_proof(other.encode(), KEY)
    assert caught.value.reason_code == "inclusion_mismatch"


def test_a_proof_without_its_record_is_none(tmp_path: Path, forge: Forge) -> None:
    """House: ours carry it."""
    proof = prove(tmp_path, 5)
    with pytest.raises(VerificationError) as caught:
        check_proof(Proof(5, proof.hashes, proof.note).encode(), KEY)
    assert (caught.value.reason_code, forge.seq) == ("proof_malformed", 31)


def test_a_record_that_names_another_place_is_refused(tmp_path: Path) -> None:
    """House: a key holder can put any line anywhere in a tree."""
    made = sample(1, changes={3: lambda record: record.update(seq=4)})
    made.store(tmp_path)
    with pytest.raises(VerificationError) as caught:
        prove(tmp_path, 3)
    assert caught.value.reason_code == "seq_mismatch"


def test_a_receipt_is_kept(tmp_path: Path, forge: Forge) -> None:
    """House: the caller's receipt names origin, seq and leaf hash."""
    proven = check_proof(prove(tmp_path, 5).encode(), KEY)
    good = {"origin": KEY.name, "seq": 5, "leaf_hash": text(leaf(forge.lines[5]))}
    check_receipt(proven, good)
    for change in ({"origin": "x"}, {"seq": 6}, {"seq": 5.0}, {"leaf_hash": "x"}, {"seq": None}):
        with pytest.raises(VerificationError) as caught:
            check_receipt(proven, {**good, **change})
        assert caught.value.reason_code == "receipt_mismatch"


def test_a_proof_after_a_rotation_is_under_the_new_key(tmp_path: Path) -> None:
    """House: an old record is proven by the newest checkpoint."""
    made = sample(1, closed=False)
    made.rotate(Key(2))
    made.checkpoint()
    made.store(tmp_path)
    new = VerifierKey.parse(Key(2).vkey())
    assert check_proof(prove(tmp_path, 2).encode(), new).seq == 2


def test_a_log_without_checkpoints_proves_nothing(tmp_path: Path, forge: Forge) -> None:
    """House: a proof is worth its signature."""
    (tmp_path / "checkpoints.jsonl").unlink()
    with pytest.raises(VerificationError) as caught:
        prove(tmp_path, 5)
    assert (caught.value.reason_code, forge.seq) == ("not_covered", 31)


def test_confirmations_of_anchors_do_not_hide_the_checkpoint(tmp_path: Path) -> None:
    """House: only the log's own file is asked."""
    made = sample()
    for _ in range(9):
        made.anchor(made.note())
    made.store(tmp_path)
    assert prove(tmp_path, 3).index == 3


async def test_a_damaged_node_below_the_root_is_not_believed(tmp_path: Path) -> None:
    """House: nodes that make the right root do not make every proof right."""
    folder = tmp_path / "evidence"
    await write_log(folder, 20, segment_bytes=3000)
    sound = prove(folder, 1).encode()
    index = folder / "nodes.bin"
    # The first leaf is the sibling of the second, and no part of the root as it is computed.
    index.write_bytes(b"\x00" * 32 + index.read_bytes()[32:])
    assert prove(folder, 1).encode() == sound


NOTHING = json.dumps({"size": 31, "note": "nothing"}) + "\n"


@pytest.mark.parametrize("row", [NOTHING, "x\n", '{"size": 31, "no', "\n"])
def test_a_line_that_is_no_checkpoint_is_passed_over(
    tmp_path: Path, forge: Forge, row: str
) -> None:
    """House: a crash may tear the last line; the one before covers the record as well."""
    path = tmp_path / "checkpoints.jsonl"
    path.write_text(path.read_text() + row)
    assert (prove(tmp_path, 3).index, forge.seq) == (3, 31)


def test_a_damaged_checkpoint_does_not_stand_in_the_way_of_newer_ones(tmp_path: Path) -> None:
    """House: the newest is read from the end."""
    made = sample()
    made.heads[1:1] = ["x"]
    made.store(tmp_path)
    assert check_proof(prove(tmp_path, 3).encode(), KEY).checkpoint.size == 31


def test_a_checkpoint_that_nobody_of_the_log_signed_is_passed_over(tmp_path: Path) -> None:
    """House: the newest that is signed counts, and is not if it does not cover the record."""
    made = sample(closed=False)
    covered = made.seq
    made.add("stop")
    made.checkpoint(key=Key(2))
    made.store(tmp_path)
    assert check_proof(prove(tmp_path, 3).encode(), KEY).checkpoint.size == covered
    with pytest.raises(VerificationError) as caught:
        prove(tmp_path, covered)
    assert caught.value.reason_code == "checkpoint_signature"


def test_what_a_call_says_is_no_key(tmp_path: Path) -> None:
    """House: a record's kind is its own, not that of something within it."""
    made = sample(1, closed=False)
    made.add("heartbeat", body={"kind": "segment"})
    made.rotate(Key(2))
    made.checkpoint()
    made.store(tmp_path)
    new = VerifierKey.parse(Key(2).vkey())
    assert check_proof(prove(tmp_path, 2).encode(), new).seq == 2
