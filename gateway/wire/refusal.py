"""Refusals, in the shape that every client survives.

A refused `tools/call` is a *result* with `isError`, so that the model sees it and the session goes
on; any other request gets a JSON-RPC error with HTTP 200. Only what is broken before a call is
known (admission, malformed body, credential) answers with an HTTP status, and so does a session
that is not the caller's, for which MCP wants a 404. A policy denial never looks like
`insufficient_scope` (`challenge.py`): clients would loop through authorization. Agents see a code
and a short sentence, never policy text, a token or an upstream body. Does not decide or record.
"""

from dataclasses import dataclass
from typing import Any, Final

from gateway.core.approval import Approval
from gateway.core.call import RequestId, ToolCall
from gateway.core.canonical import dumps
from gateway.core.errors import (
    AdmissionRefused,
    EvidenceUnavailable,
    GatewayError,
    IdentityError,
    IssuerUnavailable,
    MalformedMessage,
    SessionUnknown,
    UpstreamError,
    WireError,
)
from gateway.core.record import Receipt
from gateway.wire import challenge
from gateway.wire.jsonrpc import METHOD_NOT_FOUND, REFUSED
from gateway.wire.receipt import meta

RETRY_AFTER_SECONDS: Final = 30
"""What a caller is told to wait before it repeats a held call, or asks an unready gateway again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of the gateway's own."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """What there is to say about a call that was not sent, or whose answer cannot be given."""

    code: str
    call_id: str
    decision_id: str | None = None
    failure: GatewayError | None = None
    approval: Approval | None = None
    receipt: Receipt | None = None
    """Where the newest record of the call stands; None if there is none."""
    resource: str = ""
    """Canonical URI of what was asked for, for the challenge."""
    scheme: challenge.Scheme = "bearer"
    """How the caller's token came, for the challenge."""
    observed: str | None = None
    """What the decision would be outside observe mode; None: the charter does not observe."""

    def facts(self) -> dict[str, Any]:
        """Return the members that a machine reads, the same in every shape."""
        facts: dict[str, Any] = {"code": self.code, "call_id": self.call_id}
        if self.decision_id:
            facts["decision_id"] = self.decision_id
        if self.approval:
            facts |= {
                "status": "approval_pending",
                "approval_id": self.approval.id,
                "retry_after_seconds": RETRY_AFTER_SECONDS,
            }
        return facts

    def data(self) -> dict[str, Any]:
        """Return the facts with all else that is ours, for a shape that has one place for both."""
        data = self.facts()
        if self.receipt:
            data["receipt"] = self.receipt.as_evidence()
        if self.observed:
            data["observed"] = self.observed
        return data

    def sentence(self) -> str:
        """Return what a person or a model reads."""
        if self.approval:
            return (
                f"Held: a person must approve this call (approval {self.approval.id}). "
                "Repeat the identical call once it is approved; a changed call is a new request."
            )
        if self.code == "executed_unrecorded":
            return "The call was executed, but its outcome could not be recorded. Do not repeat it."
        if isinstance(self.failure, UpstreamError):
            return f"No whole answer came back from the upstream ({self.code})."
        if isinstance(self.failure, WireError):
            return f"Refused: {self.failure.message} ({self.code})."
        return f"Refused by the gateway ({self.code}). The call was not sent."


def answer(refusal: Refusal, call: ToolCall | None) -> Answer:
    """Return the answer to a refused call; `call` is None when the request was never understood."""
    failure = refusal.failure
    if isinstance(failure, MalformedMessage):
        return _json(
            failure.http_status,
            _rpc_error(failure.rpc_id, failure.rpc_code, refusal),
        )
    if isinstance(failure, IdentityError):
        extra = challenge.headers(failure, refusal.resource, refusal.scheme)
        return _json(challenge.status(failure), _plain(refusal), extra)
    if isinstance(failure, SessionUnknown):
        return _json(failure.http_status, _plain(refusal))
    if isinstance(failure, AdmissionRefused) and failure.http_status == 405:
        return _json(405, _plain(refusal), {"allow": "POST, GET, DELETE"})
    if isinstance(failure, WireError):
        return _json(failure.http_status, _plain(refusal))
    if call is None or call.rpc_id is None:
        return _json(_status(refusal), _plain(refusal), _retry(refusal))
    return _to_request(refusal, call, call.rpc_id)


def _to_request(refusal: Refusal, call: ToolCall, rpc_id: RequestId) -> Answer:
    status = _status(refusal)
    if status != 403:
        return _json(status, _rpc_error(rpc_id, REFUSED, refusal), _retry(refusal))
    if call.action == "tools/call":
        return _json(200, {"jsonrpc": "2.0", "id": rpc_id, "result": _error_result(refusal, call)})
    if refusal.code == "method_not_allowed":
        # An unknown method and one that is not allowed look the same.
        not_found = 404 if call.era == "modern" else 200
        return _json(not_found, _rpc_error(rpc_id, METHOD_NOT_FOUND, refusal))
    return _json(200, _rpc_error(rpc_id, REFUSED, refusal))


def _status(refusal: Refusal) -> int:
    """Return the HTTP status; 403 stands for every refusal that policy could have given.

    A call that was executed is never answered with a 5xx: clients would send it again.
    """
    failure = refusal.failure
    if isinstance(failure, EvidenceUnavailable | IssuerUnavailable):
        return 503
    return failure.http_status if isinstance(failure, UpstreamError) else 403


def _error_result(refusal: Refusal, call: ToolCall) -> dict[str, Any]:
    result: dict[str, Any] = {
        "content": [{"type": "text", "text": refusal.sentence()}],
        "isError": True,
        "_meta": {"bailiwick/refusal": refusal.facts()} | meta(refusal.receipt, refusal.observed),
    }
    if call.era == "modern":
        result["resultType"] = "complete"
    return result


def _rpc_error(rpc_id: RequestId | None, code: int, refusal: Refusal) -> dict[str, Any]:
    error = {"code": code, "message": refusal.sentence(), "data": refusal.data()}
    return {"jsonrpc": "2.0", "id": rpc_id, "error": error}


def rpc_error(rpc_id: RequestId | None, refusal: Refusal) -> bytes:
    """Return a JSON-RPC error message, for a stream that has already begun."""
    return dumps(_rpc_error(rpc_id, REFUSED, refusal))


def _plain(refusal: Refusal) -> dict[str, Any]:
    return {"error": {"message": refusal.sentence(), **refusal.data()}}


def _retry(refusal: Refusal) -> dict[str, str]:
    return {"retry-after": str(RETRY_AFTER_SECONDS)} if _status(refusal) == 503 else {}


def _json(status: int, document: dict[str, Any], extra: dict[str, str] | None = None) -> Answer:
    headers = {"content-type": "application/json", "cache-control": "no-store", **(extra or {})}
    return Answer(status, headers, dumps(document))
