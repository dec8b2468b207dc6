"""What a charter and a systems catalogue must say before anything is decided on them.

A charter is complete only when every member is said and every high-impact tool it can reach has
an approver; each thing that lacks is one `Fault`, and a charter with faults denies everything.
The patterns and operators here are those of the bundle's rules (`rego/bailiwick/`).
Does not decide a call, does not know the time: an expired charter is not a faulty one.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.core.decision import EFFECTS, IMPACTS
from gateway.core.pointer import is_pointer

PROTOCOLS: Final = ("mcp",)
NEEDED_IMPACTS: Final = {"delete": "deletion", "escalate": "access"}
"""An effect that is a high impact by its nature; the catalogue must say so."""

_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_TOOLS = re.compile(r"[^*\s]+\*?|\*")

Check = Callable[[str, Any], Iterator["Fault"]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is missing or wrong, in one sentence for the person who can mend it."""

    code: str
    where: str
    """Dotted path of the member; empty for the whole document."""
    sentence: str


def covers(pattern: str, tool: str) -> bool:
    """Say whether a tool pattern (a name, or a beginning and `*`) covers a tool."""
    return tool.startswith(pattern[:-1]) if pattern.endswith("*") else pattern == tool


def faults(charter: Mapping[str, Any], systems: Mapping[str, Mapping[str, Any]]) -> list[Fault]:
    """Return everything that keeps a charter from being complete; empty when it is.

    Args:
        charter: the charter as read from its file.
        systems: the catalogue, by system name, itself without faults.
    """
    found = list(_CHARTER("", charter))
    if not any(fault.where.split(".")[0] in ("", "systems", "approvals") for fault in found):
        found += _reach_faults(charter, systems)
    return found


def system_faults(system: Mapping[str, Any]) -> list[Fault]:
    """Return everything that is wrong with one system of the catalogue; empty when it is sound."""
    found = list(_SYSTEM("", system))
    for name, tool in system["tools"].items() if not found else ():
        needed = NEEDED_IMPACTS.get(tool["effect"])
        if needed and needed not in tool["impacts"]:
            must = f"`{name}` can {tool['effect']}, so its impacts must hold {needed}."
            found.append(Fault("impact_missing", f"tools.{name}.impacts", must))
    return found


def _invalid(where: str, must: str, code: str = "member_invalid") -> Fault:
    return Fault(code, where, f"`{where or 'the document'}` must be {must}.")


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _is(accepts: Callable[[Any], bool], must: str, code: str = "member_invalid") -> Check:
    """Return a check for one value."""

    def check(where: str, value: Any) -> Iterator[Fault]:
        if not accepts(value):
            yield _invalid(where, must, code)

    return check


def _members(
    required: Mapping[str, Check],
    optional: Mapping[str, Check] | None = None,
    unknown: str = "member_unknown",
) -> Check:
    """Return a check for an object with these members, at least one, and no others."""
    known = {**required, **(optional or {})}

    def check(where: str, value: Any) -> Iterator[Fault]:
        if not isinstance(value, Mapping) or not (value or required):
            yield _invalid(where, f"a set of {', '.join(known)}")
            return
        for name in (name for name in required if name not in value):
            path = _join(where, name)
            yield Fault("member_missing", path, f"`{path}` is missing.")
        for name, item in value.items():
            path = _join(where, name)
            if name in known:
                yield from known[name](path, item)
            else:
                yield Fault(unknown, path, f"`{path}` is not known; known are {', '.join(known)}.")

    return check


def _each(check: Check, *, empty: bool = False) -> Check:
    """Return a check for a list of which every item passes `check`."""

    def checked(where: str, value: Any) -> Iterator[Fault]:
        if not isinstance(value, list) or not (value or empty):
            yield _invalid(where, "a list" if empty else "a list with at least one entry")
            return
        for index, item in enumerate(value):
            yield from check(_join(where, str(index)), item)

    return checked


