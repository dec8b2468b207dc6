import os
from pathlib import Path

import pytest
from backports import zstd

from gateway.core.errors import EvidenceUnavailable
from gateway.core.merkle import inclusion_proof, root_at, stored_count, verify_inclusion
from gateway.evidence.segments import first_seq, segments
from gateway.evidence.tree import open_nodes, peaks
from tests.unit.evidence.logs import (
    Tree,
    check_log,
    forget_checkpoints,
    leaves_of,
    open_log,
    write_log,
)


def stored(leaves: list[bytes]) -> bytes:
    """Return what the index of these leaves holds: after each leaf, the nodes that it completes."""
    tree, found = Tree(leaves), b""
    for size, leaf in enumerate(leaves, 1):
        found += leaf
        step = 2
        while size % step == 0:
            found += bytes.fromhex(tree.span(size - step, size))
            step *= 2
    return found


def check_index(folder: Path) -> None:
    """Check the index of a log against the log."""
    assert (folder / "nodes.bin").read_bytes() == stored(leaves_of(folder))


async def test_the_index_answers_for_every_size_of_the_log(tmp_path: Path) -> None:
    """RFC 6962 §2.1: roots, peaks and proofs, here over many rotations."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    check_index(tmp_path)
    leaves = leaves_of(tmp_path)
    tree = Tree(leaves)
    with open_nodes(tmp_path) as nodes:
        for size in range(1, len(leaves) + 1):
            assert root_at(nodes, size).hex() == tree.root(size)
            assert [peak.hex() for peak in peaks(nodes, size)] == tree.peaks(size)
            for seq in (0, size // 2, size - 1):
                proof = inclusion_proof(nodes, seq, size)
                assert verify_inclusion(leaves[seq], seq, size, proof, root_at(nodes, size))


DAMAGES = [
    pytest.param(lambda data: None, id="missing"),
    pytest.param(lambda data: b"", id="empty"),
    pytest.param(lambda data: data[: len(data) // 4], id="short"),
    pytest.param(lambda data: data[:-1], id="torn"),
    pytest.param(lambda data: data + b"x" * 32, id="a hash too many"),
    pytest.param(lambda data: data + b"x", id="torn beyond the log"),
    pytest.param(lambda data: b"\0" * len(data), id="zeros"),
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("segment_bytes", [2500, 10**6])
async def test_an_index_that_disagrees_is_made_anew(
    tmp_path: Path, damage: object, segment_bytes: int
) -> None:
    """house: it is no evidence; the log is."""
    assert callable(damage)
    await write_log(tmp_path, 10, segment_bytes=segment_bytes)
    index = tmp_path / "nodes.bin"
    left = damage(index.read_bytes())
    index.unlink()
    if left is not None:
        index.write_bytes(left)
    await write_log(tmp_path, 2, segment_bytes=segment_bytes)
    check_log(tmp_path)
    check_index(tmp_path)


async def test_an_index_is_made_anew_from_compressed_segments(tmp_path: Path) -> None:
    """house: a sealed segment reads the same."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    raw = {path: path.read_bytes() for path in segments(tmp_path)[:-1]}
    for path, data in raw.items():
        path.with_name(path.name + ".zst").write_bytes(zstd.compress(data))
        path.unlink()
    (tmp_path / "nodes.bin").unlink()
    await open_log(tmp_path).close()
    for path, data in raw.items():
        path.write_bytes(data)
    check_index(tmp_path)


