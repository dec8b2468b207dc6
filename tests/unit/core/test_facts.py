import json
from dataclasses import replace

import pytest

from gateway.core.answer import KEPT_BYTES
from gateway.core.approval import Approval, Situation
from gateway.core.decision import Decision, Deny
from gateway.core.document import decision_input
from gateway.core.errors import CredentialMissing
from gateway.core.facts import STEPS, Trail, decided, returned
from gateway.core.trace import correlation
from gateway.wire import mcp
from tests.fakes import CLAIMS, PERMIT
from tests.pipeline.line import CANARY, DENY, HOLD, request, resources_read, tools_call

BEGAN = 1_795_510_800_123_456_789


def trail() -> Trail:
    """Return the trail of a call that got as far as a decision."""
    asked = request()
    call = mcp.decode(asked)
    approval = Approval("approval-1", "pending", BEGAN + 1)
    document = decision_input(call, CLAIMS, Situation(approval), "call-1", BEGAN)
    walked = Trail("call-1", BEGAN, 1000, asked, call, CLAIMS, approval, document)
    for number, step in enumerate(STEPS[:4]):
        walked.mark(step, 1100 + number)
    return walked


def test_an_intent_is_recorded_whole() -> None:
    """House: every member of the record, as it is written."""
    record = decided(trail(), PERMIT)
    asked = request()
    assert record == {
        "time": "2026-11-24T09:00:00.123456Z",
        "monotonic_ns": 1000,
        "call_id": "call-1",
        "correlation": correlation(asked, mcp.decode(asked)),
        "identity": CLAIMS.as_evidence(),
        "request": {
            "method": "POST",
            "target": "/crm/mcp",
            "path": "/crm/mcp",
            "system": "crm",
            "source": "192.0.2.7",
            "upstream": {"address": None, "spki_digest": None},
            "headers": {"content-type": "application/json", "mcp-session-id": "s-1"},
            "body_bytes": len(asked.body),
            "body_digest": asked.body_digest,
            "forwarded_digest": asked.body_digest,
        },
        "call": {
            "protocol": "mcp",
            "protocol_version": None,
            "era": "legacy",
            "rpc_id": 7,
            "action": "tools/call",
            "resource_type": "tool",
            "name": "crm.read",
            "arguments": None,
            "other": None,
            "meta": None,
            "definition_digest": None,
        },
        "decision": {
            "effect": "permit",
            "reasons": [{"code": "permitted", "rule": "fake"}],
            "class": {"effect": "read", "impacts": [], "domain": "crm", "environment": "test"},
            "charter": "tester",
            "grant": None,
            "observed": None,
            "engine": "fake/1",
            "policy_revision": "revision-1",
            "bundle_digest": "sha256:00",
            "decision_id": "decision-0",
            "input_digest": "sha256:00",
            "eval_ns": 1000,
        },
        "approval": {
            "id": "approval-1",
            "state": "pending",
            "expires_at": "2026-11-24T09:00:00.123456Z",
            "binding_digest": None,
            "approvers": None,
            "quorum": None,
            "consumed_at": None,
            "break_glass": None,
            "reason": None,
        },
        "credential": {"reference": None, "scope": None, "ttl": None, "lease": None},
        "input": trail().document,
        "timings": {
            "decoded_ns": 100,
            "authenticated_ns": 101,
            "situated_ns": 102,
            "decided_ns": 103,
            "recorded_ns": None,
            "head_ns": None,
            "first_byte_ns": None,
            "total_ns": None,
        },
    }


@pytest.mark.parametrize("decision", [PERMIT, DENY, HOLD], ids=["permit", "deny", "hold"])
def test_in_observe_mode_a_record_says_what_would_be_outside_it(decision: Decision) -> None:
    """Issue: observe mode marks every record."""
    assert decided(trail(), decision)["decision"]["observed"] is None
    observed = decided(trail(), replace(decision, observed="deny"))["decision"]
    assert observed == {**decided(trail(), decision)["decision"], "observed": "deny"}


EARLY = {
    "nothing was understood": Trail("call-1", BEGAN, 0, request()),
    "it was decoded": Trail("call-1", BEGAN, 0, request(), mcp.decode(request())),
    "it was authenticated": Trail("call-1", BEGAN, 0, request(), mcp.decode(request()), CLAIMS),
}


