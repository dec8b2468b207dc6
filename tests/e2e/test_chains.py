"""Rules over what an agent did before, end to end: flows, budgets, rates, and observe mode."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from gateway import starter
from tests.e2e import drive, node
from tests.e2e.gateways import RunningGateway, free_port, gateway
from tests.e2e.processes import CompanyServer, company_server

pytestmark = pytest.mark.e2e

AGENT = "spiffe://bailiwick.example/agent/chain"
READ = ("read_file", {"path": "inbox/supplier-note.txt"})
LIST: tuple[str, dict[str, Any]] = ("list_invoices", {})
REMIND = ("send_reminder", {"invoice_id": "INV-1003"})
MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": drive.MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "chains", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
CLIENTS = [
    pytest.param(drive.transcript, "legacy", id="python-legacy"),
    pytest.param(drive.transcript, "modern", id="python-modern"),
    pytest.param(node.transcript, "sdk1", id="typescript-sdk1"),
]
CHARTER: dict[str, Any] = {
    "subject": AGENT,
    "owner": "test",
    "purpose": "Reads files of strangers and reminds customers.",
    "environment": "production",
    "expires": "2027-11-30T00:00:00Z",
    "systems": {
        "company": {
            "allow": [
                {"tools": ["read_file", "list_files", "list_invoices"], "effects": ["read"]},
                {"tools": ["send_reminder"], "effects": ["write"]},
            ],
            "deny": [{"tools": ["delete_customer"]}],
        }
    },
    "approvals": [],
    "evidence": {"capture": ["arguments", "results"]},
    "limits": {"calls_per_minute": 60},
    "task_required": False,
}
FLOWS = {"flows": [{"after": {"untrusted_input": True}, "to": {"outward": True}, "deny": True}]}
OBSERVE = {"observe": {"until": "2027-11-30T00:00:00Z"}}


@pytest.fixture
def company() -> Iterator[CompanyServer]:
    """A company with fresh counts."""
    with company_server() as running:
        yield running


@contextmanager
def chained(
    folder: Path, company: CompanyServer, charter: Mapping[str, Any] | None = None
) -> Iterator[RunningGateway]:
    """Run a gateway whose files are strangers' words, with one charter more than the shipped ones.

    A folder may be used again; its charter is then the one that it has.
    """
    if not (folder / starter.SETTINGS_NAME).exists():
        starter.create(folder, company.url, free_port())
        if (folder / "policy").is_dir():
            _edit(folder / "policy", {**CHARTER, **(charter or {})})
    with gateway(folder, company.url) as running:
        yield running


def _edit(bundle: Path, charter: Mapping[str, Any]) -> None:
    yaml = YAML()
    catalogue = bundle / "systems" / "company.yaml"
    system = yaml.load(catalogue.read_text())
    system["tools"]["read_file"]["untrusted"] = True
    system["tools"]["send_reminder"]["outward"] = True
    with catalogue.open("w") as file:
        yaml.dump(system, file)
    with (bundle / "charters" / "chain-agent.yaml").open("w") as file:
        yaml.dump(dict(charter), file)


def codes(said: Mapping[str, Any]) -> list[str | None]:
    """Return the gateway's code for each call; None for one that was answered by the company."""
    found = []
    for outcome in said["calls"]:
        meta = outcome["result"].get("_meta", {})
        found.append(meta.get("bailiwick/refusal", {}).get("code"))
    return found


@pytest.mark.parametrize(("transcript", "mode"), CLIENTS)
async def test_after_the_words_of_strangers_nothing_goes_out_and_no_new_session_helps(
    tmp_path, company, transcript, mode
):
    """Issue: taint flow; reconnecting, or a restart of the gateway, sheds nothing."""
    with chained(tmp_path / "g", company, FLOWS) as running:
        token = running.token(AGENT)
        said = await transcript(running.url, mode, token=token, calls=[REMIND, READ, REMIND])
        assert codes(said) == [None, None, "flow_denied"]
        again = await transcript(running.url, mode, token=running.token(AGENT), calls=[REMIND])
        assert codes(again) == ["flow_denied"]
        running.kill()
    with chained(tmp_path / "g", company) as running:
        token = running.token(AGENT)
        said = await transcript(running.url, mode, token=token, calls=[REMIND, LIST])
        assert codes(said) == ["flow_denied", None]
        session = running.records("refusal")[-1]["input"]["context"]["session"]
    assert (session["untrusted_input"], session["systems"]) == (True, ["company"])
    assert session["domains_read"] == ["documents"]
    assert company.executed()["send_reminder"] == 1


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"calls_per_minute": 60, "calls_per_session": 3}, "call_budget_spent"),
        ({"calls_per_minute": 3}, "rate_limited"),
    ],
    ids=["budget", "rate"],
)
async def test_a_limit_of_calls_holds_across_sessions(tmp_path, company, limits, code):
    """Issue: call budgets and rate limits; refused calls count too."""
    with chained(tmp_path / "g", company, {"limits": limits}) as running:
        token = running.token(AGENT)
        first = await drive.transcript(
            running.url, "legacy", token=token, calls=[LIST, ("delete_customer", {"x": 1})]
        )
        second = await drive.transcript(running.url, "legacy", token=token, calls=[LIST, LIST])
        third = await drive.transcript(running.url, "modern", token=token, calls=[LIST])
    assert codes(first) == [None, "tool_denied"]
    assert codes(second) == [None, code]
    assert codes(third) == [code]
    assert company.executed() == {"list_invoices": 2}


