"""Observe mode on the line: every record and every answer says what would be outside it."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.decision import Decision
from gateway.core.errors import UpstreamError
from tests.fakes import PERMIT
from tests.pipeline.line import (
    DENY,
    HOLD,
    JSON,
    MARK,
    PROGRESS,
    RECEIPT,
    SHAPES,
    Line,
    request,
    resources_read,
)
from tests.pipeline.test_refusals import KINDS, refused

LET_THROUGH = replace(PERMIT, observed="deny")
STILL_DENIED, STILL_HELD = replace(DENY, observed="deny"), replace(HOLD, observed="hold")


@pytest.mark.parametrize("would_be", ["permit", "deny", "hold"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_call_that_is_let_through_is_marked_in_its_record_and_its_answer(
    shape: str, would_be: str
) -> None:
    """Issue: observe mode decides and records, does not block, and is loud."""
    line = Line(replace(PERMIT, observed=would_be), shape=shape)
    await line.walk()
    assert len(line.upstream.calls) == 1
    (intent,) = line.evidence.of("intent")
    assert (intent["decision"]["effect"], intent["decision"]["observed"]) == ("permit", would_be)
    (outcome,) = line.evidence.of("outcome")
    assert outcome["observed"] == would_be
    assert line.caller.headers["bailiwick-observed"] == would_be
    assert (b'"bailiwick/observed":"' + would_be.encode() + b'"' in line.caller.body) == (
        MARK in line.caller.body
    )


async def test_the_mark_stands_beside_the_receipt() -> None:
    """Issue: marks every answer."""
    line = Line(LET_THROUGH)
    await line.walk()
    assert line.answer()["result"]["_meta"] == {
        "bailiwick/receipt": RECEIPT,
        "bailiwick/observed": "deny",
    }


@pytest.mark.parametrize("decision", [STILL_DENIED, STILL_HELD], ids=["deny", "hold"])
async def test_a_refusal_in_observe_mode_is_marked_too(decision: Decision) -> None:
    """Issue: every record and every answer."""
    line = Line(decision)
    await line.walk()
    assert line.upstream.calls == []
    would_be = decision.observed
    assert line.evidence.of("refusal")[0]["decision"]["observed"] == would_be
    assert line.caller.headers["bailiwick-observed"] == would_be
    assert line.answer()["result"]["_meta"]["bailiwick/observed"] == would_be


async def test_the_error_of_another_method_is_marked_in_its_data() -> None:
    """House: no result, no `_meta`."""
    line = Line(STILL_DENIED)
    await line.walk(request(resources_read()))
    assert line.answer()["error"]["data"]["observed"] == "deny"
    assert line.caller.headers["bailiwick-observed"] == "deny"


def break_notes(line: Line) -> None:
    """Break what the ledger is told of a permit."""
    line.ledger.broken["permitted"] = "raises"


def break_holds(line: Line) -> None:
    """Break the ledger's writing."""
    line.ledger.broken["hold"] = "raises"


def break_evidence(line: Line) -> None:
    """Break the intent."""
    line.evidence.fail_next("intent")


def break_outcome(line: Line) -> None:
    """Break the outcome."""
    line.evidence.fail_next("outcome")


def break_upstream(line: Line) -> None:
    """Break the upstream."""
    line.upstream.entering = UpstreamError("x")


@pytest.mark.parametrize(
    ("decision", "prepare"),
    [
        (LET_THROUGH, break_notes),
        (LET_THROUGH, break_evidence),
        (LET_THROUGH, break_upstream),
        (LET_THROUGH, break_outcome),
        (STILL_HELD, break_holds),
    ],
    ids=["not noted", "no intent", "upstream", "no outcome", "not held"],
)
async def test_what_fails_after_the_decision_is_marked_all_the_same(
    decision: Decision, prepare: Any
) -> None:
    """Issue: every answer to a call of an agent that is observed."""
    line = await refused(decision, prepare=prepare)
    assert line.caller.headers["bailiwick-observed"] == decision.observed
    for fields in (*line.evidence.of("intent"), *line.evidence.of("refusal")):
        assert fields["decision"]["observed"] == decision.observed


async def test_a_stream_that_breaks_is_marked_in_its_error() -> None:
    """House: the head says so, and so does the message that ends it."""
    line = Line(LET_THROUGH, shape="an event stream", body=[PROGRESS, UpstreamError("x")])
    await line.walk()
    assert line.caller.headers["bailiwick-observed"] == "deny"
    assert b'"observed":"deny"' in line.caller.body


@pytest.mark.parametrize("how", [kind[0] for kind in KINDS.values()], ids=KINDS.keys())
async def test_outside_observe_mode_nothing_is_marked(how: dict[str, Any]) -> None:
    """House: a mark means something; most calls get as far as no charter."""
    line = await refused(**how)
    assert "bailiwick-observed" not in line.caller.headers
    assert b"observed" not in line.caller.body
    assert line.evidence.of("refusal")[0]["decision"]["observed"] is None


@pytest.mark.parametrize("decision", [PERMIT, LET_THROUGH], ids=["enforced", "observed"])
async def test_no_upstream_can_set_or_unset_the_mark(decision: Decision) -> None:
    """House: neither in the result nor as a header."""
    forged = b'"_meta":{"bailiwick/observed":"permit"},' + MARK
    line = Line(decision, body=[SHAPES["JSON in one chunk"][2][0].replace(MARK, forged)])
    line.upstream.headers = {**JSON, "bailiwick-observed": "permit", "bailiwick-x": "y"}
    await line.walk()
    assert line.caller.headers.get("bailiwick-observed") == decision.observed
    assert "bailiwick-x" not in line.caller.headers
    assert line.answer()["result"]["_meta"].get("bailiwick/observed") == decision.observed
    assert b'"permit"' not in line.caller.body
