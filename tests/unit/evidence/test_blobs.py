import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.evidence.blobs import blob_path, put

DATA = b"a long body" * 10_000


def files(folder: Path) -> list[Path]:
    """Return every file there."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_blob_lies_under_its_digest(tmp_path: Path) -> None:
    """docs/evidence.md: blobs/sha256/ab/ab12…, readable by the owner only."""
    value = sha256(DATA).hexdigest()
    assert put(tmp_path, DATA) == f"sha256:{value}"
    path = tmp_path / "blobs" / "sha256" / value[:2] / value
    assert path == blob_path(tmp_path, f"sha256:{value}")
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o777 == 0o600
    assert {p.stat().st_mode & 0o777 for p in tmp_path.rglob("*") if p.is_dir()} == {0o700}


def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    """house: and what is there is not written again."""
    path = blob_path(tmp_path, put(tmp_path, DATA))
    before = path.stat().st_ino
    put(tmp_path, DATA)
    put(tmp_path, b"other")
    assert path.stat().st_ino == before
    assert len(files(tmp_path)) == 2


def test_the_same_bytes_may_be_kept_at_the_same_time(tmp_path: Path) -> None:
    """house: two calls, one body; neither sees the other's half."""
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(put, [tmp_path] * 64, [DATA] * 64))
    (path,) = files(tmp_path)
    assert names == {f"sha256:{path.name}"}
    assert path.read_bytes() == DATA


def test_what_a_crash_left_of_a_blob_is_in_nobodys_way(tmp_path: Path) -> None:
    """house: a `.part` file is never taken for the blob."""
    path = blob_path(tmp_path, f"sha256:{sha256(DATA).hexdigest()}")
    path.parent.mkdir(parents=True)
    left = path.with_name(f"{path.name}.1.part")
    left.write_bytes(DATA[:10])
    put(tmp_path, DATA)
    assert path.read_bytes() == DATA
    assert left.read_bytes() == DATA[:10]


def test_a_blob_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    """house: no record may name it then."""
    (tmp_path / "blobs").write_bytes(b"in the way")
    with pytest.raises(OSError, match="exists|Not a directory"):
        put(tmp_path, DATA)


OPENED: list[tuple[Path, bool]] = []
"""Each path that was opened, and whether the blob had its name by then."""
WATCHED: list[Path] = []
"""The blob that is waited for."""


def _watch(event: str, args: tuple[object, ...]) -> None:
    if WATCHED and event == "open":
        OPENED.append((Path(str(args[0])), WATCHED[0].exists()))


sys.addaudithook(_watch)


@pytest.mark.parametrize("there", [False, True], ids=["new", "left by a crash"])
def test_a_blob_is_durable_before_it_is_named(tmp_path: Path, there: bool) -> None:
    """house: every folder on the way is synced after the blob has its name, by each who names it.

    A sync leaves no other trace than that the folder was opened.
    """
    path = blob_path(tmp_path, f"sha256:{sha256(DATA).hexdigest()}")
    if there:
        path.parent.mkdir(parents=True)
        path.write_bytes(DATA)
    OPENED.clear()
    WATCHED.append(path)
    try:
        put(tmp_path, DATA)
    finally:
        WATCHED.clear()
    synced = [opened for opened, named in OPENED if named]
    assert synced == list(path.parents[:3]) + [tmp_path]
