"""The straight line: every call walks it, in this order and in no other.

    decode → authenticate → situate → decide → note → record intent → equip → send → check
           → record outcome → encode

Invariants: nothing is sent without a permit; nothing is sent before its intent is durable, nor
before its session has what it brings, which lasts while an answer does; the caller does not get the
last byte before the outcome is durable, nor any byte much before its part is; a session is used by,
and its id given to, its owner alone; a refusal is recorded like a permit; a failure of any step
before sending is a denial. A `Hold` ends the line: its approved repeat walks it again from the top.
Knows ports, never adapters. Does not admit (`app`, `wire`).
"""

import secrets
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Final, assert_never

import anyio
import anyio.to_thread
from anyio.lowlevel import checkpoint_if_cancelled

from gateway.core import facts
from gateway.core.call import Request, ToolCall
from gateway.core.canonical import dumps
from gateway.core.decision import Decision, Deny, Hold, Permit
from gateway.core.document import decision_input
from gateway.core.errors import (
    EvidenceUnavailable,
    ExecutedUnrecorded,
    GatewayError,
    LedgerUnavailable,
    UpstreamError,
    WireError,
)
from gateway.core.facts import Trail
from gateway.core.identifier import ENTROPY_BYTES, uuid7
from gateway.core.session import opened, refuse_unowned
from gateway.exchange import Outcome, Reply, answer
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
from gateway.wire import mcp
from gateway.wire.relay import MAX_HELD, pieces

INLINE_BYTES: Final = 32 * 1024
"""Longest body that is decoded on the event loop."""
RENEW_NS: Final = 1_000_000_000
"""How often a session is told anew what an answer that goes on brings."""


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
    # Whoever hangs up is still decided on and recorded, or forbidden tools could be tried without
    # a trace. Every step in here has a deadline of its own.
    with anyio.CancelScope(shield=True):
        decision = await _decide(trail, ports, refused)
        if isinstance(decision, Hold):
            decision = await _hold(trail, decision, ports)
        elif isinstance(decision, Permit):
            decision = await _note(trail, decision, ports)
        await _record(trail, decision, ports)
    match decision:
        case Permit() if trail.failure is None:
            await _forward(trail, decision, caller, ports)
        case Permit() | Deny() | Hold():
            await answer(trail, decision, caller)
        case _:
            assert_never(decision)


def _begin(request: Request, clock: Clock) -> Trail:
    now = clock.wall_ns()
    call_id = uuid7(now, secrets.token_bytes(ENTROPY_BYTES))
    return Trail(call_id, now, clock.monotonic_ns(), request)


async def _decide(trail: Trail, ports: Ports, refused: WireError | None) -> Decision:
    """Walk from decode to decide; a failure on the way is a denial that names its step."""
    step, now = "admit", ports.clock.monotonic_ns
    try:
        if refused:
            raise refused
        step = "decode"
        call = trail.call = await _decode(trail.request)
        trail.mark("decoded", now())
        step = "authenticate"
        claims = trail.claims = await ports.authenticator.authenticate(trail.request)
        trail.mark("authenticated", now())
        step = "situate"
        situation = await ports.ledger.situate(call, claims, trail.began_ns)
        trail.approval = situation.approval
        trail.mark("situated", now())
        step = "session"
        refuse_unowned(trail.request, situation.session_owned)
        step = "decide"
        trail.document = decision_input(call, claims, situation, trail.call_id, trail.began_ns)
        decision = await ports.decision_point.decide(dumps(trail.document))
        trail.mark("decided", now())
        return decision
    except GatewayError as failure:
        trail.failure = failure
        return Deny.because(failure, step)


async def _decode(request: Request) -> ToolCall:
    """Decode the body; a large one in a thread, so that other calls' deadlines do not wait."""
    if len(request.body) <= INLINE_BYTES:
        return mcp.decode(request)
    return await anyio.to_thread.run_sync(mcp.decode, request)


