"""One segment by itself: its lines, and all that they must agree with.

A segment's first record says where the log stood there: seq, leaf, frontier, open calls, key. The
segment is checked on from that, so that segments can be checked side by side; whoever puts them
together (`verify.py`) checks that each begins where the one before it ended, so that in the end
every such claim is derived, none believed. Steps are numbered as in `verify.py`. Leaf and node
hashes: RFC 6962 §2.1, https://www.rfc-editor.org/rfc/rfc6962#section-2.1. Does not compare segments
and does not judge what calls say.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from gateway.core.canonical import loads_exact
from gateway.core.errors import VerificationError
from gateway.core.note import VerifierKey
from gateway.core.record import DEPTH, KINDS, VERSION, Receipt, hash_bytes, leaf_hash, members
from gateway.evidence.audit.clock import Clock
from gateway.evidence.audit.fault import Faulty, faulty
from gateway.evidence.audit.files import damaged, digest_of
from gateway.evidence.audit.heads import Checked, Checker
from gateway.evidence.audit.index import Claim, Source
from gateway.evidence.audit.kinds import RULES, Beginning, begin
from gateway.evidence.audit.runs import await_start
from gateway.evidence.audit.state import State
from gateway.evidence.chain import read
from gateway.evidence.report import Fault
from gateway.evidence.segments import first_seq, is_compressed, lines

PROGRESS_EVERY: Final = 10_000
"""Records between two reports of progress."""


@dataclass(frozen=True, slots=True)
class Job:
    """One segment to check; may travel to another process."""

    folder: Path
    path: Path
    following: Path | None
    """The next segment; None for the last one, which alone may be torn."""
    claims: list[Claim]
    """The checkpoints of sizes that end within this segment, smallest first."""
    sources: tuple[Source, ...]
    witnesses: tuple[VerifierKey, ...]


@dataclass(slots=True)
class Part:
    """What one segment holds, up to its end or its first fault."""

    path: Path
    beginning: Beginning | None
    """What its first record says; None when that could not be read."""
    state: State
    """The log at the end of it."""
    prev: str
    """Leaf hash of its last record, `sha256:<hex>`."""
    lines: int
    kinds: dict[str, int]
    clock: Clock
    checked: Checked
    failed: str | None
    """Kind of the file whose checkpoint is the fault; its seq then is at least what the last sound
    one of that kind covers."""
    fault: Fault | None

    @property
    def head(self) -> Receipt | None:
        """The last record that was checked."""
        return Receipt(self.state.seq - 1, self.prev) if self.lines else None


def check(job: Job, progress: Callable[[int], None] | None = None) -> Part:
    """Check one segment.

    Args:
        job: which.
        progress: called with the number of records checked in it, now and then.

    Raises:
        OSError: it cannot be read.
    """
    walk = _Walk(job)
    try:
        walk.run(progress)
    except Faulty as exc:
        walk.fault = exc.fault
    except OSError:
        if not is_compressed(job.path) or walk.fault is not None:
            raise
        # The bytes are there and do not decompress; a disk that fails to read does so twice.
        digest_of(job.path)
        walk.fault = damaged(job.path, walk.state.seq).fault
    return walk.part()


class _Walk:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.first = first_seq(job.path)
        self.state = State(job.folder, job.path, self.first)
        self.beginning: Beginning | None = None
        self.prev = ""
        self.kinds: dict[str, int] = {}
        self.clock = Clock()
        self.checker = Checker(job.sources, job.witnesses, self.clock)
        self.claims = iter(job.claims)
        self.claim = next(self.claims, None)
        self.count = 0
        self.fault: Fault | None = None
        self.raws: Iterator[bytes] = iter(())

    def part(self) -> Part:
        """Return what was found."""
        checked = self.checker.checked
        return Part(
            self.job.path,
            self.beginning,
            self.state,
            self.prev,
            self.count,
            self.kinds,
            self.clock,
            checked,
            self.checker.failed,
            self.fault,
        )

    def run(self, progress: Callable[[int], None] | None) -> None:
        """Check the lines one by one; the hot loop."""
        self._begin()
        state, kinds, peaks = self.state, self.kinds, self.state.peaks
        prev, seq, rules = self.prev, self.first + 1, RULES
        timed, follow = {"start": self.clock.start}, self.clock.follow
        due = self.claim[0] if self.claim else -1
        for raw in self.raws:
            line = raw[:-1]
            # 2. The line ends with a newline and reads strictly as one record.
            fields = loads_exact(line, max_depth=DEPTH) or {}
            kind: Any = fields.get("kind")
            version = fields.get("v")
            known = type(kind) is str and kind in KINDS
            if not known or version != VERSION or type(version) is not int:
                # Not as our encoder spells it, or no record: the long way round says which.
                fields = self._members(raw, line)
                kind = fields["kind"]
            # 3. Its seq.  4. Its prev.
            found = fields.get("seq")
            if (
                found != seq
                or type(found) is not int
                or raw[-1] != 10
                or fields.get("prev") != prev
            ):
                self._members(raw, line)
                raise self._broken(raw, None)
            if due == seq:  # 10. The checkpoints of the records before this one.
                due = self._check_claims(seq)
            state.line += 1
            if state.sealed or state.awaited:
                self._admit(kind, line)
            if (rule := rules.get(kind)) is not None:
                try:
                    rule(state, fields)
                except Faulty as exc:
                    raise self._blamed(exc, line) from exc
            timed.get(kind, follow)(seq, fields)
            node = sha256(b"\x00" + line).digest()
            prev = self.prev = "sha256:" + node.hex()
            # `Frontier.append`, without the list of what is completed.
            carry = seq
            while carry & 1:
                node = sha256(b"\x01" + peaks.pop() + node).digest()
                carry >>= 1
            peaks.append(node)
            kinds[kind] = kinds.get(kind, 0) + 1
            state.kind = kind
            seq += 1
            state.seq = seq
            self.count += 1
            if progress is not None and not self.count % PROGRESS_EVERY:
                progress(self.count)
        self._end()

    def _admit(self, kind: str, line: bytes) -> None:
        """6. and 14. Nothing follows a seal, and not everything a stop."""
        state = self.state
        if state.sealed:
            raise state.fault("segment_mismatch", f"record {state.seq} follows the seal")
        try:
            await_start(state, kind)
        except Faulty as exc:
            raise self._blamed(exc, line) from exc

    def _members(self, raw: bytes, line: bytes) -> dict[str, Any]:
        try:
            return members(line)
        except VerificationError as exc:
            raise self._broken(raw, exc.reason_code) from exc

    def _begin(self) -> None:
        """Take the first record at its word, where it cannot be derived from this segment."""
        self.raws = lines(self.job.path)
        if (raw := next(self.raws, None)) is None:
            code = "torn_tail" if self.job.following is None else "record_damaged"
            raise faulty(code, self.first, self.job.path, 1, f"{self.job.path.name} is empty")
        try:
            record = read(raw)
        except VerificationError as exc:
            raise self._broken(raw, exc.reason_code) from exc
        if record.seq != self.first:
            raise self._broken(raw, None)
        # 5. The first record of a segment is of kind `segment` and agrees with its place.
        try:
            self.beginning = begin(self.state, record)
        except Faulty as exc:
            raise self._blamed(exc, raw[:-1]) from exc
        if self.claim and self.claim[0] == self.first:
            self._check_claims(self.first)
        grown = self.beginning.frontier.copy()
        grown.append(hash_bytes(record.leaf_hash))
        self.state.peaks = list(grown.peaks)
        self.prev, self.count = record.leaf_hash, 1
        self.kinds["segment"] = 1
        self.state.seq, self.state.line = self.first + 1, 1

    def _end(self) -> None:
        seq = self.state.seq
        if self.claim and self.claim[0] == seq:
            try:
                self._check_claims(seq)
            except Faulty as exc:
                codes = ("checkpoint_mismatch", "forked")
                if exc.fault.code in codes and self._next_prev() not in (None, self.prev):
                    raise self._changed(seq - 1, self.count, seq) from exc
                raise
        if self.job.following is not None and not self.state.sealed:
            sentence = f"record {seq} is missing at the end of a segment that is not the last"
            raise faulty("seq_broken", seq, self.job.path, self.count + 1, sentence)

    def _check_claims(self, size: int) -> int:
        """Check every checkpoint of this size; return the size of the next one, -1 if none."""
        state, root = self.state, self.state.root()
        while self.claim and self.claim[0] == size:
            self.checker.check(self.claim, state.origin, state.verifier, root)
            self.claim = next(self.claims, None)
        return self.claim[0] if self.claim else -1

    def _broken(self, raw: bytes, code: str | None) -> Faulty:
        """Name the record at fault when `raw` is not the next one of the chain."""
        path, seq, number = self.job.path, self.state.seq, self.count + 1
        if not raw.endswith(b"\n") and self.job.following is None:
            sentence = f"record {seq} is torn: its line has no newline"
            return faulty("torn_tail", seq, path, number, sentence)
        if code is not None or not raw.endswith(b"\n"):
            return faulty("record_damaged", seq, path, number, f"record {seq} cannot be read")
        if members(raw[:-1])["seq"] != seq:
            sentence = f"record {seq} is missing here, or out of its place"
            return faulty("seq_broken", seq, path, number, sentence)
        if self._next_prev() not in (None, leaf_hash(raw[:-1])):
            return self._changed(seq, number, seq + 1)
        return self._changed(seq - 1, number - 1, seq)

    def _blamed(self, fault: Faulty, line: bytes) -> Faulty:
        """Return the fault of a record, or that it was changed if the next one names another."""
        if self._next_prev() in (None, leaf_hash(line)):
            return fault
        return self._changed(self.state.seq, self.count + 1, self.state.seq + 1)

    def _changed(self, seq: int, line: int, names: int) -> Faulty:
        sentence = f"record {seq} was changed: {names} names another"
        return faulty("record_damaged", seq, self.job.path, line, sentence)

    def _next_prev(self) -> str | None:
        """Return what the next line names as the record before it; None if it does not say."""
        try:
            raw = next(self.raws, None)
            if raw is None and self.job.following is not None:
                raw = next(lines(self.job.following), None)
            return None if raw is None else read(raw).prev
        except (VerificationError, OSError):
            return None
