"""Tokens that were verified, so that each is verified once and not for each call.

What is remembered is what the verification said, for one token at one resource, until the token
expires (to the second: leeway is for clocks, not for memory) or the key that verified it is no
longer its issuer's. Neither clock can lengthen that: not the wall clock being set back, nor the
monotonic one standing still. The least recently used entry gives way; that costs its token another
verification and nobody anything else.

Holds digests and never a token. Does not remember refusals, proofs or anything of one request, and
does not revoke: that is asked on every call.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.core.claims import Claims
from gateway.identity.verified import Verified
from gateway.ports import Clock

_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Entry:
    verified: Verified
    since: int
    """Wall time at which it was put here, in nanoseconds, as the next two."""
    until: int
    """Wall time of its expiry."""
    deadline: int
    """Monotonic time of its expiry."""


class Remembered:
    """The tokens that were verified. Owned by its authenticator; nothing here waits.

    Args:
        capacity: how many tokens are remembered; 0 for none.
        clock: the time.
    """

    def __init__(self, capacity: int, clock: Clock) -> None:
        self._capacity = capacity
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def get(self, token: str, resource: str) -> Verified | None:
        """Return what verifying this token for this resource would say again, None if unknown.

        Args:
            token: text as the caller wrote it.
            resource: canonical URI of the route; the audience may depend on it.
        """
        key = _key(token, resource)
        entry = self._entries.get(key)
        if entry is None:
            return None
        within = entry.since <= self._clock.wall_ns() < entry.until
        if (
            not within
            or self._clock.monotonic_ns() >= entry.deadline
            or not entry.verified.in_force()
        ):
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry.verified

    def put(self, token: str, resource: str, verified: Verified) -> None:
        """Remember a verification that was just made of exactly this text for this resource."""
        now, until = self._clock.wall_ns(), verified.claims.expires_at * _SECOND
        if until <= now:
            return
        key = _key(token, resource)
        deadline = self._clock.monotonic_ns() + until - now
        self._entries[key] = _Entry(verified, now, until, deadline)
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def forget(self, condition: Callable[[Claims], bool]) -> int:
        """Forget every token whose claims meet a condition; return how many there were."""
        met = [key for key, entry in self._entries.items() if condition(entry.verified.claims)]
        for key in met:
            del self._entries[key]
        return len(met)

    def __len__(self) -> int:
        """Return how many tokens are remembered."""
        return len(self._entries)


def _key(token: str, resource: str) -> bytes:
    # A token is ASCII once it is verified, but it is looked up before; no text may fail here.
    text = f"{resource}\n{token}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).digest()
