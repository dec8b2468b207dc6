"""`anchored.jsonl`: every checkpoint that an anchor confirmed, with what proves it.

It lies beside the log, so it proves nothing by being there: a cosignature in a note does, under a
key that the reader got elsewhere. Does not check anything, and does not deliver (`anchors.py`).
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from gateway.core.canonical import dumps, parse_object
from gateway.core.errors import MalformedMessage, VerificationError
from gateway.evidence.anchoring.durable import append_line
from gateway.evidence.segments import lines

ANCHORED_NAME: Final = "anchored.jsonl"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One checkpoint that one anchor confirmed."""

    anchor: str
    size: int
    time: str
    """When we heard, RFC 3339, by our own clock."""
    note: str
    """With the anchor's cosignature, if it makes one."""


def anchored(folder: Path) -> Iterator[Confirmation]:
    """Yield what anchors confirmed, oldest first; a last line without newline is left out.

    Raises:
        VerificationError: a line is not a confirmation (`anchored_unreadable`).
        OSError: the file is there and cannot be read.
    """
    path = folder / ANCHORED_NAME
    if not path.exists():
        return
    for raw in lines(path):
        if raw.endswith(b"\n"):
            yield _read(raw)


def keep(folder: Path, confirmation: Confirmation) -> None:
    """Append a confirmation, durable when this returns; one caller at a time.

    Raises:
        OSError: it is not kept.
    """
    append_line(folder / ANCHORED_NAME, dumps(asdict(confirmation)))


def _read(raw: bytes) -> Confirmation:
    try:
        fields = parse_object(raw)
    except MalformedMessage as exc:
        raise _unreadable() from exc
    anchor, size, time, note = (fields.get(name) for name in ("anchor", "size", "time", "note"))
    texts = isinstance(anchor, str) and isinstance(time, str) and isinstance(note, str)
    if not texts or type(size) is not int or size < 0:
        raise _unreadable()
    return Confirmation(str(anchor), size, str(time), str(note))


def _unreadable() -> VerificationError:
    return VerificationError(
        f"{ANCHORED_NAME}: a line is no confirmation", code="anchored_unreadable"
    )
