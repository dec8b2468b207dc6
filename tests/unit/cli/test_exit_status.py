import json
from pathlib import Path

import pytest

from gateway.evidence.segments import name, segments
from tests.unit.cli.conftest import CommandLine
from tests.unit.evidence.logs import write_log

COMMANDS = {
    "verify": ("evidence", "verify"),
    "tail": ("evidence", "tail"),
    "show": ("evidence", "show", "9"),
    "explain": ("explain", "c3"),
}
every_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)


@every_command
def test_a_missing_or_empty_folder_holds_no_log(
    bailiwick: CommandLine, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """House, style §4.8: 3 is "could not find out"."""
    for folder in (tmp_path, tmp_path / "nowhere"):
        done = bailiwick(*command, "--folder", folder)
        said = f"bailiwick: there is no evidence log in {folder}\n"
        assert (done.status, done.out, done.err) == (3, "", said)


@every_command
def test_a_log_that_cannot_be_read_is_no_answer(
    bailiwick: CommandLine, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """House, style §4.8: neither 1, "the answer is no", nor 2, a matter of settings."""
    (tmp_path / "file").touch()
    (tmp_path / "log" / name(0)).mkdir(parents=True)
    for folder in (tmp_path / "file", tmp_path / "log"):
        done = bailiwick(*command, "--folder", folder)
        assert (done.status, done.out) == (3, "")
        assert done.err.count("\n") == 1


@every_command
async def test_damage_is_an_answer_of_verify_only(
    bailiwick: CommandLine, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """House, style §4.8: only `verify` was asked whether the log is sound."""
    await write_log(tmp_path, 3)
    path = segments(tmp_path)[0]
    path.write_bytes(path.read_bytes().replace(b'"v":1', b'"v":x', 1))
    done = bailiwick(*command, "--folder", tmp_path)
    assert done.status == (1 if command[-1] == "verify" else 3)
    assert ("`bailiwick evidence verify` names" in done.err) == (command[-1] != "verify")


@every_command
def test_settings_that_are_missing_are_a_matter_of_settings(
    bailiwick: CommandLine, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """House, style §4.8."""
    assert bailiwick(*command, "-s", tmp_path / "none.toml").status == 2


async def test_a_tail_of_a_damaged_log_shows_what_can_be_read(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """House: who looks at a damaged log needs the rest of it most."""
    await write_log(tmp_path, 3)
    path = segments(tmp_path)[0]
    *_, last = raw = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(raw[:-2]) + b"\x00\n" + last)
    done = bailiwick("evidence", "tail", "-n", 2, "--json", "--folder", tmp_path)
    shown = [json.loads(line)["seq"] for line in done.out.splitlines()]
    assert (done.status, shown) == (3, [len(raw) - 3, len(raw) - 1])
    assert "not every line here can be read" in done.err


@pytest.mark.parametrize("subject", ["", " \t"], ids=["empty", "blank"])
def test_a_token_names_somebody(bailiwick: CommandLine, tmp_path: Path, subject: str) -> None:
    """RFC 9068 §2.2: `sub` is required; an empty one is nobody's."""
    assert bailiwick("init", tmp_path / "gw").status == 0
    done = bailiwick("token", "mint", subject, "-s", tmp_path / "gw" / "bailiwick.toml")
    assert (done.status, done.out) == (2, "")


@pytest.mark.parametrize(
    "option",
    [("--port", "0"), ("--port", "65536"), ("--url", "ftp://x"), ("--url", 'http://x/"\ny')],
    ids=["port 0", "port 65536", "scheme", "quote and newline"],
)
def test_init_with_a_bad_value_leaves_nothing_behind(
    bailiwick: CommandLine, tmp_path: Path, option: tuple[str, str]
) -> None:
    """House: settings that `serve` would refuse are not written."""
    done = bailiwick("init", tmp_path / "gw", *option)
    assert (done.status, done.out) == (2, "")
    assert list(tmp_path.iterdir()) == []
