"""The system calls that can fail under a log, and the lock that keeps a second writer out.

`Disk` is what tests script; everything that makes bytes durable goes through it. A failed
`fdatasync` is never retried: the kernel may have dropped the pages, so a second one would succeed
over data that is not there (fsync(2), https://man7.org/linux/man-pages/man2/fsync.2.html). Does not
know records.
"""

import fcntl
import os
from pathlib import Path
from typing import Final, Protocol

from gateway.core.errors import EvidenceUnavailable

LOCK_NAME: Final = "writer.lock"


class Disk(Protocol):
    """Writing as the operating system does it; each call may raise OSError or hang."""

    def write(self, fd: int, data: memoryview) -> int:
        """Write some of the data, at the end of the file; return how many bytes."""
        ...

    def fdatasync(self, fd: int) -> None:
        """Make what was written durable when this returns."""
        ...

    def ftruncate(self, fd: int, length: int) -> None:
        """Cut the file to `length` bytes."""
        ...


class OSDisk:
    """The real disk."""

    def write(self, fd: int, data: memoryview) -> int:
        """See `Disk.write`."""
        return os.write(fd, data)

    def fdatasync(self, fd: int) -> None:
        """See `Disk.fdatasync`."""
        os.fdatasync(fd)

    def ftruncate(self, fd: int, length: int) -> None:
        """See `Disk.ftruncate`."""
        os.ftruncate(fd, length)


def open_segment(path: Path) -> int:
    """Open a segment for appending, made if missing, and return its descriptor.

    O_APPEND matters: after a cut, the next write lands at the new end and leaves no hole.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def private(path: str, flags: int) -> int:
    """Open a file as `open` asks, readable by its owner only if it is made (an `opener`)."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, for its owner only, durable when this returns.

    Raises:
        FileExistsError: it is there, and is left as it is.
        OSError: it cannot be written, and is not there.
    """
    file = open(path, "xb", opener=private)
    try:
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as exc:
        path.unlink()
        raise OSError(exc.errno, exc.strerror, str(path)) from exc


def make_folder(folder: Path) -> None:
    """Make the folder of a log, readable by its owner only, durable when this returns."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A crash here leaves an empty folder or none: a log that has not begun.
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def hold_lock(folder: Path) -> int:
    """Take the folder for one writer; the lock lasts until the descriptor is closed.

    Raises:
        EvidenceUnavailable: another writer has it.
    """
    fd = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(fd)
        raise EvidenceUnavailable(
            f"{folder}: another gateway writes to this log; a log has one writer"
        ) from exc
    return fd
