import json

import pytest

from gateway.core.approval import Approval, Situation
from gateway.core.decision import Decision, Deny
from gateway.core.document import decision_input
from gateway.core.errors import CredentialMissing
from gateway.core.facts import Trail, decided
from gateway.wire import mcp
from tests.fakes import CLAIMS, PERMIT
from tests.pipeline.line import CANARY, DENY, HOLD, request

BEGAN = 1_795_510_800_123_456_789


def trail() -> Trail:
    """Return the trail of a call that got as far as a decision."""
    asked = request()
    call = mcp.decode(asked)
    approval = Approval("approval-1", "pending", BEGAN + 1)
    document = decision_input(call, CLAIMS, Situation(approval), "call-1", BEGAN)
    return Trail("call-1", BEGAN, 1000, asked, call, CLAIMS, approval, document)


def test_an_intent_is_recorded_whole() -> None:
    """House: every member of the record, as it is written."""
    record = decided(trail(), PERMIT, 1700)
    asked = request()
    assert record == {
        "time": "2026-11-24T09:00:00.123456Z",
        "call_id": "call-1",
        "identity": CLAIMS.as_evidence(),
        "request": {
            "method": "POST",
            "target": "/crm/mcp",
            "system": "crm",
            "source": "192.0.2.7",
            "headers": {"content-type": "application/json", "mcp-session-id": "s-1"},
            "body_bytes": len(asked.body),
            "body_digest": asked.body_digest,
        },
        "call": {
            "protocol": "mcp",
            "protocol_version": None,
            "era": "legacy",
            "rpc_id": 7,
            "action": "tools/call",
            "resource_type": "tool",
            "name": "crm.read",
        },
        "decision": {
            "effect": "permit",
            "reasons": [{"code": "permitted", "rule": "fake"}],
            "class": {"effect": "read", "impacts": [], "domain": "crm", "environment": "test"},
            "charter": "tester",
            "grant": None,
            "engine": "fake/1",
            "policy_revision": "revision-1",
            "bundle_digest": "sha256:00",
            "decision_id": "decision-0",
            "input_digest": "sha256:00",
            "eval_ns": 1000,
        },
        "approval": {"id": "approval-1", "state": "pending"},
        "input": trail().document,
        "timings": {"decided_ns": 700},
    }


EARLY = {
    "nothing was understood": Trail("call-1", BEGAN, 0, request()),
    "it was decoded": Trail("call-1", BEGAN, 0, request(), mcp.decode(request())),
    "it was authenticated": Trail("call-1", BEGAN, 0, request(), mcp.decode(request()), CLAIMS),
}


@pytest.mark.parametrize("early", EARLY.values(), ids=EARLY.keys())
def test_a_refusal_has_the_members_of_an_intent_however_early_it_comes(early: Trail) -> None:
    """Design §1.3: null, never left out."""
    refusal = decided(early, Deny.because(CredentialMissing("none"), "authenticate"), 0)
    intent = decided(trail(), PERMIT, 0)
    assert list(refusal) == list(intent)
    for part in ("request", "decision", "timings"):
        assert list(refusal[part]) == list(intent[part])
    assert refusal["decision"]["effect"] == "deny"


@pytest.mark.parametrize("decision", [PERMIT, DENY, HOLD], ids=["permit", "deny", "hold"])
def test_the_token_is_only_there_as_its_digest(decision: Decision) -> None:
    """Design §1.4."""
    text = json.dumps(decided(trail(), decision, 0))
    assert CANARY not in text
    assert CLAIMS.token_digest in text


def test_the_token_is_not_in_what_a_crash_would_print() -> None:
    """House: a traceback with locals shows `repr`."""
    assert CANARY not in repr(trail())


def test_a_call_that_was_not_decoded_cannot_be_sent() -> None:
    """House: `decoded` is asked only after a permit, and says so loudly otherwise."""
    with pytest.raises(RuntimeError):
        _ = Trail("call-1", BEGAN, 0, request()).decoded


def test_a_record_can_be_written_as_json() -> None:
    """core/record: what is recorded is JSON through and through."""
    assert json.loads(json.dumps(decided(trail(), HOLD, 0))) == decided(trail(), HOLD, 0)
