"""What differs once a bundle was changed: names, sizes and times, contents unread.

Cheap enough to be asked every few seconds. Does not say what changed, nor whether it is sound.
"""

import os
from pathlib import Path


def fingerprint(path: Path) -> object:
    """Return what differs once a bundle was changed: names, sizes and times, contents unread."""
    try:
        is_folder = path.is_dir()
    except OSError:
        return None
    if not is_folder:
        return _stamp(path)
    return tuple(
        (parent, name, _stamp(Path(parent, name)))
        for parent, folders, names in os.walk(path)
        for name in sorted((*folders, *names))
    )


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
