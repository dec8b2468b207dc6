import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gateway.core.decision import Decision
from gateway.core.errors import AdmissionRefused, CredentialRejected, PolicyUnavailable, WireError
from tests.fakes import PERMIT
from tests.pipeline.line import CANARY, DENY, HOLD, Line, request

ADMISSION = AdmissionRefused("no", code="host_unknown", http_status=403)


async def refused(
    decision: Decision | Exception = PERMIT,
    body: bytes | None = None,
    refusal: WireError | None = None,
    prepare: Callable[[Line], None] = lambda line: None,
) -> Line:
    """Return a line that has refused one call."""
    line = Line(decision)
    prepare(line)
    await line.walk(request(body), refusal)
    return line


def reject(line: Line) -> None:
    """Reject every credential."""
    line.authenticator.failure = CredentialRejected("no", code="token_expired")


def lose_issuer(line: Line) -> None:
    """Lose the issuer's keys."""
    line.authenticator.fail("raises")


def break_ledger(line: Line) -> None:
    """Break the ledger's reading."""
    line.ledger.broken["situate"] = "raises"


def lose_session(line: Line) -> None:
    """Forget the caller's session."""
    line.ledger.sessions.clear()


def break_hold(line: Line) -> None:
    """Break the ledger's writing."""
    line.ledger.broken["hold"] = "raises"


def break_notes(line: Line) -> None:
    """Break what the ledger is told of a permit."""
    line.ledger.broken["permitted"] = "raises"


KINDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "admission": ({"refusal": ADMISSION}, "host_unknown", "gateway.admit"),
    "malformed": ({"body": b"[]"}, "json_not_object", "gateway.decode"),
    "credential": ({"prepare": reject}, "token_expired", "gateway.authenticate"),
    "issuer": ({"prepare": lose_issuer}, "issuer_unavailable", "gateway.authenticate"),
    "ledger": ({"prepare": break_ledger}, "ledger_unavailable", "gateway.situate"),
    "session": ({"prepare": lose_session}, "session_unknown", "gateway.session"),
    "pdp": ({"decision": PolicyUnavailable("x")}, "pdp_unavailable", "gateway.decide"),
    "deny": ({"decision": DENY}, "tool_not_allowed", "tool_allowed"),
    "hold": ({"decision": HOLD}, "approval_required", "approval_required"),
    "hold not stored": (
        {"decision": HOLD, "prepare": break_hold},
        "ledger_unavailable",
        "gateway.hold",
    ),
    "permit not noted": (
        {"decision": PERMIT, "prepare": break_notes},
        "ledger_unavailable",
        "gateway.note",
    ),
}
"""Each kind of refusal: how it comes about, its code, and the rule that the record names."""


