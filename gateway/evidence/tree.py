"""The hashes of the tree in a file, so that proofs need no reading of the log.

`nodes.bin` holds the stored hashes of Go's sumdb (a leaf, then each node that it completes, 32
bytes each), so any proof takes a handful of reads (`golang.org/x/mod/sumdb/tlog`, StoredHashIndex).
It is an index, not evidence: it is checked against the log at each start, and made anew from the
oldest segment that is left when it disagrees. It is synced where a segment ends, because only it
holds the hashes of a segment that is shipped away. Does not verify proofs (`core.merkle`).
"""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gateway.core.errors import EvidenceUnavailable, VerificationError
from gateway.core.merkle import Frontier, Nodes, leaf_hash, stored_count, stored_index
from gateway.core.record import decode
from gateway.evidence.disk import Disk, OSDisk
from gateway.evidence.segments import first_seq, lines

NODES_NAME: Final = "nodes.bin"
BAD_NAME: Final = "nodes.bin.bad"
"""What a file is called that the log cannot go on with."""
_HASH: Final = 32


class NodeFile:
    """The index of one log, appended to by its writer. Closed by `close`."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._path, self._disk = folder / NODES_NAME, disk or OSDisk()
        self._fd = _open(self._path)
        self._waiting = bytearray()
        self._usable = True
        """Whether what is added here follows on what the file holds."""

    def agrees(self, frontier: Frontier) -> bool:
        """Say whether the file holds the tree of this frontier; only then cut off what lies beyond.

        A file that does not is left as it is.
        """
        length = stored_count(frontier.size) * _HASH
        if os.fstat(self._fd).st_size < length:
            return False
        if peaks(self.nodes, frontier.size) != frontier.peaks:
            return False
        os.ftruncate(self._fd, length)
        return True

    def rebuild(self, segments: Sequence[Path], frontier: Frontier) -> None:
        """Make the file anew from every segment before the one that begins with this frontier.

        Where older segments were shipped away, only the file holds their hashes: what it has of
        them is kept if it agrees with the oldest segment that is left. Where it does not, or a
        segment is damaged, there can be no index: proofs fail, which is better than proofs of
        another tree, and a file that cannot be read on is put aside as `nodes.bin.bad`.
        """
        self._waiting.clear()
        grown = _begun(segments[0]) if segments else None
        if grown is None or not self.agrees(grown):
            self._usable = False
            self._put_aside()
            return
        self._usable, kept = True, stored_count(grown.size) * _HASH
        for path in segments:
            for raw in lines(path):
                if raw.endswith(b"\n"):
                    self.add(grown.append(leaf_hash(raw[:-1])))
            self.flush()
        self._usable = self.agrees(frontier)
        if not self._usable:
            os.ftruncate(self._fd, kept)

    def sync(self) -> None:
        """Make what was added durable.

        Raises:
            OSError: it is not; after a failed sync nobody knows what the file holds.
        """
        self.flush()
        if self._waiting:
            raise OSError(errno.ENOSPC, "the index of the tree is behind the log")
        self._disk.fdatasync(self._fd)

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

    def _put_aside(self) -> None:
        """Go on with an empty file; the old one may hold hashes that are nowhere else."""
        if os.fstat(self._fd).st_size == 0:
            return
        self._path.rename(self._path.with_name(BAD_NAME))
        os.close(self._fd)
        self._fd = _open(self._path)

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


def _begun(path: Path) -> Frontier | None:
    """Return the tree before a segment, as its first record says; None if that says nothing."""
    try:
        record = decode(next(lines(path), b"").removesuffix(b"\n"))
        hashes = tuple(map(bytes.fromhex, record.fields["frontier"]))
        return Frontier.of(first_seq(path), hashes)
    except (VerificationError, KeyError, TypeError, ValueError):
        return None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _node(fd: int, level: int, n: int) -> bytes:
    found = os.pread(fd, _HASH, stored_index(level, n) * _HASH)
    if len(found) != _HASH:
        raise EvidenceUnavailable("the index of the tree is behind the log; a start makes it anew")
    return found
