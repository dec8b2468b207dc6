"""Looking records up in a log: by call, by seq, or the newest ones.

Reads the files as they are: to rely on an answer, verify the log first (`verify.py`).
Does not write and does not judge.
"""

from collections import deque
from pathlib import Path

from gateway.core.record import Record
from gateway.evidence.segments import records


def of_call(folder: Path, call_id: str) -> list[Record]:
    """Return the records of one call, oldest first; empty if the log does not know it.

    Args:
        folder: the log's folder.
        call_id: the whole id, or its last group, which is random (RFC 9562 §5.7).
    """
    ending = call_id if "-" in call_id else f"-{call_id}"
    return [record for record in records(folder) if _call_id(record).endswith(ending)]


def by_seq(folder: Path, seq: int) -> Record | None:
    """Return the record with this seq, None if there is none."""
    return next((record for record in records(folder) if record.seq == seq), None)


def newest(folder: Path, count: int) -> list[Record]:
    """Return the newest `count` records, oldest first."""
    return list(deque(records(folder), maxlen=count))


def _call_id(record: Record) -> str:
    return str(record.fields.get("call_id", ""))
