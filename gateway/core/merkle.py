"""The Merkle tree over the log: its hashes, its frontier, and proofs both ways.

Leaf and node hashes, inclusion and consistency proofs are those of RFC 6962 §2.1; proofs are
checked by the algorithms of RFC 9162 §2.1.3.2 and §2.1.4.2, which share no code with the making
of proofs. A hash is 32 raw bytes. What verifies holds for the sizes and roots it was given, and
those belong together only if one checkpoint names both: a root alone does not tell its size. Nodes
are (level, n): the root of the perfect subtree over leaves n·2^level to
(n+1)·2^level - 1. Does not store nodes, and does not know what a leaf says.

https://www.rfc-editor.org/rfc/rfc6962#section-2.1
https://www.rfc-editor.org/rfc/rfc9162#section-2.1
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
"""Length of a hash."""
EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of the tree without leaves (RFC 6962 §2.1)."""

Nodes = Callable[[int, int], bytes]
"""Reads the hash of node (level, n)."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf that holds `data`."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node over two subtrees."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The roots of the perfect subtrees of a tree: what it takes to append to it, and its root.

    Args:
        size: number of leaves.
        peaks: the roots, largest subtree first; one for each 1 bit of `size`.

    Raises:
        ValueError: the peaks cannot be those of a tree of this size.
    """

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)
        if size < 0 or len(self._peaks) != size.bit_count():
            raise ValueError("a frontier has one peak for each 1 bit of its size")
        if any(len(peak) != HASH_BYTES for peak in self._peaks):
            raise ValueError("a peak is a hash of 32 bytes")

    @classmethod
    def of(cls, size: int, peaks: Iterable[bytes]) -> "Frontier":
        """Return the frontier that was written down as `size` and `peaks`.

        Raises:
            ValueError: the number of peaks is not the number of 1 bits of `size`.
        """
        return cls(size, peaks)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """The roots of the perfect subtrees, largest first."""
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> list[bytes]:
        """Append a leaf hash; return the nodes it completes, the leaf first, then upwards.

        That is the order in which `stored_index` counts them. The caller sees to it that `leaf` is
        32 bytes long.
        """
        # The hot loop of the verifier: local names, and no call of node_hash.
        node, carry, peaks = leaf, self.size, self._peaks
        completed = [leaf]
        self.size = carry + 1
        while carry & 1:
            node = sha256(b"\x01" + peaks.pop() + node).digest()
            completed.append(node)
            carry >>= 1
        peaks.append(node)
        return completed

    def root(self) -> bytes:
        """Return the root of the whole tree."""
        return _fold(self._peaks)

    def copy(self) -> "Frontier":
        """Return a frontier that grows by itself from here."""
        return Frontier(self.size, self._peaks)


def stored_index(level: int, n: int) -> int:
    """Return the place of node (level, n) in the order in which appending completes nodes.

    The order of StoredHashIndex, https://pkg.go.dev/golang.org/x/mod/sumdb/tlog#StoredHashIndex.
    """
    last = ((n + 1) << level) - 1  # the leaf that completes the node
    return stored_count(last) + level


def stored_count(size: int) -> int:
    """Return the number of nodes that `size` leaves complete.

    Perfect subtrees over 2, 4, 8, … leaves: size/2 + size/4 + …, rounded down, beside the leaves;
    that sum is 2·size less the 1 bits of size.
    """
    return 2 * size - size.bit_count()


def root_at(nodes: Nodes, size: int) -> bytes:
    """Return the root of the tree over the first `size` leaves."""
    return _span(nodes, 0, size)


def inclusion_proof(nodes: Nodes, seq: int, size: int) -> list[bytes]:
    """Return PATH(seq, D[size]) of RFC 6962 §2.1.1, the leaf's sibling first.

    Raises:
        ValueError: there is no leaf `seq` among `size`.
    """
    if not 0 <= seq < size:
        raise ValueError("the leaf is not in the tree")
    begin, end, proof = 0, size, list[bytes]()
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if seq < middle:
            proof.append(_span(nodes, middle, end))
            end = middle
        else:
            proof.append(_span(nodes, begin, middle))
            begin = middle
    return proof[::-1]


def consistency_proof(nodes: Nodes, old: int, new: int) -> list[bytes]:
    """Return PROOF(old, D[new]) of RFC 6962 §2.1.2; empty for `old` 0 or `new`.

    Raises:
        ValueError: `old` is negative or larger than `new`.
    """
    if not 0 <= old <= new:
        raise ValueError("a tree is consistent with larger ones only")
    begin, end, proof = 0, new if old else 0, list[bytes]()
    while end != old:
        middle = begin + _split(end - begin)
        if old <= middle:
            proof.append(_span(nodes, middle, end))
            end = middle
        else:
            proof.append(_span(nodes, begin, middle))
            begin = middle
    if begin:  # The old root itself is known; a subtree at its right edge is not.
        proof.append(_span(nodes, begin, end))
    return proof[::-1]


def verify_inclusion(leaf: bytes, seq: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Say whether `proof` shows leaf hash `leaf` at `seq` of the tree of `size` with `root`."""
    if not 0 <= seq < size or not _are_hashes(leaf, root, *proof):
        return False
    fn, sn, node = seq, size - 1, leaf  # the names of RFC 9162 §2.1.3.2
    for sibling in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            node = node_hash(sibling, node)
            fn, sn = _up_to_right_child(fn, sn)
        else:
            node = node_hash(node, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and node == root


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Say whether `proof` shows the tree of `new` leaves to begin with the tree of `old` leaves.

    The empty tree begins every tree, and a tree itself; both need an empty proof.
    """
    if not 0 <= old <= new or not _are_hashes(old_root, new_root, *proof):
        return False
    if old == 0 and old_root != EMPTY_ROOT:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof
    return _verify_growth(old, new, old_root, new_root, proof)


def _verify_growth(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Verify between two trees of different sizes, neither empty (RFC 9162 §2.1.4.2)."""
    if not proof:
        return False
    # A perfect old tree is itself the first node of the path, and is left out of the proof.
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for node in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(node, fr), node_hash(node, sr)
            fn, sn = _up_to_right_child(fn, sn)
        else:
            sr = node_hash(sr, node)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == old_root and sr == new_root


def _up_to_right_child(fn: int, sn: int) -> tuple[int, int]:
    """Skip the levels at which the node has no sibling."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _are_hashes(*values: bytes) -> bool:
    # A hash of another length would move the border between the children of a node.
    return all(len(value) == HASH_BYTES for value in values)


def _split(size: int) -> int:
    """Return the largest power of two smaller than `size` (RFC 6962 §2.1)."""
    return 1 << ((size - 1).bit_length() - 1)


def _span(nodes: Nodes, begin: int, end: int) -> bytes:
    """Return the root over leaves `begin` to `end` - 1, a range that splitting leads to."""
    peaks = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        peaks.append(nodes(level, begin >> level))
        begin += 1 << level
    return _fold(peaks)


def _fold(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return EMPTY_ROOT
    node = peaks[-1]
    for peak in peaks[-2::-1]:
        node = node_hash(peak, node)
    return node
