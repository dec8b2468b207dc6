"""The check of one checkpoint against the log at its size.

It must be of this log, signed by the key in force at its size, and name the root that the log has
there; what a known witness signed must be signed well, and not before the records under it were
made (https://c2sp.org/tlog-checkpoint, https://c2sp.org/tlog-cosignature). Does not find
checkpoints (`index.py`) and does not compute roots.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import VerificationError
from gateway.core.note import Note, VerifierKey
from gateway.evidence.audit.clock import Clock
from gateway.evidence.audit.fault import Faulty, faulty
from gateway.evidence.audit.index import ANCHOR, OWN, REMEMBERED, Claim, Source

Fail = Callable[[str, str], Faulty]
"""Makes the fault with a code, of a checkpoint that … (the rest of the sentence)."""


@dataclass(slots=True)
class Checked:
    """What the checkpoints that agree amount to."""

    count: int = 0
    size: int = 0
    """Records that the largest one covers."""
    anchored: int = 0
    """Records that the largest one covers which was kept elsewhere, or cosigned."""
    newest: str | None = None
    agreed: dict[str, int] = field(default_factory=dict)
    """Of each kind of file, the records that the largest one covers."""
    signers: set[str] = field(default_factory=set)
    """Verifier keys of the log that signed one."""


class Checker:
    """Checks claims against the log's head at their size.

    Args:
        sources: where notes are read from.
        witnesses: keys of witnesses, of type `COSIGNATURE`.
        clock: that of the log, which has followed every record of the size being checked.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        witnesses: Sequence[VerifierKey],
        clock: Clock,
    ) -> None:
        self._sources, self._witnesses, self._clock = sources, witnesses, clock
        self._last: tuple[str, str] | None = None
        """The note and the key of the last signature that was found good."""
        self.checked = Checked()
        self.failed: str | None = None
        """Kind of the file whose checkpoint did not agree."""

    def check(self, claim: Claim, origin: str, key: VerifierKey, root: bytes) -> None:
        """Check one claim.

        Args:
            claim: of the size that the log has come to.
            origin: the log's name.
            key: the key in force at that size.
            root: the log's root at that size.

        Raises:
            Faulty: it does not agree with the log, or is not signed as it must be.
        """
        size, number, offset, length = claim
        source = self._sources[number]
        self.failed = source.kind
        fail = _failing(source, size, self.checked.agreed.get(source.kind, 0))
        try:
            text = source.read(offset, length)
            note = Note.parse(text)
            head = Checkpoint.parse(note.text)
        except VerificationError as exc:
            raise fail("checkpoint_malformed", exc.message) from exc
        if head.origin != origin:
            raise fail("checkpoint_origin", f"is that of another log, {head.origin}")
        if self._last != (text, str(key)) and not note.signed_by(key):
            raise fail("checkpoint_signature", "is not signed by the key in force there")
        self._last = text, str(key)
        if head.root != root or head.size != size:
            if source.kind == OWN:
                raise fail("checkpoint_mismatch", "is of other records than these")
            raise fail("forked", "is signed by this log's key, and is of other records than these")
        self._agree(size, source, text, note, key, fail)

    def _agree(
        self,
        size: int,
        source: Source,
        text: str,
        note: Note,
        key: VerifierKey,
        fail: Fail,
    ) -> None:
        checked, times = self.checked, self._cosigned(note, fail)
        # From here on a fault is one of the records, not of this checkpoint.
        self.failed = None
        for seconds in times:
            self._clock.cosigned(size, seconds, source.name)
        if times or source.kind in (ANCHOR, REMEMBERED):
            checked.anchored = max(checked.anchored, size)
        checked.count += 1
        checked.agreed[source.kind] = size
        checked.size, checked.newest = size, text
        checked.signers.add(str(key))

    def _cosigned(self, note: Note, fail: Fail) -> list[int]:
        """Return when known witnesses signed; one whose signature is bad spoils the checkpoint."""
        found = []
        for witness in self._witnesses:
            known = (witness.name, witness.key_id)
            if any((s.name, s.key_id) == known for s in note.signatures):
                seconds = note.cosigned_at(witness)
                if seconds is None:
                    raise fail("cosignature_invalid", f"has a bad signature of {witness.name}")
                found.append(seconds)
        return found


def _failing(source: Source, size: int, agreed: int) -> Fail:
    def fail(code: str, what: str) -> Faulty:
        place = source.name
        sentence = f"{place}: the checkpoint of {size} records {what}"
        return faulty(code, min(agreed, max(size - 1, 0)), place, 0, sentence)

    return fail
