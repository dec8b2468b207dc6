"""What a person meets who has only read the guide: the way on is said, and said alike."""

import shutil
from pathlib import Path

import pytest

from gateway.policy.bundle import shipped_bundle
from gateway.starter import create
from tests.unit.cli.conftest import CommandLine

BILLING = "charters/billing-agent.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the shipped bundle."""
    return Path(shutil.copytree(shipped_bundle(), tmp_path / "policy"))


def test_a_bundle_that_is_not_there_is_said_with_what_to_name(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """House, style §4.8: what is wrong, where, what to do."""
    for command in (("check", tmp_path / "no"), ("show", "a", "--bundle", tmp_path / "no")):
        done = bailiwick("charter", *command)
        assert (done.status, f"{tmp_path}/no: is not there" in done.err) == (2, True)


@pytest.mark.parametrize("kind", ["charters", "systems"])
def test_a_file_that_is_passed_over_for_its_name_is_pointed_out(
    bailiwick: CommandLine, folder: Path, kind: str
) -> None:
    """House: what somebody wrote down and nobody reads is said."""
    (folder / kind / "new.yml").write_text("owner: me\n")
    for group in ("charter", "systems", "policy"):
        done = bailiwick(group, "check", folder)
        assert f"{folder}/{kind}/new.yml: is not read" in done.err
        assert "call it new.yaml" in done.err


def test_a_table_in_a_pipe_is_a_row_a_line(
    bailiwick: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """House: what is piped on can be searched by line, however narrow the terminal was."""
    monkeypatch.setenv("COLUMNS", "40")
    lines = bailiwick("charter", "show", "billing-agent", "--bundle", folder).out.splitlines()
    row = next(line for line in lines if " refund_payment " in line)
    assert "amount from 0 to 500; currency one of EUR, USD" in row
    assert row.endswith("held: 1 of finance-leads within 15 min")
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ("company/list_files", "observe mode: let through; outside it, deny"),
        ("read_invoice", "observe mode: permitted without it, too"),
        ("company/no_such_tool", "observe mode: no reason to let it through; deny as without it"),
    ],
)
def test_explain_says_what_observe_mode_made_of_the_answer(
    bailiwick: CommandLine, folder: Path, tool: str, said: str
) -> None:
    """Issue: observe mode marks every answer; it lets through only what it may."""
    with (folder / BILLING).open("a") as file:
        file.write("observe: {until: 2027-01-31T00:00:00Z}\n")
    at = ("--bundle", folder, "--time", "2026-12-01T00:00:00Z")
    done = bailiwick("charter", "explain", "billing-agent", tool, *at)
    assert done.out.splitlines()[1].strip() == said


def test_wrong_arguments_are_called_arguments(bailiwick: CommandLine, folder: Path) -> None:
    """House: no body was sent here."""
    asked = ("billing-agent", "read_invoice", "{a:1}", "--bundle", folder)
    done = bailiwick("charter", "explain", *asked)
    assert done.status == 2
    assert done.err == "bailiwick: ARGS must be a JSON object, and is not JSON: {a:1}\n"


@pytest.mark.parametrize("group", ["charter", "systems", "policy"])
def test_what_a_command_does_is_said_whole_in_the_list(bailiwick: CommandLine, group: str) -> None:
    """House: a list of commands is read at 80 columns."""
    listed = bailiwick(group, "--help").out.partition("Commands:")[2]
    assert listed
    assert "..." not in listed


def test_faults_of_the_catalogue_come_in_the_order_of_the_file(
    bailiwick: CommandLine, folder: Path
) -> None:
    """House: a file is mended from top to bottom."""
    file = folder / "systems" / "zz.yaml"
    head = "owner: a\ndomain: b\nenvironment: c\nprotocol: mcp\ntools:\n"
    file.write_text(head + "".join(f"  {n}: {{effect: reed, impacts: []}}\n" for n in "zyxa"))
    places = [
        line.split(": ")[0] for line in bailiwick("systems", "check", folder).out.splitlines()
    ]
    assert places[-4:] == [f"{file}:{line}" for line in range(6, 10)]


def test_an_archive_is_checked_by_another_command(bailiwick: CommandLine, tmp_path: Path) -> None:
    """House, style §4.8: what to do."""
    (tmp_path / "bundle.tar.gz").write_bytes(b"")
    done = bailiwick("systems", "check", tmp_path / "bundle.tar.gz")
    assert (done.status, "bailiwick policy check" in done.err) == (2, True)


def test_a_file_that_is_there_is_said_before_options_are_asked_for(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """House: --update is what is needed, and takes none of them."""
    settings = create(tmp_path / "gw", "http://127.0.0.1:1/mcp", 8080)[0]
    done = bailiwick("systems", "import", "company", "-s", settings)
    assert (done.status, "--update adds" in done.err) == (2, True)
