"""Sessions on the line: who may use one, and who may learn of a new one."""

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest

from gateway.core.call import Request
from gateway.core.decision import Decision
from gateway.core.errors import LedgerUnavailable, UpstreamError
from gateway.core.session import session_of
from tests.fakes import CLAIMS, PERMIT, Gate
from tests.pipeline.line import (
    DENY,
    HOLD,
    MARK,
    SESSION,
    SHAPES,
    Line,
    request,
    resources_read,
    tools_call,
)

OTHER = replace(CLAIMS, subject="spiffe://corp.example/agent/other")
NEW = "canary-new-session"
VERSION = "io.modelcontextprotocol/protocolVersion"


def modern() -> Request:
    """Return a stateless request that names a session all the same."""
    headers = {
        "mcp-session-id": SESSION,
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "crm.read",
    }
    return request(tools_call(_meta={VERSION: "2026-07-28"}), headers=headers)


ASKED = {
    "tools/call": request(),
    "another method": request(resources_read()),
    "initialize": request(b'{"jsonrpc":"2.0","id":7,"method":"initialize","params":{}}'),
    "notification": request(b'{"jsonrpc":"2.0","method":"notifications/cancelled"}'),
    "client's response": request(b'{"jsonrpc":"2.0","id":1,"result":{}}'),
    "GET": request(b"", method="GET"),
    "DELETE": request(b"", method="DELETE"),
    "modern": modern(),
}


async def refused(asked: Request, line: Line) -> Line:
    """Walk, and check that the session was refused as nobody's business."""
    await line.walk(asked)
    assert (line.caller.status, line.code()) == (404, "session_unknown")
    (record,) = line.evidence.of("refusal")
    reasons = [{"code": "session_unknown", "rule": "gateway.session"}]
    assert record["decision"]["reasons"] == reasons
    assert record["identity"]["sub"] == line.authenticator.claims.subject
    assert (line.kinds(), line.upstream.calls) == (["refusal"], [])
    assert "decide" not in line.tape
    return line


def answer_of(line: Line) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Return an answer without what differs from call to call anyway."""
    body = line.answer()
    return (
        line.caller.status,
        dict(line.caller.headers),
        json.loads(json.dumps(body).replace(line.facts()["call_id"], "")),
    )


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_a_session_of_another_is_refused_before_anybody_decides(asked: Request) -> None:
    """MCP transports: 404; issue 4: in both eras and by every method."""
    line = Line()
    line.authenticator.claims = OTHER
    await refused(asked, line)


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_an_unknown_session_and_anothers_look_the_same(asked: Request) -> None:
    """House: nobody learns which ids exist."""
    foreign, unknown = Line(), Line()
    foreign.authenticator.claims = unknown.authenticator.claims = OTHER
    unknown.ledger.sessions.clear()
    await refused(asked, foreign)
    await refused(asked, unknown)
    assert answer_of(foreign) == answer_of(unknown)


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_a_session_of_its_own_is_used_and_nothing_new_is_bound(asked: Request) -> None:
    """House: an upstream may name the session in each of its answers."""
    line = Line(shape="202 without a body")
    line.upstream.headers = {"mcp-session-id": SESSION}
    await line.walk(asked)
    assert line.outcomes() == ["completed"]
    assert line.caller.headers["mcp-session-id"] == SESSION
    assert "open_session" not in line.tape


async def test_an_agents_session_for_one_person_is_not_used_for_another() -> None:
    """Identity reference: what an upstream remembers of one person is not for the next."""
    line = Line()
    line.authenticator.claims = replace(CLAIMS, on_behalf_of="user-2")
    await refused(request(), line)


async def test_a_session_of_another_system_is_unknown() -> None:
    """House: an id means nothing elsewhere."""
    await refused(request(system="erp", target="/erp/mcp"), Line())


async def test_an_empty_session_id_names_no_session_of_anybodys() -> None:
    """House: it is forwarded like any other, so it is refused like any other."""
    await refused(request(headers={"mcp-session-id": ""}), Line())


@pytest.mark.parametrize("asked", [ASKED["GET"], ASKED["tools/call"]], ids=["GET", "tools/call"])
async def test_a_session_that_cannot_be_looked_up_is_not_used(asked: Request) -> None:
    """Design §7: a ledger that cannot be asked denies; it does not say that there is no session."""
    line = Line()
    line.ledger.broken["situate"] = "raises"
    await line.walk(asked)
    assert (line.code(), line.kinds()) == ("ledger_unavailable", ["refusal"])
    assert line.upstream.calls == []


async def test_a_session_does_not_make_a_caller() -> None:
    """MCP security: sessions are never authentication."""
    line = Line()
    await line.walk(request(token=None))
    assert (line.caller.status, line.code()) == (401, "credential_missing")
    assert "situate" not in line.tape


def opening(shape: str = "JSON in one chunk") -> Line:
    """Return a line whose upstream opens a session with its answer."""
    line = Line(shape=shape)
    line.upstream.headers = {**line.upstream.headers, "mcp-session-id": NEW}
    return line


START = request(
    b'{"jsonrpc":"2.0","id":7,"method":"initialize","params":{}}',
    headers={"content-type": "application/json"},
)
OPENING = {
    "initialize": START,
    "tools/call": request(),
    "tools/call without one": request(headers={}),
    "modern": modern(),
    "GET": request(b"", method="GET", headers={}),
}


@pytest.mark.parametrize("asked", OPENING.values(), ids=OPENING.keys())
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_new_session_is_its_openers_before_the_head_of_the_answer_goes_out(
    shape: str, asked: Request
) -> None:
    """Issue 4: bound, durably, to the subject that opened it."""
    line = opening(shape)
    await line.walk(asked)
    assert line.tape.index("send") < line.tape.index("open_session")
    assert line.tape.index("open_session") < line.tape.index(("start", SHAPES[shape][0]))
    assert line.caller.headers["mcp-session-id"] == NEW
    assert session_of("crm", NEW, CLAIMS) in line.ledger.sessions
    assert line.outcomes() == ["completed"]


async def test_a_new_session_is_used_by_its_opener_and_refused_to_others() -> None:
    """Issue 4: from the first request on."""
    line = opening()
    await line.walk(START)
    named = request(headers={"mcp-session-id": NEW})
    await line.walk(named)
    assert line.outcomes() == ["completed"] * 2
    line.authenticator.claims = OTHER
    await line.walk(named)
    assert line.code() == "session_unknown"
    assert len(line.upstream.calls) == 2


async def test_a_session_counts_from_when_it_was_opened_and_not_from_when_it_was_asked_for() -> (
    None
):
    """House: an upstream may take its time."""
    line, gate = opening(), Gate()
    line.upstream.entering = gate
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(line.walk, START)
        await gate.reached.wait()
        line.clock.advance(60)
        gate.opened.set()
    assert line.ledger.sessions[session_of("crm", NEW, CLAIMS)] == line.clock.wall_ns()


async def withheld(line: Line, asked: Request) -> None:
    """Walk, and check that the answer was withheld and the call is on record as executed."""
    await line.walk(asked)
    assert line.caller.steps == ["start", "finish"]
    assert (line.caller.status, line.code()) == (502, "session_unbound")
    (outcome,) = line.evidence.of("outcome")
    assert (outcome["status"], outcome["error"]) == ("upstream_failed", "session_unbound")
    assert line.kinds() == ["intent", "outcome"]
    assert "mcp-session-id" not in line.caller.headers
    assert NEW.encode() not in line.caller.body and MARK not in line.caller.body
    assert line.tape.index("hang up") < line.tape.index(("start", 502))


@pytest.mark.parametrize("asked", OPENING.values(), ids=OPENING.keys())
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["raises", "times out", "lost"])
async def test_the_answer_that_opens_a_session_is_withheld_if_it_cannot_be_bound(
    mode: str, shape: str, asked: Request
) -> None:
    """Issue 4: an id that is nobody's is given to nobody."""
    line = opening(shape)
    line.ledger.broken["open_session"] = mode
    await withheld(line, asked)


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_upstream_that_hands_out_anothers_session_hands_it_to_nobody(shape: str) -> None:
    """Issue 4: it stays its owner's."""
    line = opening(shape)
    taken = session_of("crm", NEW, OTHER)
    line.ledger.sessions[taken] = line.clock.wall_ns()
    await withheld(line, START)
    assert session_of("crm", NEW, CLAIMS) not in line.ledger.sessions
    assert taken in line.ledger.sessions


