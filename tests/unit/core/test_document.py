import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.core.approval import Approval, Situation
from gateway.core.call import Request, ToolCall
from gateway.core.claims import Claims
from gateway.core.document import decision_input
from gateway.core.session_facts import SessionFacts
from gateway.wire import mcp
from tests.fakes import CLAIMS
from tests.pipeline.line import CANARY, request, tools_call

NOW = 1_795_510_800_000_000_000
SCHEMA = json.loads(
    (Path(__file__).parents[3] / "rego" / "schemas" / "input.json").read_text("utf-8")
)
VALIDATOR = Draft202012Validator(SCHEMA)


def document(
    asked: Request | None = None, claims: Claims = CLAIMS, situation: Situation | None = None
) -> dict[str, Any]:
    """Return the decision input of a request."""
    call = mcp.decode(asked or request())
    return decision_input(call, claims, situation or Situation(), "call-1", NOW)


def test_a_document_is_exactly_this() -> None:
    """Design §5: whole-object equality."""
    assert document(situation=Situation(Approval("approval-1", "pending", NOW + 1))) == {
        "version": "1",
        "subject": {
            "id": CLAIMS.subject,
            "type": "workload",
            "issuer": CLAIMS.issuer,
            "tenant": None,
            "instance": None,
            "on_behalf_of": None,
            "actors": [],
            "scopes": [],
            "proof": "bearer",
            "flags": [],
            "lifetime_seconds": 200,
            "claims": {},
        },
        "action": {"name": "tools/call", "protocol": "mcp"},
        "resource": {
            "type": "tool",
            "system": "crm",
            "name": "crm.read",
            "arguments": {"customer": "c-1"},
        },
        "context": {
            "time": NOW,
            "call_id": "call-1",
            "task": None,
            "grant": None,
            "approval": {"id": "approval-1", "state": "pending"},
            "transaction": None,
            "session": {
                "calls": 0,
                "calls_in_minute": 0,
                "systems": [],
                "domains_read": [],
                "untrusted_input": False,
            },
            "source": "192.0.2.7",
        },
    }


def test_a_document_says_what_the_session_did() -> None:
    """Issue: rules over session facts; the schema knows each of them."""
    facts = SessionFacts(7, 3, frozenset({"crm"}), frozenset({"hr", "crm"}), True)
    made = document(situation=Situation(session=facts))
    assert made["context"]["session"] == {
        "calls": 7,
        "calls_in_minute": 3,
        "systems": ["crm"],
        "domains_read": ["crm", "hr"],
        "untrusted_input": True,
    }
    VALIDATOR.validate(made)
    for gone in made["context"]["session"]:
        session = {name: v for name, v in made["context"]["session"].items() if name != gone}
        assert not VALIDATOR.is_valid({**made, "context": {**made["context"], "session": session}})


def body(**message: Any) -> bytes:
    """Return a JSON-RPC message."""
    return json.dumps({"jsonrpc": "2.0", **message}).encode()


REQUESTS = {
    "tools/call": request(),
    "no arguments": request(tools_call(arguments={})),
    "prompts/get": request(body(id=1, method="prompts/get", params={"name": "p"})),
    "resources/read": request(body(id="a", method="resources/read", params={"uri": "crm://1"})),
    "initialize": request(body(id=0, method="initialize", params={"capabilities": {}})),
    "unknown method": request(body(id=1, method="x/y", params={"z": [1, None, "é"]})),
    "notification": request(body(method="notifications/initialized")),
    "response": request(body(id=1, result={})),
    "stream": request(b"", method="GET"),
    "end of session": request(b"", method="DELETE"),
}
CLAIMSETS = {
    "plain": CLAIMS,
    "delegated": replace(CLAIMS, on_behalf_of="user-1", actors=("a", "b"), tenant="t-1"),
    "with claims of its own": replace(CLAIMS, other={"scope": "a b", "groups": ["x"]}),
    "about to expire": replace(CLAIMS, expires_at=NOW // 10**9),
    "expired within the leeway": replace(CLAIMS, expires_at=NOW // 10**9 - 20),
}


@pytest.mark.parametrize("claims", CLAIMSETS.values(), ids=CLAIMSETS.keys())
@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS.keys())
def test_every_document_is_valid_under_the_shipped_schema(asked: Request, claims: Claims) -> None:
    """rego/schemas/input.json: policy is written against it."""
    for situation in (Situation(), Situation(Approval("approval-1", "pending", NOW))):
        VALIDATOR.validate(document(asked, claims, situation))


@pytest.mark.parametrize("gone", ["version", "subject", "action", "resource", "context"])
def test_the_schema_refuses_a_document_with_a_member_missing(gone: str) -> None:
    """Hollow-proof: the schema above says something."""
    broken = document()
    del broken[gone]
    assert not VALIDATOR.is_valid(broken)


def test_time_is_only_what_the_caller_of_the_function_says() -> None:
    """Design §5: a recorded decision can be reproduced."""
    assert document() == document()


def test_the_token_is_not_in_the_document() -> None:
    """Design §1.4: policy sees verified claims, never a credential."""
    assert CANARY not in json.dumps(document())


def test_the_arguments_are_a_copy() -> None:
    """House: nobody downstream can change what was decoded."""
    call: ToolCall = mcp.decode(request())
    made = decision_input(call, CLAIMS, Situation(), "call-1", NOW)
    made["resource"]["arguments"]["customer"] = "c-2"
    assert call.arguments == {"customer": "c-1"}
