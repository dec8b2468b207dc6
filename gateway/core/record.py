"""One evidence record: its line, its leaf hash, and the link to the record before it.

A record is one line of JSON; its leaf hash is SHA-256(0x00 ‖ the line without its newline), the
leaf hash of RFC 6962 §2.1, and the next record carries it as `prev`. Hashes are taken over the
bytes on disk, never over a re-serialised value. Does not read or write files.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.canonical import MAX_DEPTH, dumps, loads_exact, parse_object
from gateway.core.errors import MalformedMessage, VerificationError

VERSION: Final = 1
"""Version of the record format, the member `v` of every record."""
DEPTH: Final = 2 * MAX_DEPTH
"""Deepest nesting of a record, which holds a whole body further down."""
_SPELLED: Final = "sha256:"
NO_PREV: Final = _SPELLED + "0" * 64
"""`prev` of the first record of a log."""
KINDS: Final = frozenset(
    {
        "start",
        "stop",
        "segment",
        "seal",
        "gap",
        "heartbeat",
        "key-rotate",
        "archive",
        "policy.loaded",
        "intent",
        "refusal",
        "stream-part",
        "outcome",
    }
)
"""`intent` and `outcome` frame a permitted call; `refusal` is a denied or held one."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a durable record stands in the log: what a caller keeps to prove an omission later."""

    seq: int
    leaf_hash: str
    """`sha256:<hex>` of the line."""
    origin: str = ""
    """Name of the log, as its checkpoints carry it."""
    durable: bool = True
    """False: the record is written but not synced yet, so a crash may still take it."""

    def given(self) -> "Receipt | None":
        """Return the receipt if a caller may have it: one that can be lost would prove too much."""
        return self if self.durable else None

    def as_evidence(self) -> dict[str, str | int]:
        """Return the receipt as callers get it."""
        return {"origin": self.origin, "seq": self.seq, "leaf_hash": self.leaf_hash}


@dataclass(frozen=True, slots=True)
class Record:
    """A record read back from its line."""

    seq: int
    prev: str
    kind: str
    fields: Mapping[str, Any]
    """The whole object, unknown members included: reading must not lose anything."""
    leaf_hash: str


def encode(seq: int, prev: str, kind: str, fields: Mapping[str, Any]) -> bytes:
    """Return the record's line, without newline; JSON never holds a raw newline.

    The envelope is the caller's word: members of the same name in `fields` do not replace it.
    """
    envelope = {"v": VERSION, "seq": seq, "prev": prev, "kind": kind}
    return dumps({**envelope, **fields, **envelope})


def hash_text(value: bytes) -> str:
    """Return a hash of the tree as records spell it, `sha256:<hex>`."""
    return _SPELLED + value.hex()


def hash_bytes(text: str) -> bytes:
    """Return the bytes of a hash that `hash_text` spelled."""
    return bytes.fromhex(text.removeprefix(_SPELLED))


def leaf_hash(line: bytes) -> str:
    """Return the RFC 6962 leaf hash of a line, as `sha256:<hex>`."""
    return _SPELLED + hashlib.sha256(b"\x00" + line).hexdigest()


def decode(line: bytes) -> Record:
    """Read one line strictly.

    Raises:
        VerificationError: the line is not a record of this format (`record_unreadable`).
    """
    fields = members(line)
    return Record(fields["seq"], fields["prev"], fields["kind"], fields, leaf_hash(line))


def members(line: bytes) -> dict[str, Any]:
    """Read one line strictly and return its members; the envelope among them is well-formed.

    Raises:
        VerificationError: the line is not a record of this format (`record_unreadable`).
    """
    fields = loads_exact(line, max_depth=DEPTH)
    if fields is None:
        fields = _parse(line)
    version, seq, kind = fields.get("v"), fields.get("seq"), fields.get("kind")
    # `type(...) is int`, because True and 1.0 equal 1.
    if type(version) is not int or version != VERSION:
        raise _unreadable("its version is unknown")
    if type(seq) is not int or seq < 0 or not isinstance(fields.get("prev"), str):
        raise _unreadable("its envelope (v, seq, prev) is not that of a record")
    if not isinstance(kind, str) or kind not in KINDS:
        raise _unreadable("its kind is unknown")
    return fields


def _parse(line: bytes) -> dict[str, Any]:
    """Read a line that our encoder may not have written, or that may break a rule."""
    if b"\n" in line:
        raise _unreadable("it is more than one line, or still has its newline")
    try:
        return parse_object(line, max_integer=2**63 - 1, max_depth=DEPTH)
    except MalformedMessage as exc:
        raise _unreadable(exc.message) from exc


def _unreadable(why: str) -> VerificationError:
    return VerificationError(f"the line is not a record: {why}", code="record_unreadable")