async def test_an_index_without_its_segments_answers_nothing(tmp_path: Path) -> None:
    """house: no proof is better than the proof of another tree; the log goes on all the same."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    for path in segments(tmp_path)[:-1]:
        path.unlink()
    (tmp_path / "nodes.bin").unlink()
    for _ in range(2):
        await write_log(tmp_path, 2)
    with open_nodes(tmp_path) as nodes, pytest.raises(EvidenceUnavailable):
        nodes(0, 0)
    assert (tmp_path / "nodes.bin").read_bytes() == b""


async def test_an_index_outlives_the_segments_that_were_shipped_away(tmp_path: Path) -> None:
    """house: proofs need no reading of the log."""
    await write_log(tmp_path, 20, segment_bytes=2500)
    forget_checkpoints(tmp_path)
    raw = {path: path.read_bytes() for path in segments(tmp_path)[:-1]}
    for path in raw:
        path.unlink()
    await write_log(tmp_path, 2)
    for path, data in raw.items():
        path.write_bytes(data)
    check_index(tmp_path)


async def test_a_hash_that_is_not_there_yet_is_an_error(tmp_path: Path) -> None:
    """house: an index that is behind must not be read as zeros."""
    await write_log(tmp_path, 1)
    size = len(leaves_of(tmp_path))
    with open_nodes(tmp_path) as nodes:
        nodes(0, size - 1)
        with pytest.raises(EvidenceUnavailable):
            nodes(0, size)
    os.truncate(tmp_path / "nodes.bin", 40)
    with open_nodes(tmp_path) as nodes, pytest.raises(EvidenceUnavailable):
        nodes(0, 1)


def ship_away(folder: Path, count: int) -> dict[Path, bytes]:
    """Take the oldest segments away and return them."""
    raw = {path: path.read_bytes() for path in segments(folder)[:count]}
    for path in raw:
        path.unlink()
    return raw


@pytest.mark.parametrize("lost", [1, 64, 1000], ids=["a byte", "two hashes", "a segment"])
async def test_an_index_that_lost_its_end_keeps_what_only_it_holds(
    tmp_path: Path, lost: int
) -> None:
    """house: the hashes of segments that were shipped away are nowhere else."""
    await write_log(tmp_path, 40, segment_bytes=2500)
    assert len(segments(tmp_path)) > 6
    raw = ship_away(tmp_path, 3)
    end = stored_count(first_seq(segments(tmp_path)[-1])) * 32
    os.truncate(tmp_path / "nodes.bin", end - lost)
    await open_log(tmp_path).close()
    for path, data in raw.items():
        path.write_bytes(data)
    check_index(tmp_path)


async def test_an_index_that_nothing_agrees_with_is_put_aside(tmp_path: Path) -> None:
    """house: not thrown away; proofs fail meanwhile, and the next start does not replace it."""
    await write_log(tmp_path, 40, segment_bytes=2500)
    ship_away(tmp_path, 3)
    index = tmp_path / "nodes.bin"
    bad = index.read_bytes()[:100]
    index.write_bytes(bad)
    for _ in range(2):
        await open_log(tmp_path).close()
        assert (tmp_path / "nodes.bin.bad").read_bytes() == bad
        assert index.read_bytes() == b""


async def test_a_damaged_segment_leaves_the_index_of_those_shipped_away(tmp_path: Path) -> None:
    """house: what comes after the damage has no proofs, what came before has."""
    await write_log(tmp_path, 40, segment_bytes=2500)
    ship_away(tmp_path, 3)
    index = tmp_path / "nodes.bin"
    oldest, damaged, *_ = segments(tmp_path)
    kept = index.read_bytes()[: stored_count(first_seq(oldest)) * 32]
    index.write_bytes(kept + b"x")
    damaged.write_bytes(damaged.read_bytes().replace(b'"note":"xx', b'"note":"yx', 1))
    await open_log(tmp_path).close()
    assert index.read_bytes() == kept


@pytest.mark.parametrize("first", [b"{}\n", b"", b"\x00\n"])
async def test_an_index_is_put_aside_where_the_oldest_segment_says_nothing(
    tmp_path: Path, first: bytes
) -> None:
    """house: an index is no reason not to start."""
    await write_log(tmp_path, 40, segment_bytes=2500)
    ship_away(tmp_path, 3)
    segments(tmp_path)[0].write_bytes(first)
    os.truncate(tmp_path / "nodes.bin", 100)
    await open_log(tmp_path).close()
    assert (tmp_path / "nodes.bin.bad").stat().st_size == 100
