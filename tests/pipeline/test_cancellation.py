from collections.abc import Callable

import anyio
import pytest

from tests.fakes import Gate
from tests.pipeline.line import (
    ANSWER,
    DENY,
    EVENT,
    HOLD,
    PROGRESS,
    RECEIPTED,
    Line,
    request,
    resources_read,
)

Place = Callable[[Line, Gate], None]


async def leave_at(
    line: Line, gate: Gate, *, open_after: bool = False, body: bytes | None = None
) -> None:
    """Walk, and leave as `app` does when the caller goes: by cancelling, at the gate."""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.walk, request(body))
            await gate.reached.wait()
            tasks.cancel_scope.cancel()
            if open_after:
                gate.opened.set()


def authenticate(line: Line, gate: Gate) -> None:
    """Stop in authenticate."""
    line.authenticator.gate = gate


def situate(line: Line, gate: Gate) -> None:
    """Stop in situate."""
    line.ledger.gates["situate"] = gate


def decide(line: Line, gate: Gate) -> None:
    """Stop in decide."""
    line.decision_point.gate = gate


def permitted(line: Line, gate: Gate) -> None:
    """Stop while the session is told; only a permit gets there."""
    line.ledger.gates["permitted"] = gate


PLACES = [authenticate, situate, decide]


@pytest.mark.parametrize("place", PLACES)
async def test_a_caller_that_leaves_before_a_denial_is_recorded_all_the_same(place: Place) -> None:
    """Design §1.3: forbidden tools cannot be tried without a trace by hanging up."""
    line, gate = Line(DENY), Gate()
    place(line, gate)
    await leave_at(line, gate, open_after=True)
    assert (line.upstream.calls, line.kinds(), line.caller.steps) == ([], ["refusal"], [])


@pytest.mark.parametrize("place", [*PLACES, permitted])
async def test_a_caller_that_leaves_before_a_permit_reaches_no_upstream(place: Place) -> None:
    """Design §2: what was permitted and not sent has an intent and an `abandoned` outcome."""
    line, gate = Line(), Gate()
    place(line, gate)
    await leave_at(line, gate, open_after=True)
    assert (line.upstream.calls, line.outcomes()) == ([], ["abandoned"])


async def test_a_caller_that_leaves_before_a_hold_leaves_no_unrecorded_request() -> None:
    """House: an approval request names a call that evidence knows."""
    line, gate = Line(HOLD), Gate()
    line.ledger.gates["hold"] = gate
    await leave_at(line, gate, open_after=True)
    assert line.kinds() == ["refusal"]


async def test_a_caller_that_leaves_while_the_intent_is_written_leaves_a_closed_call() -> None:
    """Design §2: a queued record cannot be taken back, so it gets its outcome."""
    line, gate = Line(), Gate()
    line.evidence.gates["intent"] = gate
    await leave_at(line, gate, open_after=True)
    assert line.kinds() == ["intent", "outcome"]
    assert line.outcomes() == ["abandoned"]
    assert line.upstream.calls == []


async def test_a_caller_that_leaves_before_the_head_has_its_upstream_cancelled() -> None:
    """Design §7: upstream cancelled, outcome `abandoned`, once."""
    line, gate = Line(), Gate()
    line.upstream.entering = gate
    await leave_at(line, gate)
    assert line.tape[-4:] == ["send", "hang up", ("append", "outcome"), ("durable", "outcome")]
    assert line.outcomes() == ["abandoned"]
    assert line.evidence.of("outcome")[0]["http_status"] is None


@pytest.mark.parametrize(
    ("shape", "first"),
    [("JSON in many chunks", [ANSWER[:9], ANSWER[9:20]]), ("an event stream", [PROGRESS])],
    ids=["chunked", "event stream"],
)
async def test_a_caller_that_leaves_in_the_middle_is_recorded_with_what_it_got(
    shape: str, first: list[bytes]
) -> None:
    """Design §7: outcome `abandoned`, once, with the bytes so far."""
    gate = Gate()
    line = Line(shape=shape, body=[*first, gate, EVENT])
    await leave_at(line, gate, body=resources_read())
    assert line.outcomes() == ["abandoned"]
    outcome = line.evidence.of("outcome")[0]
    assert outcome["body_bytes"] == outcome["relayed_bytes"] == len(line.caller.body)
    assert line.caller.body == first[0]
    assert line.tape.count("hang up") == 1
    assert "finish" not in line.caller.steps


