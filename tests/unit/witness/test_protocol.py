import pytest

from gateway.core.errors import VerificationError
from gateway.core.note import Note, SigningKey, cosign, encode64
from gateway.witness.protocol import MAX_BODY_BYTES, MAX_PROOF, parse, signed_alone
from tests.unit.witness.logs import MemoryLog

LOG = MemoryLog("a", "b", "c")
NOTE = LOG.note().encode()
HASH = encode64(bytes(32)).encode() + b"\n"


def test_a_submission_is_read_as_it_was_written() -> None:
    """C2SP tlog-witness, add-checkpoint: old size, proof lines, empty line, checkpoint."""
    read = parse(b"old 2\n" + HASH * 2 + b"\n" + NOTE)
    assert (read.old, read.proof, read.checkpoint.size) == (2, (bytes(32),) * 2, 3)


def test_a_proof_may_have_63_lines() -> None:
    """C2SP tlog-witness: a client MUST NOT send more than 63."""
    assert len(parse(b"old 2\n" + HASH * MAX_PROOF + b"\n" + NOTE).proof) == 63


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"old\n",
        b"old \n",
        b"old 02\n",
        b"old +2\n",
        b"old -1\n",
        b"old  2\n",
        b"OLD 2\n",
        b"old 2 \n",
        b"old 2\r\n",
        b"old \xd9\xa2\n",
        b"old 99999999999999999999\n",
        b"old 2\nold 2\n",
        b"old 2\n" + HASH.strip() + b"\r\n",
        b"old 2\n" + encode64(bytes(31)).encode() + b"\n",
        b"old 2\n" + HASH.replace(b"AAA=", b"AAB=") + b"\n",
        b"old 2\n" + HASH * 64,
    ],
)
def test_a_head_in_another_spelling_is_refused(head: bytes) -> None:
    """C2SP tlog-witness: ASCII decimal without leading zeroes, base64 of hashes, at most 63."""
    with pytest.raises(VerificationError):
        parse(head + b"\n" + NOTE)


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b"\n",
        b"\n" + NOTE[:-1],
        b"\n" + NOTE.partition(b"\n\n")[0] + b"\n",
        b"\n" + NOTE.replace(b"\n3\n", b"\n03\n"),
        b"\n" + NOTE.replace(b"\n\n", b"\nextension\n\n"),
    ],
)
def test_what_follows_must_be_a_signed_checkpoint(rest: bytes) -> None:
    """C2SP tlog-checkpoint; house: no extension lines."""
    with pytest.raises(VerificationError):
        parse(b"old 0\n" + rest)


def test_a_body_has_a_largest_size() -> None:
    """House: whatever is kept is bounded."""
    line = cosign(SigningKey("x.example", bytes(32)), "text\n", 1).encode()
    fitting = b"old 0\n\n" + NOTE + line
    assert parse(fitting).old == 0
    long = cosign(SigningKey("x" * MAX_BODY_BYTES, bytes(32)), "text\n", 1).encode()
    with pytest.raises(VerificationError) as refused:
        parse(b"old 0\n\n" + NOTE + long)
    assert refused.value.reason_code == "submission_malformed"


def test_only_the_signatures_of_the_key_are_kept() -> None:
    """House: who submits does not choose what the witness stores."""
    stranger = cosign(SigningKey("x.example", bytes(32)), "text\n", 1)
    assert signed_alone(Note.parse(LOG.note() + stranger), LOG.key.verifier) == LOG.note()
