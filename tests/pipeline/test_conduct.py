"""What a session did, on the line: told to policy, widened before anything is sent."""

from dataclasses import replace
from typing import Any

import anyio
import pytest

from gateway.core.decision import Decision
from gateway.core.errors import PolicyUnavailable
from tests.fakes import PERMIT, Gate
from tests.pipeline.line import (
    ANSWER,
    DENY,
    EVENT,
    HOLD,
    MARK,
    PROGRESS,
    RECEIPTED,
    SHAPES,
    Line,
    request,
)
from tests.pipeline.line import resources_read as resource

TAINTED = replace(PERMIT, untrusted_input=True)
OMITTED = replace(PERMIT, results_omitted=True)


def told(line: Line) -> list[dict[str, Any]]:
    """Return what policy was told of the session, call by call."""
    kinds = ("intent", "refusal")
    return [
        fields["input"]["context"]["session"]
        for kind, fields in line.evidence.records
        if kind in kinds
    ]


async def test_policy_is_told_what_the_session_did_before() -> None:
    """Issue: rules over session facts; the record has what the decision was made on."""
    line = Line(TAINTED, PERMIT)
    await line.walk()
    await line.walk()
    first, second = told(line)
    assert first == {
        "calls": 1,
        "calls_in_minute": 1,
        "systems": [],
        "domains_read": [],
        "untrusted_input": False,
    }
    assert second == {
        "calls": 2,
        "calls_in_minute": 2,
        "systems": ["crm"],
        "domains_read": ["crm"],
        "untrusted_input": True,
    }


@pytest.mark.parametrize("decision", [DENY, HOLD, PolicyUnavailable("x")], ids=["d", "h", "p"])
async def test_a_call_that_is_not_sent_marks_nothing_and_counts(
    decision: Decision | Exception,
) -> None:
    """core/session_facts: refused calls count too."""
    line = Line(decision, decision)
    await line.walk()
    await line.walk()
    assert "permitted" not in line.tape
    assert told(line)[1] == {**told(line)[0], "calls": 2, "calls_in_minute": 2}


@pytest.mark.parametrize("mode", ["raises", "times out", "lost"])
async def test_a_call_that_could_leave_no_mark_is_not_sent(mode: str) -> None:
    """Design §7: ledger unreachable; the refusal says which policy had permitted it."""
    line = Line(TAINTED)
    line.ledger.broken["permitted"] = mode
    await line.walk()
    assert (line.upstream.calls, line.kinds()) == ([], ["refusal"])
    decision = line.evidence.of("refusal")[0]["decision"]
    assert decision["reasons"] == [{"code": "ledger_unavailable", "rule": "gateway.note"}]
    assert (decision["effect"], decision["decision_id"]) == ("deny", "decision-1")


async def test_what_is_let_through_in_observe_mode_marks_its_session() -> None:
    """House: it was executed, whatever it would be otherwise."""
    line = Line(replace(TAINTED, observed="deny"), PERMIT)
    await line.walk()
    await line.walk()
    assert told(line)[1]["untrusted_input"] is True


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("body", [None, resource()], ids=["tool", "resource"])
async def test_results_that_the_charter_leaves_out_reach_the_caller_and_no_record(
    shape: str, body: bytes | None
) -> None:
    """Charter: `evidence.capture` without `results`; length, digest and status stay."""
    kept, omitted = Line(shape=shape), Line(OMITTED, shape=shape)
    for line in (kept, omitted):
        await line.walk(request(body))
    assert omitted.caller.body == kept.caller.body
    (full,), (record,) = kept.evidence.of("outcome"), omitted.evidence.of("outcome")
    assert record.keys() == full.keys()
    assert (record["omitted"], full["omitted"]) == (True, False)
    assert (record["body"], record["blob"], record["truncated"]) == (None, None, False)
    for name in ("status", "http_status", "body_bytes", "body_digest", "parts"):
        assert record[name] == full[name], name


async def test_no_part_of_a_long_stream_holds_what_the_charter_leaves_out() -> None:
    """Charter: as above; each part has its length and digest."""
    long = PROGRESS.replace(b"progress", b"canary" + b"x" * (1 << 20))
    event = SHAPES["an event stream"][2][1]
    line = Line(OMITTED, shape="an event stream", body=[long, long, event])
    await line.walk()
    parts = line.evidence.of("stream-part")
    assert len(parts) == 2
    for part in parts:
        assert (part["body"], part["omitted"]) == (None, True)
        assert part["bytes"] == len(long)
    assert "canary" not in repr(line.evidence.records)
    assert line.caller.body == (long * 2 + event).replace(ANSWER, RECEIPTED).replace(
        b'"seq":1', b'"seq":3'
    ).replace(b"0001", b"0003")


async def test_an_answer_that_goes_on_for_hours_still_taints_its_session() -> None:
    """core/session_facts: what comes after the mark was forgotten would taint nothing."""
    gate = Gate()
    line = Line(TAINTED, PERMIT, body=[PROGRESS, gate, EVENT], shape="an event stream")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.walk)
            await gate.reached.wait()
            line.clock.advance(2 * 3600)
            gate.opened.set()
    await line.walk()
    assert told(line)[1]["untrusted_input"]


async def test_an_answer_whose_mark_cannot_be_renewed_is_withheld() -> None:
    """House: fail closed, on the way back too."""
    gate = Gate()
    line = Line(TAINTED, body=[PROGRESS, gate, EVENT], shape="an event stream")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.walk)
            await gate.reached.wait()
            line.clock.advance(2 * 3600)
            line.ledger.broken["permitted"] = "raises"
            gate.opened.set()
    assert MARK not in line.caller.body
    assert line.evidence.of("outcome")[0]["error"] == "session_unmarked"
