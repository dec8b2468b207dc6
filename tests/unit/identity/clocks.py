"""A clock that is set wrong."""

from tests.fakes_clock import FakeClock


class SteppedClock(FakeClock):
    """The `Clock` port; its wall can be set, as by an operator. Owned by one test."""

    def step(self, seconds: float) -> None:
        """Set the wall clock; the monotonic one goes on as it was."""
        self._wall_ns += round(seconds * 1e9)
