"""Steps of the clock and silences, from the times that records carry.

Within one run the wall clock and the monotonic clock advance together, so their difference is
constant; when it changes by more than a second, somebody set the clock, or a record bears a time
that is not its own. A log records at least a heartbeat, so a longer silence means that records are
missing, or that the process or its machine stood still. Both are told, and neither is a fault:
virtual machines do both. A fault is only what a witness contradicts (`bounds.py`). Times: RFC 3339
§5.6, https://www.rfc-editor.org/rfc/rfc3339#section-5.6. Does not read the time.
"""

from collections.abc import Mapping
from datetime import datetime
from heapq import heappush, heappushpop
from math import inf
from typing import Any, Final

from gateway.evidence.audit.bounds import Bounds
from gateway.evidence.report import Notice

STEP_SECONDS: Final = 1.0
"""Largest difference between the two clocks that is taken for slow reading."""
SHORTEST_SILENCE_NS: Final = 1_000_000_000
"""Shorter ones are not looked at: no gateway is told to speak more often."""
MAX_NOTICES: Final = 100
"""Most notices kept of one segment; the rest are counted."""

_parse = datetime.fromisoformat


class Clock:
    """Follows the times of the records of one segment; `join` then puts it behind another."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.left_off = 0
        """Notices beyond `MAX_NOTICES`."""
        self._opening: tuple[int, float, int, bool] | None = None
        """The first record: its seq, wall time, monotonic time, and whether it begins a run."""
        self._offset: float | None = None
        """Wall time less monotonic time in this run, seconds; None before its first record."""
        self._latest = 0
        """Largest monotonic time in this run, nanoseconds."""
        self._limit: float | None = None
        """Longest silence that is in order, nanoseconds; None while no `start` was seen."""
        self._second, self._begun = "", 0.0
        """The second of the newest record as text, up to its point, and as a wall time."""
        self._wall = 0.0
        """Wall time of the newest record, seconds."""
        self._silences: list[tuple[int, int]] = []
        """The longest silences (nanoseconds, seq) of the run whose `start` was not seen."""
        self._bounds = Bounds()

    def start(self, seq: int, fields: Mapping[str, Any]) -> None:
        """Begin a run at its `start` record."""
        before, known = self._wall, self._opening is not None
        beat = fields.get("heartbeat_seconds")
        usable = isinstance(beat, int | float) and beat > 0
        self._limit = 2e9 * beat if usable and beat else inf
        self._offset = None
        self.follow(seq, fields, starts=True)
        if known:
            self._compare_runs(seq, before, self._wall)

    def follow(self, seq: int, fields: Mapping[str, Any], *, starts: bool = False) -> None:
        """Compare a record with those before it in its run, and with what witnesses signed.

        Raises:
            Faulty: `backdated`.
        """
        monotonic = fields.get("monotonic_ns")
        try:
            text = fields["time"]
            if text[:20] == self._second and len(text) == 27:
                self._wall = self._begun + int(text[20:26]) / 1e6
            else:
                moment = _parse(text)
                if moment.tzinfo is None:
                    raise ValueError("a time of nowhere")
                self._wall = moment.timestamp()
                # Records come many to a second: as we write them, it is read once.
                self._second = text[:20] if text[26:] == "Z" else ""
                self._begun = self._wall // 1
                self._bounds.follow(seq, self._wall)
        except (KeyError, TypeError, ValueError, OverflowError):
            monotonic = None
        if type(monotonic) is not int:
            self._tell("time_unreadable", seq, f"record {seq} does not say when it was made")
            return
        offset = self._wall - monotonic / 1e9
        if self._offset is None:
            self._offset, self._latest = offset, monotonic
            if self._opening is None:
                self._opening = seq, self._wall, monotonic, starts
            return
        if not -STEP_SECONDS <= offset - self._offset <= STEP_SECONDS:
            self._step(seq, offset - self._offset)
            self._offset = offset
        if monotonic > self._latest:
            quiet, self._latest = monotonic - self._latest, monotonic
            if quiet > SHORTEST_SILENCE_NS:
                self._quiet(seq, quiet)

    def cosigned(self, size: int, seconds: int, place: str) -> None:
        """Compare the records so far with a witness's time, and those to come from now on.

        Args:
            size: number of records that the witness signed: all that were followed.
            seconds: when it did, POSIX.
            place: name of the file that holds its signature.

        Raises:
            Faulty: `time_after_witness`.
        """
        self._bounds.cosigned(size, seconds, place, self._wall)
        self._second = ""

    def join(self, before: "Clock") -> None:
        """Compare with what came before this segment, and take over what it began with.

        Raises:
            Faulty: `time_after_witness` or `backdated`.
        """
        self._bounds.join(before._bounds, before._wall)
        if self._opening is None:
            self._offset, self._latest = before._offset, before._latest
            self._limit, self._wall, self._opening = before._limit, before._wall, before._opening
            return
        seq, wall, monotonic, starts = self._opening
        if before._opening is not None and starts:
            self._compare_runs(seq, before._wall, wall)
        elif before._offset is not None:
            step = wall - monotonic / 1e9 - before._offset
            if not -STEP_SECONDS <= step <= STEP_SECONDS:
                self._step(seq, step)
            self._silences.append((monotonic - before._latest, seq))
        limit = inf if before._limit is None else before._limit
        for quiet, quiet_seq in sorted(self._silences, key=lambda silence: silence[1]):
            self._judge(quiet_seq, quiet, limit)
        self._silences = []
        if self._limit is None:
            self._limit = before._limit

    def _compare_runs(self, seq: int, before: float, wall: float) -> None:
        if before - wall > STEP_SECONDS:
            back = before - wall
            self._tell("clock_step", seq, f"a run begins {back:.1f} s before what it follows")

    def _step(self, seq: int, step: float) -> None:
        self._tell("clock_step", seq, f"the clock moved by {step:+.1f} s at record {seq}")

    def _quiet(self, seq: int, quiet: int) -> None:
        if self._limit is not None:
            self._judge(seq, quiet, self._limit)
        elif len(self._silences) < MAX_NOTICES:
            heappush(self._silences, (quiet, seq))
        else:
            heappushpop(self._silences, (quiet, seq))

    def _judge(self, seq: int, quiet: int, limit: float) -> None:
        if quiet > limit:
            self._tell("silence", seq, f"nothing for {quiet / 1e9:.1f} s before record {seq}")

    def _tell(self, code: str, seq: int, sentence: str) -> None:
        if len(self.notices) < MAX_NOTICES:
            self.notices.append(Notice(code, seq, sentence))
        else:
            self.left_off += 1
