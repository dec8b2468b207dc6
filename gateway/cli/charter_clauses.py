"""Reasons in words: for each code, which clause of a charter says it, and what would be needed.

A clause is a place in a charter or in the catalogue, so that a reader can go there. The code comes
from the engine; here it is only looked up. Does not decide and does not print.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.cli import charter_words as say
from gateway.cli.charter_probe import OUT_OF_BOUNDS, Bound
from gateway.core.fault import Path
from gateway.core.reach import Touch, flows_to, set_off
from gateway.core.standing import at
from gateway.policy.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Question:
    """One call that is being explained."""

    bundle: Bundle
    name: str
    """Of the charter."""
    system: str
    tool: str
    document: Mapping[str, Any]
    """The decision input."""
    touch: Touch | None
    """The tool in the charter's reach; None when the charter or the catalogue does not have it."""
    broken: tuple[Bound, ...] = ()
    """Bounds that the arguments break."""

    @property
    def charter(self) -> Mapping[str, Any]:
        """The charter."""
        return self.bundle.charters[self.name]


@dataclass(frozen=True, slots=True)
class Clause:
    """What says so, and where."""

    file: str
    line: int
    words: str


MEANINGS: Final[Mapping[str, str]] = {
    "charter_allows": "an allow entry covers the call",
    "approval_required": "people must approve the call",
    "flow_approval_required": "after what the session did, people must approve the call",
    "flow_denied": "after what the session did, the call is denied",
    "tool_denied": "a deny entry names the tool",
    "domain_denied": "a deny entry names the domain",
    "effect_denied": "a deny entry names the effect",
    "impact_denied": "a deny entry names the impact",
    "system_denied": "the charter denies the whole system",
    "system_not_allowed": "the charter allows nothing on this system",
    "tool_not_allowed": "no allow entry covers the tool and its effect",
    "tool_unclassified": "the catalogue gives the tool no class",
    "argument_out_of_bounds": "an argument is out of bounds",
    "approver_missing": "nobody is named who could approve the impact",
    "approval_ambiguous": "the approvals that fit differ",
    "charter_expired": "the charter has expired",
    "charter_incomplete": "the charter has faults, so it denies everything",
    "charter_missing": "no charter is for this subject",
    "subject_unknown": "no charter is for this subject",
    "environment_mismatch": "the system is in another environment",
    "task_required": "every call must belong to a task",
    "outside_hours": "it is outside the charter's hours",
    "rate_limited": "there were too many calls in the last minute",
    "call_budget_spent": "the session has spent its calls",
    "no_matching_rule": "no rule permits it",
    "method_not_allowed": "the rules know no such method of this protocol",
    "pdp_obligation_unknown": "the permit asks for something that this gateway cannot carry out",
}
"""What a reason code means, in words."""

NEEDED: Final[Mapping[str, str]] = {
    "flow_denied": "a new session that has not done this",
    "tool_denied": "another charter: an explicit denial wins over every allow entry",
    "domain_denied": "another charter: an explicit denial wins over every allow entry",
    "effect_denied": "another charter: an explicit denial wins over every allow entry",
    "impact_denied": "another charter: an explicit denial wins over every allow entry",
    "system_denied": "another charter: an explicit denial wins over every allow entry",
    "system_not_allowed": "the system in the catalogue, and an allow entry in the charter",
    "tool_not_allowed": "an allow entry with this tool and this effect",
    "tool_unclassified": "an effect and impacts for the tool, in the catalogue",
    "argument_out_of_bounds": "arguments that keep every bound of one allow entry",
    "approver_missing": "an entry in `approvals` that says whose word the impact needs",
    "approval_ambiguous": "approvals that ask for the same",
    "charter_expired": "a renewed charter",
    "charter_incomplete": "a charter without faults",
    "charter_missing": "a charter for this subject",
    "subject_unknown": "a charter for this subject",
    "environment_mismatch": "a charter for the system's environment",
    "task_required": "a task that the call belongs to",
    "outside_hours": "a call inside the hours",
    "rate_limited": "a minute's rest",
    "call_budget_spent": "a new session",
    "pdp_obligation_unknown": "a tool without output checks, until this gateway has them",
}
"""What a denial of this code would need to become something else."""


def clauses(code: str, asked: Question) -> list[Clause]:
    """Return the clauses that stand behind a reason, in the order of their file."""
    finder = _FINDERS.get(code)
    return list(finder(asked)) if finder else []


def _said(asked: Question, path: Path, words: str) -> Clause:
    document = asked.bundle.documents[f"charters/{asked.name}.yaml"]
    return Clause(document.path, document.line(path), words)


