"""What a crash left behind, made whole again without hiding it.

A crash leaves lines that cannot be read, and only at the end: everything before the last segment
was synced before its successor was made. There, a power cut may have put a batch on disk out of
order, so the first line that cannot be read ends the log, even if later ones can. A line that reads
well and does not follow the one before it is no crash but damage, and going on after it would
vouch for a changed record: the log is not opened. The cut bytes are moved aside, never thrown away,
and the new run records the cut (`gap`) and every intent that has no outcome (`orphaned`). Does not
write records (`appender.py`) and does not judge what they say.
"""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.core.errors import VerificationError
from gateway.core.record import Record
from gateway.evidence.chain import Chain
from gateway.evidence.disk import sync_folder
from gateway.evidence.segments import first_seq, lines, name, segments

_TORN: Final = re.compile(r"torn-([0-9]{12,})-([0-9]+)-[0-9]+\.bin")
_TORN_CODES: Final = frozenset({"line_unfinished", "record_unreadable"})
"""What a crash can do to a line; `seq_broken` and `prev_mismatch` take a hand or a bad disk."""
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where a log ends, and what its next run must say about the run before."""

    seq: int
    """The seq of the next record."""
    prev: str
    """The `prev` of the next record."""
    segment: Path | None
    """The segment that goes on; None when the log has none yet."""
    offset: int
    """The length of that segment in bytes."""
    gaps: tuple[dict[str, Any], ...]
    """Fields of the `gap` records that are due."""
    open_calls: tuple[str, ...]
    """The call_id of every intent without an outcome, oldest first."""


@dataclass(slots=True)
class _Memory:
    """What is kept of the records read: nothing but loose ends."""

    open_calls: dict[str, None]
    told: set[str]
    """Names of the files of cut bytes that a `gap` record speaks of."""

    def keep(self, record: Record) -> None:
        call_id = record.fields.get("call_id")
        if record.kind == "intent" and isinstance(call_id, str):
            self.open_calls[call_id] = None
        elif record.kind == "outcome" and isinstance(call_id, str):
            self.open_calls.pop(call_id, None)
        elif record.kind == "gap":
            self.told.add(str(record.fields.get("file")))


def recover(folder: Path) -> Recovered:
    """Read the whole log, cut a torn tail, and say where to go on; holds no lock itself.

    Raises:
        VerificationError: a record is damaged where no crash can have torn it.
        OSError: the folder cannot be read or the tail cannot be cut.
    """
    chain, memory = Chain(), _Memory({}, set())
    paths = segments(folder)
    good = 0
    for path in paths:
        _check_place(path, chain)
        good = _scan(path, chain, memory.keep, torn_allowed=path is paths[-1])
    if paths and good < paths[-1].stat().st_size:
        _cut(paths[-1], good)
    if paths and good == 0:
        # Torn before its first record: the segment never began. Its predecessor goes on.
        paths.pop().unlink()
        sync_folder(folder)
        # A crash here leaves the log as it was before that segment: the next open goes on.
    last = paths[-1] if paths else None
    return Recovered(
        seq=chain.seq,
        prev=chain.prev,
        segment=last,
        offset=last.stat().st_size if last else 0,
        gaps=_untold_gaps(folder, memory.told),
        open_calls=tuple(memory.open_calls),
    )


def _check_place(path: Path, chain: Chain) -> None:
    if first_seq(path) != chain.seq:
        raise VerificationError(
            f"{path.name}: {name(chain.seq)} should stand here; a segment is missing or renamed"
        )


def _scan(path: Path, chain: Chain, keep: Callable[[Record], None], *, torn_allowed: bool) -> int:
    """Follow a segment to its end, or to where it is torn; return the bytes before that."""
    good = 0
    for number, raw in enumerate(lines(path), 1):
        try:
            record = chain.follow(raw)
        except VerificationError as exc:
            if torn_allowed and exc.reason_code in _TORN_CODES:
                break
            raise VerificationError(f"{path.name}, line {number}: {exc.message}") from exc
        keep(record)
        good += len(raw)
    return good


def _cut(path: Path, offset: int) -> None:
    """Move everything from `offset` on into a file of its own, then cut it off."""
    aside = _free_name(path, offset)
    part = aside.with_suffix(".part")
    with path.open("rb") as source, open(part, "wb", opener=_private) as copy:
        source.seek(offset)
        while piece := source.read(_PIECE):
            copy.write(piece)
        copy.flush()
        os.fsync(copy.fileno())
    # A crash here leaves the tail in place and a `.part` file that nobody reads.
    part.rename(aside)
    sync_folder(path.parent)
    # A crash here leaves the tail in place and a copy: the next open moves it aside once more.
    with path.open("r+b") as segment:
        segment.truncate(offset)
        os.fsync(segment.fileno())
    # A crash here leaves a cut that no record tells of: `_untold_gaps` finds it by its file.


def _free_name(path: Path, offset: int) -> Path:
    number = 1
    while (aside := path.with_name(_torn_name(path, offset, number))).exists():
        number += 1
    return aside


def _torn_name(path: Path, offset: int, number: int) -> str:
    return f"torn-{first_seq(path):012d}-{offset}-{number}.bin"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _untold_gaps(folder: Path, told: set[str]) -> tuple[dict[str, Any], ...]:
    """Return the fields of a `gap` record for every cut that no record tells of yet."""
    found = [(path, match) for path in folder.iterdir() if (match := _TORN.fullmatch(path.name))]
    return tuple(
        _gap(path, name(int(match[1])), int(match[2]))
        for path, match in sorted(found, key=lambda pair: pair[0].name)
        if path.name not in told
    )


def _gap(path: Path, segment: str, offset: int) -> dict[str, Any]:
    with path.open("rb") as file:
        hashed = hashlib.file_digest(file, "sha256")
    return {
        "segment": segment,
        "offset": offset,
        "bytes": path.stat().st_size,
        "file": path.name,
        "digest": f"sha256:{hashed.hexdigest()}",
    }
