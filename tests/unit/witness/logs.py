"""A log in memory whose key we have, so that it can be honest, cut back or forked at will."""

from gateway.core.checkpoint import Checkpoint
from gateway.core.merkle import Frontier, consistency_proof, leaf_hash, node_hash, root_at
from gateway.core.note import SigningKey, encode64

ORIGIN = "log.example/bailiwick/0"


class MemoryLog:
    """A log of any leaves; two with a common beginning and other ends are a fork."""

    def __init__(self, *leaves: str, seed: int = 1, origin: str = ORIGIN) -> None:
        self.key = SigningKey(origin, bytes([seed]) * 32)
        self._leaves: list[bytes] = []
        self.append(*leaves)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._leaves)

    def append(self, *leaves: str) -> None:
        """Let the log grow."""
        self._leaves += [leaf_hash(leaf.encode()) for leaf in leaves]

    def nodes(self, level: int, n: int) -> bytes:
        """See `core.merkle.Nodes`."""
        if level == 0:
            return self._leaves[n]
        return node_hash(self.nodes(level - 1, 2 * n), self.nodes(level - 1, 2 * n + 1))

    def note(self, size: int | None = None) -> str:
        """Return the signed checkpoint of a size, the whole log if none is given."""
        size = self.size if size is None else size
        grown = Frontier()
        for leaf in self._leaves[:size]:
            grown.append(leaf)
        assert grown.root() == root_at(self.nodes, size)
        return self.key.sign_note(Checkpoint(self.key.verifier.name, size, grown.root()).text())

    def body(self, old: int, size: int | None = None, said: int | None = None) -> bytes:
        """Return the body of `add-checkpoint`, with a true proof; `said` replaces the old size."""
        size = self.size if size is None else size
        proof = [encode64(node) for node in consistency_proof(self.nodes, old, size)]
        first = f"old {old if said is None else said}"
        return "\n".join([first, *proof, "", self.note(size)]).encode()
