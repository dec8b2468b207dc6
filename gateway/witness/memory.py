"""What a witness remembers, on disk: durable before anybody is told.

    witness/
      held/<sha256 of the origin>.json   the newest checkpoint of a log, replaced as a whole
      history.jsonl                      every checkpoint accepted, for an auditor
      conflicts/                         what a log signed and we refused; see `conflicts.py`
      writer.lock

The history is written first. At a start the newer of the two counts, so that a lost file makes the
witness forget nothing and a crash between them costs nothing; after one, the history may name a
checkpoint twice. Whatever cannot be read stops the start: a witness that forgets is worse than
none; only what a power cut left of the history's last line is moved aside, if `held/` has all that
the history has before it. Of the history, the newest line of each log is checked. After a failed
write nothing is remembered until a restart (`logfile.py` says why). Used by one thread at a time.
Does not judge checkpoints.
"""

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from gateway.core.canonical import dumps, parse_object
from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import EvidenceError, EvidenceUnavailable, GatewayError
from gateway.core.note import Note, VerifierKey
from gateway.evidence.anchoring.durable import cut_torn
from gateway.evidence.disk import OSDisk, hold_lock, make_folder, sync_folder
from gateway.evidence.logfile import LogFile
from gateway.witness.history import HISTORY_NAME, Newest, move_aside, newest

HELD_FOLDER: Final = "held"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """A checkpoint that was accepted."""

    key: str
    """The vkey that signed it; keys before this one are retired."""
    seconds: int
    """When, POSIX time."""
    note: str
    """Signed by the log and cosigned by us."""

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint in the note."""
        return Checkpoint.parse(Note.parse(self.note).text)


class Memory:
    """The folder of one witness. Closed by `close`.

    Raises:
        EvidenceError: something in the folder cannot be read (`witness_state_unreadable`).
        EvidenceUnavailable: the folder cannot be used, or another witness uses it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / HELD_FOLDER
        self._failed = False
        with ExitStack() as opened:
            try:
                make_folder(folder)
                opened.callback(os.close, _lock(folder))
                make_folder(self._folder)
                cut_torn(folder / HISTORY_NAME)
                self._held = _read(self._folder, folder / HISTORY_NAME)
                self._history = LogFile(folder / HISTORY_NAME, OSDisk())
                opened.callback(self._history.close)
                sync_folder(folder)
            except OSError as exc:
                raise EvidenceUnavailable(f"{folder}: {exc.strerror}") from exc
            self._resources = opened.pop_all()

    @property
    def held(self) -> Mapping[str, Held]:
        """The newest checkpoint of each log, by origin."""
        return self._held

    def remember(self, held: Held) -> None:
        """Make this the newest checkpoint of its log, durable when this returns.

        Raises:
            EvidenceUnavailable: it is not, and nothing is remembered until a restart.
        """
        if self._failed:
            raise EvidenceUnavailable("the witness has stopped: an earlier write failed")
        line = dumps(asdict(held))
        origin = held.checkpoint.origin
        try:
            self._history.append(line + b"\n")
            self._history.sync()
            replace(self._folder / _name(origin), line)
        except OSError as exc:
            self._failed = True
            raise EvidenceUnavailable(f"the witness cannot write: {exc.strerror}") from exc
        self._held[origin] = held

    def close(self) -> None:
        """Give the folder up."""
        self._resources.close()


def replace(path: Path, data: bytes) -> None:
    """Put a file there as a whole, mode 0600, durable when this returns.

    Raises:
        OSError: the old file is still there, or the new one, whole.
    """
    fresh = path.with_name(f"{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with open(os.open(fresh, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def _lock(folder: Path) -> int:
    try:
        return hold_lock(folder)
    except EvidenceUnavailable as exc:
        raise EvidenceUnavailable(f"{folder}: another witness uses this folder") from exc


def _read(folder: Path, history: Path) -> dict[str, Held]:
    """Return the newest checkpoint of each log, from both places."""
    found: dict[str, tuple[int, Held]] = {}

    def take(where: Path, data: bytes) -> None:
        held, checkpoint = _parse(where, data)
        if checkpoint.size >= found.get(checkpoint.origin, (0, held))[0]:
            found[checkpoint.origin] = (checkpoint.size, held)

    for path in sorted(folder.glob("*.json")):
        take(path, path.read_bytes())
    said = newest(history, lambda: _unreadable(history))
    if said.garbage is not None:
        _give_up(history, said, {origin: size for origin, (size, _) in found.items()})
    # The history comes last, so at one size what was accepted last counts.
    for _, raw in said.lines.values():
        take(history, raw)
    return {origin: held for origin, (_, held) in found.items()}


def _give_up(history: Path, said: Newest, held: Mapping[str, int]) -> None:
    """Move the history's last line aside, if `held` shows that nothing is forgotten by that."""
    before = {origin: size for origin, (size, _) in said.lines.items()}
    if not held or any(held.get(origin, -1) < size for origin, size in before.items()):
        raise _unreadable(history)
    aside = move_aside(history, said.garbage or b"", replace)
    _LOG.warning("%s: its last line is damaged; moved to %s", history, aside.name)


def _parse(where: Path, data: bytes) -> tuple[Held, Checkpoint]:
    """Read a checkpoint that was accepted; the log's signature must still hold."""
    try:
        fields = parse_object(data)
        held = Held(str(fields.get("key")), int(str(fields.get("seconds"))), str(fields["note"]))
        checkpoint, note = held.checkpoint, Note.parse(held.note)
        sound = note.signed_by(VerifierKey.parse(held.key))
    except (GatewayError, ValueError, KeyError) as exc:
        raise _unreadable(where) from exc
    if not sound:
        raise _unreadable(where)
    return held, checkpoint


def _unreadable(where: Path) -> EvidenceError:
    return EvidenceError(
        f"{where}: holds something that this witness did not write; it does not start, since it "
        "would forget what it knows. Restore the file from a copy",
        code="witness_state_unreadable",
    )


def _name(origin: str) -> str:
    return f"{sha256(origin.encode()).hexdigest()}.json"
