import base64
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import VerificationError
from gateway.core.merkle import Frontier, inclusion_proof, leaf_hash, stored_index
from gateway.core.note import SigningKey, cosign
from gateway.core.proof import Proof

ORIGIN = "example.com/bailiwick/0"
KEY = SigningKey(ORIGIN, os.urandom(32))
LINES = [b'{"v":1,"seq":%d}' % n for n in range(11)]
HASH = bytes(range(32))
HASH64 = base64.b64encode(HASH).decode()
HEADER = "c2sp.org/tlog-proof@v1"


def proof_of(
    seq: int, size: int = 11, key: SigningKey = KEY, origin: str = ORIGIN, extension: str = ""
) -> Proof:
    """Return an honest proof of line `seq`, with a checkpoint of this origin signed by `key`."""
    frontier, stored = Frontier(), list[bytes]()
    for line in LINES[:size]:
        stored += frontier.append(leaf_hash(line))
    hashes = inclusion_proof(lambda level, n: stored[stored_index(level, n)], seq, size)
    text = Checkpoint(origin, size, frontier.root()).text() + extension
    return Proof(seq, tuple(hashes), key.sign_note(text))


def refused(proof: Proof, line: bytes, key: SigningKey = KEY) -> str:
    """Return the code with which the check fails."""
    with pytest.raises(VerificationError) as caught:
        proof.check(line, key.verifier)
    return caught.value.reason_code


def malformed(data: bytes | str) -> None:
    """Assert that this is refused as a proof."""
    with pytest.raises(VerificationError) as caught:
        Proof.parse(data)
    assert caught.value.reason_code == "proof_malformed"


def test_a_proof_is_written_as_the_format_says() -> None:
    """C2SP tlog-proof, format; transparency-dev/formats, proof tests."""
    proof = Proof(10, (HASH, HASH), "checkpoint data\n", b"extra information")
    text = f"{HEADER}\nextra ZXh0cmEgaW5mb3JtYXRpb24=\nindex 10\n{HASH64}\n{HASH64}\n\n"
    assert proof.encode() == (text + "checkpoint data\n").encode()


def test_a_proof_of_a_lone_leaf_has_no_hashes() -> None:
    """C2SP tlog-proof, format; transparency-dev/formats, proof tests."""
    assert Proof(0, (), "checkpoint\n").encode() == f"{HEADER}\nindex 0\n\ncheckpoint\n".encode()


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.none() | st.binary(min_size=1, max_size=50),
)
def test_a_proof_reads_back_as_it_was(index: int, hashes: list[bytes], extra: bytes | None) -> None:
    """House."""
    proof = Proof(index, tuple(hashes), "o\n1\n\n\nx\n\n— é AAAA\n", extra)
    assert Proof.parse(proof.encode()) == Proof.parse(proof.encode().decode()) == proof


@pytest.mark.parametrize("size", range(1, 12))
def test_an_honest_proof_holds_and_returns_its_checkpoint(size: int) -> None:
    """C2SP tlog-proof."""
    for seq in range(size):
        proof = Proof.parse(proof_of(seq, size).encode())
        head = proof.check(LINES[seq], KEY.verifier)
        assert (head.origin, head.size) == (ORIGIN, size)


def test_extra_data_neither_helps_nor_harms_a_proof() -> None:
    """C2SP tlog-proof: it is not authenticated."""
    assert replace(proof_of(3), extra=b"trust me").check(LINES[3], KEY.verifier)
    assert refused(replace(proof_of(3), extra=LINES[4]), LINES[4]) == "inclusion_mismatch"


def test_cosignatures_on_the_checkpoint_do_no_harm() -> None:
    """C2SP tlog-proof: the checkpoint optionally includes cosignatures."""
    proof = proof_of(3)
    text = proof.note.partition("\n\n")[0] + "\n"
    witness = SigningKey("witness.example", os.urandom(32))
    cosigned = replace(proof, note=proof.note + cosign(witness, text, 1_700_000_000))
    assert Proof.parse(cosigned.encode()).check(LINES[3], KEY.verifier).size == 11


@pytest.mark.parametrize("line", [LINES[4], LINES[3] + b"\n", LINES[3].upper(), b""])
def test_another_line_is_not_proved(line: bytes) -> None:
    """RFC 6962 §2.1.1."""
    assert refused(proof_of(3), line) == "inclusion_mismatch"


@pytest.mark.parametrize("index", [0, 2, 4, 10, 11, 2**62])
def test_another_index_is_not_proved(index: int) -> None:
    """RFC 6962 §2.1.1."""
    assert refused(replace(proof_of(3), index=index), LINES[3]) == "inclusion_mismatch"


def test_a_checkpoint_of_another_size_proves_nothing() -> None:
    """RFC 6962 §2.1.1."""
    assert refused(replace(proof_of(3), note=proof_of(3, 5).note), LINES[3]) == "inclusion_mismatch"


