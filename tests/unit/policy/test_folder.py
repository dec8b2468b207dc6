import os
from pathlib import Path

import pytest

from gateway.core.errors import BundleError
from gateway.policy.folder import read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with one file of every kind."""
    made = tmp_path / "bundle"
    for name in (".manifest", ".signatures.json", "data.json", "a/b.rego", "README", ".git/x.rego"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
    return made


def test_without_signature_only_what_is_looked_at_is_read(folder: Path) -> None:
    """House: a folder that somebody works in holds other things."""
    found = read(folder, everything=False)
    assert list(found) == [".manifest", ".signatures.json", "a/b.rego", "data.json"]


def test_with_signature_every_file_counts(folder: Path) -> None:
    """Policy §6: set equality, no extra file."""
    found = read(folder, everything=True)
    assert list(found) == [
        ".git/x.rego", ".manifest", ".signatures.json", "README", "a/b.rego", "data.json",
    ]  # fmt: skip


@pytest.mark.parametrize("everything", [False, True])
def test_a_pipe_is_refused_and_waited_for_by_nobody(folder: Path, everything: bool) -> None:
    """House: reading it would never end."""
    os.mkfifo(folder / "a" / "c.rego")
    with pytest.raises(BundleError, match=r"c\.rego: cannot be read \(not a regular file\)"):
        read(folder, everything)


def test_a_name_that_no_engine_reads_alike_is_refused(folder: Path) -> None:
    """House: as in an archive."""
    (folder / "a" / "B.rego").touch()
    with pytest.raises(BundleError, match="cannot be told from"):
        read(folder, everything=False)


def test_a_hidden_link_to_a_folder_is_refused_where_everything_counts(folder: Path) -> None:
    """House: what a signature covers lies in the folder."""
    (folder / ".more").symlink_to(folder.parent)
    assert read(folder, everything=False)
    with pytest.raises(BundleError, match="is a link to a folder"):
        read(folder, everything=True)
