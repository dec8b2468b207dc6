import itertools
from collections.abc import Sequence

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.decision import Decision
from gateway.core.errors import PolicyUnavailable, UpstreamError, UpstreamTimeout
from tests.fakes import PERMIT, Gate
from tests.pipeline.line import (
    DENY,
    HOLD,
    MARK,
    PROGRESS,
    SHAPES,
    Line,
    last_piece_after_outcome,
    request,
    resources_read,
    send_after_intent,
)

BROKEN = UpstreamError("broke", code="upstream_broke_off")


async def test_an_unrecorded_outcome_latches_and_is_said_without_a_5xx() -> None:
    """Design §7: `executed_unrecorded`; clients would send a 5xx again."""
    line = Line()
    line.evidence.fail_next("outcome")
    await line.walk()
    assert (line.caller.status, line.code()) == (200, "executed_unrecorded")
    assert line.answer()["result"]["isError"] is True
    assert line.evidence.latched is not None
    assert not line.evidence.healthy()
    assert MARK not in line.caller.body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (resources_read(), 200),
        (b'{"jsonrpc":"2.0","method":"notifications/cancelled"}', 403),
    ],
    ids=["another request", "notification"],
)
async def test_no_kind_of_call_is_answered_5xx_when_executed(body: bytes, status: int) -> None:
    """Design §7: the same for what has no tool result."""
    line = Line(shape="202 without a body")
    line.evidence.fail_next("outcome")
    await line.walk(request(body))
    assert (line.caller.status, line.code()) == (status, "executed_unrecorded")


async def test_an_event_stream_that_has_begun_ends_with_the_error_instead_of_the_answer() -> None:
    """Design §1.3: the answer itself is withheld."""
    line = Line(shape="an event stream")
    line.evidence.fail_next("outcome")
    await line.walk()
    assert line.caller.steps == ["start", "write", "write", "finish"]
    assert b"executed_unrecorded" in line.caller.body
    assert MARK not in line.caller.body
    assert line.evidence.latched is not None


async def test_a_chunked_answer_that_has_begun_is_aborted() -> None:
    """Design §1.3: its last byte is withheld, and the caller can see that."""
    line = Line(shape="JSON in many chunks")
    line.evidence.fail_next("outcome")
    await line.walk(request(resources_read()))
    assert line.caller.steps == ["start", "write", "write", "abort"]
    assert MARK not in line.caller.body
    assert line.evidence.latched is not None


@pytest.mark.parametrize("decision", [PERMIT, DENY, HOLD], ids=["permit", "deny", "hold"])
async def test_the_next_call_is_refused_because_there_is_no_evidence(decision: Decision) -> None:
    """Design §7: the gateway stops taking calls."""
    line = Line(PERMIT, decision)
    line.evidence.fail_next("outcome")
    await line.walk()
    await line.walk()
    assert (line.caller.status, line.code()) == (503, "evidence_unavailable")
    assert "retry-after" in line.caller.headers
    assert len(line.upstream.calls) == 1


@pytest.mark.parametrize("failure", [BROKEN, UpstreamTimeout("silent")], ids=["broken", "silent"])
async def test_an_upstream_failure_that_cannot_be_recorded_is_the_worse_of_both(
    failure: UpstreamError,
) -> None:
    """House: 502 would invite a repeat of a call that may have been executed."""
    line = Line()
    line.upstream.entering = failure
    line.evidence.fail_next("outcome")
    await line.walk()
    assert (line.caller.status, line.code()) == (200, "executed_unrecorded")
    assert line.evidence.latched is not None
    assert line.tape.count(("append", "outcome")) == 1


async def test_a_stream_that_breaks_and_cannot_be_recorded_says_so() -> None:
    """House: as above, once the head has gone out."""
    line = Line(shape="an event stream", body=[PROGRESS, BROKEN])
    line.evidence.fail_next("outcome")
    await line.walk()
    assert line.caller.steps == ["start", "write", "finish"]
    assert b"executed_unrecorded" in line.caller.body


async def test_an_outcome_whose_answer_was_lost_counts_as_unrecorded() -> None:
    """Style §4.6: did it, but the answer was lost."""
    line = Line()
    line.evidence.fail_next("outcome", after=True)
    await line.walk()
    assert line.code() == "executed_unrecorded"
    assert line.outcomes() == ["completed"], "the record is there, once, and nobody adds another"


EVIDENCE = (None, ("intent", False), ("intent", True), ("outcome", False), ("outcome", True))
UPSTREAM = ("answers", "unreachable", "lost head", "breaks off", "fails on leaving")
LEDGER = (None, "situate", "hold", "permitted", "open_session")
DECISIONS: tuple[Decision | Exception, ...] = (PERMIT, DENY, HOLD, PolicyUnavailable("down"))
UNBOUND = "canary-unbound-session"
CALLER = (None, "start", "write", "finish")


