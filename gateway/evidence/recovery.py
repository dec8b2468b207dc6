"""What a crash left behind, made whole again without hiding it.

A crash leaves lines that cannot be read, and only at the end: everything before the last segment
was synced and sealed before its successor was made, and that successor's first record says all that
is needed to go on. There, a power cut may have put a batch on disk out of order, so the first line
that cannot be read ends the log, even if later ones can. A line that reads well and does not follow
the one before it is no crash but damage, and so is a torn line that a checkpoint covers: going on
would vouch for a changed record, and the log is not opened. The cut bytes are moved aside, never
thrown away, and the new run records the cut (`gap`) and every intent that has no outcome
(`orphaned`). Does not write records (`appender.py`), does not judge what they say, and does not
read earlier segments (`verify.py`).
"""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import VerificationError
from gateway.core.merkle import Frontier
from gateway.core.record import NO_PREV, Record, decode, hash_bytes
from gateway.evidence.chain import Chain, read
from gateway.evidence.disk import sync_folder
from gateway.evidence.heads import cut_torn
from gateway.evidence.segments import (
    first_seq,
    is_compressed,
    lines,
    lines_from_end,
    name,
    segments,
)
from gateway.evidence.torn import UNTOLD, move_aside
from gateway.evidence.tree import NodeFile
from gateway.evidence.vouched import newest_vouched

_TORN: Final = re.compile(r"torn-([0-9]{12,})-([0-9]+)-[0-9]+\.bin")
_TORN_CODES: Final = frozenset({"line_unfinished", "record_unreadable"})
"""What a crash can do to a line; `seq_broken` and `prev_mismatch` take a hand or a bad disk."""


@dataclass(slots=True)
class Recovered:
    """Where a log ends, and what its next run must say about the run before."""

    seq: int = 0
    """The seq of the next record."""
    prev: str = NO_PREV
    """The `prev` of the next record."""
    frontier: Frontier = field(default_factory=Frontier)
    """The tree over every record."""
    segment: Path | None = None
    """The last segment; None when the log has none yet."""
    first_seq: int = 0
    """The seq of that segment's first record."""
    sealed: bool = False
    """Whether that segment is complete, so that another must begin."""
    began: int | None = None
    """When that segment began, wall clock, ns since the epoch; None when it does not say."""
    stopped: bool = False
    """Whether the last run ended in order, so that only a `start` may follow."""
    vouched: int = 0
    """Records that the newest checkpoint covers."""
    origin: str | None = None
    epoch: int | None = None
    key: str | None = None
    """The log's name, and the key epoch and verifier key in force; None when there is no record."""
    gaps: tuple[dict[str, Any], ...] = ()
    """Fields of the `gap` records that are due."""
    open_calls: dict[str, None] = field(default_factory=dict)
    """The call_id of every intent without an outcome, oldest first."""
    told: set[str] = field(default_factory=set)
    """Names of the files of cut bytes that a `gap` record of this segment speaks of."""

    @property
    def adopted(self) -> dict[str, int] | None:
        """The records that no signature vouches for yet, `from` to before `to`; None if all are."""
        if self.vouched >= self.seq:
            return None
        return {"from": self.vouched, "to": self.seq}

    def refuse_misplaced(self, record: Record, place: str) -> None:
        """Refuse a record that no gateway writes here: the next signature would vouch for it.

        Raises:
            VerificationError: it follows a `stop` and does not lead to a `start`
                (`record_after_stop`), or follows its segment's `seal` (`segment_mismatch`).
        """
        if self.sealed:
            raise VerificationError(f"{place}: it follows the seal", code="segment_mismatch")
        if self.stopped and record.kind not in ("start", "seal", "segment"):
            raise VerificationError(
                f"{place}: a {record.kind} follows a stop, where only a start may",
                code="record_after_stop",
            )

    def keep(self, record: Record) -> None:
        """Take what a record changes."""
        fields = record.fields
        call_id = str(fields.get("call_id"))
        match record.kind:
            case "segment":
                self.origin = str(fields.get("origin"))
                self.epoch, self.key = fields.get("epoch"), fields.get("key")
                self.began = _ns(fields.get("time"))
            case "start" | "stop":
                self.stopped = record.kind == "stop"
            case "key-rotate":
                self.epoch, self.key = fields.get("epoch"), fields.get("key")
            case "intent":
                self.open_calls[call_id] = None
            case "outcome":
                self.open_calls.pop(call_id, None)
            case "gap":
                self.told.add(str(fields.get("file")))
            case _:
                pass
        self.sealed = record.kind == "seal"
        self.seq, self.prev = record.seq + 1, record.leaf_hash


def recover(folder: Path, tree: NodeFile) -> Recovered:
    """Read the last segment, cut a torn tail, and say where to go on; holds no lock itself.

    Args:
        folder: the log's folder.
        tree: the index of the tree, brought up to date.

    Raises:
        VerificationError: a record is damaged where no crash can have torn it.
        OSError: the folder cannot be read or the tail cannot be cut.
    """
    cut_torn(folder)
    paths, end = segments(folder), Recovered()
    newest = newest_vouched(folder, paths)
    while paths:
        end, good = _scan(paths, tree, newest)
        if not is_compressed(paths[-1]) and good < paths[-1].stat().st_size:
            prefix = f"torn-{first_seq(paths[-1]):012d}"
            move_aside(paths[-1], good, prefix, UNTOLD)
        if good:
            break
        # Torn before its first record: the segment never began. Its predecessor goes on.
        paths.pop().unlink()
        sync_folder(folder)
        # A crash here leaves the log as it was before that segment: the next open goes on.
        end = Recovered()
    if newest and newest.size > end.seq:
        raise VerificationError(
            f"record {end.seq} is missing: the newest checkpoint covers {newest.size} records",
            code="records_missing",
        )
    end.vouched = newest.size if newest else 0
    end.gaps = _untold_gaps(folder, end.told)
    return end


