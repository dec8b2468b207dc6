"""The failure matrix: each step, each mode → answer, upstream reached, records left."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from gateway.core.call import Request
from gateway.core.decision import Decision
from gateway.core.errors import (
    CredentialRejected,
    GatewayError,
    PolicyAnswerInvalid,
    PolicyUnavailable,
    UpstreamError,
    UpstreamTimeout,
)
from tests.fakes import PERMIT
from tests.pipeline.line import (
    ANSWER,
    CANARY,
    DENY,
    EVENT,
    HOLD,
    MARK,
    PROGRESS,
    RECEIPTED,
    Line,
    request,
    resources_read,
    send_after_intent,
    tools_call,
)

MODES = ("raises", "times out", "lost")


@dataclass(frozen=True)
class Row:
    """One row of the matrix: what is scripted, and all that follows from it."""

    name: str
    break_it: Callable[[Line], None]
    status: int
    code: str
    records: tuple[str, ...]
    reached: bool = False
    decision: Decision | Exception = PERMIT


def ledger(method: str, mode: str) -> Callable[[Line], None]:
    """Return what breaks a method of the ledger."""
    return lambda line: line.ledger.broken.update({method: mode})


def evidence(kind: str, lost: bool) -> Callable[[Line], None]:
    """Return what breaks the next append of a kind."""
    return lambda line: line.evidence.fail_next(kind, after=lost)


def nothing(line: Line) -> None:
    """Break nothing."""


def head(failure: Exception, reached: bool) -> Callable[[Line], None]:
    """Return what makes the upstream fail before its head."""
    return lambda line: setattr(line.upstream, "entering" if reached else "unreachable", failure)


def authenticator(mode: str) -> Callable[[Line], None]:
    """Return what breaks authentication."""
    return lambda line: line.authenticator.fail(mode)


MATRIX = [
    *(
        Row(f"authenticate {mode}", authenticator(mode), 503, "issuer_unavailable", ("refusal",))
        for mode in MODES
    ),
    *(
        Row(f"situate {mode}", ledger("situate", mode), 200, "ledger_unavailable", ("refusal",))
        for mode in MODES
    ),
    *(
        Row(f"decide {mode}", nothing, 200, failure.reason_code, ("refusal",), decision=failure)
        for mode, failure in {
            "raises": PolicyUnavailable("down"),
            "times out": PolicyUnavailable("no answer in time"),
            "lost": PolicyUnavailable("the answer was lost"),
            "answers nonsense": PolicyAnswerInvalid("undefined"),
            "answers with an unknown obligation": PolicyAnswerInvalid(
                "unknown", code="pdp_obligation_unknown"
            ),
        }.items()
    ),
    *(
        Row(f"hold {m}", ledger("hold", m), 200, "ledger_unavailable", ("refusal",), decision=HOLD)
        for m in MODES
    ),
    *(
        Row(f"permitted {m}", ledger("permitted", m), 200, "ledger_unavailable", ("refusal",))
        for m in MODES
    ),
    *(
        Row(f"append intent {mode}", evidence("intent", lost), 503, "evidence_unavailable", left)
        for mode, lost, left in (("raises", False, ()), ("lost", True, ("intent",)))
    ),
    *(
        Row(
            f"append refusal {mode}",
            evidence("refusal", lost),
            503,
            "evidence_unavailable",
            left,
            decision=PolicyUnavailable("down"),
        )
        for mode, lost, left in (("raises", False, ()), ("lost", True, ("refusal",)))
    ),
    *(
        Row(
            f"send {name}",
            head(failure, reached),
            failure.http_status,
            failure.reason_code,
            ("intent", "outcome"),
            reached,
        )
        for name, failure, reached in (
            ("raises", UpstreamError("refused"), False),
            ("times out", UpstreamTimeout("no head"), True),
            ("lost", UpstreamError("gone after it was done"), True),
            ("unconfigured", UpstreamError("?", code="upstream_unconfigured"), False),
        )
    ),
    *(
        Row(
            f"append outcome {mode}",
            evidence("outcome", lost),
            200,
            "executed_unrecorded",
            left,
            True,
        )
        for mode, lost, left in (
            ("raises", False, ("intent",)),
            ("lost", True, ("intent", "outcome")),
        )
    ),
]


@pytest.mark.parametrize("row", MATRIX, ids=[row.name for row in MATRIX])
async def test_each_failure_of_each_step_is_answered_and_recorded(row: Row) -> None:
    """Design §7, style §4.6: the failure matrix."""
    line = Line(row.decision)
    row.break_it(line)
    await line.walk()
    assert line.caller.steps == ["start", "finish"]
    assert (line.caller.status, line.code()) == (row.status, row.code)
    assert tuple(line.kinds()) == row.records
    assert bool(line.upstream.calls) == row.reached
    assert send_after_intent(line.tape)


@pytest.mark.parametrize("row", MATRIX, ids=[row.name for row in MATRIX])
async def test_a_failure_never_shows_the_token_or_the_upstreams_answer(row: Row) -> None:
    """Design §1.4, style §4.4: messages to agents hold no token and no upstream body."""
    line = Line(row.decision)
    row.break_it(line)
    await line.walk()
    assert CANARY not in line.caller.body.decode() + str(line.caller.headers)
    assert CANARY not in str(line.evidence.records)
    assert MARK not in line.caller.body


@pytest.mark.parametrize("row", MATRIX, ids=[row.name for row in MATRIX])
async def test_a_notification_is_refused_as_surely_as_a_request(row: Row) -> None:
    """House: no id, no JSON-RPC answer; the status and a plain error say it."""
    line = Line(row.decision)
    row.break_it(line)
    await line.walk(request(b'{"jsonrpc":"2.0","method":"notifications/cancelled"}'))
    assert line.code() == row.code
    assert line.caller.status == (403 if row.status == 200 else row.status)
    assert tuple(line.kinds()) == row.records


@pytest.mark.parametrize("step", ["authenticate", "decide", "start", "write", "finish"])
async def test_an_unforeseen_error_sends_nothing_new_and_leaves_no_open_call(step: str) -> None:
    """Style §4.4: `app` denies what nobody foresaw; the line only has to leave it closed."""
    bug = RuntimeError("a bug")
    line = Line(bug if step == "decide" else PERMIT, shape="JSON in many chunks")
    if step == "authenticate":
        line.authenticator.failure = bug
    else:
        line.caller.trouble[step] = bug
    with pytest.raises(RuntimeError):
        await line.walk(request(resources_read()))
    if step in ("authenticate", "decide"):
        assert (line.upstream.calls, line.kinds()) == ([], [])
    else:
        assert line.outcomes() == ["completed" if step == "finish" else "abandoned"]


@pytest.mark.parametrize(
    "failure",
    [UpstreamError("broke", code="upstream_broke_off"), UpstreamTimeout("silent")],
    ids=["breaks off", "times out"],
)
async def test_a_json_body_that_breaks_before_a_byte_was_written_is_a_whole_error(
    failure: UpstreamError,
) -> None:
    """Design §7: 502 or 504, recorded as an outcome."""
    line = Line(body=[b"first ", failure])
    await line.walk()
    assert line.caller.steps == ["start", "finish"]
    assert (line.caller.status, line.code()) == (failure.http_status, failure.reason_code)
    outcome = line.evidence.of("outcome")[0]
    assert (outcome["status"], outcome["error"]) == ("upstream_failed", failure.reason_code)


async def test_a_json_body_that_breaks_after_a_byte_was_written_is_aborted() -> None:
    """House: the caller must see that the answer is not whole."""
    line = Line(body=[b"first ", b"second ", UpstreamError("broke")])
    await line.walk(request(resources_read()))
    assert line.caller.steps == ["start", "write", "abort"]
    assert line.outcomes() == ["upstream_failed"]


async def test_an_event_stream_that_breaks_ends_with_an_error_event() -> None:
    """House: the stream's own shape says that no answer comes."""
    line = Line(shape="an event stream", body=[PROGRESS, UpstreamError("x", code="upstream_gone")])
    await line.walk()
    assert line.caller.steps == ["start", "write", "finish"]
    assert line.caller.body.startswith(PROGRESS)
    assert b'"id":7' in line.caller.body and b"upstream_gone" in line.caller.body
    assert line.outcomes() == ["upstream_failed"]


