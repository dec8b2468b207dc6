"""The README says what is: its commands run, its help blocks are real, its tables whole."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from gateway import settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
HELP = re.findall(r"```text\n\$ bailiwick ([^\n]*--help)\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
BIN = Path(sys.executable).parent


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a person with an 80-column terminal would."""
    env = os.environ | {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(("command", "shown"), HELP, ids=[command for command, _ in HELP])
def test_a_help_block_is_what_the_program_prints(command: str, shown: str, tmp_path: Path) -> None:
    """House: style §4.8."""
    assert run([str(BIN / "bailiwick"), *shlex.split(command)], tmp_path).stdout == shown


def test_there_are_help_blocks_and_commands_to_check() -> None:
    """House: a check that finds nothing to check is none."""
    assert len(HELP) >= 2
    assert len(COMMANDS) >= 3


def test_the_commands_of_the_readme_run_as_written(tmp_path: Path) -> None:
    """House: the quick start is executed; `make` itself is what runs this test."""
    lines = [line for block in COMMANDS for line in block.splitlines() if line]
    made = [line for line in lines if line.startswith("make ")]
    assert made == ["make demo", "make test"]
    for line in lines:
        if line in made:
            assert re.search(
                rf"^{line.removeprefix('make ')}:", (ROOT / "Makefile").read_text(), re.M
            )
            continue
        program, *arguments = shlex.split(line)
        done = run([str(BIN / Path(program).name), *arguments], tmp_path)
        assert done.returncode == 0, done.stderr


def test_the_demo_does_what_the_readme_shows(tmp_path: Path) -> None:
    """Issue: one read permitted, one deletion and one unknown tool denied, one refund held."""
    done = run([str(BIN / "bailiwick"), "demo", "--folder", str(tmp_path / "demo")], tmp_path)
    assert done.returncode == 0, done.stderr
    table = README[README.index("the agent asked for") :].partition("```")[0]
    said = [line.rstrip() for line in done.stdout.splitlines()]
    assert said[: len(table.splitlines())] == table.splitlines()
    assert "one byte flipped in a copy: found, record" in done.stdout


@pytest.mark.parametrize(
    "table",
    [
        "Server",
        "Identity",
        "DPoP",
        "Issuer",
        "Claimed",
        "DevIssuer",
        "TrustDomain",
        "Terminator",
        "System",
        "Policy",
        "Signature",
        "OPA",
        "Evidence",
        "Anchor",
        "Space",
        "Retention",
        "Ledger",
    ],
)
def test_every_setting_is_documented(table: str) -> None:
    """House: style §4.8."""
    documented = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for field in msgspec.structs.fields(getattr(settings, table)):
        assert f"`{field.name}`" in documented


IDENTITY = (ROOT / "docs" / "identity.md").read_text("utf-8")
TOML = re.findall(r"```toml\n(.*?)```", IDENTITY, re.DOTALL)
BASE = """
[policy]
bundle = "b"
[evidence]
folder = "e"
keys = "k"
[ledger]
path = "l"
"""


@pytest.mark.parametrize("number", range(len(TOML)))
def test_the_settings_of_the_identity_guide_are_settings(number: int, tmp_path: Path) -> None:
    """Issue: a real OIDC provider and a real SPIRE are named with working settings."""
    block = TOML[number]
    if "[[terminators]]" in block:
        block += next(other for other in TOML if "[[trust_domains]]" in other)
    path = tmp_path / "bailiwick.toml"
    path.write_text(BASE + block, "utf-8")
    loaded = settings.load(path)
    assert loaded.issuers or loaded.trust_domains


def test_the_identity_guide_names_a_provider_and_spire() -> None:
    """Issue: by name."""
    assert len(TOML) >= 4
    assert all(name in IDENTITY for name in ("Keycloak", "SPIRE", "Kubernetes", "Envoy"))


def test_every_file_that_the_readme_links_to_is_there() -> None:
    """House."""
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_readme_is_short() -> None:
    """House: style §4.9 aims at 150 lines."""
    assert len(README.splitlines()) <= 200
