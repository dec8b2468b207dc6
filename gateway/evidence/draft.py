"""Records linked to the head of the log and to one another, before they are written.

A line is drafted only if the strict reader will read it back: one that could be written and never
be read would make the log end there, for the verifier and at the next start. Leaf hashes as in
RFC 6962 §2.1, https://www.rfc-editor.org/rfc/rfc6962#section-2.1. Does not write.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.core.canonical import MAX_DEPTH
from gateway.core.errors import VerificationError
from gateway.core.merkle import leaf_hash
from gateway.core.record import KINDS, Receipt, decode, encode, hash_text
from gateway.evidence.segments import MAX_LINE_BYTES

Entry = tuple[str, Mapping[str, Any]]
"""Kind and fields of a record that is not linked yet."""

_ENVELOPE: Final = frozenset({"v", "seq", "prev", "kind"})
_LARGE: Final = re.compile(rb"[:,\[]-?(?:\d{20}|9[2-9]\d{17})[,}\]]")
"""An integer that may lie beyond 2^63, as the encoder writes one."""
_NUL: Final = b"\\u0000"
"""A NUL as the encoder writes it, which is refused in a key."""


@dataclass(frozen=True, slots=True)
class NotWritten:
    """Why a record is not in the log."""

    why: str


Answer = Receipt | NotWritten
"""What becomes of an entry."""


@dataclass(slots=True)
class Draft:
    """A batch in the making; `seq` and `prev` are what its next record will carry."""

    origin: str
    seq: int
    prev: str
    lines: list[bytes] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    """The leaf hash of each line."""
    answers: list[Answer] = field(default_factory=list)
    """One for each entry added; true once the lines are durable."""

    def add(self, kind: str, fields: Mapping[str, Any], room: int | None) -> int | None:
        """Link an entry and note its answer; return its length in bytes, None if there is no room.

        An entry that cannot be a record is answered `NotWritten` and takes no bytes.
        """
        try:
            line = _line(self.seq, self.prev, kind, fields)
        except (TypeError, VerificationError) as exc:
            self.answers.append(NotWritten(f"this cannot be a record: {exc}"))
            return 0
        if room is not None and len(line) + 1 > room:
            return None
        self.answers.append(Receipt(self.seq, self._take(line), self.origin))
        return len(line) + 1

    def link(self, kind: str, fields: Mapping[str, Any]) -> int:
        """Link a record of the log's own, which has no answer; return its length in bytes."""
        line = encode(self.seq, self.prev, kind, fields)
        self._take(line)
        return len(line) + 1

    def _take(self, line: bytes) -> str:
        leaf = leaf_hash(line)
        self.lines.append(line)
        self.leaves.append(leaf)
        self.seq, self.prev = self.seq + 1, hash_text(leaf)
        return self.prev


def _line(seq: int, prev: str, kind: str, fields: Mapping[str, Any]) -> bytes:
    """Encode a record that can be read back.

    Raises:
        TypeError: it cannot be encoded, or not under this envelope.
        VerificationError: it could be written and never be read.
    """
    if kind not in KINDS or not _ENVELOPE.isdisjoint(fields):
        raise TypeError("its kind is unknown, or its fields name a member of the envelope")
    line = encode(seq, prev, kind, fields)
    if len(line) >= MAX_LINE_BYTES:
        raise TypeError(f"it is longer than {MAX_LINE_BYTES} bytes")
    if _doubtful(line):
        decode(line)
    return line


def _doubtful(line: bytes) -> bool:
    """Say whether a line could hold any of what the encoder writes and the strict reader refuses.

    Reading every line back would cost three times as much, and few are doubtful.
    """
    brackets = line.count(b"{") + line.count(b"[")
    return brackets > MAX_DEPTH or _NUL in line or _LARGE.search(line) is not None
