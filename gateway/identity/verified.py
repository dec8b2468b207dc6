"""What a verification says: claims, and whether they may still be said.

A token is only as good as the key that signed it: once its issuer takes the key away, what was
verified by it no longer holds, however long the token lives. Does not verify and does not remember
(`remembered.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

from gateway.core.claims import Claims


@dataclass(frozen=True, slots=True)
class Verified:
    """A credential that was verified."""

    claims: Claims
    in_force: Callable[[], bool] = field(repr=False)
    """Says whether the key that verified it is still one of its issuer's current ones. No I/O."""
    key_age: Callable[[], int] = field(repr=False)
    """Says how many seconds ago the issuer's keys were read."""

    @classmethod
    def just_now(
        cls, claims: Claims, in_force: Callable[[], bool], key_age: Callable[[], int]
    ) -> Self:
        """Return a verification that was just made, with the keys' age in its claims."""
        return cls(replace(claims, key_age_seconds=key_age()), in_force, key_age)

    def current(self) -> Claims:
        """Return the claims with the keys' age as it is now."""
        age = self.key_age()
        known = self.claims
        return known if known.key_age_seconds == age else replace(known, key_age_seconds=age)
