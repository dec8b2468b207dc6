"""Removing a blob while somebody may be about to name it again.

The same bytes are kept once, so a call may rely on a blob that is already there, just when
retention removes it. Whoever relies on one says so (`rely`), which renews its time; what was
relied on lately is not removed. Works within one process, and a log has one writer. Does not know
which records name a blob (`holdings.py`).
"""

import os
from pathlib import Path
from threading import Lock

_LOCK = Lock()


def rely(blob: Path) -> bool:
    """Say whether a blob is there; if it is, it stays until the record that names it is durable."""
    with _LOCK:
        try:
            os.utime(blob)
        except FileNotFoundError:
            return False
        return True


def remove(blob: Path, before_ns: int) -> bool:
    """Remove a blob unless somebody relied on it since `before_ns` (wall time); say if it is gone.

    Raises:
        OSError: it cannot be removed.
    """
    with _LOCK:
        if not blob.exists():
            return True
        if blob.stat().st_mtime_ns >= before_ns:
            return False
        blob.unlink()
        return True
