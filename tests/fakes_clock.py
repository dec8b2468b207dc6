"""A clock that moves only when a test says so."""


class FakeClock:
    """The `Clock` port. Owned by one test."""

    def __init__(self, wall_ns: int = 1_800_000_000 * 10**9, monotonic_ns: int = 0) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns

    def wall_ns(self) -> int:
        """Return the wall time as last set."""
        return self._wall_ns

    def monotonic_ns(self) -> int:
        """Return the monotonic time as last set."""
        return self._monotonic_ns

    def advance(self, seconds: float) -> None:
        """Let both times go on."""
        step = round(seconds * 1e9)
        self._wall_ns += step
        self._monotonic_ns += step
