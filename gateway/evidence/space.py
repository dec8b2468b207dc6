"""What a disk that fills up still takes: everything, reads only, or nothing but what closes.

Watermarks are the share of the file system that is free: under the first a warning, under the
second only calls that read, under the third no call at all. A reserve file is freed when a record
that must be written (an outcome, a stop, a seal) finds the disk full, so that what was begun can be
closed; the log is unhealthy until the reserve is there again. The writer's thread looks, so that a
disk that hangs stops nobody else. Does not write records.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from gateway.ports import Clock

RESERVE_NAME: Final = "reserve.bin"
LOOK_NS: Final = 1_000_000_000
"""Between two looks at the disk."""


class Level(IntEnum):
    """How much is left; larger is worse."""

    PLENTY = 0
    WARN = 1
    READS_ONLY = 2
    STOP = 3


@dataclass(frozen=True, slots=True)
class Watermarks:
    """Percent of the file system that must be free, and the length of the reserve in bytes."""

    warn: float = 20
    reads_only: float = 10
    stop: float = 5
    reserve_bytes: int = 64 * 1024 * 1024


def free_percent(folder: Path) -> float:
    """Return how much of the file system is free to us, in percent.

    Raises:
        OSError: it does not say.
    """
    seen = os.statvfs(folder)
    return 100 * seen.f_bavail / seen.f_blocks if seen.f_blocks else 100.0


class Space:
    """Watches one folder; made by the writer."""

    def __init__(
        self,
        folder: Path,
        watermarks: Watermarks,
        clock: Clock,
        free: Callable[[Path], float] = free_percent,
    ) -> None:
        self._folder, self._marks, self._clock = folder, watermarks, clock
        self._reserve = folder / RESERVE_NAME
        self._free = free
        self._looked_ns: int | None = None
        self.level = Level.PLENTY
        """How much was left at the last look."""
        self.reserved = False

    def refusal(self, kind: str, effect: str | None) -> str | None:
        """Return why a record may not be begun now; what closes something always may."""
        if kind not in ("intent", "refusal"):
            return None
        level = self.level
        if level is Level.STOP or not self.reserved:
            return "the disk is almost full: no call is taken"
        if level is Level.READS_ONLY and kind == "intent" and effect != "read":
            return "the disk is filling up: only calls that read are taken"
        return None

    def look(self) -> Level:
        """Return how much is left, looking at most once a second; may hang as the disk does."""
        now = self._clock.monotonic_ns()
        if self._looked_ns is None or now - self._looked_ns >= LOOK_NS:
            self._looked_ns, self.level = now, self._look()
        return self.level

    def reserve(self) -> None:
        """Take the room of the reserve, if it is not taken.

        Raises:
            OSError: there is no room for it.
        """
        self.look()
        if self.reserved:
            return
        if self._marks.reserve_bytes:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            fd = os.open(self._reserve, flags, 0o600)
            try:
                os.posix_fallocate(fd, 0, self._marks.reserve_bytes)
            except OSError:
                # Half a reserve would hold room back from the records that are to fit.
                self._reserve.unlink()
                raise
            finally:
                os.close(fd)
        self.reserved = True

    def restore(self) -> None:
        """Take the reserve again once the disk has room.

        Raises:
            OSError: it has not.
        """
        if not self.reserved and self.look() < Level.STOP:
            self.reserve()

    def release(self) -> bool:
        """Give the reserve to the records that must be written; say whether there was one."""
        if not self.reserved:
            return False
        self.reserved = False
        self._reserve.unlink(missing_ok=True)
        return bool(self._marks.reserve_bytes)

    def _look(self) -> Level:
        try:
            free = self._free(self._folder)
        except OSError:
            # A disk that does not answer takes nothing.
            return Level.STOP
        for level, mark in (
            (Level.STOP, self._marks.stop),
            (Level.READS_ONLY, self._marks.reads_only),
            (Level.WARN, self._marks.warn),
        ):
            if free < mark:
                return level
        return Level.PLENTY
