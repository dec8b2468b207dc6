import base64
from pathlib import Path

import pytest

from gateway.core.note import SigningKey, VerifierKey
from tests.unit.cli.conftest import CommandLine
from tests.unit.witness.logs import MemoryLog

LOG = str(MemoryLog().key.verifier)


def test_keygen_writes_a_seed_and_prints_the_key_that_verifies_it(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """C2SP tlog-cosignature: a vkey of type 4; house: the file is for its owner only."""
    done = bailiwick("witness", "keygen", tmp_path / "k", "--name", "w.example/1")
    seed, name = (tmp_path / "k").read_text().splitlines()
    assert name == "w.example/1"
    assert done.status == 0
    assert VerifierKey.parse(done.out.strip()) == SigningKey(name, base64.b64decode(seed)).witness
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600


def test_keygen_overwrites_nothing(bailiwick: CommandLine, tmp_path: Path) -> None:
    """House: a key that is lost ends every log that counts on it."""
    (tmp_path / "k").write_text("mine")
    assert bailiwick("witness", "keygen", tmp_path / "k").status == 2
    assert (tmp_path / "k").read_text() == "mine"


def test_keygen_refuses_a_name_that_no_note_can_have(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """C2SP signed-note: no spaces, no plus; house: and leaves no file."""
    assert bailiwick("witness", "keygen", tmp_path / "k", "--name", "a b").status == 2
    assert not (tmp_path / "k").exists()


@pytest.mark.parametrize("text", ["", "no key\n", f"{base64.b64encode(bytes(31)).decode()}\nw\n"])
def test_serve_refuses_what_is_no_key(bailiwick: CommandLine, tmp_path: Path, text: str) -> None:
    """House: 2 is settings, and nothing is made before."""
    (tmp_path / "k").write_text(text)
    (tmp_path / "k").chmod(0o600)
    given = ("--folder", tmp_path / "w", "--key", tmp_path / "k", "--log", LOG)
    assert bailiwick("witness", "serve", *given).status == 2
    assert not (tmp_path / "w").exists()


def test_serve_refuses_a_key_that_others_can_read(bailiwick: CommandLine, tmp_path: Path) -> None:
    """House: as for the keys of a log."""
    bailiwick("witness", "keygen", tmp_path / "k")
    (tmp_path / "k").chmod(0o640)
    given = ("--folder", tmp_path / "w", "--key", tmp_path / "k", "--log", LOG)
    done = bailiwick("witness", "serve", *given)
    assert (done.status, "chmod 600" in done.err) == (2, True)


def test_serve_refuses_a_log_that_is_no_vkey(bailiwick: CommandLine, tmp_path: Path) -> None:
    """House."""
    bailiwick("witness", "keygen", tmp_path / "k")
    given = ("--folder", tmp_path / "w", "--key", tmp_path / "k", "--log", "log.example")
    assert bailiwick("witness", "serve", *given).status == 2
