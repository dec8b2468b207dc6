"""The way back of one call: its outcome, recorded once, and its answer, given as far as possible.

The outcome of a sent call is recorded exactly once, also when its caller has left; an answer that
cannot be whole says so in the best way still open. Owned by the pipeline, for one call. Does not
send and does not decide.
"""

import anyio

from gateway.core.answer import Status, Tally
from gateway.core.decision import Decision, Hold, Permit
from gateway.core.errors import EvidenceUnavailable, ExecutedUnrecorded, UpstreamError
from gateway.core.facts import Trail
from gateway.ports import Caller, Clock, EvidenceLog, UpstreamResponse
from gateway.wire import refusal
from gateway.wire.refusal import Refusal
from gateway.wire.relay import Piece, error_event, is_event_stream


async def answer(trail: Trail, decision: Decision, caller: Caller) -> None:
    """Answer a call that was not sent, or whose own answer cannot be given."""
    answer = refusal.answer(_refusal(trail, decision), trail.call)
    await caller.start(answer.status, answer.headers)
    await caller.finish(answer.body)


def _refusal(trail: Trail, decision: Decision) -> Refusal:
    failure = trail.failure
    return Refusal(
        code=failure.reason_code if failure else decision.reasons[0].code,
        call_id=trail.call_id,
        decision_id=decision.policy.decision_id if decision.policy else None,
        failure=failure,
        approval=trail.approval if isinstance(decision, Hold) and not failure else None,
    )


class Outcome:
    """The outcome of one sent call, recorded once."""

    def __init__(self, trail: Trail, evidence: EvidenceLog, clock: Clock) -> None:
        self._trail = trail
        self._evidence = evidence
        self._clock = clock
        self._recorded = False
        self.tally = Tally()

    async def record(self, status: Status, failure: UpstreamError | None = None) -> None:
        """Record the outcome, unless that was done or tried.

        Raises:
            ExecutedUnrecorded: it cannot be made durable; the log takes no more calls.
        """
        if self._recorded:
            return
        self._recorded = True
        clock, trail = self._clock, self._trail
        fields = self.tally.outcome(
            trail.call_id,
            status,
            failure.reason_code if failure else None,
            clock.wall_ns(),
            clock.monotonic_ns() - trail.monotonic_ns,
        )
        try:
            # Shielded: a queued record cannot be taken back; the log bounds the wait itself.
            with anyio.CancelScope(shield=True):
                await self._evidence.append("outcome", fields)
        except EvidenceUnavailable as exc:
            self._evidence.latch("the outcome of an executed call could not be recorded")
            raise ExecutedUnrecorded("the outcome could not be recorded") from exc

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


class Reply:
    """The answer as far as it has gone out: a stream's head at once, another's with its body."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._response: UpstreamResponse | None = None
        self._streamed = False
        self._started = False
        self._ended = False

    async def head(self, response: UpstreamResponse) -> None:
        """Take the head of the response; a stream's is written, since its body may be long."""
        self._response = response
        self._streamed = is_event_stream(response.headers)
        if self._streamed:
            await self._start(response)

    async def write(self, piece: Piece) -> None:
        """Write a piece of the body."""
        if self._response and not self._started:
            await self._start(self._response)
        self._ended = piece.final
        await (self._caller.finish if piece.final else self._caller.write)(piece.data)

    async def break_off(self, trail: Trail, permit: Permit) -> None:
        """Say that no whole answer will come, in the best way that is still open."""
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
        await self._caller.start(response.status, response.headers)
