"""What one call leaves behind: the fields of its `intent`, `refusal` and `outcome` records.

A refusal has exactly the fields of an intent, so that nobody learns less about a call because it
was refused. Facts that were not reached on the line are null, never left out. Holds no token: the
credential appears as its digest. Does not write records.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.core.approval import Approval
from gateway.core.call import Request, ToolCall
from gateway.core.claims import Claims
from gateway.core.decision import Decision, effect_name
from gateway.core.errors import GatewayError
from gateway.core.instant import iso


@dataclass(slots=True)
class Trail:
    """What has been learnt about one call so far. Owned by the pipeline, for one call."""

    call_id: str
    began_ns: int
    """Wall time at which the line was entered, nanoseconds since the epoch."""
    monotonic_ns: int
    request: Request
    call: ToolCall | None = None
    claims: Claims | None = None
    approval: Approval | None = None
    document: Mapping[str, Any] | None = None
    """The decision input, if the call got as far as a decision."""
    failure: GatewayError | None = None
    """What broke the line, if something did."""

    @property
    def decoded(self) -> ToolCall:
        """The call; policy decides only on a call that was decoded."""
        if self.call is None:
            raise RuntimeError("decided without having been decoded")
        return self.call

    @property
    def verified(self) -> Claims:
        """The claims; policy decides only on a caller that was authenticated."""
        if self.claims is None:
            raise RuntimeError("decided without having been authenticated")
        return self.claims


def decided(trail: Trail, decision: Decision, now_monotonic_ns: int) -> dict[str, Any]:
    """Return the fields of an `intent` or a `refusal`."""
    call, claims, approval = trail.call, trail.claims, trail.approval
    return {
        "time": iso(trail.began_ns),
        "call_id": trail.call_id,
        "identity": claims.as_evidence() if claims else None,
        "request": _request(trail.request),
        "call": _call(call) if call else None,
        "decision": decision_fields(decision),
        "approval": {"id": approval.id, "state": approval.state} if approval else None,
        "input": trail.document,
        "timings": {"decided_ns": now_monotonic_ns - trail.monotonic_ns},
    }


def _request(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "target": request.target,
        "system": request.system,
        "source": request.source,
        "headers": dict(request.headers),
        "body_bytes": len(request.body),
        "body_digest": request.body_digest,
    }


def _call(call: ToolCall) -> dict[str, Any]:
    return {
        "protocol": call.protocol,
        "protocol_version": call.protocol_version,
        "era": call.era,
        "rpc_id": call.rpc_id,
        "action": call.action,
        "resource_type": call.resource_type,
        "name": call.name,
    }


def decision_fields(decision: Decision) -> dict[str, Any]:
    """Return a decision as records keep it; members that it lacks are null."""
    stamp, classification = decision.policy, decision.classification
    return {
        "effect": effect_name(decision),
        "reasons": [{"code": reason.code, "rule": reason.rule} for reason in decision.reasons],
        "class": {
            "effect": classification.effect,
            "impacts": list(classification.impacts),
            "domain": classification.domain,
            "environment": classification.environment,
        }
        if classification
        else None,
        "charter": decision.charter,
        "grant": decision.grant,
        "engine": stamp.engine if stamp else None,
        "policy_revision": stamp.revision if stamp else None,
        "bundle_digest": stamp.bundle_digest if stamp else None,
        "decision_id": stamp.decision_id if stamp else None,
        "input_digest": stamp.input_digest if stamp else None,
        "eval_ns": stamp.eval_ns if stamp else None,
    }
