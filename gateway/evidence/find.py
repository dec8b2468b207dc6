"""Looking records up in a log: by call, by seq, or the newest ones.

Reads the files as they are: to rely on an answer, verify the log first (`verify.py`).
Does not write and does not judge.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.core.errors import VerificationError
from gateway.core.record import Record
from gateway.evidence.chain import read
from gateway.evidence.segments import lines_from_end, records, segments


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest records that can be read."""

    records: tuple[Record, ...]
    """Oldest first."""
    unreadable: bool
    """Whether a line among them is no record; one that is still being written does not count."""


def of_call(folder: Path, call_id: str) -> list[Record]:
    """Return the records of one call, oldest first; empty if the log does not know it.

    Args:
        folder: the log's folder.
        call_id: the whole id, or its last group, which is random (RFC 9562 §5.7).
    """
    ending = call_id if "-" in call_id else f"-{call_id}"
    return [record for record in records(folder) if _call_id(record).endswith(ending)]


def by_seq(folder: Path, seq: int) -> Record | None:
    """Return the record with this seq, None if there is none."""
    return next((record for record in records(folder) if record.seq == seq), None)


def newest(folder: Path, count: int) -> Newest:
    """Return the newest `count` records that can be read, and hold no more in memory.

    Reads from the end, and only as far as it takes.

    Raises:
        OSError: the log cannot be read.
    """
    found: list[Record] = []
    unreadable = False
    for raw in _lines_from_end(folder):
        try:
            found.append(read(raw))
        except VerificationError:
            unreadable = True
        if len(found) == count:
            break
    return Newest(tuple(reversed(found)), unreadable)


def _lines_from_end(folder: Path) -> Iterator[bytes]:
    """Yield the lines of a log, newest first, without a last one that is being written."""
    paths = segments(folder)
    for path in reversed(paths):
        for number, raw in enumerate(lines_from_end(path)):
            if number > 0 or path != paths[-1] or raw.endswith(b"\n"):
                yield raw


def _call_id(record: Record) -> str:
    return str(record.fields.get("call_id", ""))
