"""What logs signed and the witness refused: evidence against a log, kept for people.

A `fork` is proof: the log's key signed two roots of one size. A `suspect` checkpoint came without a
proof that holds, which a fork looks like, and a bad client too. `retired` means that a key signed
after its successor took over. Each checkpoint is kept once, at most `MOST` of a kind, so that
nobody fills the disk, and suspects never crowd out proof. Does not tell anybody but the log file.
"""

import logging
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from gateway.core.canonical import dumps
from gateway.core.note import VerifierKey, encode64
from gateway.evidence.disk import make_folder
from gateway.witness.memory import Held, replace
from gateway.witness.protocol import Submission, signed_alone

FOLDER: Final = "conflicts"
MOST: Final = 100
"""Files kept of each kind."""

Kind = Literal["fork", "suspect", "retired"]

_LOG = logging.getLogger(__name__)


class Conflicts:
    """The folder of conflicts; used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def keep(self, kind: Kind, submitted: Submission, key: VerifierKey, held: Held | None) -> None:
        """Keep a refused checkpoint that `key` did sign, beside the one we hold; say so.

        A disk that does not take it is told of and changes nothing else: the refusal stands.
        """
        checkpoint = submitted.checkpoint
        name = f"{kind}-{sha256(submitted.note.text.encode()).hexdigest()[:32]}.json"
        document = {
            "kind": kind,
            "key": str(key),
            "refused": signed_alone(submitted.note, key),
            "old": submitted.old,
            "proof": [encode64(node) for node in submitted.proof],
            "held": held.note if held else None,
        }
        try:
            make_folder(self._folder)
            present = {path.name for path in self._folder.glob(f"{kind}-*.json")}
            if name in present:
                return
            if len(present) < MOST:
                replace(self._folder / name, dumps(document))
        except OSError as exc:
            _LOG.error("a %s could not be kept: %s", kind, exc.strerror)
        _LOG.warning(
            "%s: refused a checkpoint of %d records that %s signed (%s); see %s/%s",
            checkpoint.origin,
            checkpoint.size,
            key,
            kind,
            FOLDER,
            name,
        )
