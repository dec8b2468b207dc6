"""What a verification says: claims, and whether they may still be said.

A token is only as good as the key that signed it: once its issuer takes the key away, what was
verified by it no longer holds, however long the token lives. Does not verify and does not remember
(`remembered.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.core.claims import Claims


@dataclass(frozen=True, slots=True)
class Verified:
    """A credential that was verified."""

    claims: Claims
    in_force: Callable[[], bool] = field(repr=False)
    """Says whether the key that verified it is still one of its issuer's current ones. No I/O."""
