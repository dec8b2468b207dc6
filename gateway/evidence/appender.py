"""The open segment and the head of the chain: records in, durable records out.

A batch is one write and one `fdatasync` a segment, and the head moves only after the sync. A failed
write is cut back to the last good newline and may be tried again; a failed sync or a failed cut is
final (`failure`), since nobody knows what the disk then holds (fsync(2),
https://man7.org/linux/man-pages/man2/fsync.2.html). Used by one thread at a time; does not wait and
does not know who waits (`writer.py`).
"""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.core.instant import iso
from gateway.evidence.disk import Disk, open_segment, sync_folder
from gateway.evidence.draft import Answer, Draft, Entry, NotWritten
from gateway.evidence.recovery import Recovered
from gateway.evidence.segments import FORMAT, name
from gateway.ports import Clock


class Appender:
    """Owns the file and the head; see the module."""

    def __init__(
        self, folder: Path, clock: Clock, disk: Disk, segment_bytes: int, end: Recovered
    ) -> None:
        self._folder, self._clock, self._disk = folder, clock, disk
        self._segment_bytes = segment_bytes
        self._seq, self._prev = end.seq, end.prev
        self._segment, self._offset = end.segment, end.offset
        self._previous: str | None = None
        """Name of the segment before the open one, for the record that opens a segment."""
        self._fd = -1 if end.segment is None else open_segment(end.segment)
        self.failure: str | None = None
        """Set once, when what the disk holds is no longer known; nothing may be appended then."""
        self.writing: bool = True
        """Whether the last write succeeded."""

    def append(self, entries: Sequence[Entry]) -> list[Answer]:
        """Append the entries in order and say, for each, where it stands or why it does not.

        What has a receipt is durable. One entry that cannot be a record fails alone; a failed write
        fails every entry that is not durable yet.
        """
        answers: list[Answer] = []
        while len(answers) < len(entries):
            try:
                answers += self._append_some(entries[len(answers) :])
            except OSError as exc:
                self.writing = False
                lost = NotWritten(self.failure or f"the disk takes no record: {exc.strerror}")
                answers += [lost] * (len(entries) - len(answers))
        return answers

    def close(self) -> None:
        """Close the segment; what is in it was synced record by record."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append_some(self, entries: Sequence[Entry]) -> list[Answer]:
        """Append as many entries as the open segment takes, at least one; OSError if none was."""
        if self._segment is None:
            self._rotate()
        draft = self._draft(entries)
        if not draft.answers:
            self._rotate()
            draft = self._draft(entries)
        if draft.lines:
            self._commit(b"\n".join(draft.lines) + b"\n")
            self._seq, self._prev = draft.seq, draft.prev
        return draft.answers

    def _draft(self, entries: Sequence[Entry]) -> Draft:
        draft = Draft(self._seq, self._prev)
        room = self._segment_bytes - self._offset
        if self._offset == 0:
            room -= draft.link("segment", self._segment_fields())
        for kind, fields in entries:
            # A new segment takes its first record even if that alone is too long for it.
            alone = self._offset == 0 and len(draft.lines) == 1
            length = draft.add(kind, fields, None if alone else room)
            if length is None:
                break
            room -= length
        return draft

    def _segment_fields(self) -> dict[str, Any]:
        return {
            "time": iso(self._clock.wall_ns()),
            "format": FORMAT,
            "first_seq": self._seq,
            "previous": self._previous,
        }

    def _rotate(self) -> None:
        """Begin a new segment; everything before it is durable already."""
        path = self._folder / name(self._seq)
        fd = open_segment(path)
        self.close()
        self._previous = self._segment.name if self._segment else None
        self._fd, self._segment, self._offset = fd, path, 0
        try:
            sync_folder(self._folder)
        except OSError as exc:
            self.failure = f"a new segment's name could not be synced: {exc.strerror}"
            raise
        # A crash here leaves an empty last segment: recovery removes it.

    def _commit(self, data: bytes) -> None:
        try:
            self._write(data)
        except OSError:
            self._cut_back()
            raise
        # A crash here leaves some of the batch, perhaps torn: recovery keeps its whole lines, which
        # nobody was told of, and cuts the rest.
        try:
            self._disk.fdatasync(self._fd)
        except OSError as exc:
            self.failure = f"the disk could not sync and is not trusted any more: {exc.strerror}"
            raise
        # A crash here leaves durable records that nobody was told of: intents among them become
        # `orphaned` at the next start.
        self._offset += len(data)
        self.writing = True

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            # A full disk takes part of the data without an error; the rest then raises ENOSPC.
            written = self._disk.write(self._fd, left)
            if written <= 0:
                raise OSError(errno.EIO, "no byte was taken")
            left = left[written:]

    def _cut_back(self) -> None:
        try:
            self._disk.ftruncate(self._fd, self._offset)
        except OSError as exc:
            self.failure = f"a torn batch could not be cut back: {exc.strerror}"
