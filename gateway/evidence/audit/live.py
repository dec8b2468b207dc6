"""Whether somebody is writing to a log while it is read.

The writer holds `writer.lock` with flock(2), https://man7.org/linux/man-pages/man2/flock.2.html. It
is asked through a descriptor that cannot write, and let go at once. Does not wait, and does not
make the file.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

_LOCK: Final = "writer.lock"


def is_written(folder: Path) -> bool:
    """Say whether a writer holds the log; no, if that cannot be found out."""
    try:
        fd = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False