def keys(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a record, nested ones too, of members that we shape ourselves."""
    foreign = ("headers", "input")
    return {
        name: keys(value) if isinstance(value, dict) and name not in foreign else None
        for name, value in record.items()
    }


def same_keys(some: Mapping[str, Any], all_: Mapping[str, Any]) -> None:
    """Assert that both have the same keys, where a member of the first may be null as a whole."""
    assert some.keys() == all_.keys()
    for name, value in some.items():
        if isinstance(value, dict) and isinstance(all_[name], dict):
            same_keys(value, all_[name])


@pytest.mark.parametrize(("how", "code", "rule"), KINDS.values(), ids=KINDS.keys())
async def test_every_kind_of_refusal_is_recorded_once_with_its_reason(
    how: dict[str, Any], code: str, rule: str
) -> None:
    """Design §1.3: a refusal is recorded as fully as a permit."""
    line = await refused(**how)
    (record,) = line.evidence.of("refusal")
    assert line.kinds() == ["refusal"]
    assert record["decision"]["reasons"] == [{"code": code, "rule": rule}]
    assert record["decision"]["effect"] == ("hold" if rule == "approval_required" else "deny")
    assert line.code() == code
    assert record["call_id"] == line.facts()["call_id"]


@pytest.mark.parametrize(("how", "code", "rule"), KINDS.values(), ids=KINDS.keys())
async def test_a_refusal_has_exactly_the_keys_of_an_intent(
    how: dict[str, Any], code: str, rule: str
) -> None:
    """core/facts: what was not reached is null, never left out."""
    permitted = Line()
    await permitted.walk()
    line = await refused(**how)
    intent, refusal = permitted.evidence.of("intent")[0], line.evidence.of("refusal")[0]
    same_keys(keys(refusal), keys(intent))


async def test_a_policy_denial_leaves_no_member_of_an_intent_null() -> None:
    """Design §1.3: nobody learns less about a call because it was refused."""
    permitted, denied = Line(), await refused(DENY)
    await permitted.walk()
    intent, refusal = permitted.evidence.of("intent")[0], denied.evidence.of("refusal")[0]
    assert keys(refusal) == keys(intent)
    assert refusal["input"].keys() == intent["input"].keys()


@pytest.mark.parametrize(("how", "code", "rule"), KINDS.values(), ids=KINDS.keys())
async def test_the_token_is_in_no_record_and_in_no_answer(
    how: dict[str, Any], code: str, rule: str
) -> None:
    """Design §1.4: the agent's token stops here."""
    line = await refused(**how)
    everything = json.dumps(line.evidence.records) + str(line.caller.headers)
    assert CANARY not in everything + line.caller.body.decode()


async def test_a_permitted_call_records_no_token_either() -> None:
    """Design §1.4: also when it is permitted, and in what policy is asked."""
    line = Line()
    await line.walk()
    token = line.upstream.calls[0].request.credential.token
    assert token and token.text == CANARY, "the canary must be there to miss"
    documents = b"".join(line.decision_point.documents).decode()
    assert CANARY not in json.dumps(line.evidence.records) + documents


async def test_a_hold_says_which_approval_to_wait_for() -> None:
    """Design §2: the approved repeat of the same call walks the line again."""
    line = await refused(HOLD)
    ((_, approval),) = line.ledger.requests
    facts = line.facts()
    assert facts["approval_id"] == approval.id
    assert facts["status"] == "approval_pending"
    assert facts["decision_id"] == "decision-1"
    kept = line.evidence.of("refusal")[0]["approval"]
    assert (kept["id"], kept["state"]) == (approval.id, "pending")
    assert line.upstream.calls == []


async def test_a_hold_that_cannot_be_stored_is_a_denial_without_an_approval_id() -> None:
    """Design §1.1: a lost ledger ends as a refused call."""
    line = await refused(HOLD, prepare=break_hold)
    assert "approval_id" not in line.facts()
    assert line.evidence.of("refusal")[0]["decision"]["effect"] == "deny"
    assert line.answer()["result"]["isError"] is True


async def test_a_hold_that_cannot_be_recorded_says_nothing_of_its_approval() -> None:
    """Design §7: no evidence, nothing happens."""

    def break_evidence(line: Line) -> None:
        line.evidence.fail_next("refusal")

    line = await refused(HOLD, prepare=break_evidence)
    assert (line.caller.status, line.code()) == (503, "evidence_unavailable")
    assert "approval_id" not in line.facts()


async def test_a_refused_admission_asks_nobody() -> None:
    """Design §2: admit refuses before any parsing."""
    line = await refused(refusal=ADMISSION)
    assert line.tape == [
        ("append", "refusal"),
        ("durable", "refusal"),
        ("start", 403),
        ("finish", line.caller.body),
    ]


async def test_a_denial_carries_its_decision_id_and_no_rule() -> None:
    """Style §4.4: messages to agents hold no policy text."""
    line = await refused(DENY)
    facts = line.facts()
    assert facts == {
        "code": "tool_not_allowed",
        "call_id": facts["call_id"],
        "decision_id": "decision-1",
    }
    assert b"tool_allowed" not in line.caller.body
