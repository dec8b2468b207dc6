import json
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.core.approval import Approval
from gateway.core.call import Era, Request, RequestId, ToolCall
from gateway.core.claims import Credential, UnverifiedToken
from gateway.core.errors import (
    AdmissionRefused,
    BundleError,
    CredentialMissing,
    CredentialRejected,
    EvidenceUnavailable,
    ExecutedUnrecorded,
    GatewayError,
    InsufficientScope,
    IssuerUnavailable,
    LedgerUnavailable,
    MalformedMessage,
    MessageTooLarge,
    PolicyAnswerInvalid,
    PolicyUnavailable,
    ProofWanted,
    SessionUnknown,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.core.record import Receipt
from gateway.wire.refusal import Answer, Refusal, answer, rpc_error

CALL_ID = "0199-call"
DECISION_ID = "0199-decision"
SECRET = "canary-4f1c"
APPROVAL = Approval("ap-1", "pending", 10**18)
HEADERS = {"content-type": "application/json", "cache-control": "no-store"}


def call(action: str, era: Era, rpc_id: RequestId | None) -> ToolCall:
    """Make a call that is full of secrets."""
    method = {"stream/open": "GET", "session/end": "DELETE"}.get(action, "POST")
    headers = {"mcp-session-id": SECRET}
    credential = Credential(UnverifiedToken(SECRET))
    request = Request(method, "/crm/mcp", "crm", headers, SECRET.encode(), "::1", credential)
    arguments = {"secret": SECRET}
    return ToolCall(request, action, "tool", "drop", arguments, era, None, rpc_id)


CALLS: dict[str, ToolCall | None] = {
    "tool-legacy": call("tools/call", "legacy", 7),
    "tool-modern": call("tools/call", "modern", 7),
    "other-legacy": call("resources/read", "legacy", 7),
    "other-modern": call("resources/read", "modern", 7),
    "notification": call("tools/call", "legacy", None),
    "get": call("stream/open", "legacy", None),
    "not-decoded": None,
}

NOT_SENT = "Refused by the gateway ({}). The call was not sent."
HELD = (
    "Held: a person must approve this call (approval ap-1). "
    "Repeat the identical call once it is approved; a changed call is a new request."
)
UNRECORDED = "The call was executed, but its outcome could not be recorded. Do not repeat it."
SENT = "No whole answer came back from the upstream ({})."


@dataclass(frozen=True)
class Case:
    """A failure, and what is said about it in the table below."""

    name: str
    refusal: Refusal
    sentence: str
    status: int
    """403 for what policy could have said: a request then gets HTTP 200."""
    headers: dict[str, str]
    rpc_code: int = -31001
    shape: str = ""
    """`plain` or `rpc` for what is answered alike whatever the call; empty otherwise."""
    rpc_id: RequestId | None = None


def deny(code: str, **more: Any) -> Case:
    """Make the case of a decision."""
    refusal = Refusal(code, CALL_ID, DECISION_ID, **more)
    sentence = HELD if refusal.approval else NOT_SENT.format(code)
    return Case(code, refusal, sentence, 403, {})


def failed(
    failure: GatewayError,
    sentence: str,
    status: int,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Case:
    """Make the case of a failure."""
    code = failure.reason_code
    refusal = Refusal(code, CALL_ID, None, failure)
    return Case(code, refusal, sentence.format(code), status, headers or {}, **more)


LATER = {"retry-after": "30"}
CASES = [
    deny("charter_missing"),
    deny("method_not_allowed"),
    deny("approval_required", approval=APPROVAL),
    failed(PolicyUnavailable(SECRET), NOT_SENT, 403),
    failed(PolicyAnswerInvalid(SECRET), NOT_SENT, 403),
    failed(PolicyAnswerInvalid(SECRET, code="pdp_obligation_unknown"), NOT_SENT, 403),
    failed(LedgerUnavailable(SECRET), NOT_SENT, 403),
    failed(BundleError(SECRET), NOT_SENT, 403),
    failed(GatewayError(SECRET), NOT_SENT, 403),
    failed(IssuerUnavailable(SECRET), NOT_SENT, 503, LATER),
    failed(EvidenceUnavailable(SECRET), NOT_SENT, 503, LATER),
    failed(ExecutedUnrecorded(SECRET), UNRECORDED, 403),
    failed(UpstreamError(SECRET), SENT, 502),
    failed(UpstreamError(SECRET, code="upstream_event_size"), SENT, 502),
    failed(UpstreamTimeout(SECRET), SENT, 504),
    failed(CredentialMissing(SECRET), NOT_SENT, 401, {"www-authenticate": "Bearer"}, shape="plain"),
    failed(
        CredentialRejected(SECRET, code="token_expired"),
        NOT_SENT,
        401,
        {"www-authenticate": 'Bearer error="invalid_token"'},
        shape="plain",
    ),
    failed(
        ProofWanted(SECRET, code="use_dpop_nonce", nonce="nonce-1"),
        NOT_SENT,
        401,
        {
            "www-authenticate": 'DPoP error="use_dpop_nonce", algs="ES256 ES384 EdDSA PS256 RS256"',
            "dpop-nonce": "nonce-1",
        },
        shape="plain",
    ),
    failed(SessionUnknown(SECRET), NOT_SENT, 404, shape="plain"),
    failed(
        AdmissionRefused("send less", code="headers_too_large", http_status=431),
        "Refused: send less ({}).",
        431,
        shape="plain",
    ),
    failed(
        AdmissionRefused("not so", code="method_refused", http_status=405),
        "Refused: not so ({}).",
        405,
        {"allow": "POST, GET, DELETE"},
        shape="plain",
    ),
    failed(MessageTooLarge("too long"), "Refused: too long ({}).", 413, shape="plain"),
    failed(
        MalformedMessage("not JSON", code="json_syntax"),
        "Refused: not JSON ({}).",
        400,
        rpc_code=-32700,
        shape="rpc",
    ),
    failed(
        MalformedMessage("lies", code="header_mismatch", rpc_code=-32020, rpc_id=0),
        "Refused: lies ({}).",
        400,
        rpc_code=-32020,
        shape="rpc",
        rpc_id=0,
    ),
]


def facts(case: Case) -> dict[str, Any]:
    """Return the machine's part of the answer."""
    expected: dict[str, Any] = {"code": case.refusal.code, "call_id": CALL_ID}
    if case.refusal.decision_id:
        expected["decision_id"] = DECISION_ID
    if case.refusal.approval:
        expected |= {
            "status": "approval_pending",
            "approval_id": "ap-1",
            "retry_after_seconds": 30,
        }
    return expected


def as_error(case: Case, code: int, rpc_id: RequestId | None) -> dict[str, Any]:
    """Return the answer as a JSON-RPC error."""
    error = {"code": code, "message": case.sentence, "data": facts(case)}
    return {"jsonrpc": "2.0", "id": rpc_id, "error": error}


def as_result(case: Case, modern: bool) -> dict[str, Any]:
    """Return the answer as a tool's result."""
    result: dict[str, Any] = {
        "content": [{"type": "text", "text": case.sentence}],
        "isError": True,
        "_meta": {"bailiwick/refusal": facts(case)},
    }
    if modern:
        result["resultType"] = "complete"
    return {"jsonrpc": "2.0", "id": 7, "result": result}


def expected(case: Case, context: str) -> tuple[int, dict[str, Any]]:
    """Return the status and the document that the table of the design asks for."""
    plain = {"error": {"message": case.sentence, **facts(case)}}
    if case.shape == "rpc":
        return case.status, as_error(case, case.rpc_code, case.rpc_id)
    if case.shape == "plain" or context in ("notification", "get", "not-decoded"):
        return case.status, plain
    if case.status != 403:
        return case.status, as_error(case, -31001, 7)
    if context.startswith("tool"):
        return 200, as_result(case, context == "tool-modern")
    if case.refusal.code == "method_not_allowed":
        return (404 if context == "other-modern" else 200), as_error(case, -32601, 7)
    return 200, as_error(case, -31001, 7)


def document(got: Answer) -> Any:
    """Read the body of an answer."""
    return json.loads(got.body)


ALL = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
EVERYWHERE = pytest.mark.parametrize("context", CALLS)


@ALL
@EVERYWHERE
def test_each_failure_has_one_answer_for_each_kind_of_call(case: Case, context: str) -> None:
    """House: design §7; mcp.md §3.3."""
    status, said = expected(case, context)
    got = answer(case.refusal, CALLS[context])
    assert (got.status, got.headers, document(got)) == (status, HEADERS | case.headers, said)


def test_the_whole_refusal_of_a_modern_tool_call_is_this() -> None:
    """MCP 2026-07-28, tools: a vector written by hand."""
    assert answer(Refusal("charter_missing", "c", "d"), CALLS["tool-modern"]) == Answer(
        200,
        {"content-type": "application/json", "cache-control": "no-store"},
        b'{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":'
        b'"Refused by the gateway (charter_missing). The call was not sent."}],"isError":true,'
        b'"_meta":{"bailiwick/refusal":{"code":"charter_missing","call_id":"c",'
        b'"decision_id":"d"}},"resultType":"complete"}}',
    )


def test_the_whole_refusal_of_a_notification_is_this() -> None:
    """House: a vector written by hand."""
    assert answer(Refusal("charter_missing", "c"), CALLS["notification"]) == Answer(
        403,
        {"content-type": "application/json", "cache-control": "no-store"},
        b'{"error":{"message":"Refused by the gateway (charter_missing). The call was not sent.",'
        b'"code":"charter_missing","call_id":"c"}}',
    )


@ALL
@EVERYWHERE
def test_no_refusal_looks_like_insufficient_scope(case: Case, context: str) -> None:
    """RFC 6750 §3.1; mcp.md §3.3: clients would loop through authorization."""
    got = answer(case.refusal, CALLS[context])
    challenged = "www-authenticate" in got.headers
    assert challenged == (got.status == 401)
    assert b"insufficient_scope" not in got.body
    assert "insufficient_scope" not in got.headers.get("www-authenticate", "")


@ALL
@EVERYWHERE
def test_nothing_that_came_in_or_went_wrong_inside_is_told(case: Case, context: str) -> None:
    """House: agents see a code and a short sentence."""
    got = answer(case.refusal, CALLS[context])
    assert SECRET not in got.body.decode() + repr(got.headers)


@EVERYWHERE
def test_an_executed_call_is_never_answered_with_a_5xx(context: str) -> None:
    """House: clients would send it again."""
    failure = ExecutedUnrecorded("x")
    got = answer(Refusal(failure.reason_code, CALL_ID, DECISION_ID, failure), CALLS[context])
    assert got.status < 500
    assert "retry-after" not in got.headers


@ALL
@EVERYWHERE
def test_our_own_error_codes_lie_outside_what_the_protocols_reserve(
    case: Case, context: str
) -> None:
    """JSON-RPC 2.0 §5.1; MCP 2026-07-28, error codes."""
    code = document(answer(case.refusal, CALLS[context])).get("error", {}).get("code")
    known = {-32700, -32600, -32601, -32602, -32020}
    assert not isinstance(code, int) or code in known or not -32768 <= code <= -32000


@ALL
@EVERYWHERE
def test_every_answer_names_its_call_and_its_code(case: Case, context: str) -> None:
    """House: an incident responder finds the record from what the agent saw."""
    said = document(answer(case.refusal, CALLS[context]))
    found = said.get("error", {}).get("data") or said.get("error") or {}
    found = found or said["result"]["_meta"]["bailiwick/refusal"]
    assert (found["code"], found["call_id"]) == (case.refusal.code, CALL_ID)
    assert found.get("decision_id") == case.refusal.decision_id


@pytest.mark.parametrize("rpc_id", [0, "", "a", -1], ids=repr)
@pytest.mark.parametrize("action", ["tools/call", "resources/read"])
def test_a_falsy_id_is_answered_like_any_other(action: str, rpc_id: RequestId) -> None:
    """JSON-RPC 2.0 §5: the id is the request's."""
    got = answer(Refusal("charter_missing", CALL_ID), call(action, "legacy", rpc_id))
    assert (got.status, document(got)["id"]) == (200, rpc_id)


@EVERYWHERE
def test_a_missing_scope_is_a_403_that_says_which_and_nothing_else_is(context: str) -> None:
    """MCP authorization, Scope Challenge Handling."""
    failure = InsufficientScope(SECRET)
    failure.scopes = ("crm:read", "crm:write")
    resource = "https://gw.test/crm/mcp"
    refusal = Refusal(failure.reason_code, CALL_ID, None, failure, resource=resource)
    got = answer(refusal, CALLS[context])
    assert got.status == 403
    assert got.headers["www-authenticate"] == (
        'Bearer error="insufficient_scope", scope="crm:read crm:write", '
        'resource_metadata="https://gw.test/.well-known/oauth-protected-resource/crm/mcp"'
    )
    assert document(got)["error"]["code"] == "insufficient_scope"
    assert SECRET not in got.body.decode() + repr(got.headers)


def test_a_challenge_is_in_the_scheme_that_the_token_came_in() -> None:
    """RFC 9449 §7.1."""
    failure = CredentialRejected(SECRET, code="token_expired")
    refusal = Refusal("token_expired", CALL_ID, None, failure, scheme="dpop")
    challenge = answer(refusal, None).headers["www-authenticate"]
    assert challenge.startswith('DPoP error="invalid_token", algs=')


def test_an_error_in_a_stream_that_has_begun_is_the_same_json_rpc_error() -> None:
    """House."""
    case = next(case for case in CASES if case.name == "executed_unrecorded")
    assert json.loads(rpc_error(7, case.refusal)) == as_error(case, -31001, 7)


RECEIPT = Receipt(7, "sha256:ab", "example.com/bailiwick/0")
SHOWN = {"origin": "example.com/bailiwick/0", "seq": 7, "leaf_hash": "sha256:ab"}


@pytest.mark.parametrize("context", ["tool-legacy", "other-legacy", "notification", "not-decoded"])
def test_every_shape_has_a_place_for_the_receipt_of_the_record(context: str) -> None:
    """House: a caller can prove that it was refused; nothing else in the answer changes."""
    bare, shown = (
        json.loads(answer(Refusal("denied", CALL_ID, receipt=receipt), CALLS[context]).body)
        for receipt in (None, RECEIPT)
    )
    if "result" in shown:
        assert shown["result"]["_meta"].pop("bailiwick/receipt") == SHOWN
    else:
        assert shown["error"].get("data", shown["error"]).pop("receipt") == SHOWN
    assert shown == bare


def test_the_error_of_a_stream_that_has_begun_carries_the_receipt() -> None:
    """House: the head went out long before the outcome."""
    message = json.loads(rpc_error(7, Refusal("denied", CALL_ID, receipt=RECEIPT)))
    assert message["error"]["data"]["receipt"] == SHOWN
