"""Proofs that were used: each is worth one request (RFC 9449 §11.1).

A proof is remembered for as long as it could be accepted, by the monotonic clock. Nothing is
forgotten early: when there is no room, proofs are refused (fail closed), first those of the key
that takes more than its share, so that nobody fills what others need. What was forgotten leaves its
latest `iat` behind; should the wall clock go back, proofs from before that are refused, since
whether they were used is no longer known.

Memory is cut into slices of time that are dropped whole, which costs little even after a flood.
Does not survive a restart and is not shared between processes: there, nonces help.
"""

import hashlib
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from gateway.core.errors import CredentialRejected
from gateway.ports import Clock

CAPACITY: Final = 200_000
"""Proofs that are remembered at once: 2,800 calls a second at the default age of a proof."""
PER_KEY: Final = 20_000
"""Of these, how many one key may have."""
_SLICES: Final = 8
_DIGEST_BYTES: Final = 16
"""Whoever finds two `jti` with the same 128 bits gets a proof of their own refused, no more."""


@dataclass(slots=True)
class _Slice:
    """What was used within one slice of time."""

    number: int
    used: set[bytes] = field(default_factory=set)
    by_key: dict[str, int] = field(default_factory=dict)
    latest: int = -1
    """The latest `iat` in it."""


class ReplayCache:
    """The proofs used at one process. Owned by its verifier; `spend` never waits.

    Args:
        seconds: how long after its first use a proof might still be accepted.
        clock: the time.
        capacity: how many proofs are remembered at once.
        per_key: how many of them one key may have.
    """

    def __init__(
        self, seconds: int, clock: Clock, capacity: int = CAPACITY, per_key: int = PER_KEY
    ) -> None:
        self._slice_ns = -(-seconds * 1_000_000_000 // _SLICES)
        self._clock = clock
        self._capacity = capacity
        self._per_key = per_key
        self._slices: deque[_Slice] = deque()
        self._forgotten = -1

    def spend(self, jkt: str, jti: str, issued_at: int) -> None:
        """Use a proof up; every other check of it has to have passed.

        Args:
            jkt: thumbprint of the key that signed it.
            jti: the proof's id, unique to the key (RFC 9449 §4.2).
            issued_at: its `iat`, seconds since the epoch.

        Raises:
            CredentialRejected: `dpop_replay`, it was used before; `dpop_clock_set_back`, that is
                not known; `dpop_key_busy` or `dpop_replay_full`, there is no room for it.
        """
        now = self._clock.monotonic_ns() // self._slice_ns
        self._forget(now)
        text = f"{jkt} {jti}".encode("utf-8", "surrogatepass")
        used = hashlib.sha256(text).digest()[:_DIGEST_BYTES]
        if any(used in part.used for part in self._slices):
            raise CredentialRejected("the proof was used before", code="dpop_replay")
        if issued_at <= self._forgotten:
            raise CredentialRejected(
                "the clock was set back; proofs of that time may have been used",
                code="dpop_clock_set_back",
            )
        self._make_sure_of_room(jkt)
        if not self._slices or self._slices[-1].number != now:
            self._slices.append(_Slice(now))
        newest = self._slices[-1]
        newest.used.add(used)
        newest.by_key[jkt] = newest.by_key.get(jkt, 0) + 1
        newest.latest = max(newest.latest, issued_at)

    def __len__(self) -> int:
        """Return how many proofs are remembered."""
        return sum(len(part.used) for part in self._slices)

    def _make_sure_of_room(self, jkt: str) -> None:
        if sum(part.by_key.get(jkt, 0) for part in self._slices) >= self._per_key:
            raise CredentialRejected(
                "too many proofs of this key within a short time", code="dpop_key_busy"
            )
        if len(self) >= self._capacity:
            raise CredentialRejected("too many proofs within a short time", code="dpop_replay_full")

    def _forget(self, now: int) -> None:
        # One slice more than the span has: a proof is used anywhere within its slice.
        while self._slices and self._slices[0].number < now - _SLICES:
            self._forgotten = max(self._forgotten, self._slices.popleft().latest)