def _named(check: Check, names: Check = lambda where, name: iter(())) -> Check:
    """Return a check for an object of which every value passes `check`, every name `names`."""

    def checked(where: str, value: Any) -> Iterator[Fault]:
        if not isinstance(value, Mapping) or not value:
            yield _invalid(where, "a set with at least one entry")
            return
        for name, item in value.items():
            yield from names(_join(where, name), name)
            yield from check(_join(where, name), item)

    return checked


def _one(allowed: Sequence[str], code: str) -> Check:
    return _is(lambda value: value in allowed, f"one of {', '.join(allowed)}", code)


def _is_instant(value: Any) -> bool:
    """Say whether the rules' RFC 3339 parser reads it, in a year that fits in nanoseconds."""
    try:
        readable = isinstance(value, str) and _RFC3339.fullmatch(value)
        return bool(readable) and 1970 <= datetime.fromisoformat(value).year < 2262
    except ValueError:
        return False


def _deny(where: str, value: Any) -> Iterator[Fault]:
    if value != "all":
        yield from _each(_members({"tools": _each(_PATTERN)}))(where, value)


def _approval(where: str, value: Any) -> Iterator[Fault]:
    yield from _APPROVAL(where, value)
    if isinstance(value, Mapping) and not ("impacts" in value or "tools" in value):
        must = f"`{where}` must say which impacts or tools it is for."
        yield Fault("member_missing", where, must)


_TEXT = _is(lambda value: isinstance(value, str) and bool(value.strip()), "a text, not empty")
_POSITIVE = _is(
    lambda value: type(value) is int and value > 0, "a whole number above zero", "not_positive"
)
_PATTERN = _is(
    lambda value: isinstance(value, str) and bool(_TOOLS.fullmatch(value)),
    "a tool's name, or its beginning and one `*`",
)
_NUMBER = _is(lambda value: type(value) in (int, float), "a number", "bound_invalid")
_TRUE = _is(lambda value: value is True, "true", "bound_invalid")
_EFFECT = _one(EFFECTS, "effect_unknown")
_IMPACT = _one(IMPACTS, "impact_unknown")
_OPERATORS: Final[Mapping[str, Check]] = {
    "eq": _is(lambda value: isinstance(value, str | int | float), "one value", "bound_invalid"),
    "lte": _NUMBER,
    "gte": _NUMBER,
    "in": _is(lambda value: isinstance(value, list) and bool(value), "a list", "bound_invalid"),
    "prefix": _is(lambda value: isinstance(value, str) and bool(value), "a text", "bound_invalid"),
    "absent": _TRUE,
    "required": _TRUE,
}
_APPROVAL = _members(
    {"approvers": _TEXT, "count": _POSITIVE, "expires_seconds": _POSITIVE},
    {"impacts": _each(_IMPACT), "tools": _each(_PATTERN)},
)
_ALLOW = _members(
    {"tools": _each(_PATTERN), "effects": _each(_EFFECT)},
    {"arguments": _named(_members({}, _OPERATORS, "operator_unknown"))},
)
_CHARTER = _members(
    {
        "subject": _TEXT,
        "owner": _TEXT,
        "purpose": _TEXT,
        "environment": _TEXT,
        "expires": _is(_is_instant, "an instant such as 2027-11-30T00:00:00Z", "expires_invalid"),
        "systems": _named(_members({}, {"allow": _each(_ALLOW), "deny": _deny})),
        "approvals": _each(_approval, empty=True),
        "evidence": _members({"capture": _each(_TEXT, empty=True)}),
        "limits": _members({"calls_per_minute": _POSITIVE}),
        "task_required": _is(lambda value: isinstance(value, bool), "true or false"),
    }
)
_MARKS = _named(
    _one(("secret", "pii"), "redaction_class_unknown"),
    _is(is_pointer, "a JSON pointer such as /card/number", "pointer_invalid"),
)
_TOOL = _members(
    {"effect": _EFFECT, "impacts": _each(_IMPACT, empty=True)},
    {"domain": _TEXT, "redact": _members({}, {"arguments": _MARKS, "result": _MARKS})},
)
_SYSTEM = _members(
    {
        "owner": _TEXT,
        "domain": _TEXT,
        "environment": _TEXT,
        "protocol": _one(PROTOCOLS, "protocol_unknown"),
        "tools": _named(_TOOL),
    }
)