def breaking(body: Sequence[bytes]) -> list[bytes | Exception]:
    """Return a body that breaks off in its middle."""
    return [*body[: len(body) // 2], BROKEN]


def scripted(
    shape: str,
    decision: Decision | Exception,
    evidence: tuple[str, bool] | None,
    upstream: str,
    ledger: str | None,
    caller: str | None,
) -> Line:
    """Return a line with all of these failures at once."""
    body = breaking(SHAPES[shape][2]) if upstream == "breaks off" else None
    line = Line(decision, shape=shape, body=body)
    if evidence:
        line.evidence.fail_next(evidence[0], after=evidence[1])
    if upstream == "unreachable":
        line.upstream.unreachable = BROKEN
    elif upstream == "lost head":
        line.upstream.entering = BROKEN
    elif upstream == "fails on leaving":
        line.upstream.leaving = BROKEN
    if ledger:
        line.ledger.broken[ledger] = "raises"
    if ledger == "open_session":
        line.upstream.headers = {**line.upstream.headers, "mcp-session-id": UNBOUND}
    if caller:
        line.caller.trouble[caller] = ConnectionResetError()
    return line


def check(line: Line, reached_answer: bool) -> None:
    """Assert what must hold whatever fails."""
    assert UNBOUND not in line.caller.headers.values()
    assert send_after_intent(line.tape)
    if line.upstream.calls and reached_answer:
        assert last_piece_after_outcome(line.tape)
    assert line.caller.steps.count("finish") + line.caller.steps.count("abort") <= 1
    assert line.tape.count(("append", "outcome")) <= line.tape.count(("durable", "intent"))
    # An intent has an outcome, unless the log has stopped or nobody learnt of that intent.
    unknown = ("append", "intent") in line.tape and "send" not in line.tape and not line.outcomes()
    if not line.evidence.latched and not (unknown and line.evidence.healthy() is False):
        assert len(line.outcomes()) == len(line.evidence.of("intent"))


@pytest.mark.parametrize("body", [None, resources_read()], ids=["tool", "resource"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_in_no_combination_of_failures_does_effect_come_before_evidence(
    shape: str, body: bytes | None
) -> None:
    """Design §1.3: 2,000 combinations a shape, of an answer that is held and one that is not."""
    for script in itertools.product(DECISIONS, EVIDENCE, UPSTREAM, LEDGER, CALLER):
        line = scripted(shape, *script)
        with anyio.fail_after(5):
            try:
                await line.walk(request(body))
            except ConnectionResetError:
                assert script[-1], "only a caller that left may end the line by raising"
        # An answer of our own (`executed_unrecorded`) may end a call whose outcome is not durable.
        ours = b"executed_unrecorded" in line.caller.body
        check(line, reached_answer=not ours)
        if line.evidence.latched:
            assert MARK not in line.caller.body


@settings(max_examples=300, deadline=None)
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    script=st.tuples(
        st.sampled_from(DECISIONS),
        st.sampled_from(EVIDENCE),
        st.sampled_from(UPSTREAM),
        st.sampled_from(LEDGER),
        st.none(),
    ),
    stop=st.sampled_from(
        [
            *("authenticate", "situate", "decide", "hold", "permitted", "intent", "refusal"),
            *("head", "open_session", "outcome"),
        ]
    ),
    reopened=st.booleans(),
)
def test_nor_when_the_caller_leaves_anywhere(
    shape: str,
    script: tuple[Decision | Exception, tuple[str, bool] | None, str, str | None, str | None],
    stop: str,
    reopened: bool,
) -> None:
    """Design §1.3: the same with a cancellation at each step that waits."""

    async def attempt() -> None:
        line, gate = scripted(shape, *script), Gate()
        place(line, gate, stop)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                async with anyio.create_task_group() as walkers:

                    async def walk() -> None:
                        await line.walk()
                        gate.reached.set()

                    walkers.start_soon(walk)
                    await gate.reached.wait()
                    if reopened:
                        gate.opened.set()
                    walkers.cancel_scope.cancel()
                    # A record that is being written cannot be left: it must be let through.
                    gate.opened.set()
                tasks.cancel_scope.cancel()
        check(line, reached_answer=b"executed_unrecorded" not in line.caller.body)

    anyio.run(attempt)


def place(line: Line, gate: Gate, stop: str) -> None:
    """Put the gate where the caller leaves."""
    if stop == "authenticate":
        line.authenticator.gate = gate
    elif stop in ("situate", "hold", "permitted", "open_session"):
        line.ledger.gates[stop] = gate
    elif stop == "decide":
        line.decision_point.gate = gate
    elif stop == "head":
        line.upstream.entering = gate
    else:
        line.evidence.gates[stop] = gate
