"""Values of arguments as Cedar can hold them: a view by type, or none.

A Cedar number is a decimal with four digits after the point, and an address one address: what
does not fit exactly has no view, so no bound on it is kept. Nothing is rounded.
https://docs.cedarpolicy.com/policies/syntax-datatypes.html. Does not know bounds.
"""

import ipaddress
from decimal import Decimal
from typing import Any, Final

FRACTION_DIGITS: Final = 4
LARGEST: Final = 2**63 - 1
"""Largest decimal, in units of its last digit."""

_MOST_DIGITS: Final = 15
"""Digits before the point of the largest decimal."""
_LONGEST_ADDRESS: Final = 45
_MAPPED: Final = "::ffff:"
_CLIMBING: Final = ("..", "\\", "%2e", "%2f", "%5c", "\0")
"""As in the bundle's rules (`bailiwick.terms.bound`)."""


def view(value: Any) -> dict[str, Any]:
    """Return the record that stands for an argument; empty when Cedar has no type for it."""
    if isinstance(value, bool):
        return {"truth": value}
    if isinstance(value, int | float):
        number = decimal_text(value)
        return {} if number is None else {"number": _extension("decimal", number)}
    if isinstance(value, str):
        address = {"address": _extension("ip", value)} if is_address(value) else {}
        path = {} if climbs(value) else {"path": value}
        return {"text": value, **path, **address}
    return {}


def units(value: int | float) -> Decimal | None:
    """Return a number in units of a decimal's last digit; None when it is far out of range.

    A float counts as the shortest decimal that names it, which is how JSON writes it.
    """
    exact = Decimal(value) if isinstance(value, int) else Decimal(repr(value))
    if not exact.is_finite() or (exact and exact.adjusted() >= _MOST_DIGITS):
        return None
    return exact.scaleb(FRACTION_DIGITS)


def decimal_text(value: int | float) -> str | None:
    """Return a number as the text of a Cedar decimal; None unless it is exactly that number."""
    scaled = units(value)
    if scaled is None or scaled != scaled.to_integral_value():
        return None
    return units_text(int(scaled))


def units_text(scaled: int) -> str | None:
    """Return units of the last digit as the text of a Cedar decimal; None when out of range."""
    if not -LARGEST - 1 <= scaled <= LARGEST:
        return None
    whole, rest = divmod(abs(scaled), 10**FRACTION_DIGITS)
    return f"{'-' if scaled < 0 else ''}{whole}.{rest:0{FRACTION_DIGITS}}"


def climbs(value: str) -> bool:
    """Say whether a path may leave the beginning it has, plain or percent-encoded."""
    lower = value.lower()
    return any(mark in lower for mark in _CLIMBING)


def is_address(value: str) -> bool:
    """Say whether a text is one IP address, in its canonical form and of one meaning only.

    An IPv4 address inside an IPv6 one is two things, and zones mean nothing to other hosts. As in
    the bundle's rules (`bailiwick.terms.address`) nothing that begins like one is read.
    """
    if len(value) > _LONGEST_ADDRESS or value.startswith(_MAPPED):
        return False
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        return False
    return str(address) == value


def _extension(function: str, argument: str) -> dict[str, Any]:
    return {"__extn": {"fn": function, "arg": argument}}