def _reach_faults(
    charter: Mapping[str, Any], systems: Mapping[str, Mapping[str, Any]]
) -> Iterator[Fault]:
    tools: dict[str, Any] = {}
    for name, bounds in charter["systems"].items():
        where = f"systems.{name}"
        if name not in systems:
            yield Fault("system_unknown", where, f"`{name}` is not in the systems catalogue.")
            continue
        system = systems[name]
        tools |= system["tools"]
        if system["environment"] != charter.get("environment"):
            differs = f"`{name}` is in {system['environment']}, which is not the charter's."
            yield Fault("environment_mismatch", where, differs)
        for index, entry in enumerate(bounds.get("allow", ())):
            yield from _entry_faults(f"{where}.allow.{index}", entry, system["tools"])
        if bounds.get("deny") != "all":
            for index, entry in enumerate(bounds.get("deny", ())):
                yield from _unknown_tools(f"{where}.deny.{index}", entry, system["tools"])
        for tool in _reachable(bounds, system["tools"]):
            yield from _approver_faults(where, tool, system["tools"][tool], charter["approvals"])
    for index, entry in enumerate(charter["approvals"]):
        yield from _unknown_tools(f"approvals.{index}", entry, tools)


def _unknown_tools(
    where: str, entry: Mapping[str, Any], tools: Mapping[str, Any]
) -> Iterator[Fault]:
    for pattern in entry.get("tools", ()):
        if not any(covers(pattern, tool) for tool in tools):
            unknown = f"`{pattern}` is no tool of the systems catalogue."
            yield Fault("tool_unknown", f"{where}.tools", unknown)


def _entry_faults(
    where: str, entry: Mapping[str, Any], tools: Mapping[str, Any]
) -> Iterator[Fault]:
    yield from _unknown_tools(where, entry, tools)
    for pattern in entry["tools"]:
        if pattern.endswith("*") and set(entry["effects"]) != {"read"}:
            named = f"`{pattern}` may cover only reads; name each tool that does more."
            yield Fault("wildcard_effect", f"{where}.tools", named)
        elif pattern in tools and tools[pattern]["effect"] not in entry["effects"]:
            never = f"`{pattern}` is a {tools[pattern]['effect']}, which the entry does not allow."
            yield Fault("effect_mismatch", f"{where}.effects", never)


def _reachable(bounds: Mapping[str, Any], tools: Mapping[str, Any]) -> list[str]:
    """Return the tools that an allow entry covers and no deny entry takes away."""
    if bounds.get("deny") == "all":
        return []
    denied = [pattern for entry in bounds.get("deny", ()) for pattern in entry["tools"]]
    return [
        name
        for name, tool in tools.items()
        if not any(covers(pattern, name) for pattern in denied)
        and any(
            tool["effect"] in entry["effects"]
            and any(covers(pattern, name) for pattern in entry["tools"])
            for entry in bounds.get("allow", ())
        )
    ]


def _approver_faults(
    where: str, name: str, tool: Mapping[str, Any], approvals: Sequence[Mapping[str, Any]]
) -> Iterator[Fault]:
    by_tool = [e for e in approvals if any(covers(p, name) for p in e.get("tools", ()))]
    by_impact = [e for e in approvals if set(e.get("impacts", ())) & set(tool["impacts"])]
    for impact in tool["impacts"]:
        if not by_tool and not any(impact in entry.get("impacts", ()) for entry in by_impact):
            nobody = f"`{name}` has the impact {impact}, and no approval says whose word it needs."
            yield Fault("approver_missing", where, nobody)
    asked = {(e["approvers"], e["count"], e["expires_seconds"]) for e in (*by_tool, *by_impact)}
    if len(asked) > 1:
        both = f"`{name}` falls under approvals that differ; a call is held for one of them only."
        yield Fault("approval_ambiguous", where, both)