async def test_an_unbound_session_that_cannot_be_recorded_is_the_worse_of_both() -> None:
    """Design §7: `executed_unrecorded`."""
    line = opening()
    line.ledger.broken["open_session"] = "raises"
    line.evidence.fail_next("outcome")
    await line.walk(START)
    assert line.code() == "executed_unrecorded"
    assert NEW.encode() not in line.caller.body
    assert line.evidence.latched


async def test_a_caller_that_leaves_while_its_session_is_bound_leaves_an_outcome() -> None:
    """Design §1.3: the call was sent, so its end is on record."""
    line, gate = opening(), Gate()
    line.ledger.gates["open_session"] = gate
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.walk, START)
            await gate.reached.wait()
            tasks.cancel_scope.cancel()
    assert line.outcomes() == ["abandoned"]
    assert line.caller.steps == []
    assert line.tape[-1] != "send" and "hang up" in line.tape


@pytest.mark.parametrize("name", ["deny", "hold", "upstream"])
async def test_what_gets_no_answer_opens_no_session(name: str) -> None:
    """House: only an upstream's answer opens one."""
    decisions: dict[str, Decision] = {"deny": DENY, "hold": HOLD, "upstream": PERMIT}
    line = Line(decisions[name])
    line.upstream.headers = {"mcp-session-id": NEW}
    line.upstream.entering = UpstreamError("no head") if name == "upstream" else None
    await line.walk(START)
    assert "open_session" not in line.tape


async def test_an_empty_id_in_an_answer_opens_nothing() -> None:
    """House: clients take it for none; one subject's would shut out all others."""
    line = Line()
    line.upstream.headers = {**line.upstream.headers, "mcp-session-id": ""}
    await line.walk(START)
    assert "open_session" not in line.tape
    assert line.outcomes() == ["completed"]


async def test_a_session_that_was_ended_stays_its_owners() -> None:
    """House: its id must not become another's while somebody still holds it."""
    line = Line(shape="202 without a body")
    await line.walk(request(b"", method="DELETE"))
    assert line.outcomes() == ["completed"]
    with pytest.raises(LedgerUnavailable):
        await line.ledger.open_session("crm", SESSION, OTHER, line.clock.wall_ns())
