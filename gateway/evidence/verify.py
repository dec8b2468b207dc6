"""Verify a log offline, from its files alone.

For a folder, in this order:

1. Its segments are there and follow one another: the first is that of seq 0, and each is named by
   the seq that comes next.
2. Every line ends with a newline and reads strictly as one record.
3. seq runs from 0 without gap.
4. `prev` of each record is the leaf hash of the record before it (RFC 6962 §2.1,
   https://www.rfc-editor.org/rfc/rfc6962#section-2.1).
5. The first record of each segment, and no other, is of kind `segment` and agrees with the names.
6. Intents and outcomes pair up by `call_id`: no outcome without an open intent, and no intent while
   one with its `call_id` is open.

The first fault ends the check; what is before it is a valid prefix. A valid prefix is not a whole
log: records after the last one here, and a change to the very last record, leave no trace until a
checkpoint held elsewhere covers them. An auditor must be able to trust this module by itself: it
imports core and its own readers only. Does not repair, and does not judge what records say.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.core.errors import VerificationError
from gateway.core.record import Receipt, Record, leaf_hash
from gateway.evidence.chain import Chain, read
from gateway.evidence.report import Fault, Report
from gateway.evidence.segments import FORMAT, first_seq, lines, name, segments

PROGRESS_EVERY: Final = 10_000
"""Records between two reports of progress."""


def verify(folder: Path, progress: Callable[[int], None] | None = None) -> Report:
    """Check the log in `folder` and report what it holds, in memory that does not grow with it.

    Args:
        folder: the log's folder; nothing in it is changed.
        progress: called with the number of records checked, now and then.

    Raises:
        OSError: the files cannot be read.
    """
    tally = _Tally()
    try:
        for count, record in enumerate(_checked(folder, tally), 1):
            tally.count(record)
            if progress is not None and count % PROGRESS_EVERY == 0:
                progress(count)
    except _Faulty as exc:
        return tally.report(exc.fault)
    return tally.report(None)


class _Faulty(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.sentence)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class _Line:
    path: Path
    number: int
    raw: bytes
    final: bool
    """Whether it is in the last segment, where a torn line may be."""

    def fault(self, code: str, seq: int, sentence: str) -> _Faulty:
        return _Faulty(Fault(code, seq, self.path.name, self.number, sentence))


@dataclass(slots=True)
class _Tally:
    kinds: dict[str, int] = field(default_factory=dict)
    orphaned: int = 0
    open_calls: set[str] = field(default_factory=set)
    segments: int = 0
    head: Receipt | None = None

    def count(self, record: Record) -> None:
        self.kinds[record.kind] = self.kinds.get(record.kind, 0) + 1
        self.orphaned += record.kind == "outcome" and record.fields.get("status") == "orphaned"
        self.head = Receipt(record.seq, record.leaf_hash)

    def report(self, fault: Fault | None) -> Report:
        return Report(
            records=sum(self.kinds.values()),
            calls=self.kinds.get("intent", 0),
            outcomes=self.kinds.get("outcome", 0),
            refusals=self.kinds.get("refusal", 0),
            orphaned=self.orphaned,
            open_intents=len(self.open_calls),
            segments=self.segments,
            head=self.head,
            fault=fault,
        )


def _checked(folder: Path, tally: _Tally) -> Iterator[Record]:
    """Yield every record that passes the steps; the first that does not raises `_Faulty`."""
    chain = Chain()
    before: _Line | None = None
    found = _lines(segments(folder), chain, tally)  # 1. Segments follow one another.
    for line in found:
        try:
            record = chain.follow(line.raw)  # 2. It reads.  3. Its seq.  4. Its prev.
        except VerificationError as exc:
            raise _broken(exc.reason_code, line, before, chain, found) from exc
        _check_segment_record(line, record, before)  # 5. Segment records agree with the names.
        _check_pairing(line, record, tally.open_calls)  # 6. Intents and outcomes pair up.
        before = line
        yield record


def _lines(paths: list[Path], chain: Chain, tally: _Tally) -> Iterator[_Line]:
    """Yield every line, in the order that the names of the segments promise."""
    if not paths:
        raise _missing(0)
    for path in paths:
        if first_seq(path) != chain.seq:
            raise _missing(chain.seq)
        tally.segments += 1
        final, number = path is paths[-1], 0
        for number, raw in enumerate(lines(path), 1):
            yield _Line(path, number, raw, final)
        if number == 0:
            code = "torn_tail" if final else "record_damaged"
            line = _Line(path, 1, b"", final)
            raise line.fault(code, chain.seq, f"{path.name} is empty")


def _missing(seq: int) -> _Faulty:
    segment = name(seq)
    return _Faulty(Fault("segment_missing", seq, segment, 0, f"segment {segment} is missing"))


def _broken(
    code: str, line: _Line, before: _Line | None, chain: Chain, after: Iterator[_Line]
) -> _Faulty:
    """Name the record at fault when `line` is not the next one of the chain."""
    seq = chain.seq
    if code == "seq_broken":
        return line.fault(code, seq, f"record {seq} is missing here, or out of its place")
    if code == "line_unfinished" and line.final:
        return line.fault("torn_tail", seq, f"record {seq} is torn: its line has no newline")
    if code != "prev_mismatch":
        return line.fault("record_damaged", seq, f"record {seq} cannot be read")
    if before is None:
        return line.fault("record_damaged", seq, "record 0 names a record before it")
    if _contradicts(line, chain, after):
        return line.fault(
            "record_damaged", seq, f"record {seq} was changed: {seq + 1} names another"
        )
    return before.fault(
        "record_damaged", seq - 1, f"record {seq - 1} was changed: {seq} names another"
    )


def _contradicts(line: _Line, chain: Chain, after: Iterator[_Line]) -> bool:
    """Say whether the record after `line` shows that it is `line` itself that was changed."""
    chain.seq += 1  # so that a segment that begins there is in its place
    try:
        following = next(after, None)
        return following is not None and read(following.raw).prev != leaf_hash(line.raw[:-1])
    except (VerificationError, _Faulty):
        return False


def _check_segment_record(line: _Line, record: Record, before: _Line | None) -> None:
    if (record.kind == "segment") != (line.number == 1):
        sentence = "a segment begins with a record of kind segment and holds no other"
        raise line.fault("segment_mismatch", record.seq, sentence)
    if record.kind != "segment":
        return
    promised = (FORMAT, record.seq, before.path.name if before else None)
    if tuple(map(record.fields.get, ("format", "first_seq", "previous"))) != promised:
        sentence = "the segment record does not agree with the segment's place"
        raise line.fault("segment_mismatch", record.seq, sentence)


def _check_pairing(line: _Line, record: Record, open_calls: set[str]) -> None:
    if record.kind not in ("intent", "outcome"):
        return
    call_id = record.fields.get("call_id")
    if not isinstance(call_id, str):
        raise line.fault("call_id_missing", record.seq, f"the {record.kind} names no call")
    known = call_id in open_calls
    if record.kind == "intent":
        if known:
            raise line.fault("intent_repeated", record.seq, f"call {call_id} is open already")
        open_calls.add(call_id)
    else:
        if not known:
            sentence = f"call {call_id} has no open intent"
            raise line.fault("outcome_without_intent", record.seq, sentence)
        open_calls.remove(call_id)
