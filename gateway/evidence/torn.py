"""Bytes that a crash tore off, moved aside before they are cut: never thrown away.

The copy is durable under its own name before the file is shortened, so a crash in between leaves
both. Does not decide what is torn (`recovery.py`, `heads.py`) and tells nobody of it.
"""

import os
from pathlib import Path
from typing import Final

from gateway.evidence.disk import private, sync_folder

UNTOLD: Final = ".untold"
"""Ends the name of a file of cut bytes until a `gap` record tells of it."""
_PIECE: Final = 1024 * 1024


def move_aside(path: Path, offset: int, prefix: str, ending: str = "") -> None:
    """Move everything of a file from `offset` on into `<prefix>-<offset>-<n>.bin<ending>`.

    Raises:
        OSError: it could not be copied, or not be cut off.
    """
    aside = _free_name(path.with_name(f"{prefix}-{offset}"))
    part = aside.with_suffix(".part")
    with path.open("rb") as source, open(part, "wb", opener=private) as copy:
        source.seek(offset)
        while piece := source.read(_PIECE):
            copy.write(piece)
        copy.flush()
        os.fsync(copy.fileno())
    # A crash here leaves the tail in place and a `.part` file that nobody reads.
    part.rename(aside.with_name(aside.name + ending))
    sync_folder(path.parent)
    # A crash here leaves the tail in place and a copy: the next open moves it aside once more.
    with path.open("r+b") as file:
        file.truncate(offset)
        os.fsync(file.fileno())
    # A crash here leaves a cut that no record tells of: recovery finds it by its file.


def _free_name(stem: Path) -> Path:
    number = 1
    while True:
        aside = stem.with_name(f"{stem.name}-{number}.bin")
        if not (aside.exists() or aside.with_name(aside.name + UNTOLD).exists()):
            return aside
        number += 1