def test_changed_hashes_prove_nothing() -> None:
    """RFC 6962 §2.1.1."""
    proof = proof_of(3)
    for hashes in (proof.hashes[1:], proof.hashes[:-1], proof.hashes[::-1], (*proof.hashes, HASH)):
        assert refused(replace(proof, hashes=hashes), LINES[3]) == "inclusion_mismatch"


def test_a_checkpoint_by_another_key_of_the_same_name_proves_nothing() -> None:
    """C2SP signed-note: clients must reject it."""
    forger = SigningKey(ORIGIN, os.urandom(32))
    assert refused(proof_of(3, key=forger), LINES[3]) == "checkpoint_signature"


def test_a_checkpoint_changed_after_signing_proves_nothing() -> None:
    """C2SP signed-note."""
    proof = proof_of(3)
    changed = replace(proof, note=proof.note.replace("\n11\n", "\n12\n"))
    assert refused(changed, LINES[3]) == "checkpoint_signature"


def test_a_checkpoint_of_another_log_proves_nothing() -> None:
    """House: docs/evidence.md, the key's name is the origin."""
    other = proof_of(3, origin="example.com/bailiwick/1")
    assert refused(other, LINES[3]) == "checkpoint_origin"


def test_a_note_that_is_no_checkpoint_proves_nothing() -> None:
    """House: extension lines are refused."""
    assert refused(proof_of(3, extension="more\n"), LINES[3]) == "checkpoint_malformed"


def test_a_proof_without_a_signed_note_proves_nothing() -> None:
    """C2SP signed-note."""
    unsigned = replace(proof_of(3), note=proof_of(3).note.partition("\n\n")[0] + "\n")
    assert refused(unsigned, LINES[3]) == "note_malformed"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        f"{HEADER}\n",
        f"{HEADER}\nindex 0",
        f"{HEADER}\nindex 0\n",
        f"{HEADER}\n\n\ncheckpoint\n",
        f"{HEADER}\n\nindex 0\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v2\nindex 0\n\ncheckpoint\n",
        "index 0\n\ncheckpoint\n",
        f" {HEADER}\nindex 0\n\ncheckpoint\n",
        f"{HEADER}\r\nindex 0\r\n\r\ncheckpoint\r\n",
        f"{HEADER}\nindex\n\ncheckpoint\n",
        f"{HEADER}\nIndex 0\n\ncheckpoint\n",
        f"{HEADER}\nindex x\n\ncheckpoint\n",
        f"{HEADER}\nindex -5\n\ncheckpoint\n",
        f"{HEADER}\nindex 00\n\ncheckpoint\n",
        f"{HEADER}\nindex 05\n\ncheckpoint\n",
        f"{HEADER}\nindex {2**63}\n\ncheckpoint\n",
        f"{HEADER}\nindex 0\nindex 0\n\ncheckpoint\n",
        f"{HEADER}\nindex 0\nextra AAAA\n\ncheckpoint\n",
        f"{HEADER}\nextra AAAA\nextra AAAA\nindex 0\n\ncheckpoint\n",
        f"{HEADER}\nextra AAAA\n\ncheckpoint\n",
        f"{HEADER}\nextra !!\nindex 0\n\ncheckpoint\n",
        f"{HEADER}\nextra \nindex 0\n\ncheckpoint\n",
        f"{HEADER}\nextra AB==\nindex 0\n\ncheckpoint\n",
        f"{HEADER}\nindex 0\n!!\n\ncheckpoint\n",
        f"{HEADER}\nindex 0\n{HASH64} \n\ncheckpoint\n",
        f"{HEADER}\nindex 0\n{HASH64[:-2]}9=\n\ncheckpoint\n",
        f"{HEADER}\nindex 0\n{base64.b64encode(bytes(31)).decode()}\n\ncheckpoint\n",
        f"{HEADER}\nindex 0\n{base64.b64encode(bytes(64)).decode()}\n\ncheckpoint\n",
        f"{HEADER}\nindex 0\n" + f"{HASH64}\n" * 64 + "\ncheckpoint\n",
        f"{HEADER}\nindex 0\n\ncheckpoint\n".encode() + b"\xff",
        f"{HEADER}\nindex 0\n\ncheckpoint\n" + "x" * 2_000_000,
    ],
)
def test_what_is_not_a_proof_is_refused(data: bytes | str) -> None:
    """C2SP tlog-proof, format; transparency-dev/merkle, proof tests."""
    malformed(data)


@pytest.mark.parametrize(
    ("index", "hashes", "extra"),
    [(-1, 0, None), (2**63, 0, None), (0, 64, None), (0, 1, b"")],
)
def test_what_could_not_be_read_back_is_never_made(
    index: int, hashes: int, extra: bytes | None
) -> None:
    """House."""
    with pytest.raises(VerificationError) as caught:
        Proof(index, (HASH,) * hashes, "checkpoint\n", extra)
    assert caught.value.reason_code == "proof_malformed"
