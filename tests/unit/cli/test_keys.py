import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.core.note import VerifierKey
from gateway.evidence.sealing import Sealer, open_sealed
from gateway.evidence.signer import KeyRing
from gateway.starter import ORIGIN, create
from tests.unit.cli.conftest import CommandLine


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Return the settings of a gateway that has not run yet."""
    return create(tmp_path / "gw", "http://h/mcp", 8080)[0]


def modes(*paths: Path) -> set[int]:
    """Return who may do what with these."""
    return {path.stat().st_mode & 0o777 for path in paths}


def held(folder: Path) -> dict[str, bytes]:
    """Return what every file of a folder holds."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file grow beyond ten bytes (setrlimit(2): EFBIG), as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_keygen_makes_keys_for_their_owner_only(bailiwick: CommandLine, tmp_path: Path) -> None:
    """House: whoever reads them can sign."""
    folder = tmp_path / "a" / "keys"
    assert bailiwick("evidence", "keygen", folder).status == 0
    assert KeyRing(folder).epochs == [1]
    assert (modes(folder), modes(*folder.iterdir())) == ({0o700}, {0o600})


@pytest.mark.parametrize("name", ["epoch-0001.key", "epoch-0002.key", "redaction.key", "notes"])
def test_keygen_touches_no_folder_that_holds_anything(
    bailiwick: CommandLine, tmp_path: Path, name: str
) -> None:
    """House: a log goes on only with its key; after a rotation the first one is gone for good."""
    (tmp_path / name).write_text("mine")
    done = bailiwick("evidence", "keygen", tmp_path)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert held(tmp_path) == {name: b"mine"}


def test_keygen_says_where_it_cannot_write(bailiwick: CommandLine, tmp_path: Path) -> None:
    """House, style §4.8: 2 and one sentence."""
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "keys"):
        done = bailiwick("evidence", "keygen", place)
        assert (done.status, str(place) in done.err) == (2, True)


def test_vkey_prints_the_key_that_the_log_is_signed_with(
    bailiwick: CommandLine, settings: Path
) -> None:
    """C2SP signed-note: a vkey, whose name is the log's origin."""
    done = bailiwick("evidence", "vkey", "-s", settings)
    signer = KeyRing(settings.parent / "evidence-keys").signer(f"{ORIGIN}/0", 1)
    assert done.status == 0
    assert VerifierKey.parse(done.out.removesuffix("\n")) == signer.verifier


def test_rotate_key_adds_an_epoch_and_leaves_the_others(
    bailiwick: CommandLine, settings: Path
) -> None:
    """House: the old key is needed to hand over, at the next start."""
    folder = settings.parent / "evidence-keys"
    before, first = held(folder), bailiwick("evidence", "vkey", "-s", settings).out
    assert bailiwick("evidence", "rotate-key", "-s", settings).status == 0
    after = held(folder)
    assert set(after) - set(before) == {"epoch-0002.key"}
    assert {name: after[name] for name in before} == before
    assert modes(*folder.iterdir()) == {0o600}
    old, new = bailiwick("evidence", "vkey", "-s", settings).out.splitlines()
    assert (old, VerifierKey.parse(new).name) == (first.strip(), f"{ORIGIN}/0")
    assert VerifierKey.parse(new).public != VerifierKey.parse(old).public


@pytest.mark.parametrize("command", ["rotate-key", "vkey"])
def test_keys_that_are_not_there_are_a_matter_of_settings(
    bailiwick: CommandLine, settings: Path, command: str
) -> None:
    """House, style §4.8: 2, and nothing is made."""
    (settings.parent / "evidence-keys").rename(settings.parent / "away")
    done = bailiwick("evidence", command, "-s", settings)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert not (settings.parent / "evidence-keys").exists()


def test_the_two_files_of_a_responder_are_a_pair(bailiwick: CommandLine, tmp_path: Path) -> None:
    """RFC 9180: sealed with the one, opened with the other; house: for their owner only."""
    file, public = tmp_path / "responder", tmp_path / "responder.pub"
    assert bailiwick("evidence", "responder-key", file).status == 0
    sealed = Sealer(public.read_text()).seal(b"secret", b"info")
    assert open_sealed(file.read_text(), sealed, b"info") == b"secret"
    assert modes(file, public) == {0o600}


@pytest.mark.parametrize("name", ["responder", "responder.pub"])
def test_responder_key_overwrites_nothing(
    bailiwick: CommandLine, tmp_path: Path, name: str
) -> None:
    """House: what was sealed to a lost key stays closed for ever."""
    (tmp_path / name).write_text("mine")
    done = bailiwick("evidence", "responder-key", tmp_path / "responder")
    assert (done.status, done.out, str(tmp_path / name) in done.err) == (2, "", True)
    assert held(tmp_path) == {name: b"mine"}


def test_responder_key_says_where_it_cannot_write(bailiwick: CommandLine, tmp_path: Path) -> None:
    """House, style §4.8."""
    done = bailiwick("evidence", "responder-key", tmp_path / "nowhere" / "key")
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)


def test_a_key_that_does_not_fit_on_the_disk_leaves_nothing(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """House: half a key would stop the second try, and be taken for one."""
    with no_room():
        done = bailiwick("evidence", "responder-key", tmp_path / "key")
    assert (done.status, done.out, str(tmp_path / "key") in done.err) == (2, "", True)
    assert held(tmp_path) == {}
