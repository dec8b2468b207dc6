"""A file that only grows: whole writes or none, and a sync that is believed once.

A failed write is cut back to the length before it and may be tried again. A failed cut or sync is
final (`failure`): nobody knows what the disk then holds, and a second sync would succeed over data
that is not there (fsync(2), https://man7.org/linux/man-pages/man2/fsync.2.html). Used by one thread
at a time. Does not know records.
"""

import errno
import os
from pathlib import Path

from gateway.evidence.disk import Disk, open_segment


class LogFile:
    """One file and its length; see the module. Closed by `close`."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path, self._disk = path, disk
        self._fd = open_segment(path)
        self.length = os.fstat(self._fd).st_size
        """Bytes written whole, synced or not."""
        self.unsynced = False
        self.failure: str | None = None

    def append(self, data: bytes) -> None:
        """Write all of the data at the end.

        Raises:
            OSError: nothing of it is in the file, unless `failure` says that this is unknown.
        """
        self._refuse_if_failed()
        left = memoryview(data)
        try:
            while left:
                # A full disk takes part of the data without an error; the rest then raises ENOSPC.
                written = self._disk.write(self._fd, left)
                if written <= 0:
                    raise OSError(errno.EIO, "no byte was taken")
                left = left[written:]
        except OSError:
            self._cut_back()
            raise
        self.length += len(data)
        self.unsynced = True

    def sync(self) -> None:
        """Make what was written durable.

        Raises:
            OSError: it is not, and `failure` is set.
        """
        self._refuse_if_failed()
        if not self.unsynced:
            return
        try:
            self._disk.fdatasync(self._fd)
        except OSError as exc:
            self.failure = f"the disk could not sync and is not trusted any more: {exc.strerror}"
            raise
        self.unsynced = False

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _refuse_if_failed(self) -> None:
        if self.failure is not None:
            raise OSError(errno.EIO, self.failure)

    def _cut_back(self) -> None:
        try:
            self._disk.ftruncate(self._fd, self.length)
        except OSError as exc:
            self.failure = f"a torn batch could not be cut back: {exc.strerror}"
