from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import VerificationError
from gateway.core.merkle import Frontier
from gateway.core.note import Note
from gateway.evidence.heads import Heads, cut_torn, newest_checkpoint, newest_size
from tests.unit.evidence.logs import PLAN, ScriptedDisk, checkpoints, keys_of

SECOND = 1_000_000_000
STEPS = replace(PLAN, checkpoint_records=10, checkpoint_seconds=5)


def tree(size: int) -> Frontier:
    """Return a tree of so many records."""
    frontier = Frontier()
    for seq in range(size):
        frontier.append(sha256(b"%d" % seq).digest())
    return frontier


@contextmanager
def opened(folder: Path, disk: Any = None, published: Any = None) -> Iterator[Heads]:
    """Open the checkpoints of a log, at time 0."""
    signer = keys_of(folder).signer(PLAN.origin, 1)
    heads = Heads(folder, disk or ScriptedDisk(), signer, STEPS, published or publish, 0)
    yield heads
    heads.close()


def publish(note: str, size: int) -> None:
    """Tell nobody."""


def test_nothing_is_due_while_nothing_is_new(tmp_path: Path) -> None:
    """house: however much time passes; and nothing is signed."""
    with opened(tmp_path) as heads:
        assert heads.wait_ns(0, 1000 * SECOND) is None
        heads.sign(tree(3), 0)
        assert heads.wait_ns(3, 1000 * SECOND) is None
        heads.sign(tree(3), 1000 * SECOND)
        heads.sign(tree(2), 1000 * SECOND)
    assert [size for size, *_ in checkpoints(tmp_path)] == [3]


def test_a_checkpoint_is_due_after_so_many_records(tmp_path: Path) -> None:
    """evidence.md §3: counted from the last one."""
    with opened(tmp_path) as heads:
        heads.sign(tree(3), SECOND)
        assert heads.wait_ns(12, SECOND) == 5 * SECOND
        assert heads.wait_ns(13, SECOND) == 0


def test_a_checkpoint_is_due_after_so_much_time(tmp_path: Path) -> None:
    """evidence.md §3: counted from the last one, and never a negative wait."""
    with opened(tmp_path) as heads:
        assert heads.wait_ns(1, 2 * SECOND) == 3 * SECOND
        heads.sign(tree(1), 4 * SECOND)
        assert heads.wait_ns(2, 5 * SECOND) == 4 * SECOND
        assert heads.wait_ns(2, 9 * SECOND) == heads.wait_ns(2, 99 * SECOND) == 0


def test_a_checkpoint_says_size_and_root_and_is_signed(tmp_path: Path) -> None:
    """https://c2sp.org/tlog-checkpoint; docs/evidence.md."""
    with opened(tmp_path) as heads:
        heads.sign(tree(5), 0)
    ((size, origin, root, note),) = checkpoints(tmp_path)
    assert (size, origin, root) == (5, PLAN.origin, tree(5).root().hex())
    assert Note.parse(note).signed_by(keys_of(tmp_path).signer(PLAN.origin, 1).verifier)


def test_a_checkpoint_is_durable_before_anybody_hears_of_it(tmp_path: Path) -> None:
    """house: otherwise a crash would make of it one that the log does not know."""
    disk, heard = ScriptedDisk(), list[tuple[str, int]]()

    def published(note: str, size: int) -> None:
        heard.append((note, size))
        assert disk.calls == ["write", "fdatasync"]
        assert checkpoints(tmp_path)[-1][3] == note

    with opened(tmp_path, disk, published) as heads:
        heads.sign(tree(5), 0)
    assert [size for _, size in heard] == [5]


def test_a_checkpoint_that_could_not_be_kept_stays_due(tmp_path: Path) -> None:
    """house: nobody hears of it, and the file is as it was."""
    disk, heard = ScriptedDisk(), list[int]()
    with opened(tmp_path, disk, lambda note, size: heard.append(size)) as heads:
        heads.sign(tree(1), 0)
        before = (tmp_path / "checkpoints.jsonl").read_bytes()
        disk.room = 30
        with pytest.raises(OSError, match="No space"):
            heads.sign(tree(11), SECOND)
        assert (tmp_path / "checkpoints.jsonl").read_bytes() == before
        assert (heard, heads.wait_ns(11, SECOND), heads.failure) == ([1], 0, None)
        disk.room = None
        heads.sign(tree(12), SECOND)
        assert heard == [1, 12]


