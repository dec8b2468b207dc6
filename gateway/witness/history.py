"""`history.jsonl` as a witness reads it at its start: once, in one pass, whatever its length.

Only the newest line of each log counts there, so only its signature is checked (`memory.py`); that
of every line is for the auditor. What is no line of ours in the middle stops the start. At the end
it is what a power cut leaves of the line that was being written, which nobody was answered for; it
is moved aside, once it is known that nothing else is missing. Does not check signatures.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from gateway.core.canonical import parse_object
from gateway.core.checkpoint import decimal
from gateway.core.errors import GatewayError
from gateway.evidence.segments import lines

HISTORY_NAME: Final = "history.jsonl"


@dataclass(slots=True)
class Newest:
    """What the history says last."""

    lines: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """By origin: the largest size, and the last line that has it; both unchecked."""
    garbage: bytes | None = None
    """The last line, if it is none of ours."""


def newest(path: Path, unreadable: Callable[[], GatewayError]) -> Newest:
    """Read the history of a witness; empty if there is none.

    Raises:
        GatewayError: `unreadable()`, if a line before the last is none of ours.
        OSError: the file is there and cannot be read.
    """
    found = Newest()
    for raw in lines(path) if path.exists() else ():
        if found.garbage is not None:
            raise unreadable()
        try:
            origin, size = _claims(raw)
        except (GatewayError, ValueError, KeyError):
            found.garbage = raw
            continue
        if size >= found.lines.get(origin, (0, raw))[0]:
            found.lines[origin] = (size, raw)
    return found


def move_aside(path: Path, garbage: bytes, replace: Callable[[Path, bytes], None]) -> Path:
    """Cut off the last line, keep it in a file beside the history, and return that file.

    Raises:
        OSError: the history is as it was.
    """
    aside = path.with_name(f"{path.name}.{sha256(garbage).hexdigest()[:16]}.damaged")
    replace(aside, garbage)
    # A crash here leaves both; the next start moves it to the same place.
    os.truncate(path, path.stat().st_size - len(garbage))
    return aside


def _claims(raw: bytes) -> tuple[str, int]:
    """Return the origin and the size that a line says it is about."""
    origin, size, _ = str(parse_object(raw)["note"]).split("\n", 2)
    return origin, decimal(size)
