"""Where Cedar may deny more than Rego: what no Cedar type holds, and what no Cedar operator says.

Everywhere else the two must answer alike. https://docs.cedarpolicy.com/policies/syntax-datatypes.html
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from gateway.core.charter import covers
from gateway.policy.bundle import Bundle

_LARGEST: Final = Decimal(2**63 - 1).scaleb(-4)
_NUMERIC: Final = ("eq", "in")
"""Operators whose limits must be exact; for the others the nearest decimal will do."""


def is_beyond(bundle: Bundle, document: Mapping[str, Any]) -> bool:
    """Say whether a bound that the call falls under, or a number in it, is beyond Cedar."""
    bounds = list(_bounds(bundle, document))
    if any(_unsaid(operator, limit) for _, operator, limit in bounds):
        return True
    given = _at(document, "resource", "arguments")
    if any(_inexact(_at(given, name)) for name, _, _ in bounds):
        return True
    session = _at(document, "context", "session")
    counts = [_at(session, name) for name in ("calls", "calls_in_minute")]
    return any(isinstance(number, float) for number in (*counts, _at(document, "context", "time")))


def _bounds(bundle: Bundle, document: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (argument, operator, limit) of every allow entry that names the tool."""
    subject, name = _at(document, "subject", "id"), _at(document, "resource", "name")
    system = _at(document, "resource", "system")
    for charter in bundle.charters.values():
        if charter["subject"] == subject and isinstance(system, str) and isinstance(name, str):
            for entry in charter["systems"].get(system, {}).get("allow", ()):
                if any(covers(pattern, name) for pattern in entry["tools"]):
                    for argument, limits in entry.get("arguments", {}).items():
                        for operator, limit in limits.items():
                            yield argument, operator, limit


def _unsaid(operator: str, limit: Any) -> bool:
    if operator == "glob":
        return len({len(stars) for stars in re.findall(r"\*+", limit)}) > 1
    if operator in _NUMERIC:
        return any(_inexact(item) for item in (limit if isinstance(limit, list) else [limit]))
    return operator == "regex"


def _inexact(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    number = Decimal(repr(value))
    return abs(number) > _LARGEST or number != round(number, 4)


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
