"""Conditions of a charter's clauses on the kind of tool, as Cedar, and the tools they fit.

A clause names tools by pattern, effect, impact, domain or being outward. Each of these is a parent
of the tool's action, or its name in the context. Does not know what follows from a clause.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.policy.cedar import names
from gateway.policy.cedar.catalogue import Catalogue, Tool, fits

SESSION: Final = "context.session"


def any_of(conditions: Sequence[str]) -> str:
    """Return the condition that one of these holds; empty when there is none."""
    if len(conditions) < 2:
        return "".join(conditions)
    return " || ".join(f"({condition})" for condition in conditions)


def all_of(*conditions: str) -> str:
    """Return the condition that all of these hold."""
    return " && ".join(f"({condition})" for condition in conditions)


def called(patterns: Sequence[str]) -> str:
    """Return the condition that the tool's name is covered by one of the patterns."""
    exact = [names.literal(pattern) for pattern in patterns if not pattern.endswith("*")]
    found = [f"context.tool == {exact[0]}"] if len(exact) == 1 else []
    if len(exact) > 1:
        found = [f"{names.listed(exact)}.contains(context.tool)"]
    for pattern in patterns:
        if pattern.endswith("*"):
            found.append(f'context.tool like "{names.escaped_pattern(pattern[:-1])}*"')
    return any_of(found)


def chosen(clause: Mapping[str, Any], catalogue: Catalogue) -> str:
    """Return the condition that the tool fits one member of a clause; empty if none ever does.

    Of domains only those are named that the catalogue has, as Cedar refuses what no schema knows.
    """
    parents = [
        *(names.group("effect", effect) for effect in clause.get("effects", ())),
        *(names.group("impact", impact) for impact in clause.get("impacts", ())),
        *(
            names.group("domain", domain)
            for domain in clause.get("domains", ())
            if domain in catalogue.domains
        ),
        *([names.OUTWARD] if clause.get("outward") else ()),
    ]
    found = [f"action in {names.listed(map(names.action, parents))}"] if parents else []
    return any_of([*found, *([called(clause["tools"])] if "tools" in clause else ())])


def chooses(clause: Mapping[str, Any], tool: Tool) -> bool:
    """Say whether a tool fits one member of a clause: what `chosen` says in Cedar."""
    return (
        tool.effect in clause.get("effects", ())
        or not set(tool.impacts).isdisjoint(clause.get("impacts", ()))
        or tool.domain in clause.get("domains", ())
        or (clause.get("outward") is True and tool.outward)
        or fits(clause.get("tools", ()), tool.name)
    )


def set_off(after: Mapping[str, Any]) -> str:
    """Return the condition that the session did what a flow waits for, or that nobody can tell."""
    found = []
    if domains := after.get("domains"):
        read = names.listed(map(names.literal, domains))
        asked = f"{SESSION}.domains_read.containsAny({read})"
        found.append(f"if {SESSION} has domains_read then {asked} else true")
    if after.get("untrusted_input"):
        asked = f"{SESSION}.untrusted_input"
        found.append(f"if {SESSION} has untrusted_input then {asked} else true")
    return any_of(found)


def limited(count: str, limit: int) -> str:
    """Return the condition that a count of the session is within its limit."""
    return f"{SESSION} has {count} && {SESSION}.{count} <= {limit}"


def within_hours(hours: Sequence[Mapping[str, Any]]) -> str:
    """Return the condition that the call comes within one of the spans of a week."""
    spans = [
        (24 * 60 * _DAYS.index(day) + minutes(span["from"]), _DAYS.index(day), span["to"])
        for span in hours
        for day in span["days"]
    ]
    minute = "context.facts.minute_of_week"
    found = [
        f"{minute} >= {start} && {minute} < {24 * 60 * day + minutes(end)}"
        for start, day, end in sorted(spans)
    ]
    return f"context.facts has minute_of_week && ({any_of(found)})"


def minutes(clock: str) -> int:
    """Return `HH:MM` in minutes since midnight."""
    hour, minute = clock.split(":")
    return 60 * int(hour) + int(minute)


_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
