"""The hashes of the tree in a file, so that proofs need no reading of the log.

`nodes.bin` holds the stored hashes of Go's sumdb (a leaf, then each node that it completes, 32
bytes each), so any proof takes a handful of reads (`golang.org/x/mod/sumdb/tlog`, StoredHashIndex).
It is an index, not evidence: it is not synced, it is checked against the log at each start, and
made anew when it disagrees. Does not verify proofs (`core.merkle`).
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gateway.core.errors import EvidenceUnavailable
from gateway.core.merkle import Frontier, Nodes, leaf_hash, stored_count, stored_index
from gateway.evidence.segments import lines

NODES_NAME: Final = "nodes.bin"
_HASH: Final = 32


class NodeFile:
    """The index of one log, appended to by its writer. Closed by `close`."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(folder / NODES_NAME, flags, 0o600)
        self._waiting = bytearray()
        self._usable = True
        """Whether what is added here follows on what the file holds."""

    def agrees(self, frontier: Frontier) -> bool:
        """Say whether the file holds the tree of this frontier; what lies beyond is cut off."""
        length = stored_count(frontier.size) * _HASH
        if os.fstat(self._fd).st_size < length:
            return False
        os.ftruncate(self._fd, length)
        return peaks(self.nodes, frontier.size) == frontier.peaks

    def rebuild(self, segments: Iterable[Path], frontier: Frontier) -> None:
        """Make the file anew from every segment before the one that begins with this frontier.

        Where segments were shipped away, or are damaged, there can be no index: the file stays
        empty and proofs fail, which is better than proofs of another tree.
        """
        os.ftruncate(self._fd, 0)
        self._waiting.clear()
        self._usable = True
        grown = Frontier()
        for path in segments:
            for raw in lines(path):
                if raw.endswith(b"\n"):
                    self.add(grown.append(leaf_hash(raw[:-1])))
            self.flush()
        self._usable = self.agrees(frontier)
        if not self._usable:
            os.ftruncate(self._fd, 0)

    def add(self, hashes: Iterable[bytes]) -> None:
        """Take the hashes of one leaf; they are in the file after `flush`."""
        self._waiting += b"".join(hashes)

    def flush(self) -> None:
        """Write what was added.

        An error is not one of the log: the file is then behind, and proofs fail until a start.
        """
        if not self._usable:
            self._waiting.clear()
        with suppress(OSError):
            while self._waiting:
                del self._waiting[: os.write(self._fd, self._waiting)]

    def nodes(self, level: int, n: int) -> bytes:
        """Return a hash of the tree; see `core.merkle.Nodes`."""
        return _node(self._fd, level, n)

    def close(self) -> None:
        """Write what was added and close."""
        self.flush()
        os.close(self._fd)


@contextmanager
def open_nodes(folder: Path) -> Iterator[Nodes]:
    """Open the index of a log for reading.

    Raises:
        OSError: there is none. The function it yields raises EvidenceUnavailable for a hash that
            the index does not hold.
    """
    fd = os.open(folder / NODES_NAME, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield lambda level, n: _node(fd, level, n)
    finally:
        os.close(fd)


def peaks(nodes: Nodes, size: int) -> tuple[bytes, ...]:
    """Return the roots of the perfect subtrees of a tree, largest first."""
    found, begin = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            found.append(nodes(level, begin >> level))
            begin += 1 << level
    return tuple(found)


def _node(fd: int, level: int, n: int) -> bytes:
    found = os.pread(fd, _HASH, stored_index(level, n) * _HASH)
    if len(found) != _HASH:
        raise EvidenceUnavailable("the index of the tree is behind the log; a start makes it anew")
    return found
