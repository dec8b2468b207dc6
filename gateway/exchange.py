"""The way back of one call: its outcome, recorded once, and its answer, given as far as possible.

The outcome of a sent call is recorded exactly once, also when its caller has left; what is relayed
as it comes is recorded in parts, before the piece that completes one goes on or once it is old,
also in silence; an answer that cannot be whole says so in the best way still open. Every answer
carries the receipt of its record, and in observe mode what it would be outside it. Owned by the
pipeline, for one call. Does not send or decide.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import anyio
import anyio.to_thread

from gateway.background import background
from gateway.core.answer import Status, Tally
from gateway.core.decision import Decision, Hold, Permit
from gateway.core.errors import EvidenceUnavailable, ExecutedUnrecorded, UpstreamError
from gateway.core.facts import Trail, returned
from gateway.core.record import Receipt
from gateway.ports import Caller, Clock, EvidenceLog, UpstreamResponse
from gateway.wire import receipt as receipts
from gateway.wire import refusal
from gateway.wire.refusal import Refusal
from gateway.wire.relay import Piece, error_event, is_event_stream
from gateway.wire.sse import Event

INLINE_BYTES: Final = 128 * 1024
"""Longest answer that is looked through on the event loop."""


async def answer(trail: Trail, decision: Decision, caller: Caller) -> None:
    """Answer a call that was not sent, or whose own answer cannot be given."""
    answer = refusal.answer(_refusal(trail, decision), trail.call)
    ours = receipts.headers(trail.receipt, decision.observed)
    await caller.start(answer.status, answer.headers | ours)
    await caller.finish(answer.body)


def _refusal(trail: Trail, decision: Decision) -> Refusal:
    failure = trail.failure
    return Refusal(
        code=failure.reason_code if failure else decision.reasons[0].code,
        call_id=trail.call_id,
        decision_id=decision.policy.decision_id if decision.policy else None,
        failure=failure,
        approval=trail.approval if isinstance(decision, Hold) and not failure else None,
        receipt=trail.closing or trail.receipt,
        resource=trail.request.resource,
        scheme=trail.request.credential.scheme,
        observed=decision.observed,
    )


class Outcome:
    """What is recorded of the way back of one sent call; the outcome itself once."""

    def __init__(self, trail: Trail, permit: Permit, evidence: EvidenceLog, clock: Clock) -> None:
        self._trail = trail
        self._permit, self._effect = permit, permit.classification.effect
        self._evidence = evidence
        self._clock = clock
        self._recorded = False
        self._tally = Tally(omitted=permit.results_omitted)
        self._came = anyio.Event()
        """Set once there is something that no record has."""
        self._turn = anyio.Lock(fast_acquire=True)
        """Whoever records a part: nothing may be counted to it meanwhile."""
        self._ending = False
        """Once the final piece has come, all that no part has belongs to the outcome."""
        self._lost: ExecutedUnrecorded | None = None

    def begin(self, response: UpstreamResponse) -> "_Timed":
        """Take the head of the answer; return its body."""
        self._trail.mark("head", self._clock.monotonic_ns())
        self._tally.begin(response.status, response.headers)
        return _Timed(response.body, self._trail, self._clock)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Record parts as they get old while the body runs, also when nothing comes.

        Raises:
            ExecutedUnrecorded: a part cannot be made durable; the body has been cancelled.
        """
        try:
            async with background() as tasks:
                tasks.start_soon(self._watch, tasks.cancel_scope)
                yield
        except Exception as exc:
            if self._lost is None:
                raise
            raise self._lost from exc
        if self._lost:
            raise self._lost

    async def _watch(self, body: anyio.CancelScope) -> None:
        while not (self._recorded or self._ending):
            await self._came.wait()
            due_in = self._tally.part_due_in(self._clock.monotonic_ns())
            await anyio.sleep((due_in or 0) / 1e9)
            async with self._turn:
                try:
                    await self._part_if_due()
                except ExecutedUnrecorded as exc:
                    self._lost = exc
                    body.cancel()

    async def count(self, piece: Piece) -> None:
        """Take a piece of the body, before anything else is done with it."""
        async with self._turn:
            self._tally.add(piece.data, self._clock.monotonic_ns())
            self._ending = piece.final
            if piece.data:
                self._came.set()

    async def keep(self, piece: Piece) -> None:
        """Record what is due by now, before this piece goes on.

        Raises:
            ExecutedUnrecorded: that cannot be made durable; the log takes no more calls.
        """
        async with self._turn:
            if piece.final:
                await self.record("completed")
            else:
                await self._part_if_due()

    async def _part_if_due(self) -> None:
        """Record a part, if it is large or old enough; the turn must be ours."""
        if self._recorded or self._ending:
            return
        if self._tally.part_due_in(self._clock.monotonic_ns()) == 0:
            await self._append("stream-part", self._tally.part())
            self._tally.part_kept()
            self._came = anyio.Event()

    def gave(self, piece: Piece) -> None:
        """Note that the caller has this piece."""
        self._tally.relayed += len(piece.data)

    async def record(self, status: Status, failure: UpstreamError | None = None) -> None:
        """Record the outcome, unless that was done or tried.

        Raises:
            ExecutedUnrecorded: it cannot be made durable; the log takes no more calls.
        """
        if self._recorded:
            return
        self._recorded = True
        self._trail.mark("total", self._clock.monotonic_ns())
        about = self._tally.outcome(status, failure.reason_code if failure else None)
        receipt = await self._append("outcome", {**about, "timings": self._trail.timings()})
        self._trail.closing = receipt.given()

    async def _append(self, kind: str, about: dict[str, Any]) -> Receipt:
        """Append a record of the way back; after one that is lost there will be no other."""
        clock = self._clock
        now, monotonic = clock.wall_ns(), clock.monotonic_ns()
        fields = {**returned(self._trail, self._permit, now, monotonic), **about}
        try:
            # Shielded: a queued record cannot be taken back; the log bounds the wait itself.
            with anyio.CancelScope(shield=True):
                receipt = await self._evidence.append(kind, fields, effect=self._effect)
        except EvidenceUnavailable as exc:
            self._recorded = True
            self._evidence.latch(f"the {kind} of an executed call could not be recorded")
            raise ExecutedUnrecorded(f"the {kind} could not be recorded") from exc
        return receipt

    async def failed(
        self, failure: UpstreamError | ExecutedUnrecorded
    ) -> UpstreamError | ExecutedUnrecorded:
        """Record a failed exchange; return the worse of that failure and of not recording it."""
        try:
            if isinstance(failure, UpstreamError):
                await self.record("upstream_failed", failure)
        except ExecutedUnrecorded as unrecorded:
            return unrecorded
        return failure


