"""Segments put together: each begins where the one before it ended, and what they come to.

Keeps the end of the last segment, sums and notices, and nothing that grows with the log. Frontiers:
RFC 6962 §2.1, https://www.rfc-editor.org/rfc/rfc6962#section-2.1. Does not read files.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from gateway.core.record import Receipt
from gateway.evidence.audit.fault import Faulty, faulty
from gateway.evidence.audit.index import REMEMBERED, Trust
from gateway.evidence.audit.kinds import Beginning
from gateway.evidence.audit.runs import why_awaited
from gateway.evidence.audit.segment import Part
from gateway.evidence.audit.state import MAX_NOTICES, UNKNOWN, Deletion
from gateway.evidence.report import Fault, Notice, Report
from gateway.evidence.segments import first_seq, name


class Sum:
    """What the segments so far come to."""

    def __init__(self, notices: Iterable[Notice]) -> None:
        self.notices = list(notices)
        self.left_off = 0
        self.kinds: Counter[str] = Counter()
        self.archives: dict[int, str] = {}
        self.deletions: list[Deletion] = []
        self.starts: list[int] = []
        """First seq of each segment here."""
        self.signers: set[str] = set()
        self._missing: list[tuple[int, Fault, int]] = []
        self.segments = self.orphaned = self.records = self.first = 0
        self.checkpoints = self.covered = self.anchored = 0
        self.agreed: dict[str, int] = {}
        self.previous: int | None = None
        """First seq of the segment before the first one here."""
        self.newest: str | None = None
        self.head: Receipt | None = None
        self.part: Part | None = None
        """The last segment that fits."""

    @property
    def seq(self) -> int:
        """Seq of the next record."""
        return self.part.state.seq if self.part else self.first

    def add(self, part: Part) -> None:
        """Put a segment behind those before it.

        Raises:
            Faulty: it does not begin where they ended, or has a fault of its own.
        """
        before = self.part
        self.segments += 1
        self._check_place(part, before)
        if part.beginning is not None:
            self._check_begins(part, part.beginning, before)
            self._check_run(part, before)
            self._take(part, before)
        if part.fault:
            raise self._known(part, part.fault)

    @property
    def remembered(self) -> bool:
        """Whether the remembered checkpoint was checked and agrees."""
        return REMEMBERED in self.agreed

    def deleted(self, trust: Trust) -> set[int]:
        """Return the first seq of each segment whose deletion is proven.

        A record that no signature covers proves nothing: anybody who can write to the folder can
        add one. It must lie below the largest checkpoint that agrees and, if there is an outside
        that can be asked, below what that vouches for; and the checkpoint that it names must have
        covered the segment to its end.
        """
        limit = self.covered
        if trust.anchors or trust.witness_keys:
            limit = min(limit, self.anchored)
        known = sorted({*self.starts, *self.spoken(), *(d.first for d in self.deletions)})
        found = set()
        for said in self.deletions:
            at = bisect_right(known, said.first)
            if type(said.covered_by) is not int or said.seq >= limit or at == len(known):
                continue
            if said.covered_by >= known[at]:
                found.add(said.first)
        return found

    def spoken(self) -> set[int]:
        """Return the first seq of each segment before the first one here that the log names."""
        named = {*self.archives, *(said.first for said in self.deletions)}
        if self.previous is not None:
            named.add(self.previous)
        return {seq for seq in named if seq < self.first}

    def missing(self, deleted: set[int]) -> list[Fault]:
        """Return the blobs that are missing, one a segment; those of deleted segments are told."""
        found = []
        for first, fault, number in self._missing:
            if first not in deleted:
                found.append(fault)
                continue
            sentence = f"blobs of {_records(number)} of {name(first)} were deleted with it"
            self.notices.append(Notice("blobs_deleted", fault.seq, sentence))
        return found

    def _check_place(self, part: Part, before: Part | None) -> None:
        """1. Named by the seq that comes next."""
        first = first_seq(part.path)
        if before is not None and first != before.state.seq:
            segment = name(before.state.seq)
            self.segments -= 1
            raise faulty(
                "segment_missing", before.state.seq, segment, 0, f"segment {segment} is missing"
            )
        if before is None:
            self.first = first
            if first and part.beginning:
                self.previous = part.beginning.previous

    def _check_begins(self, part: Part, claim: Beginning, before: Part | None) -> None:
        """4. and 5. What the first record claims is what the segment before came to."""
        if before is None:
            return
        state = before.state
        if claim.prev != before.prev:
            if part.fault and part.fault.seq == state.seq and part.fault.code == "record_damaged":
                raise Faulty(part.fault)
            last = state.seq - 1
            sentence = f"record {last} was changed: {state.seq} names another"
            raise faulty("record_damaged", last, before.path, before.lines, sentence)
        claimed = (claim.frontier.peaks, frozenset(claim.open_calls), claim.previous)
        derived = (tuple(state.peaks), frozenset(state.open_calls), state.first)
        identity = (claim.origin, claim.epoch, claim.key)
        if claimed != derived or identity != (state.origin, state.epoch, str(state.verifier)):
            sentence = "the segment record does not agree with the segment's place"
            raise faulty("segment_mismatch", state.seq, part.path, 1, sentence)

    def _check_run(self, part: Part, before: Part | None) -> None:
        """14. After a stop nothing but a start follows, also across segments."""
        awaited = before.state.awaited if before else UNKNOWN
        if part.state.awaited == UNKNOWN:
            part.state.awaited = awaited
        elif part.state.opening and awaited not in ("", UNKNOWN):
            kind, seq, line = part.state.opening
            if kind != "start":
                raise faulty(awaited, seq, part.path, line, why_awaited(awaited, kind))

    def _take(self, part: Part, before: Part | None) -> None:
        state, checked = part.state, part.checked
        if before is not None:
            part.clock.join(before.clock)
        self.kinds.update(part.kinds)
        self.records += part.lines
        self.orphaned += state.orphaned
        self.archives.update(state.archives)
        self.deletions += state.deleted
        self.starts.append(state.first)
        if state.missing:
            self._missing.append((state.first, state.missing, state.lost))
        found = sorted((*part.clock.notices, *state.notices), key=lambda notice: notice.seq)
        room = max(0, MAX_NOTICES - len(self.notices))
        self.notices += found[:room]
        self.left_off += part.clock.left_off + state.left_off + max(0, len(found) - room)
        self.checkpoints += checked.count
        self.signers |= checked.signers
        self.anchored = max(self.anchored, checked.anchored)
        if checked.newest is not None:
            self.newest, self.covered = checked.newest, max(self.covered, checked.size)
        self.agreed.update(checked.agreed)
        self.head, self.part = part.head or self.head, part

    def _known(self, part: Part, fault: Fault) -> Faulty:
        """Return a segment's fault; one of a checkpoint begins where the last sound one ended."""
        if part.failed:
            agreed = self.agreed.get(part.failed, 0)
            fault = replace(fault, seq=max(fault.seq, min(agreed, part.state.seq - 1)))
        return Faulty(fault)

    def report(self, fault: Fault | None, trust: Trust) -> Report:
        """Return all of it."""
        state = self.part.state if self.part else None
        kinds, pinned = self.kinds, set(map(str, trust.keys))
        report = Report(
            records=self.records,
            calls=kinds["intent"],
            outcomes=kinds["outcome"],
            refusals=kinds["refusal"],
            orphaned=self.orphaned,
            open_intents=len(state.open_calls) if state else 0,
            segments=self.segments,
            head=self.head,
            fault=fault,
            checkpoints=self.checkpoints,
            checkpoint_size=self.covered,
            anchored_size=self.anchored,
            newest=self.newest,
            origin=state.origin if state else "",
            key=str(state.verifier) if state else "",
            trusted=bool(self.signers & pinned),
            closed_in_order=bool(state and state.kind == "stop"),
            first=self.first,
            gaps=kinds["gap"],
        )
        return replace(report, notes=tuple(self._notices(report)))

    def _notices(self, report: Report) -> list[Notice]:
        end, found = self.seq, list(self.notices)

        def tell(code: str, seq: int, sentence: str) -> None:
            found.append(Notice(code, seq, sentence))

        if self.left_off:
            tell("notices_left_off", 0, f"{self.left_off} more notices of records")
        if self.first:
            tell("segments_deleted", 0, f"records 0 to {self.first - 1} were deleted")
        if report.open_intents:
            tell("open_intents", end, f"calls without an outcome yet: {report.open_intents}")
        if not report.trusted:
            tell("key_unproven", self.first, "the log names its own key; pin it with --key")
        if not report.checkpoints:
            tell("checkpoints_missing", self.first, "no checkpoint covers any record")
        elif report.checkpoint_size < end:
            after = end - report.checkpoint_size
            sentence = f"{_records(after)} after the last checkpoint"
            tell("records_uncovered", report.checkpoint_size, sentence)
        if report.anchored_size < end:
            after = end - report.anchored_size
            sentence = f"{_records(after)} covered by no checkpoint kept elsewhere"
            tell("records_unanchored", report.anchored_size, sentence)
        return found


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number} records"
