import anyio
import pytest

from gateway.core.decision import Decision
from gateway.wire.relay import MAX_HELD
from tests.fakes import PERMIT, Gate
from tests.pipeline.line import (
    ANSWER,
    DENY,
    EVENT,
    HOLD,
    INTENT_RECEIPT,
    PROGRESS,
    RECEIPTED,
    SHAPES,
    Line,
    request,
    resources_read,
    tools_call,
)

BEFORE = [
    "authenticate",
    "situate",
    "decide",
    "permitted",
    ("append", "intent"),
    ("durable", "intent"),
    "send",
]
OUTCOME = [("append", "outcome"), ("durable", "outcome")]


async def test_a_permitted_call_walks_the_line_in_exactly_this_order() -> None:
    """Design §2: one order and no other."""
    line = Line()
    await line.walk()
    after = [*OUTCOME, ("start", 200), ("finish", RECEIPTED), "hang up"]
    assert line.tape == [*BEFORE, *after]


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_outcome_is_durable_before_the_last_piece_is_written(shape: str) -> None:
    """Design §1.3: the caller gets the last byte only after the outcome."""
    line = Line(shape=shape)
    await line.walk()
    assert line.tape[: len(BEFORE)] == BEFORE
    last = len(line.tape) - 1 - [type(mark) is tuple for mark in reversed(line.tape)].index(True)
    assert line.tape[last][0] == "finish"
    # Only the head of an unstreamed one-piece answer may stand between the outcome and the piece.
    since = line.tape[line.tape.index(("durable", "outcome")) + 1 : last]
    assert since in ([], [("start", SHAPES[shape][0])])
    assert line.kinds() == ["intent", "outcome"]


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_caller_gets_the_very_bytes_of_the_upstream_and_a_receipt(shape: str) -> None:
    """House: nothing but the receipt is changed on the way back, and the record has no receipt."""
    status, headers, chunks = SHAPES[shape]
    line = Line(shape=shape)
    await line.walk()
    assert line.caller.body == b"".join(chunks).replace(ANSWER, RECEIPTED)
    assert line.caller.status == status
    assert line.caller.headers == {**headers, "bailiwick-receipt": INTENT_RECEIPT}
    assert line.evidence.of("outcome")[0]["body_bytes"] == len(b"".join(chunks))
    assert line.evidence.of("outcome")[0]["body"] == b"".join(chunks).decode()


@pytest.mark.parametrize("shape", SHAPES)
async def test_what_is_no_tools_answer_gets_its_receipt_in_the_header_only(shape: str) -> None:
    """House: only the result of `tools/call` is changed."""
    line = Line(shape=shape)
    await line.walk(request(resources_read()))
    assert line.caller.body == b"".join(SHAPES[shape][2])
    assert line.caller.headers["bailiwick-receipt"] == INTENT_RECEIPT


async def test_a_json_answer_of_a_tool_too_long_to_be_held_is_refused() -> None:
    """wire/relay: MAX_HELD; what nobody can look at could hold a receipt of the upstream's own."""
    long = ANSWER.replace(b"[]", b'["' + b"x" * MAX_HELD + b'"]')
    line = Line(body=[long[:100], long[100:]])
    await line.walk()
    assert line.code() == line.evidence.of("outcome")[0]["error"] == "upstream_body_size"
    assert line.outcomes() == ["upstream_failed"]


async def test_what_is_sent_is_the_request_that_was_decided_and_recorded() -> None:
    """Design §1.2: the same bytes everywhere."""
    line, asked = Line(), request()
    await line.walk(asked)
    assert [call.request for call in line.upstream.calls] == [asked]
    intent = line.evidence.of("intent")[0]
    assert intent["request"]["body_digest"] == asked.body_digest
    assert intent["input"]["resource"]["arguments"] == {"customer": "c-1"}
    assert intent["call_id"] == line.evidence.of("outcome")[0]["call_id"]
    assert intent["decision"]["decision_id"] == "decision-1"


async def test_an_event_reaches_the_caller_while_the_upstream_still_works() -> None:
    """House: a stream is relayed as it comes."""
    gate = Gate()
    line = Line(shape="an event stream", body=[PROGRESS, gate, EVENT])
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.walk)
            await gate.reached.wait()
            assert line.caller.body == PROGRESS
            assert line.kinds() == ["intent"]
            gate.opened.set()
    assert line.caller.body == PROGRESS + EVENT.replace(ANSWER, RECEIPTED)


@pytest.mark.parametrize("decision", [DENY, HOLD], ids=["deny", "hold"])
async def test_a_refusal_is_durable_before_it_is_answered(decision: Decision) -> None:
    """Design §1.3: a refusal is recorded as fully as a permit."""
    line = Line(decision)
    await line.walk()
    held = ["hold"] if decision is HOLD else []
    assert line.tape[:-1] == [
        *BEFORE[:3],
        *held,
        ("append", "refusal"),
        ("durable", "refusal"),
        ("start", 200),
    ]
    assert line.upstream.calls == []


async def test_the_repeat_of_a_held_call_walks_the_line_from_the_top() -> None:
    """Design §2: no suspended coroutine carries authority."""
    line = Line(HOLD, HOLD)
    await line.walk()
    first = line.facts()
    await line.walk()
    assert line.facts()["approval_id"] == first["approval_id"]
    assert line.facts()["call_id"] != first["call_id"]
    assert [mark for mark in line.tape if mark in ("authenticate", "situate", "decide")] == [
        *BEFORE[:3],
        *BEFORE[:3],
    ]
    documents = [fields["input"]["context"] for fields in line.evidence.of("refusal")]
    assert [context["approval"] for context in documents] == [
        None,
        {"id": first["approval_id"], "state": "pending"},
    ]


async def test_two_calls_on_one_line_have_ids_and_records_of_their_own() -> None:
    """House: nothing is shared between calls."""
    line = Line()
    await line.walk()
    await line.walk(request(tools_call(name="crm.write")))
    ids = [fields["call_id"] for _, fields in line.evidence.records]
    assert ids[0] == ids[1] != ids[2] == ids[3]


@pytest.mark.parametrize("decision", [PERMIT, DENY], ids=["permit", "deny"])
async def test_the_approval_that_policy_saw_is_in_the_record(decision: Decision) -> None:
    """Design §1.6: what the decision was made on can be read back from the record itself."""
    line = Line(HOLD, decision)
    await line.walk()
    held = line.facts()["approval_id"]
    await line.walk()
    kind, record = [entry for entry in line.evidence.records if entry[0] != "outcome"][-1]
    assert kind == ("intent" if decision is PERMIT else "refusal")
    seen = {"id": held, "state": "pending"}
    assert record["input"]["context"]["approval"] == seen
    assert record["approval"].items() >= seen.items()
    assert held.encode() not in line.caller.body