async def test_a_stream_without_a_request_id_is_aborted_when_it_breaks() -> None:
    """House: no id, no JSON-RPC error to send."""
    line = Line(shape="an event stream", body=[PROGRESS, UpstreamError("x")])
    await line.walk(request(b"", method="GET"))
    assert line.caller.steps == ["start", "write", "abort"]
    assert line.outcomes() == ["upstream_failed"]


async def test_what_comes_after_the_answer_of_a_stream_is_not_relayed() -> None:
    """House: it is in no record; its failure is nobody's failure."""
    for rest in (PROGRESS, UpstreamError("x")):
        line = Line(shape="an event stream", body=[EVENT, rest])
        await line.walk()
        assert line.caller.steps == ["start", "finish"]
        assert line.caller.body == EVENT.replace(ANSWER, RECEIPTED)
        assert line.outcomes() == ["completed"]


@pytest.mark.parametrize("shape", ["JSON in one chunk", "JSON in many chunks", "an event stream"])
async def test_an_upstream_that_fails_while_it_is_left_changes_no_ended_answer(shape: str) -> None:
    """House: an answer ends once, whatever an adapter does after it."""
    line = Line(shape=shape)
    line.upstream.leaving = UpstreamError("on leaving")
    await line.walk()
    assert line.caller.steps.count("finish") == 1
    assert "abort" not in line.caller.steps
    assert line.outcomes() == ["completed"]


