"""A checkpoint: the head of a log at one size, as the text of a signed note.

Three lines, https://c2sp.org/tlog-checkpoint: origin, size, base64 of the root. It has one
spelling, so that equal checkpoints are equal texts. Extension lines, which that format allows and
advises against, are refused: nobody could audit what they say. Does not sign, and does not compute
the root.
"""

import re
from dataclasses import dataclass
from typing import Final

from gateway.core.errors import VerificationError
from gateway.core.merkle import HASH_BYTES
from gateway.core.note import decode64, encode64, is_text

MAX_SIZE: Final = 2**63 - 1
"""Largest size of a log."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log.

    Raises:
        VerificationError: no log has such a head (`checkpoint_malformed`).
    """

    origin: str
    """Which log; the name of the key that signs."""
    size: int
    """Number of leaves."""
    root: bytes
    """RFC 6962 tree head over them, 32 bytes."""

    def __post_init__(self) -> None:
        if not self.origin or "\n" in self.origin or not is_text(self.origin):
            raise _malformed("its origin is not a line of text")
        if not 0 <= self.size <= MAX_SIZE:
            raise _malformed("its size is out of range")
        if len(self.root) != HASH_BYTES:
            raise _malformed("its root is not 32 bytes long")

    def text(self) -> str:
        """Return the note's text, with its last newline."""
        return f"{self.origin}\n{self.size}\n{encode64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read a checkpoint from the text of a note.

        Raises:
            VerificationError: it is not one, or not in the one spelling (`checkpoint_malformed`).
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise _malformed("it does not have exactly three lines")
        try:
            return cls(lines[0], decimal(lines[1]), decode64(lines[2]))
        except ValueError as exc:
            raise _malformed("its size is no number, or its root is not base64") from exc


def decimal(digits: str) -> int:
    """Read an ASCII decimal without sign and leading zeros, up to `MAX_SIZE`.

    Raises:
        ValueError: it is not one.
    """
    if not _DECIMAL.fullmatch(digits) or int(digits) > MAX_SIZE:
        raise ValueError("not a decimal in its one spelling")
    return int(digits)


def _malformed(why: str) -> VerificationError:
    return VerificationError(f"this is no checkpoint: {why}", code="checkpoint_malformed")