async def _hold(trail: Trail, hold: Hold, ports: Ports) -> Decision:
    """Store the request for approval; a hold that cannot be stored is a denial."""
    try:
        trail.approval = await ports.ledger.hold(
            trail.decoded, trail.verified, hold, trail.call_id, trail.began_ns
        )
    except GatewayError as failure:
        return _denied(trail, hold, failure, "hold")
    return hold


async def _note(trail: Trail, permit: Permit, ports: Ports) -> Decision:
    """Note what the call brings into its session; one that could leave no mark is denied."""
    trail.noted_ns = trail.began_ns
    try:
        await ports.ledger.permitted(trail.decoded, trail.verified, permit, trail.began_ns)
    except GatewayError as failure:
        return _denied(trail, permit, failure, "note")
    return permit


def _denied(trail: Trail, decision: Permit | Hold, failure: GatewayError, step: str) -> Deny:
    """Return the denial that takes the place of a decision that cannot be carried out."""
    trail.failure = failure
    denial = Deny.because(failure, step)
    return replace(denial, policy=decision.policy, observed=decision.observed)


async def _record(trail: Trail, decision: Decision, ports: Ports) -> None:
    """Record the intent of a permitted call, or the refusal."""
    permit = decision if isinstance(decision, Permit) else None
    kind, effect = ("intent", permit.classification.effect) if permit else ("refusal", None)
    try:
        fields = facts.decided(trail, decision)
        trail.receipt = (await ports.evidence.append(kind, fields, effect=effect)).given()
        trail.mark("recorded", ports.clock.monotonic_ns())
    except EvidenceUnavailable as failure:
        trail.failure = failure


async def _bind(trail: Trail, response: UpstreamResponse, ports: Ports) -> None:
    """Give a session that the upstream opened to its caller, before the caller learns its id.

    Raises:
        UpstreamError: it cannot be given; the answer is withheld, or anybody could use it.
    """
    session_id = opened(trail.request, response.headers)
    if session_id is None:
        return
    try:
        now_ns = ports.clock.wall_ns()
        await ports.ledger.open_session(trail.decoded.system, session_id, trail.verified, now_ns)
    except LedgerUnavailable as failure:
        raise UpstreamError("its session has no owner", code="session_unbound") from failure


async def _renew(trail: Trail, permit: Permit, ports: Ports) -> None:
    """Note again what the call brings, or a long answer would outlive its mark.

    Raises:
        UpstreamError: it cannot be noted; the rest of the answer is withheld.
    """
    now_ns = ports.clock.wall_ns()
    if 0 <= now_ns - trail.noted_ns < RENEW_NS:
        return
    try:
        await ports.ledger.permitted(trail.decoded, trail.verified, permit, now_ns)
    except LedgerUnavailable as failure:
        raise UpstreamError("its session has no mark", code="session_unmarked") from failure
    trail.noted_ns = now_ns


async def _forward(trail: Trail, permit: Permit, caller: Caller, ports: Ports) -> None:
    """Send the call, relay its answer, and record the outcome before the last byte."""
    call, reply = trail.decoded, Reply(trail, permit, caller)
    outcome = Outcome(trail, permit, ports.evidence, ports.clock)
    # A tool's JSON answer is held until it is whole, for the receipt that goes into it.
    hold = MAX_HELD if call.action == "tools/call" else None
    try:
        # A caller that left while its intent was written is gone before anything is sent.
        await checkpoint_if_cancelled()
        async with ports.upstream.send(call) as response:
            body = outcome.begin(response)
            await _bind(trail, response, ports)
            await reply.head(response)
            relayed = pieces(response.headers, body, call.rpc_id, hold)
            async with outcome.watched(), aclosing(relayed):
                async for piece in relayed:
                    await outcome.count(piece)
                    await _renew(trail, permit, ports)
                    await reply.fit(piece)
                    await outcome.keep(piece)
                    await reply.write(piece)
                    outcome.gave(piece)
    except (UpstreamError, ExecutedUnrecorded) as failure:
        trail.failure = await outcome.failed(failure)
        await reply.break_off()
    finally:
        # Still open only if the caller left, or if something happened that nobody foresaw.
        with suppress(ExecutedUnrecorded):
            await outcome.record("abandoned")