async def test_a_refusal_of_the_upstream_is_relayed_and_recorded() -> None:
    """Design §7: relayed status."""
    line = Line(shape="an error of the upstream")
    await line.walk()
    assert (line.caller.status, line.caller.body) == (503, b'{"error":"no"}')
    assert line.evidence.of("outcome")[0]["http_status"] == 503


async def test_an_event_that_is_too_long_ends_the_exchange() -> None:
    """House: wire/sse bounds what is held."""
    flood = [b"data: " + b"x" * (4 * 1024 * 1024)] * 5
    line = Line(shape="an event stream", body=flood)
    await line.walk()
    assert b"upstream_event_size" in line.caller.body
    assert line.outcomes() == ["upstream_failed"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request(), 200),
        (request(b'{"jsonrpc":"2.0","id":"a","method":"prompts/get","params":{"name":"p"}}'), 200),
        (request(b'{"jsonrpc":"2.0","method":"notifications/cancelled"}'), 403),
        (request(b"", method="GET"), 403),
    ],
    ids=["tools/call", "another method", "notification", "GET"],
)
async def test_each_kind_of_call_gets_a_denial_in_its_own_shape(
    asked: Request, status: int
) -> None:
    """Design §7: policy says deny."""
    line = Line(DENY)
    await line.walk(asked)
    assert (line.caller.status, line.code()) == (status, "tool_not_allowed")
    assert line.kinds() == ["refusal"]


@pytest.mark.parametrize(
    "failure",
    [None, CredentialRejected("no", code="token_expired")],
    ids=["missing", "rejected"],
)
async def test_a_credential_that_fails_is_challenged(failure: GatewayError | None) -> None:
    """Design §7, RFC 6750 §3: 401 and WWW-Authenticate."""
    line = Line()
    line.authenticator.failure = failure
    await line.walk(request(token=None if failure is None else CANARY))
    code = failure.reason_code if failure else "credential_missing"
    assert (line.caller.status, line.code()) == (401, code)
    assert line.caller.headers["www-authenticate"].startswith("Bearer")
    assert line.kinds() == ["refusal"]
    assert line.decision_point.documents == []


MALFORMED = {
    "batch": (b"[]", -32600, "json_not_object"),
    "not JSON": (b"{", -32700, "json_syntax"),
    "duplicate key": (b'{"jsonrpc":"2.0","id":1,"id":2}', -32700, "json_duplicate_key"),
    "no name": (tools_call(name=""), -32602, "jsonrpc_params"),
}


@pytest.mark.parametrize(("body", "rpc", "code"), MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_body_is_refused_before_anybody_is_asked(
    body: bytes, rpc: int, code: str
) -> None:
    """Design §7: 400, a JSON-RPC code, a refusal, nothing sent."""
    line = Line()
    await line.walk(request(body))
    assert (line.caller.status, line.answer()["error"]["code"], line.code()) == (400, rpc, code)
    assert line.tape[:2] == [("append", "refusal"), ("durable", "refusal")]
