"""The straight line: every call walks it, in this order and in no other.

    decode → authenticate → situate → decide → record intent → equip → send → check
           → record outcome → encode

Invariants: nothing is sent without a permit; nothing is sent before its intent is durable; the
caller does not get the last byte before the outcome is durable; a refusal is recorded like a
permit; a failure of any step before sending is a denial. A `Hold` ends the line: its approved
repeat walks it again from the top. Knows ports, never adapters. Does not admit (`app`, `wire`).
"""

import secrets
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, assert_never

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from gateway.core import facts
from gateway.core.answer import Status, Tally
from gateway.core.call import Request
from gateway.core.canonical import dumps
from gateway.core.decision import Decision, Deny, Hold, Permit
from gateway.core.document import decision_input
from gateway.core.errors import (
    EvidenceUnavailable,
    ExecutedUnrecorded,
    GatewayError,
    UpstreamError,
    WireError,
)
from gateway.core.facts import Trail
from gateway.core.identifier import ENTROPY_BYTES, uuid7
from gateway.ports import (
    Authenticator,
    Caller,
    Clock,
    DecisionPoint,
    EvidenceLog,
    Ledger,
    Upstream,
    UpstreamResponse,
)
from gateway.wire import mcp, refusal
from gateway.wire.refusal import Refusal
from gateway.wire.relay import Piece, error_event, is_event_stream, pieces


@dataclass(frozen=True, slots=True)
class Ports:
    """What the line is connected to."""

    clock: Clock
    authenticator: Authenticator
    ledger: Ledger
    decision_point: DecisionPoint
    evidence: EvidenceLog
    upstream: Upstream


async def walk(
    request: Request, caller: Caller, ports: Ports, refused: WireError | None = None
) -> None:
    """Take one request along the line and answer it.

    Args:
        request: the request as far as it was admitted.
        caller: where the answer goes.
        ports: what the line is connected to.
        refused: why admission refused it; it is then recorded and answered, nothing more.
    """
    trail = _begin(request, ports.clock)
    decision = await _decide(trail, ports, refused)
    if isinstance(decision, Hold):
        decision = await _hold(trail, decision, ports)
    match decision:
        case Permit():
            await _forward(trail, decision, caller, ports)
        case Deny() | Hold():
            await _refuse(trail, decision, caller, ports)
        case _:
            assert_never(decision)


def _begin(request: Request, clock: Clock) -> Trail:
    now = clock.wall_ns()
    call_id = uuid7(now, secrets.token_bytes(ENTROPY_BYTES))
    return Trail(call_id, now, clock.monotonic_ns(), request)


async def _decide(trail: Trail, ports: Ports, refused: WireError | None) -> Decision:
    """Walk from decode to decide; a failure on the way is a denial that names its step."""
    step = "admit"
    try:
        if refused:
            raise refused
        step = "decode"
        call = trail.call = mcp.decode(trail.request)
        step = "authenticate"
        claims = trail.claims = await ports.authenticator.authenticate(trail.request.credential)
        step = "situate"
        situation = await ports.ledger.situate(call, claims, trail.began_ns)
        trail.approval = situation.approval
        step = "decide"
        trail.document = decision_input(call, claims, situation, trail.call_id, trail.began_ns)
        return await ports.decision_point.decide(dumps(trail.document))
    except GatewayError as failure:
        trail.failure = failure
        return Deny.because(failure, step)


async def _hold(trail: Trail, hold: Hold, ports: Ports) -> Decision:
    """Store the request for approval; a hold that cannot be stored is a denial."""
    try:
        trail.approval = await ports.ledger.hold(
            trail.decoded, trail.verified, hold, trail.call_id, trail.began_ns
        )
    except GatewayError as failure:
        trail.failure = failure
        return replace(Deny.because(failure, "hold"), policy=hold.policy)
    return hold


async def _refuse(trail: Trail, decision: Deny | Hold, caller: Caller, ports: Ports) -> None:
    """Record a refusal, then answer it."""
    try:
        await _append("refusal", facts.decided(trail, decision, ports.clock.monotonic_ns()), ports)
    except EvidenceUnavailable as failure:
        trail.failure = failure
    await _answer(trail, decision, caller)


async def _forward(trail: Trail, permit: Permit, caller: Caller, ports: Ports) -> None:
    """Record the intent, send, relay, record the outcome before the last byte."""
    try:
        await _append("intent", facts.decided(trail, permit, ports.clock.monotonic_ns()), ports)
    except EvidenceUnavailable as failure:
        trail.failure = failure
        return await _answer(trail, permit, caller)
    call, reply, outcome = trail.decoded, _Reply(caller), _Outcome(trail, ports)
    try:
        # A caller that left while its intent was written is gone before anything is sent.
        await checkpoint_if_cancelled()
        async with ports.upstream.send(call) as response:
            outcome.tally.begin(response.status, response.headers)
            await reply.head(response)
            async with aclosing(pieces(response.headers, response.body, call.rpc_id)) as relayed:
                async for piece in relayed:
                    outcome.tally.add(piece.data)
                    if piece.final:
                        await outcome.record("completed")
                    await reply.write(piece)
    except (UpstreamError, ExecutedUnrecorded) as failure:
        trail.failure = await outcome.failed(failure)
        await reply.break_off(trail, permit)
    finally:
        # Still open only if the caller left, or if something happened that nobody foresaw.
        with suppress(ExecutedUnrecorded):
            await outcome.record("abandoned")


async def _answer(trail: Trail, decision: Decision, caller: Caller) -> None:
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


async def _append(kind: str, fields: Mapping[str, Any], ports: Ports) -> None:
    """Append a record even if the caller leaves meanwhile: a queued record cannot be taken back.

    The log bounds the wait itself.
    """
    with anyio.CancelScope(shield=True):
        await ports.evidence.append(kind, fields)


class _Outcome:
    """The outcome of one sent call, recorded once. Owned by `_forward`."""

    def __init__(self, trail: Trail, ports: Ports) -> None:
        self._trail = trail
        self._ports = ports
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
        clock, trail = self._ports.clock, self._trail
        fields = self.tally.outcome(
            trail.call_id,
            status,
            failure.reason_code if failure else None,
            clock.wall_ns(),
            clock.monotonic_ns() - trail.monotonic_ns,
        )
        try:
            await _append("outcome", fields, self._ports)
        except EvidenceUnavailable as exc:
            self._ports.evidence.latch("the outcome of an executed call could not be recorded")
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


class _Reply:
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
            await _answer(trail, permit, self._caller)
        elif self._streamed and trail.decoded.rpc_id is not None:
            message = refusal.rpc_error(trail.decoded.rpc_id, _refusal(trail, permit))
            await self._caller.finish(error_event(message))
        else:
            await self._caller.abort()

    async def _start(self, response: UpstreamResponse) -> None:
        self._started = True
        await self._caller.start(response.status, response.headers)
