"""When a token holds: `exp`, `iat` and `nbf` as sane integers, and a life no longer than its cap.

A token that could live longer than the cap is a long-lived secret, whatever its issuer meant. PyJWT
takes strings, floats and the year 3 million for times; here a time is a plain integer of at least
0 and at most 2^53-1 (which the strict reader guarantees). Leeway is for clocks that differ.
Does not read a clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.core.errors import CredentialRejected


class Limits(Protocol):
    """How long a token may live, and how far clocks may differ; `Issuer` and `TrustDomain`."""

    @property
    def max_lifetime_seconds(self) -> int:
        """Longest `exp - iat`."""
        ...

    @property
    def leeway_seconds(self) -> int:
        """Largest difference of clocks."""
        ...


@dataclass(frozen=True, slots=True)
class Times:
    """When a token was issued and when it ends, in seconds since the epoch."""

    issued_at: int
    """Without an `iat`, the earliest time that the cap allows: `exp` less the longest life."""
    expires_at: int


def check_times(
    payload: Mapping[str, Any],
    limits: Limits,
    now_seconds: int,
    *,
    prefix: str = "token",
    iat_needed: bool = True,
) -> Times:
    """Check `exp`, `iat` and `nbf` (RFC 7519 §4.1.4 to §4.1.6).

    Args:
        payload: the claims, of which the signature holds.
        limits: the issuer's.
        now_seconds: seconds since the epoch.
        prefix: what the codes begin with.
        iat_needed: whether a token without `iat` is refused; if not, the time that such a token
            has left must be within the cap.

    Raises:
        CredentialRejected: PREFIX_exp_missing, _iat_missing, _time_malformed, _expired,
            _not_yet_valid or _lifetime.
    """
    expires, issued = payload.get("exp"), payload.get("iat")
    if expires is None:
        raise CredentialRejected("there is no exp", code=f"{prefix}_exp_missing")
    if issued is None and (iat_needed or "iat" in payload):
        raise CredentialRejected("there is no iat", code=f"{prefix}_iat_missing")
    begins = payload.get("nbf", 0)
    cap, leeway = limits.max_lifetime_seconds, limits.leeway_seconds
    if not (_sane(expires) and _sane(begins) and (issued is None or _sane(issued))):
        raise CredentialRejected("a time is not a plain number", code=f"{prefix}_time_malformed")
    if expires <= now_seconds - leeway:
        raise CredentialRejected("the token has expired", code=f"{prefix}_expired")
    if max(issued or 0, begins) > now_seconds + leeway:
        raise CredentialRejected("the token is from the future", code=f"{prefix}_not_yet_valid")
    if issued is None:
        in_cap = expires - now_seconds <= cap + leeway
    else:
        in_cap = 0 < expires - issued <= cap
    if not in_cap:
        raise CredentialRejected(
            f"the token does not live between 1 and {cap} seconds", code=f"{prefix}_lifetime"
        )
    return Times(max(expires - cap, 0) if issued is None else issued, expires)


def _sane(value: Any) -> bool:
    # Not isinstance: True is an int.
    return type(value) is int and value >= 0
