"""A catalogue is drafted from the sample company's own server, by the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway import starter
from gateway.core.charter import system_faults
from gateway.policy import documents
from tests.e2e.processes import CompanyServer, company_server
from tests.e2e.test_company import TOOLS

pytestmark = pytest.mark.e2e

ABOUT = ("--owner", "platform-team", "--domain", "finance", "--environment", "production")


def bailiwick(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line, with a proxy in the environment that nobody may use."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", "systems", *map(str, arguments)],
        env={**os.environ, "HTTP_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def drafted(company: CompanyServer, file: Path) -> Any:
    """Draft the company into a file, and return what the file says."""
    done = bailiwick("import", "company", *ABOUT, "--url", company.url, "--out", file, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert {tool["name"] for tool in json.loads(done.stdout)["tools"]} == TOOLS
    return documents.read(str(file), file.read_text()).value


@pytest.mark.parametrize("options", [(), ("--json-response",)], ids=["events", "JSON"])
def test_the_company_is_drafted_unclassified_and_nothing_of_it_is_called(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Issue: reads `tools/list` of a live MCP server, everything unclassified."""
    with company_server(*options) as company:
        value = drafted(company, tmp_path / "company.yaml")
        assert company.executed() == {}
        assert company.seen()["tools_call_requests"] == 0
    assert system_faults(value) == []
    assert value["tools"] == dict.fromkeys(TOOLS, {"effect": "unclassified", "impacts": []})


def test_the_reviewed_catalogue_knows_all_of_the_company_but_one_tool(tmp_path: Path) -> None:
    """House: the shipped catalogue leaves wire_transfer out on purpose; an update shows it."""
    with company_server() as company:
        settings = starter.create(tmp_path / "gw", company.url, 8080)[0]
        file = settings.parent / "policy" / "systems" / "company.yaml"
        before = file.read_bytes()
        done = bailiwick("import", "company", "--update", "--json", "--settings", settings)
    assert done.returncode == 0
    states = {tool["name"]: tool["state"] for tool in json.loads(done.stdout)["tools"]}
    assert {name for name, state in states.items() if state != "known"} == {"wire_transfer"}
    assert states["wire_transfer"] == "new"
    assert all(line in file.read_bytes() for line in before.splitlines(keepends=True))
    assert bailiwick("check", settings.parent / "policy").returncode == 0


def test_what_is_no_mcp_server_is_said_in_one_line(tmp_path: Path) -> None:
    """Issue: not MCP: exit 3, never a traceback."""
    with company_server() as company:
        url = company.url.removesuffix("/mcp") + "/executed"
        done = bailiwick("import", "company", *ABOUT, "--url", url, "--out", tmp_path / "a")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert done.stderr.startswith(f"bailiwick: {url}: this is no MCP answer: ")
