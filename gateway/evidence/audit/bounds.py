"""What witnesses say of when records were made: bounds on the times that records carry.

A cosignature carries the time at which its witness signed (https://c2sp.org/tlog-cosignature). The
newest record under it cannot have been made later, and no record after it earlier: every anchor is
given the newest checkpoint there is. The clocks of both may differ by `SKEW_SECONDS`. Does not
check signatures (`heads.py`), does not read times (`clock.py`), and says nothing of a record whose
time cannot be read, or of the first one of a segment.
"""

from math import inf
from typing import Final

from gateway.evidence.audit.fault import Faulty, faulty

SKEW_SECONDS: Final = 300
"""How far the clocks of a log and a witness may differ, and how long a signature may take."""
MAX_FALLS: Final = 100
"""Most times kept that lie before all those before them in one segment."""


class Bounds:
    """The bounds within one segment; `join` then puts it behind another."""

    def __init__(self) -> None:
        self._floor, self._place = -inf, ""
        """Earliest wall time that the next record may have, and the file that says so."""
        self._older = -inf
        """The same, without the cosignatures of the size at hand."""
        self._size, self._earliest = 0, inf
        """The newest size that was cosigned, and when that was first done."""
        self._falls: list[tuple[float, int]] = []
        """Wall time and seq of each record that is earlier than all before it, oldest first."""
        self._waiting: list[tuple[int, int, str]] = []
        """Cosignatures of what this segment holds no time of: compared with the one before it."""

    def follow(self, seq: int, wall: float) -> None:
        """Compare the time of a record with what was signed before it.

        Raises:
            Faulty: `backdated`.
        """
        if wall < self._floor:
            raise self._backdated(seq, wall)
        if not self._falls or wall < self._falls[-1][0]:
            del self._falls[MAX_FALLS - 1 :]
            self._falls.append((wall, seq))

    def cosigned(self, size: int, seconds: int, place: str, wall: float) -> None:
        """Take a witness's signature of `size` records, of which the newest has this time.

        Args:
            size: number of records.
            seconds: when the witness signed, POSIX.
            place: name of the file that holds the signature.
            wall: time of the newest record whose time could be read, POSIX; 0 if none here.

        Raises:
            Faulty: `time_after_witness`.
        """
        if not wall:
            self._waiting = [*self._waiting, (size, seconds, place)][-MAX_FALLS:]
        _compare(size, seconds, place, wall)
        if size != self._size:
            self._size, self._earliest, self._older = size, inf, self._floor
        # Whoever signs the same again, later, says nothing of the records after it.
        self._earliest = min(self._earliest, seconds)
        self._floor = max(self._older, self._earliest - SKEW_SECONDS)
        self._place = place

    def join(self, before: "Bounds", wall: float) -> None:
        """Compare with what came before this segment, the newest of which has this time.

        Raises:
            Faulty: `time_after_witness` or `backdated`.
        """
        for size, seconds, place in self._waiting:
            _compare(size, seconds, place, wall)
        for fallen, seq in self._falls:
            if fallen < before._floor:
                raise before._backdated(seq, fallen)
        if before._floor > self._floor:
            self._floor, self._place = before._floor, before._place

    def _backdated(self, seq: int, wall: float) -> Faulty:
        early = self._floor + SKEW_SECONDS - wall
        sentence = (
            f"record {seq} bears a time {early:.0f} s before that at which a witness had signed "
            "the records before it, but not this one"
        )
        return faulty("backdated", seq, self._place, 0, sentence)


def _compare(size: int, seconds: int, place: str, wall: float) -> None:
    if wall > seconds + SKEW_SECONDS:
        late = wall - seconds
        sentence = (
            f"record {size - 1} bears a time {late:.0f} s after that at which a witness signed it"
        )
        raise faulty("time_after_witness", size - 1, place, 0, sentence)
