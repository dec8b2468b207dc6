"""Nonces for proofs (RFC 9449 §8, §9): only this process makes them, and none is stored.

A nonce is the HMAC of a slot of time; the current and the previous slot's are good, so one lives
between one and two slots and always long enough to be used. Time is monotonic: nobody can set it
back. Who holds a nonce has proved nothing; it only dates a proof, by our clock and our key, so a
proof that was made ahead, stolen, or used at another process is worth nothing here. Does not count
uses: that is `replay.py`.
"""

import hashlib
import hmac
from typing import Final

from gateway.identity.jws import to_base64url
from gateway.ports import Clock

SLOT_SECONDS: Final = 60
MIN_KEY_BYTES: Final = 32


class Nonces:
    """The nonces of one process.

    Args:
        key: random, made when the process starts, at least 32 bytes.
        clock: the time.
    """

    def __init__(self, key: bytes, clock: Clock) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"a nonce key has at least {MIN_KEY_BYTES} bytes")
        self._key = key
        self._clock = clock

    def current(self) -> str:
        """Return the nonce that a proof made now should hold."""
        return self._of(self._slot())

    def valid(self, text: str) -> bool:
        """Say whether this is the current nonce or the one before it."""
        slot, given = self._slot(), text.encode("utf-8", "surrogatepass")
        good = [hmac.compare_digest(given, self._of(at).encode()) for at in (slot, slot - 1)]
        return any(good)

    def _slot(self) -> int:
        return self._clock.monotonic_ns() // (SLOT_SECONDS * 1_000_000_000)

    def _of(self, slot: int) -> str:
        return to_base64url(hmac.digest(self._key, b"dpop-nonce %d" % slot, hashlib.sha256))
