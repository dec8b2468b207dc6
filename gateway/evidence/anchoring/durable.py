"""A file of JSON lines that one process appends to now and then, each line durable by itself.

A line that a crash left without its newline was never believed, and is cut off before the next one
is written. A line whose sync failed is cut off too: it must not be read as durable later (fsync(2),
https://man7.org/linux/man-pages/man2/fsync.2.html). Keeps no descriptor open; for files that are
written often there is `logfile.py`. Does not know what a line says.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gateway.evidence.disk import Disk, OSDisk, sync_folder
from gateway.evidence.logfile import LogFile
from gateway.evidence.segments import lines_from_end


def append_line(path: Path, line: bytes, disk: Disk | None = None) -> None:
    """Append a line, durable when this returns; the file is made if missing, its folder is not.

    Args:
        path: the file.
        line: without its newline, and without any other.
        disk: the real one, if none is given.

    Raises:
        OSError: the line is not in the file.
    """
    made = not path.exists()
    cut_torn(path)
    file = LogFile(path, disk or OSDisk())
    before = file.length
    try:
        file.append(line + b"\n")
        file.sync()
        if made:
            sync_folder(path.parent)
    except OSError:
        with suppress(OSError):
            os.truncate(path, before)
        raise
    finally:
        file.close()


def last_line(path: Path) -> bytes | None:
    """Return the last whole line with its newline, None if there is none.

    Raises:
        OSError: the file is there and cannot be read.
    """
    return next(whole_lines(path), None)


def whole_lines(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a file with their newlines, newest first; none if it is missing.

    Raises:
        OSError: the file is there and cannot be read.
    """
    if path.exists():
        yield from (raw for raw in lines_from_end(path) if raw.endswith(b"\n"))


def cut_torn(path: Path) -> None:
    """Cut off a last line without newline.

    Raises:
        OSError: it cannot be cut off.
    """
    torn = next(lines_from_end(path), b"\n") if path.exists() else b"\n"
    if not torn.endswith(b"\n"):
        os.truncate(path, path.stat().st_size - len(torn))
