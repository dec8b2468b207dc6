"""The evidence log's one writer: group commit, and nothing acknowledged before the sync.

One thread owns the file and the head. It takes everything that waits, appends it as one batch, and
only then releases the waiters, so that under load many records share one sync. Between batches it
signs the checkpoint that is due, and when nothing happens it records that (`heartbeat`), so that a
silence is itself evidence. Where settings let records of calls that only read wait for their sync,
it follows within the interval. A disk that hangs counts as failed: when the deadline of one record
passes, the writer latches, and after that (or after `latch`) every record is refused until restart.
The price of a sync: https://man7.org/linux/man-pages/man2/fdatasync.2.html. Does not choose what is
recorded and adds no field to a caller's record except the envelope.
"""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, Self

from gateway.core.errors import EvidenceUnavailable
from gateway.core.record import Receipt
from gateway.evidence.disk import Disk, OSDisk
from gateway.evidence.draft import Answer, Entry, NotWritten
from gateway.evidence.opening import Anchoring, Log, NoAnchors, open_log
from gateway.evidence.plan import Plan
from gateway.evidence.signer import KeyRing
from gateway.evidence.space import LOOK_NS, Level
from gateway.ports import Clock

MAX_BATCH: Final = 1000
"""Most records that share one write, so that checkpoints stay due in time."""


@dataclass(frozen=True, slots=True)
class _Request:
    entry: Entry
    patient: bool
    """Whether it may be acknowledged before the sync."""
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Answer]
    """Never holds an exception: a waiter that left would leave it unread."""


