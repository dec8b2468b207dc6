"""A secret that passes through is nowhere on disk in clear, and a responder finds it."""

import base64
import json
import secrets
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from gateway import starter
from gateway.core.record import Record
from gateway.evidence.opened import open_record
from gateway.evidence.schema import record_schema
from gateway.evidence.sealing import generate
from gateway.evidence.segments import records
from tests.e2e.gateways import RunningGateway, free_port, gateway
from tests.e2e.processes import CompanyServer, company_server

pytestmark = pytest.mark.e2e

MODERN = "2026-07-28"
MARKED = "dull words"
"""No shape of a secret: only the catalogue knows that it is one."""


@dataclass(frozen=True)
class Run:
    """What went through a gateway, and what it left."""

    folder: Path
    canaries: dict[str, str]
    private_key: str
    answers: list[str]


def of_letters(length: int, alphabet: str = string.ascii_uppercase + string.digits) -> str:
    """Return a text that nobody has written before."""
    return "".join(secrets.choice(alphabet) for _ in range(length))


@pytest.fixture(scope="module")
def company() -> Iterator[CompanyServer]:
    """A company whose errors repeat what they were asked for."""
    with company_server() as running:
        yield running


@pytest.fixture(scope="module")
def run(company: CompanyServer, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Send every canary through a gateway that seals to a responder, and stop it."""
    folder = tmp_path_factory.mktemp("canary")
    private = prepare(folder, company.url)
    canaries = {
        "argument of a known shape": f"AKIA{of_letters(16)}",
        "random argument": of_letters(40, string.ascii_letters + string.digits),
        "marked argument": MARKED,
        "header that is forwarded": of_letters(40, string.ascii_letters + string.digits),
        "header that is not known": of_letters(12),
        "session id": of_letters(20),
        "query of the URL": of_letters(14),
        "credential that is refused": f"{of_letters(30)}.{of_letters(30)}.{of_letters(30)}",
        "argument of an unknown tool": f"plain {of_letters(6)} text",
    }
    with gateway(folder, company.url) as running:
        canaries["credential that is accepted"] = running.token()
        answers = [one.text for one in send(running, canaries)]
    return Run(folder, canaries, private, answers)


def prepare(folder: Path, url: str) -> str:
    """Make a folder with a marked argument and a responder's key; return its private half."""
    starter.create(folder, url, free_port())
    private, public = generate()
    (folder / "responder.pub").write_text(public)
    settings = folder / starter.SETTINGS_NAME
    key = 'keys = "evidence-keys"\nresponder_key = "responder.pub"'
    settings.write_text(settings.read_text().replace('keys = "evidence-keys"', key))
    catalogue = folder / "policy" / "systems" / "company.yaml"
    before = "redact: {result: {/structuredContent/customer: pii}}"
    text = catalogue.read_text()
    assert before in text
    marked = before.replace("redact: {", "redact: {arguments: {/invoice_id: secret}, ")
    catalogue.write_text(text.replace(before, marked))
    return private


def send(running: RunningGateway, canaries: dict[str, str]) -> Iterator[httpx.Response]:
    """Yield the answers to one call a canary."""
    accepted = {
        **running.bearer(),
        "authorization": f"Bearer {canaries['credential that is accepted']}",
        "mcp-protocol-version": MODERN,
        "mcp-method": "tools/call",
    }
    with httpx.Client(timeout=20, trust_env=False) as http:

        def call(tool: str, value: str, more: dict[str, str] | None = None) -> httpx.Response:
            arguments = {"path": value} if tool == "read_file" else {"invoice_id": value}
            headers = {**accepted, "mcp-name": tool, **(more or {})}
            return http.post(running.url, json=message(tool, arguments), headers=headers)

        yield call("read_file", f"invoices/{canaries['argument of a known shape']}")
        yield call("read_file", f"invoices/{canaries['random argument']}")
        yield call("read_invoice", canaries["marked argument"])
        yield call("no_such_tool", canaries["argument of an unknown tool"])
        parameter = {"mcp-param-thing": canaries["header that is forwarded"]}
        yield call("read_invoice", "INV-1001", parameter)
        yield call("read_invoice", "INV-1001", {"x-thing": canaries["header that is not known"]})
        yield call("read_invoice", "INV-1001", {"mcp-session-id": canaries["session id"]})
        refused = f"Bearer {canaries['credential that is refused']}"
        yield call("read_invoice", "INV-1001", {"authorization": refused})
        target = f"{running.url}?key={canaries['query of the URL']}"
        yield http.post(target, json=message("read_invoice", {}), headers=accepted)


def message(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a call of the stateless revision."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "canary", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def test_the_canaries_did_pass_through(run: Run) -> None:
    """House: else their absence would show nothing. The company's errors repeat the argument."""
    for name in ("argument of a known shape", "random argument", "marked argument"):
        assert any(run.canaries[name] in answer for answer in run.answers), name
    kinds = [record.kind for record in records(run.folder / "evidence")]
    # One of the refusals is of the session id, which nobody opened.
    assert (kinds.count("refusal"), kinds.count("intent") > 4) == (4, True)


def test_no_canary_is_on_disk_in_clear(run: Run) -> None:
    """Issue: nowhere on disk in clear; not escaped or encoded either."""
    found = {
        (name, path.name)
        for path in run.folder.rglob("*")
        if path.is_file()
        for name, canary in run.canaries.items()
        for spelled in spellings(canary)
        if spelled in path.read_bytes()
    }
    assert found == set()


def spellings(text: str) -> set[bytes]:
    """Return the bytes that a text may hide behind."""
    raw = text.encode()
    return {raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"="), raw[::-1]}


def test_a_responder_with_the_key_sees_what_was_sealed(run: Run) -> None:
    """Issue: the gateway can write what it cannot read."""
    opened = [opened_text(run, record) for record in records(run.folder / "evidence")]
    for name in (
        "argument of a known shape",
        "random argument",
        "marked argument",
        "argument of an unknown tool",
        "header that is forwarded",
    ):
        assert any(run.canaries[name] in text for text in opened), name
    # The same secret came back in the answer, and is sealed there as well.
    answers = [text for text in opened if '"kind": "outcome"' in text]
    assert any(run.canaries["marked argument"] in text for text in answers)


def opened_text(run: Run, record: Record) -> str:
    """Return a record as the responder sees it, as JSON."""
    return json.dumps(open_record(run.folder / "evidence", record, run.private_key))


def test_redacted_records_are_what_the_schema_says(run: Run) -> None:
    """Issue: one JSON Schema, held against real records."""
    validator = Draft202012Validator(record_schema())
    for record in records(run.folder / "evidence"):
        validator.validate(dict(record.fields))