@pytest.mark.parametrize("shape", ["JSON in one chunk", "an event stream", "202 without a body"])
async def test_a_caller_that_leaves_while_the_outcome_is_written_leaves_exactly_one(
    shape: str,
) -> None:
    """Design §2: shielded and bounded; the first outcome stands."""
    line, gate = Line(shape=shape), Gate()
    line.evidence.gates["outcome"] = gate
    await leave_at(line, gate, open_after=True)
    assert line.outcomes() == ["completed"]
    assert line.tape.count(("append", "outcome")) == 1
    assert line.tape.count("hang up") == 1


@pytest.mark.parametrize("step", ["start", "write", "finish"])
async def test_a_caller_that_does_not_read_and_leaves_is_recorded_once(step: str) -> None:
    """House: cancellation may come inside any write to the caller."""
    line, gate = Line(shape="JSON in many chunks"), Gate()
    line.caller.trouble[step] = gate
    await leave_at(line, gate, body=resources_read())
    assert line.outcomes() == ["completed" if step == "finish" else "abandoned"]
    got = line.evidence.of("outcome")[0]["relayed_bytes"]
    assert got == {"start": 0, "write": 0, "finish": None}[step], (
        "what was not written is not given"
    )
    assert line.tape.count("hang up") == 1


@pytest.mark.parametrize("step", ["start", "write", "finish"])
async def test_a_caller_whose_connection_breaks_is_recorded_once(step: str) -> None:
    """House: a write that raises is a caller that left."""
    line = Line(shape="an event stream")
    line.caller.trouble[step] = ConnectionResetError()
    with pytest.raises(ConnectionResetError):
        await line.walk()
    assert line.outcomes() == ["completed" if step == "finish" else "abandoned"]
    assert line.tape.count("hang up") == 1


async def test_a_caller_that_leaves_after_the_last_byte_changes_nothing() -> None:
    """House: the answer is whole and recorded; only the drain of the stream ends early."""
    gate = Gate()
    line = Line(shape="an event stream", body=[EVENT, gate])
    await leave_at(line, gate)
    assert line.outcomes() == ["completed"]
    assert (line.caller.steps, line.caller.body) == (
        ["start", "finish"],
        EVENT.replace(ANSWER, RECEIPTED),
    )
    assert line.tape[-1] == "hang up"


async def test_a_stream_that_never_ends_after_its_answer_is_ended_by_us() -> None:
    """wire/relay: the drain is bounded, so the caller's connection is given back."""
    gate = Gate()
    line = Line(shape="an event stream", body=[EVENT, gate])
    with anyio.fail_after(5):
        await line.walk()
    assert line.tape[-1] == "hang up"


async def test_a_refusal_whose_caller_leaves_while_it_is_written_is_recorded() -> None:
    """Design §1.3: a refused caller cannot unwrite its refusal by leaving."""
    line, gate = Line(DENY), Gate()
    line.evidence.gates["refusal"] = gate
    await leave_at(line, gate, open_after=True)
    assert (line.kinds(), line.caller.steps) == (["refusal"], [])


async def test_an_abandoned_call_that_cannot_be_recorded_latches_the_log() -> None:
    """Design §7: an outcome that is lost stops the gateway, whoever left."""
    line, gate = Line(), Gate()
    line.upstream.entering = gate
    line.evidence.fail_next("outcome")
    await leave_at(line, gate)
    assert line.outcomes() == []
    assert line.evidence.latched is not None


async def test_cancelling_is_not_swallowed() -> None:
    """Style §4.1: cancellation is not an error, and it goes on outwards."""
    line, gate = Line(), Gate()
    line.upstream.entering = gate
    after = False
    with anyio.fail_after(5), anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def leave() -> None:
                await gate.reached.wait()
                scope.cancel()

            tasks.start_soon(leave)
            await line.walk()
            after = True
    assert scope.cancelled_caught
    assert not after
