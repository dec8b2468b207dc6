"""The open segment and the head of the log: records in, durable records out.

A batch is one write and one `fdatasync` a segment, and the head (seq, leaf, tree) moves only after
the sync, unless the caller lets the sync wait. A segment that is long or old enough is sealed
before the next begins. What the disk refuses is not in the log (`logfile.py`). Used by one thread
at a time; does not wait and does not know who waits (`writer.py`).
"""

import errno
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.core.instant import iso
from gateway.core.record import hash_text
from gateway.evidence.disk import Disk, sync_folder
from gateway.evidence.draft import Answer, Draft, Entry, NotWritten
from gateway.evidence.logfile import LogFile
from gateway.evidence.plan import Plan
from gateway.evidence.recovery import Recovered
from gateway.evidence.segments import FORMAT, name
from gateway.evidence.signer import Signer
from gateway.evidence.space import Space
from gateway.evidence.tree import NodeFile
from gateway.ports import Clock

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_MAY_WAIT: Final = ("intent", "refusal", "heartbeat")
"""Kinds that close nothing and do not touch the reserve."""
_SEAL_ROOM: Final = 512
"""Bytes of a segment that are kept for its `seal`, which is shorter."""


class Appender:
    """Owns the open segment and the head; see the module."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        disk: Disk,
        signer: Signer,
        space: Space,
        tree: NodeFile,
        end: Recovered,
        plan: Plan,
    ) -> None:
        self._folder, self._clock, self._disk = folder, clock, disk
        self._space, self._tree = space, tree
        self._bytes, self._ns = plan.segment_bytes, round(plan.segment_seconds * 1e9)
        self.signer = signer
        """Whose key the next segment names."""
        self._seq, self._prev, self.frontier = end.seq, end.prev, end.frontier
        self._open_calls = dict.fromkeys(end.open_calls)
        self._file = LogFile(end.segment, disk) if end.segment else None
        self._sealed = end.sealed
        self.first_seq = end.first_seq
        """The seq that the open segment begins with; the one before, while it has no record."""
        # A segment that an earlier run began is as old as its first record says.
        began = end.began
        age = 0 if began is None else max(0, clock.wall_ns() - began)
        self._began_ns = clock.monotonic_ns() - age
        self._failure: str | None = None
        self.writing = True
        """Whether the last write succeeded."""

    @property
    def failure(self) -> str | None:
        """Set once, when what the disk holds is not known any more; nothing is appended then."""
        return self._failure or (self._file.failure if self._file else None)

    @property
    def unsynced(self) -> bool:
        """Whether records wait for a `sync` that can still succeed."""
        return self.failure is None and self._file is not None and self._file.unsynced

    def append(self, entries: Sequence[Entry], *, sync: bool = True) -> list[Answer]:
        """Append the entries in order and say, for each, where it stands or why it does not.

        What has a receipt is durable (written, if not `sync`). One entry that cannot be a record
        fails alone; a failed write fails every entry that is not written yet.
        """
        answers: list[Answer] = []
        while len(answers) < len(entries):
            left = entries[len(answers) :]
            try:
                answers += self._append_some(left, sync)
            except OSError as exc:
                if self._may_use_reserve(exc, left):
                    continue
                self.writing = False
                lost = NotWritten(self.failure or f"the disk takes no record: {exc.strerror}")
                answers += [lost] * len(left)
        return answers

    def sync(self) -> None:
        """Make what was appended durable, and its hashes readable.

        Raises:
            OSError: it is not, and `failure` is set.
        """
        self._tree.flush()
        if self._file is not None:
            self._file.sync()

    def close(self) -> None:
        """Close the segment; it goes on at the next start."""
        if self._file is not None:
            self._file.close()

    def _may_use_reserve(self, error: OSError, entries: Sequence[Entry]) -> bool:
        """Free the reserve if the disk is full and something is to be closed."""
        closing = any(kind not in _MAY_WAIT for kind, _ in entries)
        return closing and error.errno in _FULL and self.failure is None and self._space.release()

    def _append_some(self, entries: Sequence[Entry], sync: bool) -> list[Answer]:
        """Append as many entries as the open segment takes, at least one; OSError if none was."""
        if self._file is None or self._sealed or self._is_old():
            self._rotate()
        draft = self._draft(entries)
        if not draft.answers:
            self._rotate()
            draft = self._draft(entries)
        if draft.lines:
            self._commit(draft, sync)
            self._follow(zip(entries, draft.answers, strict=False))
        return draft.answers

    def _is_old(self) -> bool:
        # One that has no record yet cannot be sealed: its first record would be the seal.
        begun = self._open_file.length > 0
        return begun and self._clock.monotonic_ns() - self._began_ns >= self._ns

    @property
    def _open_file(self) -> LogFile:
        if self._file is None:
            raise OSError(errno.EBADF, "no segment is open")
        return self._file

    def _draft(self, entries: Sequence[Entry]) -> Draft:
        draft = Draft(self.signer.origin, self._seq, self._prev)
        empty = self._open_file.length == 0
        room = self._bytes - _SEAL_ROOM - self._open_file.length
        if empty:
            room -= draft.link("segment", self._segment_fields())
        for kind, fields in entries:
            # A new segment takes its first record even if that alone is too long for it.
            alone = empty and len(draft.lines) == 1
            length = draft.add(kind, fields, None if alone else room)
            if length is None:
                break
            room -= length
        return draft

    def _times(self) -> dict[str, Any]:
        return {"time": iso(self._clock.wall_ns()), "monotonic_ns": self._clock.monotonic_ns()}

    def _segment_fields(self) -> dict[str, Any]:
        root = hash_text(self.frontier.root())
        before = {"segment": name(self.first_seq), "root": root} if self._seq else None
        return {
            **self._times(),
            "format": FORMAT,
            "origin": self.signer.origin,
            "first_seq": self._seq,
            "previous": before,
            "frontier": [peak.hex() for peak in self.frontier.peaks],
            "open_calls": list(self._open_calls),
            "epoch": self.signer.epoch,
            "key": str(self.signer.verifier),
        }

    def _rotate(self) -> None:
        """Seal the open segment and begin another; everything before it is durable already."""
        if self._file is not None and not self._sealed:
            self._seal()
        self._sync_tree()
        # A crash here leaves a sealed last segment: the next start begins another.
        file = LogFile(self._folder / name(self._seq), self._disk)
        if self._file is not None:
            self._file.close()
        self._file, self._sealed = file, False
        self._began_ns = self._clock.monotonic_ns()
        try:
            sync_folder(self._folder)
        except OSError as exc:
            self._failure = f"a new segment's name could not be synced: {exc.strerror}"
            raise
        # A crash here leaves an empty last segment: recovery removes it.

    def _seal(self) -> None:
        draft = Draft(self.signer.origin, self._seq, self._prev)
        root = hash_text(self.frontier.root())
        draft.link("seal", {**self._times(), "first_seq": self.first_seq, "root": root})
        self._commit(draft, sync=True)
        self._sealed = True

    def _sync_tree(self) -> None:
        """Make the hashes durable before the segment that they are of may be shipped away."""
        try:
            self._tree.sync()
        except OSError as exc:
            # What did not fit yet is tried again at the next record; a sync never is.
            if exc.errno not in _FULL:
                self._failure = f"the index of the tree could not be synced: {exc.strerror}"
            raise

    def _commit(self, draft: Draft, sync: bool) -> None:
        file = self._open_file
        begins = file.length == 0
        file.append(b"\n".join(draft.lines) + b"\n")
        # A crash here leaves some of the batch, perhaps torn: recovery keeps its whole lines, which
        # nobody was told of, and cuts the rest.
        if sync:
            file.sync()
        # A crash here leaves durable records that nobody was told of: intents among them become
        # `orphaned` at the next start.
        if begins:
            self.first_seq = self._seq
        for leaf in draft.leaves:
            self._tree.add(self.frontier.append(leaf))
        self._seq, self._prev = draft.seq, draft.prev
        self.writing = True

    def _follow(self, written: Iterable[tuple[Entry, Answer]]) -> None:
        """Keep account of the calls that are open."""
        for (kind, fields), answer in written:
            if isinstance(answer, NotWritten):
                continue
            if kind == "intent":
                self._open_calls[str(fields.get("call_id"))] = None
            elif kind == "outcome":
                self._open_calls.pop(str(fields.get("call_id")), None)