def test_a_checkpoint_that_could_not_be_synced_is_the_last(tmp_path: Path) -> None:
    """fsync(2): what the file then holds is not known."""
    disk, heard = ScriptedDisk(), list[int]()
    with opened(tmp_path, disk, lambda note, size: heard.append(size)) as heads:
        disk.sync_error = OSError(5, "Input/output error")
        with pytest.raises(OSError, match="Input/output"):
            heads.sign(tree(1), 0)
        disk.sync_error = None
        with pytest.raises(OSError, match="not trusted"):
            heads.sign(tree(2), 0)
        assert heads.failure is not None
    assert heard == []


def test_the_next_run_counts_on_from_the_newest_checkpoint(tmp_path: Path) -> None:
    """house: what is signed is not signed again."""
    with opened(tmp_path) as heads:
        heads.sign(tree(4), 0)
    with opened(tmp_path) as heads:
        assert heads.wait_ns(4, 1000 * SECOND) is None
        assert heads.wait_ns(14, 0) == 0
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert (newest.size, newest.root) == (4, tree(4).root())


@pytest.mark.parametrize("left", [1, 50, -1])
def test_a_torn_last_checkpoint_is_cut(tmp_path: Path, left: int) -> None:
    """house: nobody had heard of it; the one before it counts."""
    with opened(tmp_path) as heads:
        heads.sign(tree(4), 0)
        heads.sign(tree(7), 0)
    path = tmp_path / "checkpoints.jsonl"
    whole = path.read_bytes()
    first, second = whole.splitlines(keepends=True)
    cut_torn(tmp_path)
    assert path.read_bytes() == whole
    path.write_bytes(first + second[:left])
    cut_torn(tmp_path)
    assert path.read_bytes() == first
    assert newest_size(tmp_path) == 4
    assert (tmp_path / f"torn-checkpoints-{len(first)}-1.bin").read_bytes() == second[:left]
    path.write_bytes(second[:left])
    cut_torn(tmp_path)
    assert (path.read_bytes(), newest_size(tmp_path)) == (b"", 0)


def test_a_log_without_checkpoints_has_none(tmp_path: Path) -> None:
    """house: before its first one."""
    cut_torn(tmp_path)
    assert newest_checkpoint(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_that_a_power_cut_left_as_nuls_are_moved_aside(tmp_path: Path) -> None:
    """house: the newline may reach the disk and the page before it not; nothing is thrown away."""
    with opened(tmp_path) as heads:
        heads.sign(tree(4), 0)
        heads.sign(tree(7), 0)
    path = tmp_path / "checkpoints.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    torn = second[:40] + bytes(len(second) - 80) + second[-40:] + bytes(30) + b"\n"
    path.write_bytes(first + torn)
    cut_torn(tmp_path)
    assert (path.read_bytes(), newest_size(tmp_path)) == (first, 4)
    assert (tmp_path / f"torn-checkpoints-{len(first)}-1.bin").read_bytes() == torn
    path.write_bytes(first + torn)
    cut_torn(tmp_path)
    assert (tmp_path / f"torn-checkpoints-{len(first)}-2.bin").read_bytes() == torn


@pytest.mark.parametrize("more", [0, 1])
def test_more_than_a_power_cut_leaves_is_damage(tmp_path: Path, more: int) -> None:
    """house: up to 64 KiB is a torn end; beyond, the file is left as it is."""
    with opened(tmp_path) as heads:
        heads.sign(tree(4), 0)
    path = tmp_path / "checkpoints.jsonl"
    first = path.read_bytes()
    path.write_bytes(first + bytes(65535 + more) + b"\n")
    if more:
        with pytest.raises(VerificationError) as raised:
            cut_torn(tmp_path)
        assert raised.value.reason_code == "checkpoint_malformed"
        assert path.stat().st_size == len(first) + 65537
    else:
        cut_torn(tmp_path)
        assert path.read_bytes() == first
