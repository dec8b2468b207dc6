"""The legal hold: while its file lies in the evidence folder, nothing is deleted there.

Whatever lies under that name counts as a hold, readable or not: a hold that cannot be understood
must not be lost by that. Placing and releasing take effect at once, whether the gateway runs or
not; they are not records, since only the gateway's writer may append. Does not delete anything
(`retention.py`).
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from gateway.core.canonical import dumps, parse_object
from gateway.core.errors import EvidenceError, MalformedMessage
from gateway.evidence.disk import private, sync_folder

HOLD_NAME: Final = "legal-hold.json"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing is deleted."""

    reason: str
    since: str
    """RFC 3339, UTC; empty if the file does not say."""
    by: str
    """Who placed it, as the machine knows them; empty if the file does not say."""


def held(folder: Path) -> Hold | None:
    """Return the hold on a log, None if there is none.

    Raises:
        OSError: the folder itself cannot be read, so nobody knows.
    """
    path = folder / HOLD_NAME
    # lstat, because a link that leads nowhere is something under that name too.
    if not os.path.lexists(path):
        return None
    try:
        fields = parse_object(path.read_bytes())
        return Hold(*(str(fields[name]) for name in ("reason", "since", "by")))
    except (OSError, MalformedMessage, KeyError):
        return Hold("the hold file cannot be read", "", "")


def place(folder: Path, hold: Hold) -> None:
    """Place a hold, durable when this returns.

    Raises:
        EvidenceError: there is one already (`hold_in_place`); its reason is not overwritten.
        OSError: it is not placed.
    """
    path = folder / HOLD_NAME
    part = path.with_suffix(".part")
    with open(part, "wb", opener=private) as file:
        file.write(dumps(asdict(hold)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    # A crash here leaves a `.part` file, which is no hold: nobody was told that there is one.
    try:
        os.link(part, path)
    except FileExistsError as exc:
        raise EvidenceError("a legal hold is in place already", code="hold_in_place") from exc
    finally:
        part.unlink()
    sync_folder(folder)


def release(folder: Path) -> Hold | None:
    """Lift the hold, and return what it was; None if there was none.

    Raises:
        OSError: it may still be in place.
    """
    hold = held(folder)
    if hold is not None:
        (folder / HOLD_NAME).unlink()
        sync_folder(folder)
    return hold
