"""Bodies that two parsers could read differently: refused before policy, recorded, not sent."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.adversarial.wire import request, send

pytestmark = pytest.mark.e2e

CALL = '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":%s}'
GOOD = '{"name":"read_invoice","arguments":{"invoice_id":"INV-1001"}}'

BODIES = {
    "batch": ("[" + CALL % GOOD + "]", 400, "json_not_object"),
    "empty-batch": ("[]", 400, "json_not_object"),
    "duplicate-method": (
        '{"jsonrpc":"2.0","id":7,"method":"ping","method":"tools/call","params":' + GOOD + "}",
        400,
        "json_duplicate_key",
    ),
    "duplicate-name": (
        CALL % '{"name":"read_invoice","name":"delete_customer"}',
        400,
        "json_duplicate_key",
    ),
    "duplicate-deep-in-arguments": (
        CALL % '{"name":"x","arguments":{"a":[{"b":{"c":1,"c":2}}]}}',
        400,
        "json_duplicate_key",
    ),
    "duplicate-by-escape": (
        CALL % '{"name":"x","arguments":{"a":1,"\\u0061":2}}',
        400,
        "json_duplicate_key",
    ),
    "bom": ("\ufeff" + CALL % GOOD, 400, "json_bom"),
    "Name": (CALL % '{"Name":"read_invoice"}', 400, "json_ambiguous_key"),
    "name-and-Name": (CALL % '{"name":"read_invoice","Name":"x"}', 400, "json_ambiguous_key"),
    "Arguments": (CALL % '{"name":"x","Arguments":{}}', 400, "json_ambiguous_key"),
    "long-s-in-params": (
        '{"jsonrpc":"2.0","id":7,"method":"tools/call","param\u017f":{},"params":' + GOOD + "}",
        400,
        "json_ambiguous_key",
    ),
    "nul-after-name": (CALL % '{"name":"x","name\\u0000":"y"}', 400, "json_nul_in_key"),
    "nan": (CALL % '{"name":"x","arguments":{"amount":NaN}}', 400, "json_not_a_number"),
    "infinity": (CALL % '{"name":"x","arguments":{"amount":-Infinity}}', 400, "json_not_a_number"),
    "overflowing": (CALL % '{"name":"x","arguments":{"amount":1e999}}', 400, "json_number_range"),
    "big-integer": (
        CALL % '{"name":"x","arguments":{"amount":12345678901234567890}}',
        400,
        "json_integer_range",
    ),
    "too-deep": (
        CALL % ('{"name":"x","arguments":{"a":' + "[" * 80 + "]" * 80 + "}}"),
        400,
        "json_too_deep",
    ),
    "far-too-deep": (
        CALL % ('{"name":"x","arguments":{"a":' + "[" * 200_000 + "]" * 200_000 + "}}"),
        400,
        "json_too_deep",
    ),
    "lone-surrogate": (
        CALL % '{"name":"x","arguments":{"a":"\\ud800"}}',
        400,
        "json_lone_surrogate",
    ),
    "no-name": (CALL % "{}", 400, "jsonrpc_params"),
    "trailing-garbage": (CALL % GOOD + "{}", 400, "json_syntax"),
    "too-large": (CALL % ('{"name":"%s"}' % ("x" * 1_100_000)), 413, "body_too_large"),
}


@pytest.mark.parametrize("case", BODIES, ids=list(BODIES))
def test_an_ambiguous_body_is_refused_before_policy_and_recorded(company, allowing, case):
    """Issue, and mcp.md §3.2: parsers behind us differ on each of these."""
    text, status, code = BODIES[case]
    seen, before = company.seen()["requests"], len(allowing.records())
    answer = send(allowing.url, request(allowing.url, text.encode(), token=allowing.token()))
    assert answer.status == status
    assert code_of(json.loads(answer.body)) == code
    (record,) = allowing.records()[before:]
    assert record["kind"] == "refusal"
    assert record["decision"]["reasons"] == [{"code": code, "rule": rule_of(code)}]
    assert record["decision"]["engine"] is None
    assert company.seen()["requests"] == seen


def test_a_body_with_a_stray_byte_is_not_utf8(company, allowing):
    """RFC 8259 §8.1."""
    body = (CALL % GOOD).encode().replace(b"INV-1001", b"INV-\xff001")
    answer = send(allowing.url, request(allowing.url, body, token=allowing.token()))
    assert (answer.status, code_of(json.loads(answer.body))) == (400, "json_not_utf8")


def test_what_is_well_formed_does_pass(company, allowing):
    """House: the table above proves something only if its neighbour is let through."""
    before = company.executed().get("read_invoice", 0)
    body = (CALL % GOOD).encode()
    assert send(allowing.url, request(allowing.url, body, token=allowing.token())).status != 200
    # Without a session a legacy call is the upstream's to refuse: it came through.
    modern = [
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "read_invoice"),
    ]
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    message = json.loads(CALL % GOOD)
    message["params"]["_meta"] = meta
    sent = request(
        allowing.url, json.dumps(message).encode(), headers=modern, token=allowing.token()
    )
    assert send(allowing.url, sent).status == 200
    assert company.executed()["read_invoice"] == before + 1


def code_of(document: Mapping[str, Any]) -> str:
    """Return the stable code of an error answer, JSON-RPC or plain."""
    error = document["error"]
    return str(error["data"]["code"] if "data" in error else error["code"])


def rule_of(code: str) -> str:
    """Return the step of the line that refuses with this code."""
    return "gateway.admit" if code == "body_too_large" else "gateway.decode"
