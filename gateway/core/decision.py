"""The decision document and its reader: `Permit | Deny | Hold`, or nothing at all.

Default deny lives here as strictness: a permit exists only if the engine's answer has exactly the
known members, says exactly `"permit"`, carries a class and a charter, and no obligation that this
gateway cannot carry out. Everything else raises and is denied (policy rules 2-5 of the design).
Does not ask an engine: see `gateway/policy/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.canonical import parse_object
from gateway.core.errors import GatewayError, MalformedMessage, PolicyAnswerInvalid

MAX_ANSWER_BYTES: Final = 1024 * 1024
MAX_COUNT: Final = 366 * 24 * 3600
"""Largest count or span in an obligation: no approval request outlives a year."""
EFFECTS: Final = ("read", "write", "delete", "escalate", "execute")
"""What a tool does; declared by the operator in the systems catalogue."""
IMPACTS: Final = ("payment", "access", "deployment", "deletion")
"""What a call risks; each needs an approver in the charter that reaches it."""

_MEMBERS: Final = {"effect", "reasons", "obligations", "class", "charter", "grant"}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: `code` is stable API and safe for agents, `rule` names the policy rule for people."""

    code: str
    rule: str


@dataclass(frozen=True, slots=True)
class Classification:
    """What the operator's catalogue says this call is."""

    effect: str
    impacts: tuple[str, ...]
    domain: str
    environment: str


@dataclass(frozen=True, slots=True)
class ApprovalNeeded:
    """The `approval` obligation of a hold: whose answer, how many, for how long."""

    approvers: str
    count: int
    expires_seconds: int


@dataclass(frozen=True, slots=True)
class PolicyStamp:
    """Which policy decided; added by the adapter, never by the policy itself."""

    engine: str
    revision: str
    bundle_digest: str
    decision_id: str
    input_digest: str
    eval_ns: int


@dataclass(frozen=True, slots=True)
class Permit:
    """The call may be sent, once its intent is on disk."""

    reasons: tuple[Reason, ...]
    classification: Classification
    charter: str
    grant: str | None
    policy: PolicyStamp


@dataclass(frozen=True, slots=True)
class Deny:
    """The call is refused; `policy` is None when no policy was asked or none answered."""

    reasons: tuple[Reason, ...]
    classification: Classification | None = None
    charter: str | None = None
    grant: str | None = None
    policy: PolicyStamp | None = None

    @classmethod
    def because(cls, failure: GatewayError, step: str) -> "Deny":
        """Return the denial that a failure at `step` of the line amounts to."""
        return cls(reasons=(Reason(failure.reason_code, f"gateway.{step}"),))


@dataclass(frozen=True, slots=True)
class Hold:
    """The call needs a person; nothing is sent until the same call comes again, approved."""

    reasons: tuple[Reason, ...]
    classification: Classification
    charter: str
    grant: str | None
    policy: PolicyStamp
    approval: ApprovalNeeded


Decision = Permit | Deny | Hold


def effect_name(decision: Decision) -> str:
    """Return the word the decision document uses for this decision."""
    return {Permit: "permit", Deny: "deny", Hold: "hold"}[type(decision)]


def read_decision(answer: bytes, stamp: PolicyStamp) -> Decision:
    """Read an engine's answer as a decision.

    Raises:
        PolicyAnswerInvalid: the answer is not exactly a decision document, or a permit lacks what
            a permit needs; the code says which.
    """
    if len(answer) > MAX_ANSWER_BYTES:
        raise PolicyAnswerInvalid("the answer is larger than 1 MiB")
    try:
        document = parse_object(answer)
    except MalformedMessage as exc:
        raise PolicyAnswerInvalid("the answer is not one strict JSON object") from exc
    if document.keys() != _MEMBERS:
        raise PolicyAnswerInvalid("the answer's members are not those of a decision")
    return _decide(document, stamp)


def _decide(document: Mapping[str, Any], stamp: PolicyStamp) -> Decision:
    reasons = _reasons(document["reasons"])
    charter, grant = _optional_text(document["charter"]), _optional_text(document["grant"])
    classification = _classification(document["class"])
    obligations = _obligations(document["obligations"])
    effect = document["effect"]
    if effect == "deny":
        return Deny(reasons, classification, charter, grant, stamp)
    if effect not in ("permit", "hold"):
        raise PolicyAnswerInvalid("the effect is none of permit, deny, hold")
    if classification is None or charter is None:
        raise PolicyAnswerInvalid("only a classified call under a charter can be permitted")
    if effect == "hold":
        needed = _approval_needed(obligations)
        return Hold(reasons, classification, charter, grant, stamp, needed)
    if obligations:
        raise PolicyAnswerInvalid(
            "the permit has an obligation that this gateway cannot carry out",
            code="pdp_obligation_unknown",
        )
    return Permit(reasons, classification, charter, grant, stamp)


def _reasons(value: Any) -> tuple[Reason, ...]:
    if not isinstance(value, list) or not value:
        raise PolicyAnswerInvalid("a decision needs reasons")
    reasons = []
    for item in value:
        if not isinstance(item, dict) or item.keys() != {"code", "rule"}:
            raise PolicyAnswerInvalid("a reason is not {code, rule}")
        reasons.append(Reason(_text(item["code"]), _text(item["rule"])))
    return tuple(reasons)


def _classification(value: Any) -> Classification | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {
        "effect",
        "impacts",
        "domain",
        "environment",
    }:
        raise PolicyAnswerInvalid("the class is not {effect, impacts, domain, environment}")
    impacts = value["impacts"]
    if value["effect"] not in EFFECTS or not isinstance(impacts, list):
        raise PolicyAnswerInvalid("the class names an unknown effect")
    if any(impact not in IMPACTS for impact in impacts):
        raise PolicyAnswerInvalid("the class names an unknown impact")
    return Classification(
        value["effect"], tuple(impacts), _text(value["domain"]), _text(value["environment"])
    )


def _obligations(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise PolicyAnswerInvalid("obligations are not a list of objects")
    return value


def _approval_needed(obligations: list[dict[str, Any]]) -> ApprovalNeeded:
    if len(obligations) != 1 or obligations[0].get("type") != "approval":
        raise PolicyAnswerInvalid(
            "a hold carries exactly one obligation, of type approval", code="pdp_obligation_unknown"
        )
    wanted = obligations[0]
    if wanted.keys() != {"type", "approvers", "count", "expires_seconds"}:
        raise PolicyAnswerInvalid("an approval is {type, approvers, count, expires_seconds}")
    return ApprovalNeeded(
        _text(wanted["approvers"]),
        _positive(wanted["count"]),
        _positive(wanted["expires_seconds"]),
    )


def _positive(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_COUNT:
        raise PolicyAnswerInvalid("a count or a span is not a sane positive integer")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise PolicyAnswerInvalid("a member that must be text is not")
    return value


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)