@pytest.mark.parametrize("early", EARLY.values(), ids=EARLY.keys())
def test_a_refusal_has_the_members_of_an_intent_however_early_it_comes(early: Trail) -> None:
    """Design §1.3: null, never left out."""
    refusal = decided(early, Deny.because(CredentialMissing("none"), "authenticate"))
    intent = decided(trail(), PERMIT)
    assert list(refusal) == list(intent)
    for part in ("correlation", "request", "decision", "credential", "timings"):
        assert list(refusal[part]) == list(intent[part])
    assert refusal["decision"]["effect"] == "deny"


def test_all_that_a_message_says_is_recorded() -> None:
    """House: what is forwarded is in the record; arguments only where `input` has none."""
    body = tools_call(requestState="s", inputResponses={"q": 1}, _meta={"x-note": "m"})
    asked = request(body)
    call = mcp.decode(asked)
    early = decided(Trail("call-1", BEGAN, 0, asked, call), DENY)["call"]
    assert early["arguments"] == {"customer": "c-1"}
    assert early["other"] == {"requestState": "s", "inputResponses": {"q": 1}}
    assert early["meta"] == {"x-note": "m"}
    document = decision_input(call, CLAIMS, Situation(), "call-1", BEGAN)
    late = decided(Trail("call-1", BEGAN, 0, asked, call, CLAIMS, None, document), PERMIT)["call"]
    assert late == {**early, "arguments": None}


@pytest.mark.parametrize("part", [{"result": {"action": "accept"}}, {"error": {"code": 1}}])
def test_the_response_of_a_client_is_recorded(part: dict[str, object]) -> None:
    """House: it is forwarded, and its id says what it answers."""
    asked = request(json.dumps({"jsonrpc": "2.0", "id": 3, **part}).encode())
    recorded = decided(Trail("call-1", BEGAN, 0, asked, mcp.decode(asked), CLAIMS), PERMIT)["call"]
    assert (recorded["rpc_id"], recorded["other"]) == (None, {"id": 3, **part})


def test_of_a_long_message_of_nobody_only_the_digest_is_recorded() -> None:
    """House: nobody may fill the disk without an identity."""
    asked = request(tools_call(arguments={"a": "x" * KEPT_BYTES}, _meta={"b": 1}, task={}))
    nobody = Trail("call-1", BEGAN, 0, asked, mcp.decode(asked))
    recorded = decided(nobody, DENY)["call"]
    assert [recorded[name] for name in ("arguments", "other", "meta")] == [None, None, None]
    nobody.claims = CLAIMS
    recorded = decided(nobody, DENY)["call"]
    assert None not in [recorded[name] for name in ("arguments", "other", "meta")]


@pytest.mark.parametrize("decision", [PERMIT, DENY, HOLD], ids=["permit", "deny", "hold"])
def test_the_token_is_only_there_as_its_digest(decision: Decision) -> None:
    """Design §1.4."""
    text = json.dumps(decided(trail(), decision))
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
    assert json.loads(json.dumps(decided(trail(), HOLD))) == decided(trail(), HOLD)


@pytest.mark.parametrize("decision", [DENY, HOLD], ids=["deny", "hold"])
def test_of_a_refused_call_nothing_is_forwarded(decision: Decision) -> None:
    """House: a digest of bytes that were never sent would say that they were."""
    assert decided(trail(), decision)["request"]["forwarded_digest"] is None


def test_a_step_counts_the_first_time_it_is_reached() -> None:
    """House: the first byte is not the last one."""
    walked = trail()
    walked.mark("head", 2000)
    walked.mark("head", 3000)
    assert walked.timings()["head_ns"] == 1000


def test_what_comes_back_names_the_call_and_its_tool() -> None:
    """House: every member of the record, as it is written."""
    assert returned(trail(), replace(PERMIT, observed="deny"), BEGAN, 5) == {
        "time": "2026-11-24T09:00:00.123456Z",
        "monotonic_ns": 5,
        "call_id": "call-1",
        "system": "crm",
        "tool": "crm.read",
        "observed": "deny",
    }


def test_what_is_no_tool_is_not_recorded_as_one() -> None:
    """House: a resource's URI is not the name of a tool in the catalogue."""
    asked = request(resources_read())
    walked = Trail("call-1", BEGAN, 0, asked, mcp.decode(asked))
    assert returned(walked, PERMIT, BEGAN, 5)["tool"] is None
