import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.identity.jwks import MAX_BYTES
from gateway.identity.saving import Saved, restore, save
from tests.unit.identity.keys import NOW

NAME = "https://issuer.test"
SAVED = Saved(NAME, NOW, b'{"keys":[]}\xff')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the document is saved."""
    return tmp_path / "state" / "a.json"


@pytest.mark.parametrize("size", [0, 1, MAX_BYTES])
def test_what_is_saved_is_restored_byte_for_byte(path: Path, size: int) -> None:
    """House."""
    saved = Saved(NAME, NOW, os.urandom(size))
    save(path, saved)
    assert restore(path, NAME) == saved


def test_a_saved_file_and_its_folder_are_their_owners_only(path: Path) -> None:
    """House: keys are whom we believe."""
    save(path, SAVED)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_saving_replaces_the_file_as_a_whole_and_leaves_nothing_beside_it(path: Path) -> None:
    """House: whoever has the old file open keeps all of it."""
    save(path, SAVED)
    with path.open("rb") as before:
        save(path, Saved(NAME, NOW + 1, b"new"))
        assert json.loads(before.read())["read_at"] == NOW
    assert restore(path, NAME) == Saved(NAME, NOW + 1, b"new")
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_stays_and_nothing_lies_beside_it(path: Path) -> None:
    """House."""
    path.mkdir(parents=True)
    with pytest.raises(OSError, match=r"a\.json"):
        save(path, SAVED)
    assert list(path.parent.iterdir()) == [path]


def test_the_document_of_another_issuer_is_ignored(path: Path) -> None:
    """House: one set an issuer; a file that was moved must not move keys."""
    save(path, SAVED)
    assert restore(path, NAME + "/") is None
    assert restore(path, NAME) == SAVED


def test_a_file_that_is_not_there_is_nothing(path: Path) -> None:
    """House."""
    assert restore(path, NAME) is None


GOOD: dict[str, Any] = {"name": NAME, "read_at": NOW, "document": "e30="}
DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "cut": json.dumps(GOOD).encode()[:-1],
    "list": json.dumps([GOOD]).encode(),
    "key-twice": json.dumps(GOOD).encode()[:-1] + b', "read_at": 1}',
    "no-name": json.dumps({"read_at": NOW, "document": "e30="}).encode(),
    "no-time": json.dumps({"name": NAME, "document": "e30="}).encode(),
    "no-document": json.dumps({"name": NAME, "read_at": NOW}).encode(),
    "text-time": json.dumps(GOOD | {"read_at": str(NOW)}).encode(),
    "true-time": json.dumps(GOOD | {"read_at": True}).encode(),
    "float-time": json.dumps(GOOD | {"read_at": NOW + 0.5}).encode(),
    "null-document": json.dumps(GOOD | {"document": None}).encode(),
    "not-base64": json.dumps(GOOD | {"document": "e3 0="}).encode(),
    "not-ascii": json.dumps(GOOD | {"document": "é"}).encode(),
    "bad-padding": json.dumps(GOOD | {"document": "e30"}).encode(),
    "too-large": json.dumps(GOOD).encode().ljust(2 * MAX_BYTES + 1),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_nothing(tmp_path: Path, content: bytes) -> None:
    """House."""
    path = tmp_path / "a.json"
    path.write_bytes(content)
    path.chmod(0o600)
    assert restore(path, NAME) is None


def test_a_file_that_anybody_may_write_is_nothing(path: Path) -> None:
    """House: else anybody could add a key."""
    save(path, SAVED)
    path.chmod(0o602)
    assert restore(path, NAME) is None
    path.chmod(0o660)
    assert restore(path, NAME) == SAVED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_nothing(path: Path) -> None:
    """House: nobody else may have had a chance to write it."""
    save(path, SAVED)
    os.chown(path, 12345, -1)
    assert restore(path, NAME) is None


def test_a_link_or_a_pipe_is_nothing(path: Path) -> None:
    """House: it may be somebody else's, or block."""
    save(path, SAVED)
    (path.parent / "link.json").symlink_to(path)
    os.mkfifo(path.parent / "pipe.json", 0o600)
    for name in ("link.json", "pipe.json", "."):
        assert restore(path.parent / name, NAME) is None
    pipe = os.open(path.parent / "pipe.json", os.O_RDWR)
    try:
        os.write(pipe, path.read_bytes())
        assert restore(path.parent / "pipe.json", NAME) is None
    finally:
        os.close(pipe)
