"""The newest checkpoint that vouches for a log: of those kept beside it and those that anchors saw.

A start takes the newest of both, so that a log cut short shows even where `checkpoints.jsonl` went
with it. Only a signature of the key that the log names at that size counts
(https://c2sp.org/tlog-checkpoint): in our own file another one is damage, in what anchors confirmed
it is passed over with a warning. Does not compare roots (`recovery.py`), and does not say that the
log's key is ours (`opening.py`).
"""

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from gateway.core.canonical import parse_object
from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import MalformedMessage, VerificationError
from gateway.core.note import Note, VerifierKey
from gateway.core.record import Record, decode
from gateway.evidence.anchoring.anchored import ANCHORED_NAME
from gateway.evidence.heads import CHECKPOINTS_NAME, newest_note
from gateway.evidence.segments import first_seq, lines, lines_from_end

_NAMES_KEY: Final = ("segment", "key-rotate")
_LOOK_BACK: Final = 1000
"""Confirmations that are read, from the newest: anchors confirm in turn, none lies far behind."""
_LOG = logging.getLogger(__name__)


def newest_vouched(folder: Path, paths: list[Path]) -> Checkpoint | None:
    """Return the newest checkpoint of a log that its own key signed; None if there is none.

    Args:
        folder: the log's folder.
        paths: the log's segments, oldest first.

    Raises:
        VerificationError: the newest of our own file is no checkpoint (`checkpoint_malformed`), or
            is not signed by the log's key (`checkpoint_signature`).
        OSError: a file cannot be read.
    """
    newest = _own(folder, paths)
    for note in _confirmed(folder):
        head = Checkpoint.parse(note.text)
        if newest is not None and head.size <= newest.size:
            break
        if _is_signed(note, head, paths):
            return head
        _LOG.warning("%s: a checkpoint is not signed by the log's key, passed over", ANCHORED_NAME)
    return newest


def _own(folder: Path, paths: list[Path]) -> Checkpoint | None:
    note = newest_note(folder)
    if note is None:
        return None
    head = Checkpoint.parse(note.text)
    if not _is_signed(note, head, paths):
        raise VerificationError(
            f"{CHECKPOINTS_NAME}: the newest checkpoint is not signed by the key that the log "
            f"names at {head.size} records",
            code="checkpoint_signature",
        )
    return head


def _confirmed(folder: Path) -> list[Note]:
    """Return the checkpoints that anchors confirmed last, the largest first."""
    path = folder / ANCHORED_NAME
    if not path.exists():
        return []
    found: list[tuple[int, Note]] = []
    for raw in islice(lines_from_end(path), _LOOK_BACK):
        try:
            note = Note.parse(str(parse_object(raw).get("note")))
            found.append((Checkpoint.parse(note.text).size, note))
        except (MalformedMessage, VerificationError):
            _LOG.warning("%s: a line is no confirmation, passed over", ANCHORED_NAME)
    return [note for _, note in sorted(found, key=lambda one: one[0], reverse=True)]


def _is_signed(note: Note, head: Checkpoint, paths: list[Path]) -> bool:
    named = _key_at(paths, head.size)
    if named is None:
        # No record is left that names a key: a log that is gone must not look like a new one.
        return True
    try:
        key = VerifierKey.parse(named)
    except VerificationError:
        return False
    return key.name == head.origin and note.signed_by(key)


def _key_at(paths: list[Path], size: int) -> str | None:
    """Return the key that the log names as in force over its first `size` records.

    Where the segment that says it was shipped away, the oldest one left says it.
    """
    begun = [path for path in paths if first_seq(path) < size] or paths[:1]
    for path in reversed(begun):
        named = None
        for record in _naming(path):
            if named is None or record.seq < size:
                named = str(record.fields.get("key"))
        if named is not None:
            return named
    return None


def _naming(path: Path) -> Iterator[Record]:
    """Yield the records of a segment that name a key; what cannot be read is judged elsewhere."""
    for raw in lines(path):
        if any(b'"%s"' % kind.encode() in raw for kind in _NAMES_KEY):
            try:
                record = decode(raw.removesuffix(b"\n"))
            except VerificationError:
                continue
            if record.kind in _NAMES_KEY and "key" in record.fields:
                yield record
