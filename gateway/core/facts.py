"""What one call leaves behind: the fields of its `intent`, `refusal` and `outcome` records.

A refusal has exactly the fields of an intent, so that nobody learns less about a call because it
was refused. Facts that were not reached on the line are null, never left out, and so are those that
a later feature will know. Holds no token: the credential appears as its digest. Each member is
explained in `gateway/evidence/schema/record.schema.json`. Does not write records.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from gateway.core.answer import KEPT_BYTES
from gateway.core.approval import Approval
from gateway.core.call import Request, ToolCall
from gateway.core.claims import Claims
from gateway.core.decision import Decision, Permit, effect_name
from gateway.core.errors import GatewayError
from gateway.core.instant import iso
from gateway.core.record import Receipt
from gateway.core.trace import correlation

Step = Literal[
    "decoded",
    "authenticated",
    "situated",
    "decided",
    "recorded",
    "head",
    "first_byte",
    "total",
]
"""What is timed, in order: `recorded` is the intent's durability, `total` the outcome."""
STEPS: Final[tuple[Step, ...]] = get_args(Step)


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
    noted_ns: int = 0
    """Wall time at which its session was last told what the call brings."""
    receipt: Receipt | None = None
    """Where the intent or the refusal stands in the log."""
    closing: Receipt | None = None
    """Where the outcome stands, once there is one."""
    reached: dict[Step, int] = field(default_factory=dict)
    """Nanoseconds from the start of the line to each step that was reached."""

    def mark(self, step: Step, now_monotonic_ns: int) -> None:
        """Note that a step was reached now; only the first time counts."""
        self.reached.setdefault(step, now_monotonic_ns - self.monotonic_ns)

    def timings(self) -> dict[str, int | None]:
        """Return the timings as records keep them."""
        return {f"{step}_ns": self.reached.get(step) for step in STEPS}

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


def decided(trail: Trail, decision: Decision) -> dict[str, Any]:
    """Return the fields of an `intent` or a `refusal`."""
    call, claims, approval = trail.call, trail.claims, trail.approval
    return {
        "time": iso(trail.began_ns),
        "monotonic_ns": trail.monotonic_ns,
        "call_id": trail.call_id,
        "correlation": correlation(trail.request, call),
        "identity": claims.as_evidence() if claims else None,
        "request": _request(trail.request, forwarded=isinstance(decision, Permit)),
        "call": _call(call, trail) if call else None,
        "decision": decision_fields(decision),
        "approval": _approval(approval) if approval else None,
        "credential": {"reference": None, "scope": None, "ttl": None, "lease": None},
        "input": trail.document,
        "timings": trail.timings(),
    }


def returned(trail: Trail, permit: Permit, now_ns: int, now_monotonic_ns: int) -> dict[str, Any]:
    """Return what every record of the way back (`stream-part`, `outcome`) begins with."""
    call = trail.decoded
    return {
        "time": iso(now_ns),
        "monotonic_ns": now_monotonic_ns,
        "call_id": trail.call_id,
        "system": call.system,
        "tool": call.name if call.resource_type == "tool" else None,
        "observed": permit.observed,
    }


def _request(request: Request, *, forwarded: bool) -> dict[str, Any]:
    return {
        "method": request.method,
        "target": request.target,
        "path": request.path,
        "system": request.system,
        "source": request.source,
        "upstream": {"address": None, "spki_digest": None},
        "headers": dict(request.headers),
        "body_bytes": len(request.body),
        "body_digest": request.body_digest,
        "forwarded_digest": request.body_digest if forwarded else None,
    }


def _approval(approval: Approval) -> dict[str, Any]:
    return {
        "id": approval.id,
        "state": approval.state,
        "expires_at": iso(approval.expires_at),
        "binding_digest": None,
        "approvers": None,
        "quorum": None,
        "consumed_at": None,
        "break_glass": None,
        "reason": None,
    }


def _call(call: ToolCall, trail: Trail) -> dict[str, Any]:
    """Return what the request asks for; `arguments` only if there is no `input` to have them.

    Nobody without an identity may fill the disk: of a long body that is unproved only the digest
    is kept.
    """
    kept = trail.claims is not None or len(call.request.body) <= KEPT_BYTES
    arguments = call.arguments if kept and trail.document is None else {}
    return {
        "protocol": call.protocol,
        "protocol_version": call.protocol_version,
        "era": call.era,
        "rpc_id": call.rpc_id,
        "action": call.action,
        "resource_type": call.resource_type,
        "name": call.name,
        "arguments": dict(arguments) or None,
        "other": (kept and dict(call.other)) or None,
        "meta": (kept and dict(call.meta)) or None,
        "definition_digest": None,
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
        "observed": decision.observed,
        "engine": stamp.engine if stamp else None,
        "policy_revision": stamp.revision if stamp else None,
        "bundle_digest": stamp.bundle_digest if stamp else None,
        "decision_id": stamp.decision_id if stamp else None,
        "input_digest": stamp.input_digest if stamp else None,
        "eval_ns": stamp.eval_ns if stamp else None,
    }
