"""The checkpoints of a log: signed when they are due, kept beside it, handed on to anchors.

A checkpoint covers only records that are durable, and is durable itself before anybody hears of it.
https://c2sp.org/tlog-checkpoint. Does not deliver checkpoints (`anchors.py`) and does not choose
keys (`signer.py`).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from gateway.core.canonical import dumps, parse_object
from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import MalformedMessage, VerificationError
from gateway.core.merkle import Frontier
from gateway.core.note import Note
from gateway.evidence.disk import Disk, sync_folder
from gateway.evidence.logfile import LogFile
from gateway.evidence.plan import Plan
from gateway.evidence.segments import lines_from_end
from gateway.evidence.signer import Signer
from gateway.evidence.torn import move_aside

CHECKPOINTS_NAME: Final = "checkpoints.jsonl"
MAX_TORN_BYTES: Final = 64 * 1024
"""Most that a power cut can have made unreadable: each line is synced before the next."""

Publish = Callable[[str, int], None]
"""Called with each new checkpoint and its size; must not block."""


class Heads:
    """Signs and keeps the checkpoints of one log; used by the writer's thread."""

    def __init__(
        self,
        folder: Path,
        disk: Disk,
        signer: Signer,
        plan: Plan,
        publish: Publish,
        now_ns: int,
    ) -> None:
        self.signer = signer
        """Whose key signs the next one."""
        self._records = plan.checkpoint_records
        self._ns = round(plan.checkpoint_seconds * 1e9)
        self._publish = publish
        self._file = LogFile(folder / CHECKPOINTS_NAME, disk)
        sync_folder(folder)
        self._size = newest_size(folder)
        self._signed_ns = now_ns

    @property
    def failure(self) -> str | None:
        """Why no further checkpoint can be kept; see `LogFile.failure`."""
        return self._file.failure

    def wait_ns(self, size: int, now_ns: int) -> int | None:
        """Return how long the next checkpoint may wait: 0 when due, None when nothing is new."""
        if size <= self._size:
            return None
        if size - self._size >= self._records:
            return 0
        return max(0, self._signed_ns + self._ns - now_ns)

    def sign(self, frontier: Frontier, now_ns: int) -> None:
        """Sign, keep and publish the checkpoint of these records, which are durable.

        Raises:
            OSError: it could not be kept; it is due still.
        """
        if frontier.size <= self._size:
            return
        note = self.signer.checkpoint(frontier.size, frontier.root())
        self._file.append(dumps({"size": frontier.size, "note": note}) + b"\n")
        # A crash here leaves a checkpoint that nobody was told of; it is true all the same.
        self._file.sync()
        self._size, self._signed_ns = frontier.size, now_ns
        self._publish(note, frontier.size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def newest_size(folder: Path) -> int:
    """Return the size of the newest checkpoint kept in a folder, 0 if there is none."""
    newest = newest_checkpoint(folder)
    return newest.size if newest else 0


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint kept in a folder, as it says; its signature is not checked.

    Raises:
        VerificationError: the last whole line is no checkpoint.
    """
    note = newest_note(folder)
    return Checkpoint.parse(note.text) if note else None


def newest_note(folder: Path) -> Note | None:
    """Return the note of the newest checkpoint kept in a folder; nobody checked it.

    Raises:
        VerificationError: the last whole line is no checkpoint.
    """
    last = next(_from_end(folder), None)
    return _read(last) if last else None


def cut_torn(folder: Path) -> None:
    """Move aside the end that a crash left unreadable; the log itself tells of the crash.

    Raises:
        VerificationError: more of it is unreadable than a crash leaves (`checkpoint_malformed`).
        OSError: it cannot be moved.
    """
    torn = 0
    for raw in _from_end(folder):
        if _is_whole(raw):
            break
        torn += len(raw)
        if torn > MAX_TORN_BYTES:
            raise _malformed()
    if torn:
        path = folder / CHECKPOINTS_NAME
        move_aside(path, path.stat().st_size - torn, "torn-checkpoints")


def _is_whole(raw: bytes) -> bool:
    """Say whether a line was written whole: a power cut leaves it short, or NULs within it."""
    try:
        parse_object(raw)
    except MalformedMessage:
        return False
    return raw.endswith(b"\n")


def _from_end(folder: Path) -> Iterator[bytes]:
    path = folder / CHECKPOINTS_NAME
    if path.exists():
        yield from lines_from_end(path)


def _read(raw: bytes) -> Note:
    try:
        note = Note.parse(str(parse_object(raw)["note"]))
        Checkpoint.parse(note.text)
    except (MalformedMessage, KeyError, VerificationError) as exc:
        raise _malformed() from exc
    return note


def _malformed() -> VerificationError:
    return VerificationError(
        f"{CHECKPOINTS_NAME}: its last line is no checkpoint", code="checkpoint_malformed"
    )
