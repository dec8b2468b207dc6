import json
from typing import Any

import anyio
import pytest

from gateway.core.decision import Decision
from gateway.core.errors import UpstreamError
from tests.fakes import PERMIT, Gate
from tests.pipeline.line import (
    ANSWER,
    DENY,
    EVENT,
    HOLD,
    INTENT_RECEIPT,
    JSON,
    MARK,
    ORIGIN,
    RECEIPT,
    SSE,
    Line,
    request,
    resources_read,
)
from tests.pipeline.test_refusals import KINDS, refused

FIRST = {"origin": ORIGIN, "seq": 0, "leaf_hash": "sha256:" + "0" * 64}


@pytest.mark.parametrize("how", [kind[0] for kind in KINDS.values()], ids=KINDS.keys())
async def test_every_refusal_carries_the_receipt_of_its_record(how: dict[str, Any]) -> None:
    """House: a caller can prove that it was refused, in the header and in the body."""
    line = await refused(**how)
    assert line.caller.headers["bailiwick-receipt"] == INTENT_RECEIPT
    document = line.answer()
    if "result" in document:
        assert document["result"]["_meta"]["bailiwick/receipt"] == FIRST
    else:
        assert document["error"].get("data", document["error"])["receipt"] == FIRST


@pytest.mark.parametrize("decision", [DENY, HOLD], ids=["deny", "hold"])
async def test_the_error_of_another_method_carries_it_in_its_data(decision: Decision) -> None:
    """House: no result, no `_meta`."""
    line = Line(decision)
    await line.walk(request(resources_read()))
    assert line.answer()["error"]["data"]["receipt"] == FIRST


async def test_an_answer_without_a_record_carries_no_receipt() -> None:
    """House: a receipt names a record that is durable."""
    line = Line(DENY)
    line.evidence.fail_next("refusal")
    await line.walk()
    assert "bailiwick-receipt" not in line.caller.headers
    assert b"receipt" not in line.caller.body


async def test_a_failed_upstream_is_answered_with_the_receipt_of_the_outcome() -> None:
    """House: the newest record of the call; the header names the intent as always."""
    line = Line()
    line.upstream.entering = UpstreamError("x")
    await line.walk()
    assert line.caller.headers["bailiwick-receipt"] == INTENT_RECEIPT
    assert line.answer()["error"]["data"]["receipt"] == RECEIPT


async def test_an_unrecorded_outcome_is_answered_with_the_receipt_of_the_intent() -> None:
    """House: there is no newer record to name."""
    line = Line()
    line.evidence.fail_next("outcome")
    await line.walk()
    assert line.answer()["result"]["_meta"]["bailiwick/receipt"] == FIRST


async def test_an_upstream_cannot_forge_a_receipt() -> None:
    """House: neither in the result nor as a header."""
    forged = {"_meta": {"bailiwick/receipt": {"origin": "evil"}, "own": 1}, "content": []}
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "result": forged}).encode()
    line = Line(body=[body])
    line.upstream.headers = {**JSON, "bailiwick-receipt": "evil"}
    await line.walk()
    assert line.answer()["result"]["_meta"] == {"bailiwick/receipt": RECEIPT, "own": 1}
    assert line.caller.headers["bailiwick-receipt"] == INTENT_RECEIPT
    assert json.loads(line.evidence.of("outcome")[0]["body"])["result"] == forged


FORGED = b'"_meta":{"bailiwick/receipt":{"seq":999},"bailiwick/refusal":{}},' + MARK


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, ANSWER.replace(MARK, FORGED)),
        (JSON, b"\xef\xbb\xbf" + ANSWER.replace(MARK, FORGED)),
        (JSON, ANSWER.replace(MARK, FORGED) + b" " * (1 << 20)),
        (JSON, ANSWER.replace(MARK, FORGED + b',"x":"' + b"x" * (1 << 20) + b'"')),
        (SSE, EVENT.replace(MARK, FORGED)),
        (SSE, EVENT.replace(MARK, FORGED).replace(b"}}\n", b"}\ndata: }\n")),
        (SSE, b"data\n" + EVENT.replace(MARK, FORGED)),
        (SSE, b"\xef\xbb\xbf" + EVENT.replace(MARK, FORGED)),
    ],
    ids=["json", "mark", "padded", "long", "event", "two lines", "empty line", "event mark"],
)
@pytest.mark.parametrize("synced", [True, False])
async def test_no_caller_sees_what_the_upstream_says_in_our_name(
    headers: dict[str, str], body: bytes, synced: bool
) -> None:
    """House: whatever the answer's form, and also when there is no receipt to give."""
    line = Line(body=[body])
    line.upstream.headers = headers
    line.evidence.synced = synced
    await line.walk()
    assert b"999" not in line.caller.body and b"refusal" not in line.caller.body
    assert (b"bailiwick/receipt" in line.caller.body) is synced
    assert line.outcomes() == ["completed"]
    assert line.evidence.of("outcome")[0]["body"].encode() == body


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, ANSWER.replace(MARK, FORGED + b',"x":NaN')),
        (JSON, b"[" + ANSWER.replace(MARK, FORGED) + b"]"),
        (SSE, EVENT.replace(MARK, FORGED + b',"x":1,"x":2')),
    ],
    ids=["not a number", "batch", "event"],
)
async def test_an_answer_that_could_say_so_to_some_readers_is_withheld(
    headers: dict[str, str], body: bytes
) -> None:
    """House: it is recorded as what came, and the caller learns that no whole answer did."""
    line = Line(body=[body])
    line.upstream.headers = headers
    await line.walk()
    (outcome,) = line.evidence.of("outcome")
    assert (outcome["status"], outcome["error"]) == (
        "upstream_failed",
        "upstream_answer_ambiguous",
    )
    assert (outcome["body"].encode(), outcome["relayed_bytes"]) == (body, 0)
    assert b"upstream_answer_ambiguous" in line.caller.body
    assert b"999" not in line.caller.body


@pytest.mark.parametrize("decision", [PERMIT, DENY], ids=["permit", "deny"])
async def test_a_record_that_is_not_durable_yet_gives_no_receipt(decision: Decision) -> None:
    """House: what a crash may take away proves no omission."""
    line = Line(decision)
    line.evidence.synced = False
    await line.walk()
    assert "bailiwick-receipt" not in line.caller.headers
    assert b"bailiwick/receipt" not in line.caller.body


async def test_the_timings_of_a_call_are_in_its_outcome() -> None:
    """House, evidence: each step, from the start of the line; an intent cannot know the later."""
    line = Line()
    await line.walk()
    early, late = (line.evidence.of(kind)[0]["timings"] for kind in ("intent", "outcome"))
    later = {"recorded_ns", "head_ns", "first_byte_ns", "total_ns"}
    assert {name for name, value in early.items() if value is None} == later
    assert None not in late.values()


async def test_an_empty_chunk_is_not_the_first_byte() -> None:
    """House, evidence: the time of a byte that came."""
    gate = Gate()
    line = Line(body=[b"", gate, ANSWER])
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.walk)
            await gate.reached.wait()
            line.clock.advance(1)
            gate.opened.set()
    timings = line.evidence.of("outcome")[0]["timings"]
    assert (timings["head_ns"], timings["first_byte_ns"]) == (0, 1_000_000_000)
