"""The shape of a charter: which members it has, and what each may hold.

`rego/schemas/charter.json` says the same for editors, but for what no schema can say; the tests
hold them together. Does not look into the catalogue (`charter_reach.py`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from gateway.core.checks_of_values import (
    COUNT,
    FLAG,
    TEXT,
    TRUE,
    Check,
    also,
    each,
    holds,
    invalid,
    is_instant,
    is_number,
    members,
    named,
    one_of,
    unless,
)
from gateway.core.decision import EFFECTS, IMPACTS
from gateway.core.fault import Fault, Path, dotted
from gateway.core.obligation import MAX_COUNT
from gateway.core.portable import (
    cidr_objection,
    glob_objection,
    is_anchored,
    regex_objection,
)

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CAPTURES: Final = ("arguments", "results")
DENIALS: Final = ("tools", "domains", "effects", "impacts")
"""What one deny entry may name, and it names one of them."""
BEYOND_SCHEMA: Final = {
    "regex_not_portable", "glob_not_portable", "cidr_invalid", "hours_backwards",
}  # fmt: skip
"""Codes of faults in one value that a JSON Schema cannot see."""

MEANINGS: Final = {
    "subject": "which identity the charter is for",
    "owner": "who answers for the agent",
    "purpose": "what the agent is for",
    "environment": "in which environment it works",
    "expires": "until when it stands, such as 2027-11-30T00:00:00Z",
    "systems": "which systems it may touch, and how",
    "approvals": "who approves what, or [] if nobody has to",
    "evidence": "what is captured, such as {capture: [arguments, results]}",
    "capture": "what is captured, such as [arguments, results]",
    "limits": "how often it may call, such as {calls_per_minute: 60}",
    "calls_per_minute": "how often it may call",
    "task_required": "true or false",
    "tools": "which tools the entry is for",
    "effects": "which effects it allows",
    "approvers": "whose word it needs",
    "count": "how many of them",
    "expires_seconds": "for how long a request waits",
    "days": "on which days, such as [mon, tue]",
    "from": 'from when on, such as "08:00"',
    "to": "what it is about",
    "after": "what sets it off",
    "until": "when observing ends, such as 2027-01-31T00:00:00Z",
}  # fmt: skip
"""What to say for a member that is missing."""

_TOOLS: Final = re.compile(r"[^*\s]+\*?|\*")
_FROM: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_TO: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")


def shape_faults(charter: Any) -> Iterator[Fault]:
    """Find everything that is wrong with the shape of a charter."""
    return _CHARTER((), charter)


def _object(
    required: Mapping[str, Check],
    optional: Mapping[str, Check] | None = None,
    unknown: str = "member_unknown",
) -> Check:
    return members(required, optional, meanings=MEANINGS, unknown=unknown)


def _portable(objection: Callable[[str], str | None], code: str) -> Check:
    text = holds(lambda value: isinstance(value, str) and bool(value), "a text", "bound_invalid")
    judged = unless(objection, code)

    def check(path: Path, value: Any) -> Iterator[Fault]:
        wrong = list(text(path, value))
        yield from wrong or judged(path, value)

    return check


def _regex(path: Path, value: Any) -> Iterator[Fault]:
    if isinstance(value, str) and value and not is_anchored(value):
        must = f"`{dotted(path)}` must begin with ^ and end with $, or it bounds nothing."
        yield Fault("regex_not_anchored", path, must)
    else:
        yield from _portable(regex_objection, "regex_not_portable")(path, value)


def _networks(path: Path, value: Any) -> Iterator[Fault]:
    one = _portable(cidr_objection, "cidr_invalid")
    yield from (each(one) if isinstance(value, list) else one)(path, value)


def _deny(path: Path, value: Any) -> Iterator[Fault]:
    if value != "all":
        yield from DENY(path, value)


def _one_denial(path: Path, entry: Mapping[str, Any]) -> Iterator[Fault]:
    if len(entry) > 1:
        must = f"`{dotted(path)}` must name one of {', '.join(DENIALS)}; write an entry for each."
        yield Fault("deny_invalid", path, must)


def _approval_for(path: Path, entry: Mapping[str, Any]) -> Iterator[Fault]:
    if not ("impacts" in entry or "tools" in entry):
        must = f"`{dotted(path)}` must say which impacts or tools it is for."
        yield Fault("member_missing", path, must)


def _flow_ends(path: Path, flow: Mapping[str, Any]) -> Iterator[Fault]:
    if ("deny" in flow) == ("approval" in flow):
        must = f"`{dotted(path)}` must say either `deny: true` or an `approval`."
        yield Fault("flow_invalid", path, must)


def _forwards(path: Path, window: Mapping[str, Any]) -> Iterator[Fault]:
    start, end = window.get("from"), window.get("to")
    if isinstance(start, str) and isinstance(end, str) and _FROM.fullmatch(start):
        if _TO.fullmatch(end) and not start < end:
            must = (
                f"`{dotted(path)}` must begin before it ends; "
                "a night is two entries, one up to 24:00 and one from 00:00."
            )
            yield Fault("hours_backwards", path, must)


def _capture(path: Path, value: Any) -> Iterator[Fault]:
    yield from each(one_of(CAPTURES, "capture_unknown"), empty=True)(path, value)
    if isinstance(value, list) and "arguments" not in value:
        must = "a list with arguments: without them no decision can be made again"
        yield invalid(path, must, "capture_incomplete")


_PATTERN = holds(
    lambda value: isinstance(value, str) and bool(_TOOLS.fullmatch(value)),
    "a tool's name, or its beginning and one `*`",
)
_TEXT_BOUND = holds(lambda value: isinstance(value, str) and bool(value), "a text", "bound_invalid")
_NUMBER = holds(is_number, "a number", "bound_invalid")
_EFFECT = one_of(EFFECTS, "effect_unknown")
_IMPACT = one_of(IMPACTS, "impact_unknown")
_LIMITED = holds(
    lambda value: type(value) is int and 0 < value <= MAX_COUNT,
    f"a whole number from 1 to {MAX_COUNT}",
    "not_positive",
)
OPERATORS: Final[Mapping[str, Check]] = {
    "eq": holds(lambda value: isinstance(value, str | int | float), "one value", "bound_invalid"),
    "lte": _NUMBER,
    "gte": _NUMBER,
    "in": holds(lambda value: isinstance(value, list) and bool(value), "a list", "bound_invalid"),
    "prefix": _TEXT_BOUND,
    "glob": _portable(glob_objection, "glob_not_portable"),
    "regex": _regex,
    "cidr": _networks,
    "absent": holds(lambda value: value is True, "true", "bound_invalid"),
    "required": holds(lambda value: value is True, "true", "bound_invalid"),
}
DENY: Final = each(
    also(
        _object(
            {},
            {
                "tools": each(_PATTERN),
                "domains": each(TEXT),
                "effects": each(_EFFECT),
                "impacts": each(_IMPACT),
            },
        ),
        _one_denial,
    )
)
_ASKED: Final = {"approvers": TEXT, "count": _LIMITED, "expires_seconds": _LIMITED}
_APPROVAL = also(
    _object(_ASKED, {"impacts": each(_IMPACT), "tools": each(_PATTERN)}), _approval_for
)
_ALLOW = _object(
    {"tools": each(_PATTERN), "effects": each(_EFFECT)},
    {"arguments": named(_object({}, OPERATORS, "operator_unknown"))},
)
_FLOW = also(
    _object(
        {
            "after": _object({}, {"domains": each(TEXT), "untrusted_input": TRUE}),
            "to": _object(
                {},
                {
                    "effects": each(_EFFECT),
                    "outward": TRUE,
                    "tools": each(_PATTERN),
                    "domains": each(TEXT),
                },
            ),
        },
        {"deny": TRUE, "approval": _object(_ASKED)},
    ),
    _flow_ends,
)
_HOURS = also(
    _object(
        {
            "days": each(one_of(DAYS, "day_unknown")),
            "from": holds(
                lambda value: isinstance(value, str) and bool(_FROM.fullmatch(value)),
                'a time such as "08:00", in UTC',
                "hours_invalid",
            ),
            "to": holds(
                lambda value: isinstance(value, str) and bool(_TO.fullmatch(value)),
                'a time such as "18:00", in UTC, or "24:00"',
                "hours_invalid",
            ),
        }
    ),
    _forwards,
)
_INSTANT = "an instant such as 2027-11-30T00:00:00Z"
_CHARTER = _object(
    {
        "subject": TEXT,
        "owner": TEXT,
        "purpose": TEXT,
        "environment": TEXT,
        "expires": holds(is_instant, _INSTANT, "expires_invalid"),
        "systems": named(_object({}, {"allow": each(_ALLOW), "deny": _deny})),
        "approvals": each(_APPROVAL, empty=True),
        "evidence": _object({"capture": _capture}),
        "limits": _object({"calls_per_minute": COUNT}, {"calls_per_session": COUNT}),
        "task_required": FLAG,
    },
    {
        "deny": DENY,
        "flows": each(_FLOW),
        "hours": each(_HOURS),
        "observe": _object(
            {"until": holds(is_instant, _INSTANT, "until_invalid")}, {"high_impact": TRUE}
        ),
    },
)
