"""What an anchor is: a place outside the log's own disk that remembers its checkpoints.

An anchor that remembers a checkpoint exposes a log that was cut back, rewritten or shown in two
versions, also to its owner. Every anchor refuses what is inconsistent with what it remembers; such
a refusal has the code `anchor_conflict`, is never worked round, and is for people to look at. Does
not deliver anything (`anchors.py`).
"""

from typing import Protocol

from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import EvidenceError
from gateway.core.merkle import Nodes, consistency_proof, root_at, verify_consistency
from gateway.core.note import Note

CONFLICT = "anchor_conflict"
"""The anchor remembers another log than the one we have: ours was cut back, or there are two."""


class AnchorError(EvidenceError):
    """A checkpoint is not anchored; `CONFLICT` says that trying again cannot help."""

    code = "anchor_failed"


class Anchor(Protocol):
    """One place that remembers; delivers one checkpoint at a time."""

    @property
    def name(self) -> str:
        """Return what settings call it."""
        ...

    async def deliver(self, note: str, size: int, nodes: Nodes) -> str:
        """Have a checkpoint remembered, durably, and return what proves it.

        A checkpoint that is remembered already is confirmed again.

        Args:
            note: the signed note.
            size: its size.
            nodes: reads the log's tree, of this size or larger; it blocks, so it is for a thread.

        Returns:
            The note, with the cosignature of the anchor if it makes one.

        Raises:
            AnchorError: it is not known to be remembered.
            EvidenceUnavailable: `nodes` does not have what a proof takes.
        """
        ...


def checked(note: str, size: int, nodes: Nodes) -> Checkpoint:
    """Return the checkpoint in a note, once it is that of our tree at this size.

    Raises:
        AnchorError: it is not; nobody else should remember it then.
        VerificationError: the note is no checkpoint.
    """
    checkpoint = Checkpoint.parse(Note.parse(note).text)
    if checkpoint.size != size or checkpoint.root != root_at(nodes, size):
        raise AnchorError("the checkpoint is not that of the tree in the index")
    return checkpoint


def continuing(ours: Checkpoint, old: int, nodes: Nodes) -> list[bytes]:
    """Return the proof that the first `old` records begin our checkpoint's tree (RFC 6962 §2.1.2).

    It is checked first: a damaged index must not make an honest log look like a fork.

    Raises:
        AnchorError: the index does not prove it, so it is damaged.
    """
    proof = consistency_proof(nodes, old, ours.size)
    if not verify_consistency(old, ours.size, root_at(nodes, old), ours.root, proof):
        raise AnchorError(
            f"the index of the tree is damaged: its first {old} records are not those of its "
            "newest checkpoint"
        )
    return proof


def conflict(name: str, why: str) -> AnchorError:
    """Return the error for an anchor that remembers another log."""
    return AnchorError(f"anchor {name}: {why}", code=CONFLICT)