def _catalogued(asked: Question, path: Path, words: str) -> Iterator[Clause]:
    document = asked.bundle.documents.get(f"systems/{asked.system}.yaml")
    if document:
        yield Clause(document.path, document.line(path), words)


def _allowing(asked: Question) -> Iterator[Clause]:
    for path in asked.touch.allowed_by if asked.touch else ():
        entry = at(asked.charter, path)
        if not any(bound.path[: len(path)] == path for bound in asked.broken):
            within = say.bounds(entry.get("arguments", {})) or "any arguments"
            yield _said(asked, path, f"allows {', '.join(entry['tools'])}: {within}")


def _bounds(asked: Question) -> Iterator[Clause]:
    arguments = asked.document["resource"]["arguments"]
    for bound in asked.broken:
        has = say.value(arguments[bound.argument]) if bound.argument in arguments else "missing"
        must = say.bound({bound.operator: bound.limit})
        yield _said(asked, bound.path, f"{bound.argument} {must}, but it is {has}")


def _denying(asked: Question) -> Iterator[Clause]:
    for path in asked.touch.denied_by if asked.touch else ():
        entry = at(asked.charter, path)
        yield _said(asked, path, "denies all" if entry == "all" else f"denies {say.denial(entry)}")


def _approving(asked: Question) -> Iterator[Clause]:
    for path in asked.touch.approvals if asked.touch else ():
        yield _said(asked, path, f"needs {say.asked(at(asked.charter, path))}")


def _flowing(asked: Question) -> Iterator[Clause]:
    session = asked.document["context"]["session"]
    for index, flow in enumerate(asked.charter.get("flows", ())):
        on = set_off(flow, session["domains_read"], untrusted_input=session["untrusted_input"])
        if on and asked.touch and flows_to(flow, asked.touch):
            yield _said(asked, ("flows", str(index)), say.flow(flow))


def _member(*path: str) -> Callable[[Question], Iterator[Clause]]:
    """Return a finder of one member, which says its own value."""

    def find(asked: Question) -> Iterator[Clause]:
        value = at(asked.charter, path)
        yield _said(asked, path, f"{' '.join(path)}: {say.value(value)}")

    return find


def _hours(asked: Question) -> Iterator[Clause]:
    for index, window in enumerate(asked.charter.get("hours", ())):
        yield _said(asked, ("hours", str(index)), say.window(window))


def _faults(asked: Question) -> Iterator[Clause]:
    for fault in asked.bundle.faults[asked.name]:
        yield _said(asked, fault.path, fault.sentence)


def _environment(asked: Question) -> Iterator[Clause]:
    yield from _member("environment")(asked)
    where = asked.bundle.systems[asked.system]["environment"]
    yield from _catalogued(asked, ("environment",), f"environment: {where}")


def _system(asked: Question) -> Iterator[Clause]:
    path = ("systems", asked.system)
    names = ", ".join(asked.charter["systems"])
    yield _said(asked, path, f"the charter's systems: {names}")


def _tool(asked: Question) -> Iterator[Clause]:
    yield from _catalogued(asked, ("tools", asked.tool), "the tools of the system")


def _not_allowed(asked: Question) -> Iterator[Clause]:
    if asked.touch:
        has = f"{asked.touch.tool} has the effect {asked.touch.effect}"
        yield from _catalogued(asked, ("tools", asked.tool), has)
    yield _said(asked, ("systems", asked.system, "allow"), "the allow entries of the system")


_FINDERS: Final[Mapping[str, Callable[[Question], Iterator[Clause]]]] = {
    "charter_allows": _allowing,
    OUT_OF_BOUNDS: _bounds,
    "tool_denied": _denying,
    "domain_denied": _denying,
    "effect_denied": _denying,
    "impact_denied": _denying,
    "system_denied": _denying,
    "approval_required": _approving,
    "approval_ambiguous": _approving,
    "approver_missing": _allowing,
    "flow_denied": _flowing,
    "flow_approval_required": _flowing,
    "system_not_allowed": _system,
    "tool_not_allowed": _not_allowed,
    "tool_unclassified": _tool,
    "pdp_obligation_unknown": _tool,
    "charter_expired": _member("expires"),
    "task_required": _member("task_required"),
    "rate_limited": _member("limits", "calls_per_minute"),
    "call_budget_spent": _member("limits", "calls_per_session"),
    "outside_hours": _hours,
    "charter_incomplete": _faults,
    "environment_mismatch": _environment,
}