class SegmentWriter:
    """Appends records to the segments of one folder; used from one event loop.

    Made by `open`. A record whose `append` was cancelled may still be written.
    """

    def __init__(self, log: Log, clock: Clock, plan: Plan, resources: ExitStack) -> None:
        self._log, self._clock, self._plan = log, clock, plan
        self._resources = resources
        self._queue: SimpleQueue[_Request | None] = SimpleQueue()
        """None asks the thread to end."""
        self._latched: str | None = None
        self._closed = False
        self._signing = True
        """Whether the last checkpoint could be kept."""
        self._signed_segment = log.appender.first_seq
        """Where the segment began that was open then; one that was sealed since makes one due."""
        self._wrote_ns = self._synced_ns = clock.monotonic_ns()
        # A daemon, so that a hung disk cannot keep a process from ending.
        self._thread = Thread(target=self._run, name="evidence-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        folder: Path,
        clock: Clock,
        keys: KeyRing,
        plan: Plan,
        *,
        about: Mapping[str, Any],
        anchors: Anchoring | None = None,
        disk: Disk | None = None,
    ) -> Self:
        """Take the folder, recover what a crash left, record the start and begin to write.

        Blocks while the last segment is read; call it before the event loop has work.

        Args:
            folder: made with mode 0700 if missing.
            clock: for the times of the log's own records.
            keys: to sign checkpoints with; a key of a newer epoch takes over now.
            plan: how the log is kept.
            about: what the `start` record says about this run.
            anchors: what each checkpoint is offered to.
            disk: the system calls, for tests that script failures.

        Raises:
            VerificationError: the log is damaged where no crash can have torn it.
            EvidenceUnavailable: another writer has the folder, or it cannot be used.
            SettingsError: the keys are not those of this log.
        """
        with ExitStack() as stack:
            log = open_log(
                folder,
                clock,
                keys,
                plan,
                about,
                anchors or NoAnchors(),
                disk or OSDisk(),
                stack,
            )
            return cls(log, clock, plan, stack.pop_all())

    async def append(
        self, kind: str, fields: Mapping[str, Any], *, effect: str | None = None
    ) -> Receipt:
        """See `EvidenceLog.append`; `fields` must not be changed afterwards."""
        self._refuse_if_ended()
        if why := self._log.space.refusal(kind, effect):
            raise EvidenceUnavailable(why)
        loop = asyncio.get_running_loop()
        patient = self._plan.read_interval_seconds > 0 and effect == "read"
        request = _Request((kind, fields), patient, loop, loop.create_future())
        self._queue.put(request)
        timer = loop.call_later(self._plan.deadline_seconds, self._expire, request.answer)
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
        taking = self._log.space.reserved and self._log.space.level < Level.STOP
        usable = self._latched is None and not self._closed
        return usable and self._signing and self._log.appender.writing and taking

    def make_room(self) -> bool:
        """Free the reserve for what must be kept on a full disk; say whether there was one."""
        return self._log.space.release()

    async def close(self) -> None:
        """Write what waits and a `stop` record, sync, and let the folder go; once is enough.

        Waits no longer than the deadline; if the disk hangs, the log ends without `stop`.
        """
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join, self._plan.deadline_seconds)

    def _expire(self, answer: asyncio.Future[Answer]) -> None:
        """Give up on a record that is not durable at its deadline, and on the disk with it."""
        if not answer.done():
            self.latch(f"a record was not durable within {self._plan.deadline_seconds} seconds")
            answer.set_result(NotWritten(f"the evidence log has stopped: {self._latched}"))

    def _refuse_if_ended(self) -> None:
        if self._closed:
            raise EvidenceUnavailable("the evidence log is closed")
        if self._latched is not None:
            raise EvidenceUnavailable(f"the evidence log has stopped: {self._latched}")

    def _run(self) -> None:
        """The thread: batch after batch until it is asked to end, and what is due between them."""
        try:
            with self._resources:
                self._serve()
        finally:
            # Nobody takes records any more, whatever ended this.
            self.latch("its thread has ended")

    def _serve(self) -> None:
        ending = False
        while not ending:
            batch = self._take()
            ending = bool(batch) and batch[-1] is None
            self._answer([request for request in batch if request is not None])
            self._do_what_is_due()
        self._append([("stop", self._log.times())])
        self._sync()
        self._checkpoint(due_only=False)

    def _take(self) -> list[_Request | None]:
        """Wait for a request or for what is due, and take all that are there; None ends them."""
        batch: list[_Request | None] = []
        try:
            batch.append(self._queue.get(timeout=self._patience()))
            while batch[-1] is not None and len(batch) < MAX_BATCH:
                batch.append(self._queue.get_nowait())
        except Empty:
            pass
        return batch

    def _patience(self) -> float:
        """Return how many seconds may pass until something is due."""
        now = self._clock.monotonic_ns()
        waits = [min(self._wrote_ns + round(self._plan.heartbeat_seconds * 1e9) - now, LOOK_NS)]
        if self._log.appender.unsynced:
            waits.append(self._synced_ns + round(self._plan.read_interval_seconds * 1e9) - now)
        if self._latched is not None:
            # Only what was acknowledged early is still to be made durable.
            return max(0.0, waits[-1] / 1e9) if len(waits) > 1 else self._plan.heartbeat_seconds
        checkpoint = self._log.heads.wait_ns(self._log.appender.frontier.size, now)
        # After a failure the next try waits, or a full disk would keep this thread spinning.
        if checkpoint is not None:
            waits.append(checkpoint if self._signing else round(1e9))
        return max(0.0, min(waits) / 1e9)

    def _do_what_is_due(self) -> None:
        now = self._clock.monotonic_ns()
        if now - self._synced_ns >= self._plan.read_interval_seconds * 1e9:
            self._sync()
        if self._latched is not None:
            return
        self._log.space.look()
        if now - self._wrote_ns >= self._plan.heartbeat_seconds * 1e9:
            anchors = dict(self._log.anchors.confirmed())
            self._append([("heartbeat", {**self._log.times(), "anchors": anchors})])
        self._checkpoint(due_only=self._log.appender.first_seq == self._signed_segment)
        with suppress(OSError):
            self._log.space.restore()

    def _sync(self) -> None:
        """Make what was acknowledged early durable; what cannot be is a failure of the disk."""
        self._synced_ns = self._clock.monotonic_ns()
        try:
            self._log.appender.sync()
        except OSError:
            self.latch(self._log.appender.failure or "the disk could not sync")

    def _checkpoint(self, *, due_only: bool) -> None:
        """Sign and keep the checkpoint of everything written, if it is due."""
        log, now = self._log, self._clock.monotonic_ns()
        wait = log.heads.wait_ns(log.appender.frontier.size, now)
        if self._latched is not None or wait is None or (wait > 0 and due_only):
            return
        self._sync()
        try:
            if log.appender.failure is not None:
                return
            log.heads.sign(log.appender.frontier, now)
            self._signing, self._signed_segment = True, log.appender.first_seq
        except OSError as exc:
            self._signing = False
            if log.heads.failure is not None:
                self.latch(f"a checkpoint could not be kept: {exc.strerror}")

    def _answer(self, requests: list[_Request]) -> None:
        if not requests:
            return
        sync = not all(request.patient for request in requests)
        answers = self._append([request.entry for request in requests], sync=sync)
        if not sync:
            # A power cut may take them: nobody gets a receipt that could then accuse us.
            answers = [_early(answer) for answer in answers]
        try:
            requests[0].loop.call_soon_threadsafe(_release, requests, answers)
        except RuntimeError:
            return  # The event loop has ended, and every waiter with it.

    def _append(self, entries: list[Entry], *, sync: bool = True) -> list[Answer]:
        """Append to the log unless latched, which may have happened while this thread hung."""
        if self._latched is not None:
            why = f"the evidence log has stopped: {self._latched}"
            return [NotWritten(why) for _ in entries]
        answers = self._log.appender.append(entries, sync=sync)
        self._wrote_ns = self._clock.monotonic_ns()
        if sync:
            self._synced_ns = self._wrote_ns
        if self._log.appender.failure is not None:
            self.latch(self._log.appender.failure)
        return answers


def _early(answer: Answer) -> Answer:
    return replace(answer, durable=False) if isinstance(answer, Receipt) else answer


def _release(requests: list[_Request], answers: list[Answer]) -> None:
    for request, answer in zip(requests, answers, strict=True):
        if not request.answer.done():
            request.answer.set_result(answer)
