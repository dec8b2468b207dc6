"""The circuit breaker: while a server is down, calls to it fail at once and not at the deadline.

Closed, every call goes through. After three failures in a row it opens and refuses every call for a
pause. After the pause exactly one call, the probe, goes through: it closes the circuit, or opens it
again for twice as long. A call that ends with neither success nor failure (its caller left) changes
nothing and gives the probe's place back. What was begun before the circuit last changed says
nothing about the server now, and is not counted.
Does not retry, does not wait and does not call by itself.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.core.errors import PolicyAnswerInvalid, PolicyUnavailable
from gateway.ports import Clock

FAILURES: Final = 3
"""Failures in a row that open the circuit."""
FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 4.0

_log = logging.getLogger(__name__)


class Breaker:
    """One circuit to one server. Use from one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._pause_seconds = 0.0
        """How long the circuit was opened for last; 0 when it is closed."""
        self._until_ns = 0
        self._probing = False
        self._epoch = 0
        """Counts the changes of the circuit."""
        self._cause = ""

    def lets_through(self) -> bool:
        """Say whether a call made now would be tried: the circuit is closed, or its pause is over.

        After the pause this is true without any call, so that a gateway that is sent no calls
        because it said no is sent one again.
        """
        return not self._pause_seconds or self._clock.monotonic_ns() >= self._until_ns

    @contextmanager
    def call(self) -> Iterator[None]:
        """Go through for one call, and learn from how the block ends.

        `PolicyUnavailable` from the block is a failure of the server. Its end, and
        `PolicyAnswerInvalid`, are a sign of life. Anything else is neither.

        Raises:
            PolicyUnavailable: `pdp_unavailable`; the circuit is open and the block was not entered.
        """
        probe = self._enter()
        epoch = self._epoch
        try:
            yield
        except PolicyUnavailable as exc:
            if epoch == self._epoch:
                self._failed(exc.message)
            raise
        except PolicyAnswerInvalid:
            self._answered(epoch)
            raise
        else:
            self._answered(epoch)
        finally:
            if probe:
                self._probing = False

    def _enter(self) -> bool:
        """Return whether this call is the probe."""
        if not self._pause_seconds:
            return False
        if self._probing or not self.lets_through():
            raise PolicyUnavailable(f"the circuit is open; the last failure: {self._cause}")
        self._probing = True
        return True

    def _failed(self, cause: str) -> None:
        self._failures += 1
        if self._failures < FAILURES:
            return
        self._cause = cause
        self._change(min(max(FIRST_PAUSE_SECONDS, 2 * self._pause_seconds), LONGEST_PAUSE_SECONDS))
        self._until_ns = self._clock.monotonic_ns() + round(self._pause_seconds * 1e9)
        _log.warning("the circuit is open for %.2f s: %s", self._pause_seconds, cause)

    def _answered(self, epoch: int) -> None:
        if epoch != self._epoch:
            return
        self._failures = 0
        if self._pause_seconds:
            self._change(0.0)
            _log.warning("the circuit is closed again")

    def _change(self, pause_seconds: float) -> None:
        self._pause_seconds = pause_seconds
        self._epoch += 1