async def post(running: RunningGateway, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """Make calls one by one; return for each the mark in the header and the result."""
    answers = []
    async with httpx.AsyncClient(headers=running.bearer(AGENT), trust_env=False) as agent:
        for name, arguments in calls:
            params = {"name": name, "arguments": arguments, "_meta": MODERN_META}
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            routing = {"mcp-protocol-version": drive.MODERN, "mcp-method": "tools/call"}
            headers = {**routing, "mcp-name": name}
            answer = await agent.post(running.url, json=message, headers=headers)
            text = answer.text
            if answer.headers["content-type"].startswith("text/event-stream"):
                (text,) = [line[6:] for line in text.splitlines() if line.startswith("data: {")]
            mark = answer.headers.get("bailiwick-observed")
            answers.append((mark, json.loads(text)["result"]))
    return answers


def said_by(running: RunningGateway, command: list[str], given: str | None) -> str:
    """Return what a command of the CLI says about this gateway."""
    settings = str(running.folder / starter.SETTINGS_NAME)
    line = [sys.executable, "-m", "gateway", *command, "--settings", settings]
    done = subprocess.run(line, input=given, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


async def test_observe_mode_lets_through_what_it_would_deny_and_marks_record_and_answer(
    tmp_path, company
):
    """Issue: observe mode; what is denied by name stays denied."""
    with chained(tmp_path / "g", company, {**FLOWS, **OBSERVE}) as running:
        answers = await post(running, READ, REMIND, ("delete_customer", {"customer_id": "C-17"}))
        intents, refusals = running.records("intent"), running.records("refusal")
    assert [mark for mark, _ in answers] == ["permit", "deny", "deny"]
    marks = [result["_meta"]["bailiwick/observed"] for _, result in answers]
    assert marks == ["permit", "deny", "deny"]
    assert [result["isError"] for _, result in answers] == [False, False, True]
    decisions = [fields["decision"] for fields in (*intents, *refusals)]
    assert [(d["effect"], d["observed"]) for d in decisions] == [
        ("permit", "permit"),
        ("permit", "deny"),
        ("deny", "deny"),
    ]
    assert decisions[1]["reasons"] == [{"code": "flow_denied", "rule": "bailiwick.rules.flows"}]
    assert company.executed() == {"read_file": 1, "send_reminder": 1}
    for command, given in (
        (["explain", intents[1]["call_id"]], None),
        (["decide", "-"], json.dumps(intents[1]["input"])),
    ):
        assert "observe mode: let through; outside it, deny" in said_by(running, command, given)


async def test_outside_observe_mode_no_answer_is_marked(tmp_path, company):
    """House: a mark means something."""
    with chained(tmp_path / "g", company, FLOWS) as running:
        answers = await post(running, LIST, ("delete_customer", {"customer_id": "C-17"}))
    assert [mark for mark, _ in answers] == [None, None]
    assert all("bailiwick/observed" not in result["_meta"] for _, result in answers)


async def test_a_charter_without_results_keeps_them_out_of_evidence(tmp_path, company):
    """Charter: `evidence.capture`; the caller has the answer, the log its length and digest."""
    with chained(tmp_path / "g", company, {"evidence": {"capture": ["arguments"]}}) as running:
        ((_, result),) = await post(running, LIST)
        (outcome,) = running.records("outcome")
    assert "INV-1001" in json.dumps(result)
    assert "bailiwick/receipt" in result["_meta"]
    assert (outcome["omitted"], outcome["body"], outcome["blob"]) == (True, None, None)
    assert outcome["body_bytes"] > 100 and outcome["status"] == "completed"
    written = b"".join(
        f.read_bytes() for f in (tmp_path / "g").rglob("evidence/**/*") if f.is_file()
    )
    assert b"INV-1001" not in written
