"""The decision that the policies of an answer amount to.

Deny overrides hold overrides permit, and what no policy permits is denied, as in the bundle's own
rules (`rego/bailiwick/decision.rego`). Cedar names the policies that fit: every forbid of a denied
call, every permit of an allowed one; their annotations say the rest.
Does not ask Cedar, and does not judge whether its answer may be used at all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.errors import PolicyAnswerInvalid
from gateway.policy.cedar.compile import Compiled
from gateway.policy.cedar.policies import RULES, Policy
from gateway.policy.cedar.request import Question

MISSING_PERMISSION: Final = frozenset(
    {
        "tool_not_allowed",
        "argument_out_of_bounds",
        "rate_limited",
        "call_budget_spent",
        "outside_hours",
        "flow_denied",
        "task_required",
        "system_not_allowed",
        "no_matching_rule",
    }
)
"""Denials that observing lets through: a permission is missing, nothing is forbidden."""

_UNMATCHED: Final = {"code": "no_matching_rule", "rule": "bailiwick.decision"}


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What the policies say, observed or not."""

    effect: str
    reasons: list[dict[str, str]]
    obligations: list[Any]
    """Of the permits and holds that fit."""


def decision(
    allowed: bool,
    policies: Sequence[Policy],
    compiled: Compiled,
    question: Question,
    charter: str | None,
) -> dict[str, Any]:
    """Return the decision document.

    Args:
        allowed: whether Cedar allows the request.
        policies: those that determined it.
        compiled: the policies that were asked.
        question: what was asked.
        charter: id of the subject's charter.

    Raises:
        PolicyAnswerInvalid: the policies are not of the kind that gives such an answer.
    """
    verdict = _verdict(allowed, policies)
    observing = _observes(compiled, question)
    effect, obligations = verdict.effect, verdict.obligations
    if observing and _lets_through(verdict, compiled, question):
        effect = "permit"
        obligations = [one for one in obligations if one["type"] != "approval"]
        if verdict.effect == "deny":
            obligations = [*compiled.bound_to(question.tool)]
    elif effect == "hold":
        obligations = [one for one in obligations if one["type"] == "approval"]
    if observing:
        obligations = [*obligations, {"type": "observe", "effect": verdict.effect}]
    return {
        "effect": effect,
        "reasons": verdict.reasons,
        "obligations": _in_order(obligations),
        "class": question.classification,
        "charter": charter,
        "grant": None,
    }


def _verdict(allowed: bool, policies: Sequence[Policy]) -> _Verdict:
    denials, holds, permits = (
        [policy for policy in policies if policy.effect == effect]
        for effect in ("deny", "hold", "permit")
    )
    if bool(denials) == allowed and policies:
        raise PolicyAnswerInvalid("the policies do not explain the answer", code="pdp_error")
    if denials:
        return _Verdict("deny", _reasons(denials), [])
    if not permits:
        return _Verdict("deny", [_UNMATCHED], [])
    obligations = [one for policy in (*holds, *permits) for one in policy.obligations]
    if holds:
        return _Verdict("hold", _reasons(holds), obligations)
    return _Verdict("permit", _reasons(permits), obligations)


def _observes(compiled: Compiled, question: Question) -> bool:
    observation, time = compiled.observation, question.time_ns
    return observation is not None and time is not None and time < observation.until_ns


def _lets_through(verdict: _Verdict, compiled: Compiled, question: Question) -> bool:
    """Say whether an observed call goes on, whatever the policies say of it."""
    if question.classification is None:
        return False
    codes = {reason["code"] for reason in verdict.reasons}
    if verdict.effect == "deny" and not codes <= MISSING_PERMISSION:
        return False
    tool, observation = question.tool, compiled.observation
    if tool is None or not tool.high_impact:
        return True
    return observation is not None and observation.high_impact and tool.observable


def _reasons(policies: Iterable[Policy]) -> list[dict[str, str]]:
    found = {(policy.code, f"{RULES}.{policy.rule}") for policy in policies}
    return [{"code": code, "rule": rule} for code, rule in sorted(found)]


def _in_order(obligations: Iterable[Any]) -> list[dict[str, Any]]:
    """Return obligations once each, in the order that Rego gives a set of objects."""
    return [dict(items) for items in sorted({tuple(sorted(one.items())) for one in obligations})]
