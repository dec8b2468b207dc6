"""The boundary of a charter as Cedar: what it denies, what it allows, and within which bounds.

Does not know approvals and flows (`waiting.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from gateway.policy.cedar import bounds, clauses, names
from gateway.policy.cedar.catalogue import Tool
from gateway.policy.cedar.policies import Policy
from gateway.policy.cedar.scope import Scope, on, one_of, under

_DENIALS: Final = ("tools", "domains", "effects", "impacts")
"""Kinds of explicit denials; the code is `tool_denied`, `domain_denied` and so on."""
_LIMITS: Final = (
    ("calls_per_minute", "calls_in_minute", "rate_limited"),
    ("calls_per_session", "calls", "call_budget_spent"),
)


def conditions(scope: Scope, expires_ns: int) -> Iterator[Policy]:
    """Write what depends on no system: expiry, task, hours and limits."""
    charter = scope.charter
    current = f"context.facts has time && context.facts.time < {expires_ns}"
    yield scope.forbid("charter_expired", "charter_current", "expires", unless=current)
    if charter["task_required"] is not False:
        task = "context.facts.has_task"
        yield scope.forbid("task_required", "task_required", "task_required", unless=task)
    if hours := charter.get("hours"):
        within = clauses.within_hours(hours)
        yield scope.forbid("outside_hours", "hours", "hours", unless=within)
    for name, count, code in _LIMITS:
        if name in charter["limits"]:
            kept = clauses.limited(count, charter["limits"][name])
            tools = under(names.CALL_TOOL)
            yield scope.forbid(code, "limits", f"limits.{name}", action=tools, unless=kept)


def systems(scope: Scope) -> Iterator[Policy]:
    """Write which systems there are for the agent, and the protocol methods that they need."""
    environment = names.literal(scope.charter["environment"])
    yield scope.forbid(
        "environment_mismatch",
        "environment_match",
        "environment",
        when=f"context.facts has environment && context.facts.environment != {environment}",
    )
    said = scope.charter["systems"]
    denied = [system for system in said if said[system].get("deny") == "all"]
    allowed = [system for system in said if scope.allows(system)]
    for system in denied:
        clause = f"systems.{system}.deny"
        yield scope.forbid("system_denied", "system_allowed", clause, resource=on(system))
    known = names.listed(map(names.system, [*allowed, *denied]))
    yield scope.forbid(
        "system_not_allowed",
        "system_allowed",
        "systems",
        unless=f"{known}.contains(resource)" if allowed or denied else "",
    )
    for system in allowed:
        yield Policy(
            "permit",
            "protocol_allowed",
            "mcp_methods",
            f"systems.{system}",
            scope.principal,
            action=f"action == {names.action(names.PROTOCOL)}",
            resource=on(system),
            obligations=scope.obligations,
        )


def denials(scope: Scope) -> Iterator[Policy]:
    """Write the explicit denials, of every system and of one."""
    yield from _denied(scope, "deny", "resource", scope.charter.get("deny", ()))
    for system in scope.charter["systems"]:
        entries = _own_denials(scope, system)
        yield from _denied(scope, f"systems.{system}.deny", on(system), entries)


def _own_denials(scope: Scope, system: str) -> Sequence[Mapping[str, Any]]:
    entries = scope.charter["systems"][system].get("deny", ())
    return () if entries == "all" else entries


def _denied(
    scope: Scope, clause: str, resource: str, entries: Sequence[Mapping[str, Any]]
) -> Iterator[Policy]:
    for index, entry in enumerate(entries):
        for kind in (kind for kind in _DENIALS if kind in entry):
            # By name even without a class; everything else is known of classified tools only.
            parent = names.CALL_TOOL if kind == "tools" else names.CLASSIFIED_TOOL
            if when := clauses.chosen({kind: entry[kind]}, scope.catalogue):
                yield scope.forbid(
                    f"{kind[:-1]}_denied",
                    "denied",
                    f"{clause}.{index}",
                    action=under(parent),
                    resource=resource,
                    when=when,
                )


def allowances(scope: Scope) -> Iterator[Policy]:
    """Write what the charter allows on each system, and what it does not."""
    for system, said in scope.charter["systems"].items():
        clause, entries = f"systems.{system}.allow", said.get("allow", ())
        covering: dict[Tool, tuple[int, ...]] = {}
        for index, entry in enumerate(entries):
            covered = scope.catalogue.covered(system, entry)
            for tool in covered:
                covering[tool] = (*covering.get(tool, ()), index)
        yield from _allowed(scope, clause, system, list(covering))
        if scope.allows(system):
            yield _not_allowed(scope, clause, system, covering)
        if helpless := [tool for tool in covering if not _has_approvers(scope, tool)]:
            code, rule = "approver_missing", "approval_required"
            yield scope.forbid(code, rule, "approvals", action=one_of(helpless))
        yield from _bounded(scope, clause, entries, covering)


def _allowed(scope: Scope, clause: str, system: str, covered: Sequence[Tool]) -> Iterator[Policy]:
    """Write one permit for all tools whose permits are bound to the same obligations."""

    def bound_to(tool: Tool) -> str:
        return repr(tool.obligations)

    for _, group in groupby(sorted(covered, key=bound_to), key=bound_to):
        tools = list(group)
        yield Policy(
            "permit",
            "charter_allows",
            "tool_allowed",
            clause,
            scope.principal,
            action=one_of(tools),
            resource=on(system),
            obligations=(*scope.obligations, *tools[0].obligations),
        )


def _not_allowed(
    scope: Scope, clause: str, system: str, covering: Mapping[Tool, Sequence[int]]
) -> Policy:
    """Write the denial of every other tool, but of those that are denied in so many words."""
    entries = [*scope.charter.get("deny", ()), *_own_denials(scope, system)]
    spared = [clauses.chosen(entry, scope.catalogue) for entry in entries]
    return scope.forbid(
        "tool_not_allowed",
        "tool_allowed",
        clause,
        action=under(names.CLASSIFIED_TOOL),
        resource=on(system),
        unless=clauses.any_of([*([one_of(covering)] if covering else ()), *filter(None, spared)]),
    )


def _bounded(
    scope: Scope,
    clause: str,
    entries: Sequence[Mapping[str, Any]],
    covering: Mapping[Tool, tuple[int, ...]],
) -> Iterator[Policy]:
    """Write one forbid for all tools that the same entries cover."""
    used = sorted({index for indexes in covering.values() for index in indexes})
    kept = {
        index: bounds.within(
            entries[index].get("arguments", {}), scope.noted(f"{clause}.{index}.arguments")
        )
        for index in used
    }
    for indexes, group in groupby(sorted(covering, key=covering.__getitem__), covering.__getitem__):
        conditions = [kept[index] for index in indexes]
        if bounds.ALWAYS not in conditions:
            yield scope.forbid(
                "argument_out_of_bounds",
                "argument_bounds",
                ", ".join(f"{clause}.{index}" for index in indexes),
                action=one_of(group),
                unless=clauses.any_of(conditions),
            )


def _has_approvers(scope: Scope, tool: Tool) -> bool:
    """Say whether an approval names the tool, or some together every impact it has."""
    entries = [e for e in scope.charter["approvals"] if clauses.chooses(e, tool)]
    named = any(clauses.chooses({"tools": entry.get("tools", ())}, tool) for entry in entries)
    impacts = {impact for entry in entries for impact in entry.get("impacts", ())}
    return named or impacts.issuperset(tool.impacts)
