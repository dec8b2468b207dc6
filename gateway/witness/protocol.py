"""The body of `add-checkpoint`, read strictly, and the answers that the protocol has.

https://c2sp.org/tlog-witness. One submission has one spelling. Checkpoints with extension lines are
refused as malformed, as everywhere here. Does not judge a submission (`state.py`).
"""

import re
from dataclasses import dataclass
from typing import Final

from gateway.core.checkpoint import Checkpoint, decimal
from gateway.core.errors import VerificationError
from gateway.core.merkle import HASH_BYTES
from gateway.core.note import Note, VerifierKey, decode64, encode64

MAX_BODY_BYTES: Final = 64 * 1024
MAX_PROOF: Final = 63
"""Most hashes of a consistency proof."""
SIZE_TYPE: Final = "text/x.tlog.size"
TEXT_TYPE: Final = "text/plain; charset=utf-8"

_OLD = re.compile(r"old (.+)")


@dataclass(frozen=True, slots=True)
class Submission:
    """What a log asks to be cosigned."""

    old: int
    """The size that the log believes we hold."""
    proof: tuple[bytes, ...]
    """RFC 6962 §2.1.2, from `old` to the checkpoint's size."""
    note: Note
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: str
    media_type: str = TEXT_TYPE


def parse(body: bytes) -> Submission:
    """Read a submission.

    Raises:
        VerificationError: it is malformed (`submission_malformed`, or the code of its part).
    """
    head, blank, note = body.partition(b"\n\n")
    if not blank or len(body) > MAX_BODY_BYTES:
        raise _malformed("there is no empty line before the checkpoint, or it is too long")
    try:
        first, *rows = head.decode("ascii").split("\n")
        match = _OLD.fullmatch(first)
        old = decimal(match[1] if match else "")
        proof = tuple(map(decode64, rows))
    except ValueError as exc:
        raise _malformed("a line before the checkpoint is not one") from exc
    if len(proof) > MAX_PROOF or any(len(node) != HASH_BYTES for node in proof):
        raise _malformed("the proof is too long, or a hash in it is not 32 bytes")
    read = Note.parse(note)
    return Submission(old, proof, read, Checkpoint.parse(read.text))


def signed_alone(note: Note, key: VerifierKey) -> str:
    """Return the note with the signatures of one key only: nobody else chooses what is kept."""
    own = (key.name, key.key_id)
    lines = [
        f"— {s.name} {encode64(s.key_id + s.blob)}\n"
        for s in note.signatures
        if (s.name, s.key_id) == own
    ]
    return f"{note.text}\n{''.join(lines)}"


def stale(held: int) -> Answer:
    """Return the answer to who does not know what we hold: the size."""
    return Answer(409, f"{held}\n", SIZE_TYPE)


def _malformed(why: str) -> VerificationError:
    return VerificationError(f"the submission is malformed: {why}", code="submission_malformed")
