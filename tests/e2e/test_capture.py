"""What real calls through a real gateway leave on disk, and what its callers hold of it."""

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator

from gateway.core.record import leaf_hash
from gateway.evidence.segments import lines, segments
from tests.e2e import drive
from tests.e2e.gateways import RunningGateway, gateway
from tests.e2e.processes import company_server

pytestmark = pytest.mark.e2e

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
VALIDATOR = Draft202012Validator(
    json.loads(files("gateway.evidence").joinpath("schema/record.schema.json").read_text("utf-8"))
)


@pytest.fixture(scope="module", params=[(), ("--json-response",)], ids=["sse", "json"])
def running(request, tmp_path_factory) -> Iterator[RunningGateway]:
    """A gateway that allows everything, in front of a company."""
    with company_server(*request.param) as company:
        folder = tmp_path_factory.mktemp("gateway")
        with gateway(folder, company.url, "allow_all") as found:
            yield found


def raw_lines(running: RunningGateway) -> list[bytes]:
    """Return every line on disk, without its newline."""
    found = [raw for path in segments(running.folder / "evidence") for raw in lines(path)]
    return [raw.removesuffix(b"\n") for raw in found]


def called(running: RunningGateway, **headers: str) -> tuple[httpx2.Response, dict[str, Any]]:
    """Call a tool as a modern client does; return the response and the JSON-RPC message."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "capture", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
        "traceparent": TRACE,
        "bailiwick/run": "run-1",
    }
    params = {"name": "read_invoice", "arguments": {"invoice_id": "INV-1001"}, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    routing = {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "read_invoice",
    }
    sent = {**running.bearer(), **routing, **headers}
    response = httpx2.post(running.url, content=json.dumps(message), headers=sent)
    text = response.text
    if response.headers["content-type"].startswith("text/event-stream"):
        (text,) = [line[6:] for line in text.splitlines() if line.startswith("data: {")]
    return response, json.loads(text)


def of_call(running: RunningGateway, receipt: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the records of the call that a receipt belongs to."""
    call_id = json.loads(raw_lines(running)[receipt["seq"]])["call_id"]
    return [fields for fields in running.records() if fields.get("call_id") == call_id]


async def test_every_record_on_disk_is_as_documented(running):
    """docs/evidence.md: whole sessions of an official client, in both eras."""
    for mode in ("legacy", "modern"):
        await drive.transcript(running.url, mode, token=running.token())
    faults = [
        (record["seq"], record["kind"], error.json_path, error.message)
        for record in running.records()
        for error in VALIDATOR.iter_errors(record)
    ]
    assert faults == []


def test_a_callers_receipt_is_that_of_the_line_on_disk(running):
    """House: the leaf hash can be computed anew from the bytes of the outcome's line."""
    _, message = called(running)
    receipt = message["result"]["_meta"]["bailiwick/receipt"]
    line = raw_lines(running)[receipt["seq"]]
    assert leaf_hash(line) == receipt["leaf_hash"]
    assert json.loads(line)["kind"] == "outcome"
    assert receipt["origin"] == running.records("segment")[0]["origin"]


def test_the_receipt_in_the_header_is_that_of_the_intent(running):
    """RFC 8941 §3.2; House: it is there before the answer is."""
    response, message = called(running)
    members = dict(part.split("=", 1) for part in response.headers["bailiwick-receipt"].split(", "))
    line = raw_lines(running)[int(members["seq"])]
    assert json.loads(members["leaf"]) == leaf_hash(line)
    intent, outcome = (
        json.loads(line),
        of_call(running, message["result"]["_meta"]["bailiwick/receipt"])[-1],
    )
    assert (intent["kind"], intent["call_id"]) == ("intent", outcome["call_id"])


def test_a_refused_caller_has_a_receipt_of_the_refusal(running):
    """House: also who is nobody can prove that it was turned away."""
    ping = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    response = httpx2.post(running.url, content=ping, headers={"content-type": "application/json"})
    receipt = response.json()["error"]["receipt"]
    line = raw_lines(running)[receipt["seq"]]
    assert response.status_code == 401
    assert json.loads(line)["kind"] == "refusal"
    assert leaf_hash(line) == receipt["leaf_hash"]


def test_a_call_leaves_who_what_when_and_how_long(running):
    """House, evidence: what one call must leave behind."""
    _, message = called(running, traceparent=TRACE)
    intent, outcome = of_call(running, message["result"]["_meta"]["bailiwick/receipt"])
    said = intent["correlation"]
    assert (said["traceparent"], said["meta_traceparent"]) == (TRACE, TRACE)
    assert (said["trace_mismatch"], said["run"], said["rpc_id"]) == (False, "run-1", 1)
    assert said["client_info"] == {"name": "capture", "version": "1"}
    assert intent["request"]["forwarded_digest"] == intent["request"]["body_digest"]
    assert (outcome["system"], outcome["tool"]) == ("company", "read_invoice")
    steps = list(outcome["timings"].values())
    assert None not in steps
    assert steps == sorted(steps)


def test_the_upstreams_own_body_is_recorded_and_not_the_one_with_the_receipt(running):
    """House: the receipt cannot be in the record that it names."""
    _, message = called(running)
    outcome = of_call(running, message["result"]["_meta"]["bailiwick/receipt"])[-1]
    assert "bailiwick/receipt" not in json.dumps(outcome)
    assert outcome["body_bytes"] > 0