def told(folder: Path, gaps: tuple[dict[str, Any], ...]) -> None:
    """Note that `gap` records of these are durable."""
    for gap in gaps:
        path = folder / str(gap["file"])
        path.with_name(path.name + UNTOLD).rename(path)
    if gaps:
        sync_folder(folder)


def _scan(paths: list[Path], tree: NodeFile, newest: Checkpoint | None) -> tuple[Recovered, int]:
    """Follow the last segment to its end, or to where it is torn; and the bytes before that."""
    path, earlier = paths[-1], paths[:-1]
    end = Recovered(segment=path, first_seq=first_seq(path))
    chain, good = Chain(end.first_seq, NO_PREV), 0
    for number, raw in enumerate(lines(path), 1):
        try:
            if number == 1:
                _begin(raw, end, chain, earlier, tree)
            record = chain.follow(raw)
        except VerificationError as exc:
            covered = chain.seq < (newest.size if newest else 0)
            # Only a sealed segment is compressed, and a seal is durable.
            if exc.reason_code in _TORN_CODES and not covered and not is_compressed(path):
                break
            raise VerificationError(f"{path.name}, line {number}: {exc.message}") from exc
        _check_root(end.frontier, newest)
        end.refuse_misplaced(record, f"{path.name}, line {number}")
        end.keep(record)
        tree.add(end.frontier.append(hash_bytes(record.leaf_hash)))
        good += len(raw)
    _check_root(end.frontier, newest)
    tree.flush()
    return end, good


def _check_root(frontier: Frontier, newest: Checkpoint | None) -> None:
    """Refuse records that are others than the newest checkpoint vouches for."""
    if newest and frontier.size == newest.size and frontier.root() != newest.root:
        raise VerificationError(
            "the records up to here are not those of the newest checkpoint",
            code="checkpoint_mismatch",
        )


def _begin(raw: bytes, end: Recovered, chain: Chain, earlier: list[Path], tree: NodeFile) -> None:
    """Take from a segment's first record what the segments before it amount to."""
    if not raw.endswith(b"\n"):
        raise VerificationError("the line does not end with a newline", code="line_unfinished")
    record = decode(raw[:-1])
    if earlier:
        chain.prev, end.stopped = _end_of(earlier[-1])
    elif end.first_seq > 0:
        # Every segment before this one was shipped away.
        chain.prev = record.prev
    _check_begin(record, chain.prev)
    try:
        peaks = tuple(map(bytes.fromhex, record.fields["frontier"]))
        end.frontier = Frontier.of(end.first_seq, peaks)
        end.open_calls = dict.fromkeys(map(str, record.fields["open_calls"]))
    except (KeyError, TypeError, ValueError) as exc:
        raise VerificationError(
            "the segment's first record does not say where it begins", code="segment_mismatch"
        ) from exc
    if not tree.agrees(end.frontier):
        tree.rebuild(earlier, end.frontier)


def _end_of(path: Path) -> tuple[str, bool]:
    """Return the leaf hash of a segment's last record, and whether a `stop` came before its seal.

    Raises:
        VerificationError: its last record is no `seal` (`segment_mismatch`).
    """
    try:
        seal, *before = map(read, islice(lines_from_end(path), 2))
    except (VerificationError, ValueError) as exc:
        # Under its own code, this damage would pass for a torn line of the segment after it.
        raise _unfollowed() from exc
    if seal.kind != "seal":
        raise _unfollowed()
    return seal.leaf_hash, bool(before) and before[0].kind == "stop"


def _check_begin(record: Record, prev: str) -> None:
    if record.kind != "segment" or record.prev != prev:
        raise _unfollowed()


def _unfollowed() -> VerificationError:
    return VerificationError(
        "it does not follow the segment before it: a segment is missing, renamed or changed",
        code="segment_mismatch",
    )


def _ns(time: Any) -> int | None:
    """Return RFC 3339 text as nanoseconds since the Unix epoch; None if it is not that."""
    try:
        return round(datetime.fromisoformat(str(time)).timestamp() * 1e6) * 1000
    except ValueError:
        return None


def _untold_gaps(folder: Path, told: set[str]) -> tuple[dict[str, Any], ...]:
    """Return the fields of a `gap` record for every cut that no record tells of yet."""
    gaps = []
    for path in sorted(folder.glob(f"torn-*{UNTOLD}")):
        match = _TORN.fullmatch(path.name.removesuffix(UNTOLD))
        if match and match[0] in told:
            # A crash fell between the record and this renaming.
            path.rename(path.with_name(match[0]))
        elif match:
            gaps.append(_gap(path, match[0], name(int(match[1])), int(match[2])))
    return tuple(gaps)


def _gap(path: Path, file: str, segment: str, offset: int) -> dict[str, Any]:
    with path.open("rb") as cut:
        hashed = hashlib.file_digest(cut, "sha256")
    return {
        "segment": segment,
        "offset": offset,
        "bytes": path.stat().st_size,
        "file": file,
        "digest": f"sha256:{hashed.hexdigest()}",
    }
