"""Flows and approvals of a charter as Cedar: what follows on what was read, and who must agree.

A call waits for one approval only; when two that differ fit, it is denied. That denial is a policy
of its own, because of a call that is denied anyway Cedar does not tell which permits fit.
Does not ask anybody for approval.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from gateway.policy.cedar import clauses, names
from gateway.policy.cedar.policies import Policy
from gateway.policy.cedar.scope import Scope, under


@dataclass(frozen=True, slots=True)
class _Need:
    """An approval, the actions that may need it, and the conditions under which they do."""

    approval: Mapping[str, Any]
    actions: frozenset[str]
    conditions: tuple[str, ...]


def flows(scope: Scope) -> Iterator[Policy]:
    """Write what may not follow, or not without a person, on what was read."""
    for index, flow in enumerate(scope.charter.get("flows", ())):
        to = clauses.chosen(flow["to"], scope.catalogue)
        if not to:
            continue
        clause, when = f"flows.{index}", clauses.all_of(clauses.set_off(flow["after"]), to)
        if approval := flow.get("approval"):
            yield _hold(scope, "flow_approval_required", "flows", clause, approval, when)
        else:
            action = under(names.CLASSIFIED_TOOL)
            yield scope.forbid("flow_denied", "flows", clause, action=action, when=when)


def approvals(scope: Scope) -> Iterator[Policy]:
    """Write which calls wait for people, and which would have to wait for two answers."""
    for index, entry in enumerate(scope.charter["approvals"]):
        clause, when = f"approvals.{index}", clauses.chosen(entry, scope.catalogue)
        yield _hold(scope, "approval_required", "approval_required", clause, entry, when)
    pairs = [
        clauses.all_of(*dict.fromkeys([*one.conditions, *other.conditions]))
        for one, other in combinations(_needs(scope), 2)
        if one.approval != other.approval and one.actions & other.actions
    ]
    if pairs:
        yield scope.forbid(
            "approval_ambiguous",
            "approval_required",
            "approvals",
            action=under(names.CLASSIFIED_TOOL),
            when=clauses.any_of(pairs),
        )


def _hold(
    scope: Scope, code: str, rule: str, clause: str, approval: Mapping[str, Any], when: str
) -> Policy:
    obligation = {"type": "approval", **_approval(approval)}
    return Policy(
        "hold",
        code,
        rule,
        clause,
        scope.principal,
        under(names.CLASSIFIED_TOOL),
        when=when,
        obligations=(obligation,),
    )


def _needs(scope: Scope) -> Iterator[_Need]:
    for entry in scope.charter["approvals"]:
        yield _need(scope, entry, entry)
    for flow in scope.charter.get("flows", ()):
        if "approval" in flow:
            yield _need(scope, flow["approval"], flow["to"], clauses.set_off(flow["after"]))


def _need(
    scope: Scope, approval: Mapping[str, Any], clause: Mapping[str, Any], *conditions: str
) -> _Need:
    catalogue = scope.catalogue
    actions = frozenset(tool.action for tool in catalogue if clauses.chooses(clause, tool))
    return _Need(_approval(approval), actions, (*conditions, clauses.chosen(clause, catalogue)))


def _approval(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in ("approvers", "count", "expires_seconds")}
