"""The chain: what the next line of a log must satisfy.

Record n holds the leaf hash of record n-1, and seq runs 0, 1, 2, … without gap, so nothing can be
removed, added or reordered unseen. Leaf hashes follow RFC 6962 §2.1,
https://www.rfc-editor.org/rfc/rfc6962#section-2.1. Recovery and the verifier share this one rule.
Does not know files, and does not judge what records say.
"""

from dataclasses import dataclass

from gateway.core.errors import VerificationError
from gateway.core.record import NO_PREV, Record, decode


@dataclass(slots=True)
class Chain:
    """The head of a log that is being read; `follow` moves it on."""

    seq: int = 0
    """The seq that the next record must have."""
    prev: str = NO_PREV
    """The `prev` that the next record must have."""

    def follow(self, raw: bytes) -> Record:
        """Accept a raw line as the next record.

        Raises:
            VerificationError: `line_unfinished`, `record_unreadable`, `seq_broken` or
                `prev_mismatch`; the head has not moved.
        """
        record = read(raw)
        if record.seq != self.seq:
            raise VerificationError(
                f"record {self.seq} is not here: record {record.seq} stands in its place",
                code="seq_broken",
            )
        if record.prev != self.prev:
            raise VerificationError(
                f"record {record.seq} does not follow the record before it", code="prev_mismatch"
            )
        self.seq, self.prev = record.seq + 1, record.leaf_hash
        return record


def read(raw: bytes) -> Record:
    """Read a raw line by itself.

    Raises:
        VerificationError: `line_unfinished` or `record_unreadable`.
    """
    if not raw.endswith(b"\n"):
        raise VerificationError("the line does not end with a newline", code="line_unfinished")
    return decode(raw[:-1])
