"""A proof that a record is in a log, for somebody who has only the record and the log's key.

The format is https://c2sp.org/tlog-proof: the index, the inclusion proof (RFC 6962 §2.1.1) and the
signed checkpoint. A proof that passes `check` shows that whoever holds the key committed to exactly
these bytes at exactly this place. It does not show that others were given the same log; witnesses'
cosignatures on the checkpoint do. `extra` is signed by nobody. Does not make proofs.
"""

from dataclasses import dataclass
from typing import Final

from gateway.core.checkpoint import MAX_SIZE, Checkpoint, decimal
from gateway.core.errors import VerificationError
from gateway.core.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from gateway.core.note import Note, VerifierKey, decode64, encode64

MAX_HASHES: Final = 63
"""Longest inclusion proof in a tree of up to 2^63 leaves."""
MAX_BYTES: Final = 2_000_000
"""Longest proof that is read."""

_HEADER, _EXTRA, _INDEX = "c2sp.org/tlog-proof@v1", "extra ", "index "


@dataclass(frozen=True, slots=True)
class Proof:
    """An inclusion proof that carries the checkpoint it is about.

    Raises:
        VerificationError: it cannot be written as a proof (`proof_malformed`).
    """

    index: int
    """Place of the leaf, from 0: the record's seq."""
    hashes: tuple[bytes, ...]
    """The inclusion proof, the leaf's sibling first."""
    note: str
    """The checkpoint as it was signed, verbatim."""
    extra: bytes | None = None
    """What the maker added; nothing vouches for it."""

    def __post_init__(self) -> None:
        if not 0 <= self.index <= MAX_SIZE or len(self.hashes) > MAX_HASHES:
            raise _malformed("its index or the number of its hashes is out of range")
        if any(len(node) != HASH_BYTES for node in self.hashes):
            raise _malformed("a hash is not 32 bytes long")
        if self.extra == b"":
            raise _malformed("its extra data is empty, but there")

    def encode(self) -> bytes:
        """Return the bytes of the `.tlog-proof` file."""
        extra = [] if self.extra is None else [_EXTRA + encode64(self.extra)]
        lines = [_HEADER, *extra, f"{_INDEX}{self.index}", *map(encode64, self.hashes)]
        return ("\n".join(lines) + "\n\n" + self.note).encode()

    @classmethod
    def parse(cls, data: bytes | str) -> "Proof":
        """Read a proof, verifying nothing; the checkpoint is read by `check`.

        Raises:
            VerificationError: it is not a proof (`proof_malformed`).
        """
        if len(data) > MAX_BYTES:
            raise _malformed("it is too long")
        try:
            text = data if isinstance(data, str) else data.decode("utf-8")
            head, blank, note = text.partition("\n\n")
            lines = head.split("\n")
            extra = decode64(lines.pop(1)[len(_EXTRA) :]) if _has_extra(lines) else None
            if not blank or lines[0] != _HEADER or not lines[1].startswith(_INDEX):
                raise _malformed("its first lines are not those of a proof")
            index = decimal(lines[1][len(_INDEX) :])
            return cls(index, tuple(map(decode64, lines[2:])), note, extra)
        except (ValueError, IndexError) as exc:
            raise _malformed("a line of it cannot be read") from exc

    def check(self, line: bytes, key: VerifierKey) -> Checkpoint:
        """Check that the log with `key` holds `line`, and return the checkpoint that says so.

        Args:
            line: the record as it is stored, without its newline.
            key: the log's key, trusted by the caller; its name is the log's origin.

        Raises:
            VerificationError: `note_malformed`, `checkpoint_signature` (not signed by `key`),
                `checkpoint_malformed`, `checkpoint_origin` (of another log) or
                `inclusion_mismatch` (the log does not hold this line here).
        """
        note = Note.parse(self.note)
        if not note.signed_by(key):
            raise VerificationError(
                f"the checkpoint is not signed by {key}", code="checkpoint_signature"
            )
        head = Checkpoint.parse(note.text)
        if head.origin != key.name:
            raise VerificationError(
                "the checkpoint is that of another log", code="checkpoint_origin"
            )
        if not verify_inclusion(leaf_hash(line), self.index, head.size, self.hashes, head.root):
            raise VerificationError(
                f"the log does not hold these bytes as record {self.index}",
                code="inclusion_mismatch",
            )
        return head


def _has_extra(lines: list[str]) -> bool:
    return len(lines) > 1 and lines[1].startswith(_EXTRA)


def _malformed(why: str) -> VerificationError:
    return VerificationError(f"this is no proof: {why}", code="proof_malformed")
