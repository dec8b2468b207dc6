"""Charters in words: bounds, approvals, flows, hours and times as a person would say them.

The words say what the charter says and nothing more; where a form is not known, its JSON is shown.
Does not print (`output.py`) and does not judge a charter (`gateway/core/charter.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.core.canonical import dumps
from gateway.core.charter_shape import DAYS
from gateway.core.charter_warnings import DAY_NS, instant_ns

_OPERATORS: Final = {
    "eq": "is {}",
    "lte": "at most {}",
    "gte": "at least {}",
    "in": "one of {}",
    "prefix": "beginning with {}",
    "glob": "like {}",
    "regex": "matching {}",
    "cidr": "within {}",
}


def value(plain: Any) -> str:
    """Return a value of a charter or a call: words bare, lists with commas, the rest as JSON."""
    if isinstance(plain, str) and plain and plain == plain.strip():
        return plain
    if isinstance(plain, list):
        return ", ".join(map(value, plain))
    return dumps(plain).decode("utf-8")


def bound(limits: Mapping[str, Any]) -> str:
    """Return what one argument must be: `from 0 to 500`."""
    said = []
    rest = dict(limits)
    if {"gte", "lte"} <= rest.keys():
        said.append(f"from {value(rest.pop('gte'))} to {value(rest.pop('lte'))}")
    for operator, limit in rest.items():
        if operator in _OPERATORS:
            said.append(_OPERATORS[operator].format(value(limit)))
        else:
            said.append(operator)  # absent, required: they have no limit to name
    return " and ".join(said)


def bounds(arguments: Mapping[str, Any]) -> str:
    """Return the bounds of one allow entry."""
    return "; ".join(f"{name} {bound(limits)}" for name, limits in arguments.items())


def any_bounds(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the bounds of several allow entries, of which any may fit; empty when one is open."""
    said = [bounds(entry.get("arguments", {})) for entry in entries]
    return "" if "" in said else " | or: ".join(dict.fromkeys(said))


def asked(approval: Mapping[str, Any]) -> str:
    """Return whose word is needed: `1 of finance-leads within 15 min`."""
    count, approvers = approval["count"], approval["approvers"]
    return f"{count} of {approvers} within {span(approval['expires_seconds'])}"


def span(seconds: int) -> str:
    """Return a span in the largest unit that is exact: `15 min`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def remaining(expires: str, now_ns: int) -> str:
    """Return how long a charter stands: `expires in 370 days (2027-11-30T00:00:00Z)`."""
    left = instant_ns(expires) - now_ns
    if left <= 0:
        return f"EXPIRED on {expires}"
    days = left // DAY_NS
    when = "in less than a day" if not days else "in 1 day" if days == 1 else f"in {days} days"
    return f"expires {when} ({expires})"


def limits(said: Mapping[str, Any]) -> str:
    """Return the limits of a charter."""
    parts = [f"{said['calls_per_minute']} calls a minute"]
    if "calls_per_session" in said:
        parts.append(f"{said['calls_per_session']} a session")
    return ", ".join(parts)


def window(said: Mapping[str, Any]) -> str:
    """Return one window of hours: `mon-fri 08:00-18:00 UTC`."""
    chosen = [day for day in DAYS if day in said["days"]]
    first, last = DAYS.index(chosen[0]), DAYS.index(chosen[-1])
    whole = len(chosen) > 2 and list(DAYS[first : last + 1]) == chosen
    days = f"{chosen[0]}-{chosen[-1]}" if whole else ", ".join(chosen)
    return f"{days} {said['from']}-{said['to']} UTC"


def after(said: Mapping[str, Any]) -> str:
    """Return what sets a flow off."""
    parts = []
    if "domains" in said:
        parts.append(f"{' or '.join(said['domains'])} data was read")
    if "untrusted_input" in said:
        parts.append("untrusted input came in")
    return " or ".join(parts)


def to(said: Mapping[str, Any]) -> str:
    """Return which calls a flow is about."""
    parts = [f"every {effect}" for effect in said.get("effects", ())]
    parts += ["every outward call"] if "outward" in said else []
    parts += list(said.get("tools", ()))
    parts += [f"everything of {domain}" for domain in said.get("domains", ())]
    return ", ".join(parts)


def flow(said: Mapping[str, Any]) -> str:
    """Return one flow as a sentence."""
    ends = f"held: {asked(said['approval'])}" if "approval" in said else "denied"
    return f"after {after(said['after'])}, {to(said['to'])}: {ends}"


def denial(entry: Mapping[str, Any]) -> str:
    """Return one deny entry: `domains hr`."""
    return ", ".join(f"{name} {', '.join(items)}" for name, items in entry.items())
