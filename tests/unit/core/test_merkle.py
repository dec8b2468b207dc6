from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_at,
    stored_count,
    stored_index,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [
    bytes.fromhex(text)
    for text in ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    + ["606162636465666768696a6b6c6d6e6f"]
]
"""The reference leaves of the certificate-transparency tests."""
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Their roots at sizes 1 to 8."""
LEAF_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
NODE_2_3 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
NODE_4_7 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
LEAF_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
NODE_6_7 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
NODE_4_5 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
LEAF_6 = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
INCLUSION = {
    (0, 1): [],
    (0, 8): [LEAF_1, NODE_2_3, NODE_4_7],
    (5, 8): [LEAF_4, NODE_6_7, ROOTS[3]],
    (2, 3): [ROOTS[1]],
    (1, 5): [ROOTS[0], NODE_2_3, LEAF_4],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [LEAF_1, NODE_2_3, NODE_4_7],
    (6, 8): [NODE_4_5, NODE_6_7, ROOTS[3]],
    (2, 5): [NODE_2_3, LEAF_4],
    (6, 7): [NODE_4_5, LEAF_6, ROOTS[3]],
}
SIZES = range(40)
DATA = [b"leaf %d" % n for n in SIZES]
HASHES = [leaf_hash(data) for data in DATA]
OTHER = sha256(b"something else").digest()


def naive_root(hashes: list[bytes]) -> bytes:
    """Return MTH as RFC 6962 §2.1 writes it down."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = naive_split(len(hashes))
    left, right = naive_root(hashes[:k]), naive_root(hashes[k:])
    return sha256(b"\x01" + left + right).digest()


