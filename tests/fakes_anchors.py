"""The fake anchor: remembers one checkpoint in memory, and fails when told to.

Held to the same contract suite as the real ones. Does not keep anything.
"""

from gateway.core.checkpoint import Checkpoint
from gateway.core.merkle import Nodes, root_at
from gateway.evidence.anchoring.anchor import AnchorError, checked, conflict


class FakeAnchor:
    """An `Anchor` in memory. Owned by one test."""

    def __init__(self, name: str = "fake") -> None:
        self.name = name
        self.delivered: list[int] = []
        """The size of every delivery that was tried, failed or not."""
        self.failure: Exception | None = None
        """Raised by every delivery while it is set."""
        self._newest: Checkpoint | None = None

    async def deliver(self, note: str, size: int, nodes: Nodes) -> str:
        """See `Anchor.deliver`."""
        self.delivered.append(size)
        if self.failure is not None:
            raise self.failure
        ours, newest = checked(note, size, nodes), self._newest
        if newest is not None:
            if newest.origin != ours.origin:
                raise AnchorError("the fake remembers another log", code="anchor_conflict")
            if newest.size > size or newest.root != root_at(nodes, newest.size):
                raise conflict(self.name, "the fake remembers another log")
        self._newest = ours
        return note
