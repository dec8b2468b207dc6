"""The evidence log's one writer: group commit, and nothing acknowledged before the sync.

One thread owns the file and the head. It takes everything that waits, appends it as one batch, and
only then releases the waiters, so that under load many records share one sync. A disk that hangs
counts as failed: when the deadline of one record passes, the writer latches, and after that (or
after `latch`) every record is refused until restart. Implements `gateway.ports.EvidenceLog`; the
price of a sync: https://man7.org/linux/man-pages/man2/fdatasync.2.html. Does not choose what is
recorded and adds no field to a caller's record except the envelope.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Self

from gateway.core.errors import EvidenceUnavailable
from gateway.core.instant import iso
from gateway.core.record import Receipt
from gateway.evidence.appender import Appender
from gateway.evidence.disk import Disk, OSDisk, hold_lock, make_folder
from gateway.evidence.draft import Answer, Entry, NotWritten
from gateway.evidence.recovery import Recovered, recover
from gateway.ports import Clock


@dataclass(frozen=True, slots=True)
class _Request:
    entry: Entry
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Answer]
    """Never holds an exception: a waiter that left would leave it unread."""


class SegmentWriter:
    """Appends records to the segments of one folder; used from one event loop.

    Made by `open`. A record whose `append` was cancelled may still be written.
    """

    def __init__(
        self, appender: Appender, clock: Clock, deadline_seconds: float, resources: ExitStack
    ) -> None:
        self._appender, self._clock, self._deadline = appender, clock, deadline_seconds
        self._resources = resources
        self._queue: SimpleQueue[_Request | None] = SimpleQueue()
        """None asks the thread to end."""
        self._latched: str | None = None
        self._closed = False
        # A daemon, so that a hung disk cannot keep a process from ending.
        self._thread = Thread(target=self._run, name="evidence-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        folder: Path,
        clock: Clock,
        *,
        version: str,
        segment_bytes: int = 64 * 1024 * 1024,
        deadline_seconds: float = 5.0,
        disk: Disk | None = None,
    ) -> Self:
        """Take the folder, recover what a crash left, record the start and begin to write.

        Blocks while the whole log is read; call it before the event loop has work.

        Args:
            folder: made with mode 0700 if missing.
            clock: for the times of the log's own records.
            version: of this gateway, recorded in `start`.
            segment_bytes: length at which a new segment begins.
            deadline_seconds: longest wait for one record to be durable.
            disk: the system calls, for tests that script failures.

        Raises:
            VerificationError: the log is damaged where no crash can have torn it.
            EvidenceUnavailable: another writer has the folder, or it cannot be used.
        """
        with ExitStack() as stack:
            try:
                make_folder(folder)
                stack.callback(os.close, hold_lock(folder))
                end = recover(folder)
                appender = Appender(folder, clock, disk or OSDisk(), segment_bytes, end)
            except OSError as exc:
                raise EvidenceUnavailable(f"{folder}: {exc.strerror}") from exc
            stack.callback(appender.close)
            _begin(appender, end, iso(clock.wall_ns()), version)
            return cls(appender, clock, deadline_seconds, stack.pop_all())

    async def append(self, kind: str, fields: Mapping[str, Any]) -> Receipt:
        """See `EvidenceLog.append`; `fields` must not be changed afterwards."""
        self._refuse_if_ended()
        loop = asyncio.get_running_loop()
        request = _Request((kind, fields), loop, loop.create_future())
        self._queue.put(request)
        timer = loop.call_later(self._deadline, self._expire, request.answer)
        try:
            answer = await request.answer
        finally:
            timer.cancel()
        if isinstance(answer, NotWritten):
            raise EvidenceUnavailable(answer.why)
        return answer

    def latch(self, why: str) -> None:
        """See `EvidenceLog.latch`; the first reason is kept."""
        if self._latched is None:
            self._latched = why

    def healthy(self) -> bool:
        """See `EvidenceLog.healthy`; after a failed write, true again once one succeeds."""
        return self._latched is None and not self._closed and self._appender.writing

    async def close(self) -> None:
        """Write what waits and a `stop` record, sync, and let the folder go; once is enough.

        Waits no longer than the deadline; if the disk hangs, the log ends without `stop`.
        """
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join, self._deadline)

    def _expire(self, answer: asyncio.Future[Answer]) -> None:
        """Give up on a record that is not durable at its deadline, and on the disk with it."""
        if not answer.done():
            self.latch(f"a record was not durable within {self._deadline} seconds")
            answer.set_result(NotWritten(f"the evidence log has stopped: {self._latched}"))

    def _refuse_if_ended(self) -> None:
        if self._closed:
            raise EvidenceUnavailable("the evidence log is closed")
        if self._latched is not None:
            raise EvidenceUnavailable(f"the evidence log has stopped: {self._latched}")

    def _run(self) -> None:
        """The thread: batch after batch until it is asked to end."""
        with self._resources:
            ending = False
            while not ending:
                batch = self._take()
                ending = batch[-1] is None
                self._answer([request for request in batch if request is not None])
            self._append([("stop", {"time": iso(self._clock.wall_ns())})])

    def _take(self) -> list[_Request | None]:
        """Wait for a request, and take all that are there; None is always the last ever put."""
        batch = [self._queue.get()]
        try:
            while True:
                batch.append(self._queue.get_nowait())
        except Empty:
            return batch

    def _answer(self, requests: list[_Request]) -> None:
        if not requests:
            return
        answers = self._append([request.entry for request in requests])
        try:
            requests[0].loop.call_soon_threadsafe(_release, requests, answers)
        except RuntimeError:
            return  # The event loop has ended, and every waiter with it.

    def _append(self, entries: list[Entry]) -> list[Answer]:
        """Append to the log unless latched, which may have happened while this thread hung."""
        if self._latched is not None:
            why = f"the evidence log has stopped: {self._latched}"
            return [NotWritten(why) for _ in entries]
        answers = self._appender.append(entries)
        if self._appender.failure is not None:
            self.latch(self._appender.failure)
        return answers


def _begin(appender: Appender, end: Recovered, time: str, version: str) -> None:
    """Record the start of this run, and what is left of the run before it."""
    entries: list[Entry] = [("start", {"time": time, "version": version})]
    entries += [("gap", {"time": time, **gap}) for gap in end.gaps]
    entries += [
        ("outcome", {"call_id": call_id, "time": time, "status": "orphaned"})
        for call_id in end.open_calls
    ]
    for answer in appender.append(entries):
        if isinstance(answer, NotWritten):
            raise EvidenceUnavailable(answer.why)


def _release(requests: list[_Request], answers: list[Answer]) -> None:
    for request, answer in zip(requests, answers, strict=True):
        if not request.answer.done():
            request.answer.set_result(answer)