def naive_split(n: int) -> int:
    """Return the largest power of two smaller than n."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def naive_path(m: int, hashes: list[bytes]) -> list[bytes]:
    """Return PATH as RFC 6962 §2.1.1 writes it down."""
    if len(hashes) == 1:
        return []
    k = naive_split(len(hashes))
    if m < k:
        return [*naive_path(m, hashes[:k]), naive_root(hashes[k:])]
    return [*naive_path(m - k, hashes[k:]), naive_root(hashes[:k])]


def naive_subproof(m: int, hashes: list[bytes], known: bool) -> list[bytes]:
    """Return SUBPROOF as RFC 6962 §2.1.2 writes it down."""
    if m == len(hashes):
        return [] if known else [naive_root(hashes)]
    k = naive_split(len(hashes))
    if m <= k:
        return [*naive_subproof(m, hashes[:k], known), naive_root(hashes[k:])]
    return [*naive_subproof(m - k, hashes[k:], False), naive_root(hashes[:k])]


def naive_order(size: int) -> list[tuple[int, int]]:
    """Return the nodes as leaves complete them."""
    order = []
    for leaf in range(size):
        level = 0
        while (leaf + 1) % 2**level == 0:
            order.append((level, leaf // 2**level))
            level += 1
    return order


def nodes_of(hashes: list[bytes]) -> Callable[[int, int], bytes]:
    """Return a reader of the nodes that these leaves complete, and of no others."""
    stored: list[bytes] = []
    frontier = Frontier()
    for leaf in hashes:
        stored += frontier.append(leaf)
    return lambda level, n: stored[stored_index(level, n)]


NODES = nodes_of(HASHES)
REFERENCE = [leaf_hash(data) for data in LEAVES]


def raw(hexes: list[str]) -> list[bytes]:
    """Return hashes from their hex."""
    return [bytes.fromhex(text) for text in hexes]


def flipped(value: bytes) -> bytes:
    """Return the hash with one bit changed."""
    return bytes([value[0] ^ 8]) + value[1:]


def spoiled(proof: list[bytes]) -> list[list[bytes]]:
    """Return what the proof must not be mistaken for: garbage, a gap, a swap, a bit."""
    wrong = [[*proof, OTHER], [OTHER, *proof], [*proof, b""], [b"", *proof]]
    for i, node in enumerate(proof):
        wrong.append(proof[:i] + proof[i + 1 :])
        wrong.append([*proof[:i], flipped(node), *proof[i + 1 :]])
        wrong.append([*proof[:i], node, node, *proof[i + 1 :]])
        wrong.append([*proof[:i], node[:-1], *proof[i + 1 :]])
        if i:
            wrong.append([*proof[: i - 1], node, proof[i - 1], *proof[i + 1 :]])
    return wrong


def test_a_leaf_is_hashed_behind_a_zero_byte() -> None:
    """RFC 6962 §2.1."""
    assert leaf_hash(b"data") == sha256(b"\x00data").digest()


def test_a_node_is_hashed_behind_a_one_byte() -> None:
    """RFC 6962 §2.1."""
    assert node_hash(b"l" * 32, b"r" * 32) == sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()


def test_the_empty_tree_has_the_hash_of_nothing_as_its_root() -> None:
    """RFC 6962 §2.1."""
    assert EMPTY_ROOT == Frontier().root() == root_at(NODES, 0) == sha256(b"").digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_the_reference_leaves_have_the_reference_roots(size: int) -> None:
    """certificate-transparency, merkletree tests."""
    frontier = Frontier()
    for leaf in REFERENCE[:size]:
        frontier.append(leaf)
    assert frontier.root().hex() == ROOTS[size - 1]
    assert root_at(nodes_of(REFERENCE[:size]), size).hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("seq", "size"), INCLUSION)
def test_an_inclusion_proof_is_the_reference_proof(seq: int, size: int) -> None:
    """certificate-transparency, merkletree tests."""
    proof = inclusion_proof(nodes_of(REFERENCE), seq, size)
    assert proof == raw(INCLUSION[seq, size])
    assert verify_inclusion(REFERENCE[seq], seq, size, proof, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_a_consistency_proof_is_the_reference_proof(old: int, new: int) -> None:
    """certificate-transparency, merkletree tests."""
    proof = consistency_proof(nodes_of(REFERENCE), old, new)
    assert proof == raw(CONSISTENCY[old, new])
    roots = bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1])
    assert verify_consistency(old, new, *roots, proof)


@pytest.mark.parametrize("size", SIZES)
def test_a_root_is_that_of_the_definition(size: int) -> None:
    """RFC 6962 §2.1."""
    frontier = Frontier()
    for leaf in HASHES[:size]:
        frontier.append(leaf)
    assert frontier.root() == root_at(NODES, size) == naive_root(HASHES[:size])


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_has_the_inclusion_proof_of_the_definition(size: int) -> None:
    """RFC 6962 §2.1.1, read from the nodes of that size alone."""
    nodes = nodes_of(HASHES[:size])
    for seq in range(size):
        proof = inclusion_proof(nodes, seq, size)
        assert proof == naive_path(seq, HASHES[:size])
        assert verify_inclusion(HASHES[seq], seq, size, proof, naive_root(HASHES[:size]))


@pytest.mark.parametrize("new", range(1, 40))
def test_every_smaller_size_has_the_consistency_proof_of_the_definition(new: int) -> None:
    """RFC 6962 §2.1.2, read from the nodes of the larger size alone."""
    nodes = nodes_of(HASHES[:new])
    for old in range(1, new + 1):
        proof = consistency_proof(nodes, old, new)
        assert proof == naive_subproof(old, HASHES[:new], True)
        roots = naive_root(HASHES[:old]), naive_root(HASHES[:new])
        assert verify_consistency(old, new, *roots, proof)


@pytest.mark.parametrize("size", range(1, 40))
def test_an_inclusion_proof_fits_no_other_place(size: int) -> None:
    """RFC 9162 §2.1.3.2."""
    root = naive_root(HASHES[:size])
    for seq in range(size):
        proof = naive_path(seq, HASHES[:size])
        for other in (*range(-2, seq), *range(seq + 1, size + 2)):
            assert not verify_inclusion(HASHES[seq], other, size, proof, root)


@pytest.mark.parametrize("size", range(1, 40))
def test_an_inclusion_proof_fits_no_other_leaf_and_no_other_root(size: int) -> None:
    """RFC 9162 §2.1.3.2."""
    root = naive_root(HASHES[:size])
    for seq in range(size):
        proof = naive_path(seq, HASHES[:size])
        for leaf in (flipped(HASHES[seq]), HASHES[seq - 1] if size > 1 else OTHER, b""):
            assert not verify_inclusion(leaf, seq, size, proof, root)
        for other in (flipped(root), EMPTY_ROOT, HASHES[39], b""):
            assert not verify_inclusion(HASHES[seq], seq, size, proof, other)


@pytest.mark.parametrize("size", range(1, 40))
def test_an_inclusion_proof_fits_no_tree_of_another_height(size: int) -> None:
    """RFC 9162 §2.1.3.2: a tree of twice or half the size has longer or shorter paths."""
    root = naive_root(HASHES[:size])
    for seq in range(size):
        proof = naive_path(seq, HASHES[:size])
        for other in (-1, 0, seq, size * 2 if seq < size - 1 or size == 1 else 0):
            assert not verify_inclusion(HASHES[seq], seq, other, proof, root)


@pytest.mark.parametrize("size", range(1, 40))
def test_an_inclusion_proof_changed_anywhere_is_none(size: int) -> None:
    """RFC 9162 §2.1.3.2: a hash too many, too few, swapped, cut or changed."""
    root = naive_root(HASHES[:size])
    for seq in range(size):
        for wrong in spoiled(naive_path(seq, HASHES[:size])):
            assert not verify_inclusion(HASHES[seq], seq, size, wrong, root)


@pytest.mark.parametrize("new", range(1, 40))
def test_a_consistency_proof_changed_anywhere_is_none(new: int) -> None:
    """RFC 9162 §2.1.4.2: a hash too many, too few, swapped, cut or changed."""
    for old in range(1, new + 1):
        roots = naive_root(HASHES[:old]), naive_root(HASHES[:new])
        for wrong in spoiled(naive_subproof(old, HASHES[:new], True)):
            assert not verify_consistency(old, new, *roots, wrong)


@pytest.mark.parametrize("new", range(1, 40))
def test_a_consistency_proof_fits_no_other_roots(new: int) -> None:
    """RFC 9162 §2.1.4.2: neither root may differ, nor may they change places."""
    for old in range(1, new + 1):
        before, after = naive_root(HASHES[:old]), naive_root(HASHES[:new])
        proof = naive_subproof(old, HASHES[:new], True)
        assert not verify_consistency(old, new, flipped(before), after, proof)
        assert not verify_consistency(old, new, before, flipped(after), proof)
        assert not verify_consistency(old, new, EMPTY_ROOT, after, proof)
        assert not verify_consistency(old, new, before[:-1], after, proof)
        assert old == new or not verify_consistency(old, new, after, before, proof)


@pytest.mark.parametrize(("old", "new"), [pair for pair in CONSISTENCY if pair[0] != pair[1]])
def test_a_consistency_proof_fits_no_other_sizes(old: int, new: int) -> None:
    """certificate-transparency, merkletree tests: old±1, old^2, new·2, new/2, and old > new."""
    roots = bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1])
    proof = raw(CONSISTENCY[old, new])
    for other in (old - 1, old + 1, old ^ 2, -old, 0):
        assert not verify_consistency(other, new, *roots, proof)
    for other in (new * 2, new // 2, old - 1, 0, -new):
        assert not verify_consistency(old, other, *roots, proof)


def test_a_path_does_not_go_on_above_the_root() -> None:
    """RFC 9162 §2.1.3.2 and §2.1.4.2: sn is 0 and there are hashes left."""
    assert not verify_inclusion(HASHES[0], 0, 1, [OTHER], node_hash(OTHER, HASHES[0]))
    proof = [*naive_subproof(3, HASHES[:4], True), OTHER]
    above = [node_hash(OTHER, naive_root(HASHES[:size])) for size in (3, 4)]
    assert not verify_consistency(3, 4, above[0], above[1], proof)


def test_the_border_between_two_hashes_does_not_move() -> None:
    """House: H(0x01 ‖ l ‖ r) says where l ends only if both are 32 bytes long."""
    left, right = HASHES[0] + HASHES[1][:1], HASHES[1][1:]
    assert not verify_inclusion(left, 0, 2, [right], naive_root(HASHES[:2]))
    long, short = OTHER + b"x", OTHER[1:]
    new_root = node_hash(long, node_hash(short, long))
    proof = [short, long, long]
    assert not verify_consistency(3, 4, node_hash(long, short), new_root, proof)


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 5), (4, 5), (6, 7)])
def test_an_empty_proof_shows_no_growth(old: int, new: int) -> None:
    """RFC 9162 §2.1.4.2."""
    for after in (naive_root(HASHES[:old]), naive_root(HASHES[:new])):
        assert not verify_consistency(old, new, naive_root(HASHES[:old]), after, [])


def test_a_rewritten_log_is_not_consistent_with_what_it_was() -> None:
    """House: whoever changes a leaf cannot prove the old head with the nodes of the new log."""
    for changed in range(5):
        forged = [*HASHES[:changed], OTHER, *HASHES[changed + 1 :]]
        roots = naive_root(HASHES[:5]), naive_root(forged[:11])
        assert not verify_consistency(5, 11, *roots, consistency_proof(nodes_of(forged), 5, 11))


def test_a_tree_is_not_consistent_with_a_smaller_one() -> None:
    """RFC 6962 §2.1.2."""
    proof = naive_subproof(3, HASHES[:7], True)
    assert not verify_consistency(7, 3, naive_root(HASHES[:7]), naive_root(HASHES[:3]), proof)
    assert not verify_consistency(2, 1, OTHER, OTHER, [])
    forged = [HASHES[0], OTHER]
    assert not verify_consistency(3, 2, forged[0], node_hash(*forged), forged)


def test_the_empty_tree_begins_every_tree_with_an_empty_proof() -> None:
    """House: RFC 6962 leaves it open; only the true empty root will do."""
    assert consistency_proof(NODES, 0, 7) == consistency_proof(NODES, 0, 0) == []
    assert verify_consistency(0, 7, EMPTY_ROOT, OTHER, [])
    assert not verify_consistency(0, 7, OTHER, OTHER, [])
    assert not verify_consistency(0, 7, EMPTY_ROOT, OTHER, [OTHER])


def test_a_tree_begins_itself_with_an_empty_proof() -> None:
    """RFC 6962 §2.1.2."""
    assert verify_consistency(7, 7, OTHER, OTHER, [])
    assert verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    assert not verify_consistency(7, 7, OTHER, HASHES[0], [])
    assert not verify_consistency(7, 7, OTHER, OTHER, [OTHER])
    assert not verify_consistency(0, 0, OTHER, OTHER, [])


@pytest.mark.parametrize(("seq", "size"), [(0, 0), (7, 7), (-1, 7), (8, 7)])
def test_a_leaf_that_is_not_there_has_no_proof(seq: int, size: int) -> None:
    """House."""
    with pytest.raises(ValueError, match="not in the tree"):
        inclusion_proof(NODES, seq, size)


@pytest.mark.parametrize(("old", "new"), [(8, 7), (-1, 7), (1, 0)])
def test_a_tree_has_no_proof_towards_a_smaller_one(old: int, new: int) -> None:
    """House."""
    with pytest.raises(ValueError, match="larger ones only"):
        consistency_proof(NODES, old, new)


def test_nodes_are_stored_as_leaves_complete_them() -> None:
    """golang.org/x/mod/sumdb/tlog, StoredHashIndex."""
    order = naive_order(200)
    assert [stored_index(level, n) for level, n in order] == list(range(len(order)))


@pytest.mark.parametrize("size", SIZES)
def test_the_stored_count_is_that_of_the_completed_nodes(size: int) -> None:
    """golang.org/x/mod/sumdb/tlog, StoredHashCount."""
    assert stored_count(size) == len(naive_order(size))


@given(st.integers(1, 40), st.integers(0, 2**40))
def test_a_node_is_stored_right_after_its_right_child(level: int, n: int) -> None:
    """golang.org/x/mod/sumdb/tlog, StoredHashIndex."""
    assert stored_index(level, n) == stored_index(level - 1, 2 * n + 1) + 1


@given(st.integers(0, 2**62))
def test_a_leaf_is_stored_after_all_that_the_leaves_before_it_completed(n: int) -> None:
    """golang.org/x/mod/sumdb/tlog: n + n/2 + n/4 + … nodes come before leaf n."""
    before, rest = 0, n
    while rest:
        before, rest = before + rest, rest // 2
    assert stored_index(0, n) == stored_count(n) == before


@given(st.integers(0, 300), st.integers(0, 8), st.integers(0, 300))
def test_a_node_counts_as_stored_once_its_leaves_are_there(size: int, level: int, n: int) -> None:
    """House: so a file of stored nodes cut at stored_count(size) has the tree of that size."""
    assert (stored_index(level, n) < stored_count(size)) == ((n + 1) * 2**level <= size)


def test_appending_returns_the_nodes_in_stored_order() -> None:
    """golang.org/x/mod/sumdb/tlog, StoredHashes."""
    frontier, stored = Frontier(), list[bytes]()
    for leaf in HASHES:
        stored += frontier.append(leaf)
    expected = [naive_root(HASHES[n << level : (n + 1) << level]) for level, n in naive_order(40)]
    assert stored == expected


def test_a_frontier_holds_the_roots_of_its_perfect_subtrees_largest_first() -> None:
    """House: docs/evidence.md, `frontier`."""
    frontier = Frontier()
    for leaf in HASHES[:11]:
        frontier.append(leaf)
    parts = HASHES[:8], HASHES[8:10], HASHES[10:11]
    assert (frontier.size, frontier.peaks) == (11, tuple(map(naive_root, parts)))


@pytest.mark.parametrize("size", SIZES)
def test_a_frontier_read_back_grows_as_the_one_written_down(size: int) -> None:
    """House: docs/evidence.md, a segment can be read on from its first line."""
    frontier = Frontier()
    for leaf in HASHES[:size]:
        frontier.append(leaf)
    again = Frontier.of(frontier.size, list(frontier.peaks))
    assert again.append(OTHER) == frontier.append(OTHER)
    assert (again.root(), again.size) == (frontier.root(), size + 1)


@pytest.mark.parametrize(("size", "count"), [(0, 1), (1, 0), (3, 1), (4, 2), (-1, 1), (7, 4)])
@pytest.mark.parametrize("make", [Frontier, Frontier.of])
def test_a_frontier_with_the_wrong_number_of_peaks_is_refused(
    make: Callable[[int, list[bytes]], Frontier], size: int, count: int
) -> None:
    """House: one peak for each 1 bit of the size."""
    with pytest.raises(ValueError, match="one peak for each"):
        make(size, [OTHER] * count)


@pytest.mark.parametrize("peak", [b"", OTHER[:-1], OTHER + b"\x00"])
def test_a_peak_that_is_not_a_hash_is_refused(peak: bytes) -> None:
    """House."""
    with pytest.raises(ValueError, match="32 bytes"):
        Frontier.of(3, [OTHER, peak])


def test_a_copied_frontier_grows_by_itself() -> None:
    """House."""
    frontier = Frontier(1, [HASHES[0]])
    copy = frontier.copy()
    copy.append(HASHES[1])
    assert (frontier.size, frontier.peaks) == (1, (HASHES[0],))
    assert copy.root() == naive_root(HASHES[:2])
