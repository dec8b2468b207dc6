"""The decision document and its reader: `Permit | Deny | Hold`, or nothing at all.

Default deny lives here as strictness: a permit exists only if the engine's answer has exactly the
known members, says exactly `"permit"`, carries a class and a charter, and no obligation that this
gateway cannot carry out. Everything else raises and is denied (policy rules 2-5 of the design).
Does not ask an engine (`gateway/policy/`) and does not carry out obligations (`core.obligation`
reads them).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.canonical import parse_object
from gateway.core.errors import GatewayError, MalformedMessage, PolicyAnswerInvalid
from gateway.core.obligation import ApprovalNeeded, Obligations, read_obligations

MAX_ANSWER_BYTES: Final = 1024 * 1024
EFFECTS: Final = ("read", "write", "delete", "escalate", "execute")
"""What a tool does; declared by the operator in the systems catalogue."""
IMPACTS: Final = ("payment", "access", "deployment", "deletion")
"""What a call risks; each needs an approver in the charter that reaches it."""
HIGH_EFFECTS: Final = ("delete", "escalate", "execute")
"""Effects of high impact, whatever the catalogue says a tool risks."""

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
    observed: str | None = None
    """In observe mode: what the answer would be outside it (`permit`, `deny` or `hold`)."""
    untrusted_input: bool = False
    """What comes back may hold the words of strangers; the session is told so before it comes."""
    results_omitted: bool = False
    """The charter's evidence does not hold what comes back, only its size and digest."""


@dataclass(frozen=True, slots=True)
class Deny:
    """The call is refused; `policy` is None when no policy was asked or none answered."""

    reasons: tuple[Reason, ...]
    classification: Classification | None = None
    charter: str | None = None
    grant: str | None = None
    policy: PolicyStamp | None = None
    observed: str | None = None

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
    observed: str | None = None


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
    obligations = read_obligations(document["obligations"])
    effect, observed = document["effect"], obligations.observed
    if effect not in ("permit", "deny", "hold"):
        raise PolicyAnswerInvalid("the effect is none of permit, deny, hold")
    _check_place(effect, obligations)
    if effect == "deny":
        return Deny(reasons, classification, charter, grant, stamp, observed)
    if classification is None or charter is None:
        raise PolicyAnswerInvalid("only a classified call under a charter can be permitted")
    if effect == "hold":
        return Hold(
            reasons, classification, charter, grant, stamp, _approval(obligations), observed
        )
    return Permit(
        reasons,
        classification,
        charter,
        grant,
        stamp,
        observed,
        obligations.untrusted_input,
        obligations.results_omitted,
    )


def _check_place(effect: str, obligations: Obligations) -> None:
    """Refuse an obligation that the decision cannot have: it would be dropped without a word."""
    if obligations.approval is not None and effect != "hold":
        raise PolicyAnswerInvalid(
            "only a hold can be bound to an approval", code="pdp_obligation_unknown"
        )
    if effect != "permit":
        if obligations.untrusted_input or obligations.results_omitted:
            raise PolicyAnswerInvalid(
                "only what is sent has an answer to take care of", code="pdp_obligation_unknown"
            )
        if obligations.observed not in (None, effect):
            raise PolicyAnswerInvalid("outside observe mode the effect would be another")


def _approval(obligations: Obligations) -> ApprovalNeeded:
    if obligations.approval is None:
        raise PolicyAnswerInvalid(
            "a hold carries exactly one obligation of type approval", code="pdp_obligation_unknown"
        )
    return obligations.approval


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


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise PolicyAnswerInvalid("a member that must be text is not")
    return value


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)
