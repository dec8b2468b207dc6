from typing import Any

import pytest

from gateway.core.call import ToolCall
from gateway.core.canonical import digest
from gateway.core.trace import MAX_CLAIMED, MAX_TRACESTATE, claimed, correlation
from gateway.wire import mcp
from tests.pipeline.line import request, tools_call

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
SAME_TRACE = f"00-{TRACE}-1111111111111111-00"
OTHER_TRACE = f"00-{'1' * 32}-00f067aa0ba902b7-01"
CLIENT = {"name": "agent", "version": "1"}


def said(meta: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    """Return the correlation of a tool call with this `_meta` and these headers."""
    body = tools_call() if meta is None else tools_call(_meta=meta)
    asked = request(body, headers=headers)
    return correlation(asked, mcp.decode(asked))


def other(method: str, params: dict[str, Any], meta: dict[str, Any] | None = None) -> ToolCall:
    """Return a call on the server itself."""
    return ToolCall(request(), method, "server", "", params, "legacy", None, 1, meta=meta or {})


def test_everything_a_caller_says_is_kept() -> None:
    """House, evidence: header and `_meta`, both, and the claims."""
    meta = {
        "traceparent": SAME_TRACE,
        "tracestate": "b=2",
        "bailiwick/parent-call": "call-0",
        "bailiwick/run": "run-1",
        "bailiwick/prompt-digest": "sha256:ab",
        "io.modelcontextprotocol/clientInfo": {**CLIENT, "title": "x"},
        "io.modelcontextprotocol/related-task": {"taskId": "task-1"},
        "progressToken": 3,
    }
    assert said(meta, traceparent=PARENT, tracestate="a=1") == {
        "traceparent": PARENT,
        "tracestate": "a=1",
        "meta_traceparent": SAME_TRACE,
        "meta_tracestate": "b=2",
        "trace_mismatch": False,
        "rpc_id": 7,
        "task": "task-1",
        "parent_call": "call-0",
        "run": "run-1",
        "prompt_digest": "sha256:ab",
        "protocol_version": None,
        "client_info": CLIENT,
    }


def test_a_caller_that_says_nothing_has_the_same_members_all_null() -> None:
    """Design §1.3: null, never left out."""
    silent = said()
    assert silent.keys() == said({"traceparent": PARENT}).keys()
    assert {name for name, value in silent.items() if value is not None} == {"rpc_id"}


def test_a_request_that_was_not_understood_keeps_what_its_headers_say() -> None:
    """Design §1.3: a refusal is recorded as fully as a permit."""
    unread = correlation(request(b"[]", headers={"traceparent": PARENT}), None)
    assert unread["traceparent"] == PARENT
    assert unread.keys() == said().keys()


@pytest.mark.parametrize(
    ("header", "meta", "mismatch"),
    [
        (PARENT, PARENT, False),
        (PARENT, SAME_TRACE, False),
        (PARENT, OTHER_TRACE, True),
        (PARENT, "rubbish", True),
        ("rubbish", "rubbish", False),
        (PARENT, None, None),
        (None, PARENT, None),
        (PARENT, 7, None),
    ],
)
def test_two_traces_are_flagged_and_two_spans_of_one_are_not(
    header: str | None, meta: Any, mismatch: bool | None
) -> None:
    """W3C Trace Context §3.2.2: an instrumented client has another parent id in its header."""
    found = said({"traceparent": meta}, **({"traceparent": header} if header else {}))
    assert found["trace_mismatch"] is mismatch


@pytest.mark.parametrize("value", [None, 7, True, {}, ["x"]], ids=repr)
def test_a_claim_that_is_no_text_is_null(value: Any) -> None:
    """House: a record has the types that its schema says."""
    keys = ("traceparent", "tracestate", "bailiwick/parent-call", "bailiwick/run")
    claims = dict.fromkeys((*keys, "bailiwick/prompt-digest"), value)
    infos = ("io.modelcontextprotocol/clientInfo", "io.modelcontextprotocol/related-task")
    nested = {key: {"name": value, "version": value, "taskId": value} for key in infos}
    found = said({**claims, **nested})
    assert found.pop("client_info") == {"name": None, "version": None}
    assert {name for name, value in found.items() if value is not None} == {"rpc_id"}
    assert said({**claims, **dict.fromkeys(infos, value)})["task"] is None


def test_of_a_long_claim_only_the_digest_is_kept() -> None:
    """House: nobody may fill the disk with claims; a cut secret would not be known for one."""
    assert claimed("x" * MAX_CLAIMED) == "x" * MAX_CLAIMED
    assert claimed("x" * (MAX_CLAIMED + 1)) == digest(b"x" * (MAX_CLAIMED + 1))
    assert claimed("\ud800" * (MAX_CLAIMED + 1)) is not None
    keys = ("traceparent", "tracestate", "bailiwick/parent-call", "bailiwick/run")
    long: dict[str, Any] = dict.fromkeys((*keys, "bailiwick/prompt-digest"), "x" * 9999)
    long["io.modelcontextprotocol/clientInfo"] = {"name": "x" * 9999, "version": "x" * 9999}
    long["io.modelcontextprotocol/related-task"] = {"taskId": "x" * 9999}
    assert len(str(said(long))) < 7 * MAX_CLAIMED + MAX_TRACESTATE + 500


def test_a_trace_state_of_the_length_that_all_must_take_is_not_cut() -> None:
    """W3C Trace Context §3.3.1.5: at least 512 characters."""
    state = "a=" + "x" * 510
    assert said({"tracestate": state}, tracestate=state)["tracestate"] == state


def test_the_handshake_names_revision_and_client() -> None:
    """MCP 2025-11-25, lifecycle: `initialize`."""
    call = other("initialize", {"protocolVersion": "2025-11-25", "clientInfo": CLIENT})
    found = correlation(call.request, call)
    assert (found["protocol_version"], found["client_info"]) == ("2025-11-25", CLIENT)


def test_another_method_does_not_name_the_client_in_its_params() -> None:
    """House: only the handshake has it there."""
    call = other("ping", {"protocolVersion": "1", "clientInfo": CLIENT})
    found = correlation(call.request, call)
    assert (found["protocol_version"], found["client_info"]) == (None, None)


def test_a_method_on_a_task_names_it() -> None:
    """MCP 2025-11-25, tasks: `taskId`, before the related task."""
    related = {"io.modelcontextprotocol/related-task": {"taskId": "other"}}
    call = other("tasks/get", {"taskId": "task-1"}, related)
    assert correlation(call.request, call)["task"] == "task-1"


def test_the_arguments_of_a_tool_do_not_name_a_task() -> None:
    """House: they belong to the tool."""
    asked = request(tools_call(arguments={"taskId": "x"}))
    assert correlation(asked, mcp.decode(asked))["task"] is None
