"""What the log itself says about its sealed segments: compressed, shipped, deleted, by which blobs.

There is no state file: the `archive` records are the state, read once and then followed. A segment
is scanned once, whole, since its blobs must be known before it is deleted. Reads the files as they
are, unchecked; bytes that matter are compared again before anything is deleted. Does not write.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from gateway.core.errors import VerificationError
from gateway.core.record import Record, decode
from gateway.evidence.retention.archive import Compressed
from gateway.evidence.segments import COMPRESSED, first_seq, lines, name, segments

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_TELLING: Final = (b'"kind":"archive"', b'"kind":"seal"', b'"blob":{')
"""What a line of interest holds; the others are not decoded."""


@dataclass(slots=True)
class Held:
    """A segment, by what is known of it."""

    segment: str
    """The raw form's name, whatever form it has."""
    next_seq: int | None = None
    """The seq after its seal; None until its seal was read."""
    sealed_ns: int | None = None
    """When it was sealed, wall time."""
    compressed: Compressed | None = None
    shipped: dict[str, str] = field(default_factory=dict)
    """The digest that was read back from each store."""
    deleted_seq: int | None = None
    """Seq of the newest record that says it is deleted; the file may still be there."""
    blobs: set[str] = field(default_factory=set)
    """Digests of the blobs that no later segment is known to name."""

    def is_shipped(self, store: str | None = None) -> bool:
        """Say whether the compressed form, as it is recorded, lies in this store, or in any."""
        wanted = self.compressed.digest if self.compressed else None
        found = self.shipped.values() if store is None else [self.shipped.get(store)]
        return wanted is not None and wanted in found


class Holdings:
    """The sealed segments of one log."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._named_last: dict[str, str] = {}
        """The last segment known to name each blob."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Scan a whole log; takes as long as reading it.

        Raises:
            OSError: it cannot be read.
            VerificationError: a record of interest cannot be read.
        """
        holdings = cls()
        for path in segments(folder):
            holdings.take(path)
        return holdings

    def all(self) -> list[Held]:
        """Return everything known, oldest first."""
        return [self._held[key] for key in sorted(self._held, key=lambda key: first_seq(Path(key)))]

    def of(self, path: Path) -> Held:
        """Return what is known of the segment with this name, raw or compressed."""
        segment = path.name.removesuffix(COMPRESSED)
        return self._held.setdefault(segment, Held(segment))

    def take(self, path: Path) -> Held:
        """Scan a segment; again, if it was not sealed the last time."""
        held = self.of(path)
        for record in _telling(path):
            if record.kind == "archive":
                self.note(record.fields, record.seq)
            elif record.kind == "seal":
                held.next_seq, held.sealed_ns = record.seq + 1, _ns(record.fields.get("time"))
            if digest := _blob(record):
                self._name(digest, held)
        return held

    def note(self, fields: dict[str, Any] | Any, seq: int) -> None:
        """Follow the `archive` record with this seq.

        Raises:
            VerificationError: it is none that this gateway writes (`archive_malformed`).
        """
        segment, digest, size = (fields.get(key) for key in ("segment", "digest", "bytes"))
        named = isinstance(segment, str) and segment == _canonical(segment)
        if not named or not isinstance(digest, str) or type(size) is not int:
            raise VerificationError("an archive record is malformed", code="archive_malformed")
        held = self.of(Path(str(segment)))
        match fields.get("action"):
            case "compressed":
                held.compressed = Compressed(digest, size)
            case "shipped":
                held.shipped[str(fields.get("store"))] = digest
            case "deleted":
                held.deleted_seq = seq
                held.compressed = held.compressed or Compressed(digest, size)
                held.shipped.setdefault(str(fields.get("store")), digest)
            case _:
                raise VerificationError("an archive record is malformed", code="archive_malformed")

    def _name(self, digest: str, held: Held) -> None:
        """Let a blob belong to the last segment that names it."""
        last = self._named_last.get(digest)
        if last is not None and first_seq(Path(last)) > first_seq(Path(held.segment)):
            return
        if last is not None:
            self._held[last].blobs.discard(digest)
        self._named_last[digest] = held.segment
        held.blobs.add(digest)

    def forget_blobs(self, held: Held) -> None:
        """Take note that the blobs of a segment are gone."""
        for digest in held.blobs:
            self._named_last.pop(digest, None)
        held.blobs.clear()


def blobs_of(path: Path) -> set[str]:
    """Return the digests of every blob that a segment's records name."""
    return {digest for record in _telling(path) if (digest := _blob(record))}


def _telling(path: Path) -> Iterator[Record]:
    for raw in lines(path):
        if raw.endswith(b"\n") and any(mark in raw for mark in _TELLING):
            yield decode(raw[:-1])


def _blob(record: Record) -> str | None:
    # Only at the top: deeper down, an agent's own arguments could name what is not there.
    blob = record.fields.get("blob")
    digest = blob.get("digest") if isinstance(blob, dict) else None
    return digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None


def _canonical(segment: str) -> str | None:
    try:
        return name(first_seq(Path(segment)))
    except ValueError:
        return None


def _ns(time: Any) -> int | None:
    try:
        return round(datetime.fromisoformat(str(time)).timestamp() * 1e6) * 1000
    except ValueError:
        return None