class _Timed:
    """A body whose first byte is timed."""

    def __init__(self, body: AsyncIterator[bytes], trail: Trail, clock: Clock) -> None:
        self._body, self._trail, self._clock = body, trail, clock

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._body)
        if chunk:
            self._trail.mark("first_byte", self._clock.monotonic_ns())
        return chunk


class Reply:
    """The answer as far as it has gone out: a stream's head at once, another's with its body."""

    def __init__(self, trail: Trail, permit: Permit, caller: Caller) -> None:
        self._trail = trail
        self._permit = permit
        self._caller = caller
        self._response: UpstreamResponse | None = None
        self._streamed = False
        self._started = False
        self._ended = False
        self._place: receipts.Place | None = None

    async def head(self, response: UpstreamResponse) -> None:
        """Take the head of the response; a stream's is written, since its body may be long."""
        self._response = response
        self._streamed = is_event_stream(response.headers)
        if self._streamed:
            await self._start(response)

    async def fit(self, piece: Piece) -> None:
        """Find the place of the receipt in a tool's answer, before its outcome is recorded.

        Raises:
            UpstreamError: the answer could be read in two ways.
        """
        if piece.message is None or self._trail.decoded.action != "tools/call":
            return
        if len(piece.data) <= INLINE_BYTES:
            self._place = _find(piece)
        else:
            self._place = await anyio.to_thread.run_sync(_find, piece)

    async def write(self, piece: Piece) -> None:
        """Write a piece of the body; the final one gets the receipt of the outcome."""
        if self._response and not self._started:
            await self._start(self._response)
        self._ended = piece.final
        await (self._caller.finish if piece.final else self._caller.write)(self._spliced(piece))

    async def break_off(self) -> None:
        """Say that no whole answer will come, in the best way that is still open."""
        trail, permit = self._trail, self._permit
        if self._ended:
            return  # The answer is whole; what failed came after it.
        if not self._started:
            await answer(trail, permit, self._caller)
        elif self._streamed and trail.decoded.rpc_id is not None:
            message = refusal.rpc_error(trail.decoded.rpc_id, _refusal(trail, permit))
            await self._caller.finish(error_event(message))
        else:
            await self._caller.abort()

    async def _start(self, response: UpstreamResponse) -> None:
        self._started = True
        ours = receipts.headers(self._trail.receipt, self._permit.observed)
        await self._caller.start(response.status, receipts.without_ours(response.headers) | ours)

    def _spliced(self, piece: Piece) -> bytes:
        if self._place is None:
            return piece.data
        closing, observed = self._trail.closing, self._permit.observed
        if piece.message == "event":
            event = Event(piece.data, piece.opens)
            return receipts.event_filled(event, self._place, closing, observed)
        return self._place.filled(closing, observed)


def _find(piece: Piece) -> receipts.Place | None:
    if piece.message == "event":
        return receipts.event_place(Event(piece.data, piece.opens))
    return receipts.place(piece.data)
