"""Bounds on arguments as Cedar conditions.

A condition is true for no value for which the bundle's own rules say that the bound is broken
(`rego/bailiwick/terms/bound`). What Cedar cannot say is `false`: the call is refused,
and a note says why. Does not know tools.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR
from typing import Any, Final

from gateway.policy.cedar import views
from gateway.policy.cedar.names import escaped_pattern, listed, literal

NEVER: Final = "false"
ALWAYS: Final = "true"

Note = Callable[[str], None]
"""Takes one sentence about what Cedar cannot say."""

_STARS: Final = re.compile(r"(\*+)")
_NOT_GLOB: Final = re.compile(r"[?\[\]{}\\]")


def within(bounds: Mapping[str, Mapping[str, Any]], note: Note) -> str:
    """Return the condition that every bound of an allow entry is kept."""
    kept = [
        _keeps(name, operator, limit, note)
        for name, bound in bounds.items()
        for operator, limit in bound.items()
    ]
    return " && ".join(kept) or ALWAYS


def _keeps(name: str, operator: str, limit: Any, note: Note) -> str:
    compiled = _OPERATORS.get(operator)
    if compiled is None:
        note(f"the bound {operator} on {name} cannot be said in Cedar, so it is never kept")
        return NEVER
    return compiled(name, limit, lambda why: note(f"{operator} on {name}: {why}"))


def _argument(name: str) -> str:
    return f"context.arguments[{literal(name)}]"


def _given(name: str) -> str:
    return f"context.arguments has {literal(name)}"


def _viewed(name: str, kind: str, condition: Callable[[str], str]) -> str:
    """Return a condition on a value that is there and has the type."""
    value = _argument(name)
    return f"{_given(name)} && {value} has {kind} && {condition(f'{value}.{kind}')}"


def _eq(name: str, limit: Any, note: Note) -> str:
    return _in(name, [limit], note)


def _in(name: str, limit: Any, note: Note) -> str:
    """Return the condition that the value is one of these, each compared in its own type."""
    numbers, texts, truths = [], [], []
    for item in limit:
        if isinstance(item, bool):
            truths.append("true" if item else "false")
        elif isinstance(item, str):
            texts.append(literal(item))
        elif isinstance(item, int | float) and (number := views.decimal_text(item)):
            numbers.append(_decimal(number))
        else:
            note("a value that no Cedar type holds exactly is never matched")
    kinds = {"text": texts, "number": numbers, "truth": truths}
    found = [_viewed(name, kind, _contained(items)) for kind, items in kinds.items() if items]
    return _any(found)


def _contained(items: Sequence[str]) -> Callable[[str], str]:
    return lambda value: f"{listed(items)}.contains({value})"


def _lte(name: str, limit: Any, note: Note) -> str:
    return _ordered(name, limit, "lessThanOrEqual")


def _gte(name: str, limit: Any, note: Note) -> str:
    return _ordered(name, limit, "greaterThanOrEqual")


def _ordered(name: str, limit: int | float, method: str) -> str:
    """Return a comparison with the decimal next to the limit on its inner side.

    Between the two lies no decimal, so the answer is the same for every number that has a view.
    """
    above = method == "greaterThanOrEqual"
    scaled = views.units(limit)
    if scaled is None:
        # Beyond every decimal: on one side of it lie all of them, on the other none.
        return _viewed(name, "number", lambda _: ALWAYS) if (limit > 0) != above else NEVER
    nearest = int(scaled.to_integral_value(ROUND_CEILING if above else ROUND_FLOOR))
    number = views.units_text(nearest)
    if number is None:
        return _viewed(name, "number", lambda _: ALWAYS) if (limit > 0) != above else NEVER
    return _viewed(name, "number", lambda value: f"{value}.{method}({_decimal(number)})")


def _prefix(name: str, limit: str, note: Note) -> str:
    pattern = f'"{escaped_pattern(limit)}*"'
    return _viewed(name, "path", lambda value: f"{value} like {pattern}")


def _glob(name: str, limit: str, note: Note) -> str:
    """Return the condition for `*` (anything but a slash) and `**` (anything).

    `like` has only the latter. Where all stars are single and the pattern holds n slashes, a
    value that fits with stars of any kind has its slashes in the right places exactly when it
    holds no more than n.
    """
    parts = _STARS.split(limit)
    stars = {len(part) for part in parts[1::2]}
    if stars - {1, 2} or len(stars) > 1 or _NOT_GLOB.search(limit):
        note("only one kind of star can be said in Cedar, so the bound is never kept")
        return NEVER
    pattern = "*".join(escaped_pattern(part) for part in parts[::2])
    more_slashes = "*".join(["", *["/"] * (limit.count("/") + 1), ""])

    def matched(value: str) -> str:
        fewer = f' && !({value} like "{more_slashes}")' if stars == {1} else ""
        return f'{value} like "{pattern}"{fewer}'

    return _viewed(name, "path", matched)


def _cidr(name: str, limit: str | Sequence[str], note: Note) -> str:
    ranges = []
    for text in [limit] if isinstance(limit, str) else limit:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            note("a network that cannot be read is never matched")
            continue
        if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
            note("a network of IPv4 addresses inside IPv6 ones is never matched")
            continue
        ranges.append(f"ip({literal(str(network))})")
    return _any([_viewed(name, "address", _in_range(one)) for one in ranges])


def _in_range(network: str) -> Callable[[str], str]:
    return lambda value: f"{value}.isInRange({network})"


def _absent(name: str, limit: bool, note: Note) -> str:
    return f"!({_given(name)})"


def _required(name: str, limit: bool, note: Note) -> str:
    return _given(name)


def _regex(name: str, limit: str, note: Note) -> str:
    note("Cedar has no regular expressions, so the bound is never kept")
    return NEVER


def _decimal(number: str) -> str:
    return f"decimal({literal(number)})"


def _any(conditions: Sequence[str]) -> str:
    if len(conditions) < 2:
        return conditions[0] if conditions else NEVER
    return f"({' || '.join(f'({one})' for one in conditions)})"


_OPERATORS: Final[Mapping[str, Callable[[str, Any, Note], str]]] = {
    "eq": _eq,
    "in": _in,
    "lte": _lte,
    "gte": _gte,
    "prefix": _prefix,
    "glob": _glob,
    "cidr": _cidr,
    "absent": _absent,
    "required": _required,
    "regex": _regex,
}
