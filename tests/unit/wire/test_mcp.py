import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.core.call import Request, ToolCall
from gateway.core.errors import MalformedMessage
from gateway.wire.jsonrpc import INVALID_PARAMS, INVALID_REQUEST
from gateway.wire.mcp import HEADER_MISMATCH, VERSION_KEY, decode

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
META = {VERSION_KEY: MODERN}


def request(
    message: Mapping[str, Any] | bytes = b"", method: str = "POST", **headers: str | None
) -> Request:
    """Make an admitted request; header names are written with underscores."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    lines = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    return Request(method, "/crm/mcp", "crm", lines, body, "127.0.0.1")


def rpc(method: str, params: Mapping[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    """Make a JSON-RPC request."""
    message = {"jsonrpc": "2.0", "id": 7, "method": method} | members
    return message if params is None else message | {"params": params}


def modern(method: str, params: Mapping[str, Any], **headers: str | None) -> Request:
    """Make a modern request whose headers are right unless said otherwise."""
    right: dict[str, Any] = {"mcp_protocol_version": MODERN, "mcp_method": method}
    return request(rpc(method, {"_meta": META, **params}), **(right | headers))


def refused(sent: Request) -> tuple[str, int, str | int | None]:
    """Return the code, the JSON-RPC code and the id of the refusal."""
    with pytest.raises(MalformedMessage) as caught:
        decode(sent)
    return caught.value.reason_code, caught.value.rpc_code, caught.value.rpc_id


MISMATCH = ("header_mismatch", HEADER_MISMATCH, 7)
AMBIGUOUS = ("json_ambiguous_key", INVALID_REQUEST, None)
BAD_PARAMS = ("jsonrpc_params", INVALID_PARAMS, 7)

NAMED = [
    ("tools/call", "tool", "name", {"arguments": {"id": 1}}),
    ("prompts/get", "prompt", "name", {"arguments": {"id": "1"}}),
    ("resources/read", "resource", "uri", {}),
]
NAMED_IDS = [case[0] for case in NAMED]


@pytest.mark.parametrize(("method", "kind", "member", "params"), NAMED, ids=NAMED_IDS)
@pytest.mark.parametrize("version", [None, "2025-03-26", LEGACY, "2099-01-01"])
def test_a_legacy_request_is_read_from_its_body(
    version: str | None, method: str, kind: str, member: str, params: dict[str, Any]
) -> None:
    """MCP 2025-11-25, transports."""
    sent = request(rpc(method, {member: "thing", **params}), mcp_protocol_version=version)
    assert decode(sent) == ToolCall(
        sent, method, kind, "thing", params.get("arguments", {}), "legacy", version, 7
    )


@pytest.mark.parametrize(("method", "kind", "member", "params"), NAMED, ids=NAMED_IDS)
def test_a_modern_request_is_read_from_its_body(
    method: str, kind: str, member: str, params: dict[str, Any]
) -> None:
    """MCP 2026-07-28, transports."""
    sent = modern(method, {member: "thing", **params}, mcp_name="thing")
    assert decode(sent) == ToolCall(
        sent, method, kind, "thing", params.get("arguments", {}), "modern", MODERN, 7, meta=META
    )


def test_a_method_without_a_name_is_a_call_on_the_server_with_its_params_as_arguments() -> None:
    """House."""
    sent = modern("resources/subscribe", {"uri": "crm://1"})
    assert decode(sent) == ToolCall(
        sent,
        "resources/subscribe",
        "server",
        "",
        {"uri": "crm://1"},
        "modern",
        MODERN,
        7,
        meta=META,
    )


@pytest.mark.parametrize("rpc_id", [0, "", -1, "0"], ids=repr)
def test_a_request_whose_id_is_falsy_is_still_a_request(rpc_id: str | int) -> None:
    """JSON-RPC 2.0 §4."""
    assert decode(request(rpc("tools/list", id=rpc_id))).rpc_id == rpc_id


def test_a_notification_expects_no_answer() -> None:
    """JSON-RPC 2.0 §4.1."""
    message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    sent = request(message, mcp_protocol_version=LEGACY)
    assert decode(sent) == ToolCall(
        sent,
        "notifications/cancelled",
        "server",
        "",
        {"requestId": 1},
        "legacy",
        LEGACY,
        None,
    )


def test_a_tool_call_sent_as_a_notification_still_names_its_tool() -> None:
    """House."""
    message = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "drop"}}
    sent = request(message)
    assert decode(sent) == ToolCall(sent, "tools/call", "tool", "drop", {}, "legacy", None, None)


@pytest.mark.parametrize("outcome", [{"result": {}}, {"error": {"code": 1, "message": ""}}])
def test_a_clients_response_is_its_own_action_in_the_legacy_era_only(
    outcome: dict[str, Any],
) -> None:
    """MCP 2025-11-25, transports; 2026-07-28 has no client responses."""
    message = {"jsonrpc": "2.0", "id": 7, **outcome}
    sent = request(message, mcp_protocol_version=LEGACY)
    other = {"id": 7, **outcome}
    assert decode(sent) == ToolCall(
        sent, "response", "server", "", {}, "legacy", LEGACY, None, other
    )
    assert refused(request(message, mcp_protocol_version=MODERN)) == (
        "jsonrpc_envelope",
        INVALID_REQUEST,
        None,
    )


@pytest.mark.parametrize(("method", "action"), [("GET", "stream/open"), ("DELETE", "session/end")])
@pytest.mark.parametrize(
    ("version", "era"), [(None, "legacy"), (LEGACY, "legacy"), (MODERN, "modern")]
)
def test_a_request_without_a_body_is_an_action_on_the_server(
    version: str | None, era: Any, method: str, action: str
) -> None:
    """MCP 2025-11-25, transports."""
    sent = request(method=method, mcp_protocol_version=version)
    assert decode(sent) == ToolCall(sent, action, "server", "", {}, era, version, None)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("body", [b" ", b"{}", b"\x00"], ids=repr)
def test_a_body_where_none_belongs_is_refused(method: str, body: bytes) -> None:
    """House: nothing is forwarded that was not decided on."""
    assert refused(request(body, method)) == ("body_unexpected", -32700, None)


@pytest.mark.parametrize(
    "params",
    [
        {"name": "read", "Name": "drop"},
        {"Name": "drop"},
        {"NAME": "drop"},
        {"name": "read", "arguments": {}, "Arguments": {"all": True}},
        {"name": "read", "Arguments": {"all": True}},
        {"name": "read", "argument\u017f": {"all": True}},
        {"name": "read", "ARGUMENT\u017f": {"all": True}},
        {"name": "read", "arguments": {}, "argument\u017f": {"all": True}},
        {"name": "read", "\uff4eame": "drop"},
        {"name": "read", "x": 1, "X": 2},
        {"name": "read", "_Meta": {}},
        {"name": "read", "Task": {}},
        {"name": "read", "TaskId": "1"},
    ],
    ids=lambda params: "-".join(params).encode("ascii", "backslashreplace").decode(),
)
def test_a_param_that_a_lenient_reader_takes_for_another_is_refused(params: dict[str, Any]) -> None:
    """CVE-2026-27896; mcp.md §3.2."""
    assert refused(request(rpc("tools/call", params))) == AMBIGUOUS


def test_a_task_id_in_another_case_is_refused() -> None:
    """CVE-2026-27896."""
    assert refused(request(rpc("tasks/cancel", {"taskid": "9"}))) == AMBIGUOUS


def test_arguments_belong_to_the_tool_and_may_hold_any_keys() -> None:
    """House: only the envelope and params are ours to read."""
    arguments = {"Name": 1, "name": 2, "_meta": 3}
    call = decode(request(rpc("tools/call", {"name": "t", "arguments": arguments})))
    assert call.arguments == arguments


@pytest.mark.parametrize("value", [None, "", 1, True, ["drop"], {"name": "drop"}], ids=repr)
@pytest.mark.parametrize(("method", "kind", "member", "params"), NAMED, ids=NAMED_IDS)
def test_a_name_that_is_no_text_is_refused(
    method: str, kind: str, member: str, params: dict[str, Any], value: Any
) -> None:
    """MCP, tools."""
    assert refused(request(rpc(method, {member: value, **params}))) == BAD_PARAMS


@pytest.mark.parametrize(("method", "kind", "member", "params"), NAMED, ids=NAMED_IDS)
def test_a_missing_name_is_refused(
    method: str, kind: str, member: str, params: dict[str, Any]
) -> None:
    """MCP, tools."""
    assert refused(request(rpc(method, params))) == BAD_PARAMS
    assert refused(request(rpc(method))) == BAD_PARAMS


@pytest.mark.parametrize("value", [None, [], "a", 1, False], ids=repr)
def test_arguments_that_are_not_an_object_are_refused(value: Any) -> None:
    """MCP, tools."""
    sent = request(rpc("tools/call", {"name": "t", "arguments": value}))
    assert refused(sent) == BAD_PARAMS


@pytest.mark.parametrize("value", [None, [], "a", 1, False], ids=repr)
def test_meta_that_is_not_an_object_is_refused(value: Any) -> None:
    """MCP, `_meta`."""
    assert refused(request(rpc("tools/list", {"_meta": value}))) == BAD_PARAMS
    assert refused(modern("tools/list", {"_meta": value})) == BAD_PARAMS


@pytest.mark.parametrize("version", [None, LEGACY, "2026-07-29", "2026-07-28-draft"])
def test_a_modern_body_under_a_legacy_header_is_refused(version: str | None) -> None:
    """mcp.md §1.1; design §1.2."""
    message = rpc("tools/call", {"_meta": META, "name": "t"})
    assert refused(request(message, mcp_protocol_version=version)) == MISMATCH


@pytest.mark.parametrize("claimed", [[], {}, ["2026-07-28"], 1, True, None, LEGACY], ids=repr)
def test_a_legacy_request_may_hold_any_other_version_claim(claimed: Any) -> None:
    """House: it is not ours to negotiate, and no value may break the reader."""
    sent = request(rpc("tools/list", {"_meta": {VERSION_KEY: claimed}}))
    assert decode(sent).era == "legacy"


@pytest.mark.parametrize(
    "claimed", [LEGACY, "", " 2026-07-28", [], [MODERN], {}, 20260728, True], ids=repr
)
def test_a_modern_header_over_a_body_of_another_version_is_refused(claimed: Any) -> None:
    """MCP 2026-07-28, transports: HeaderMismatch."""
    assert refused(modern("tools/list", {"_meta": {VERSION_KEY: claimed}})) == MISMATCH


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "tools/list",
        "Tools/call",
        "TOOLS/CALL",
        "tools/call/",
        "=?base64?dG9vbHMvY2FsbA==?=",
    ],
)
def test_a_method_header_that_is_not_the_bodys_method_is_refused(header: str | None) -> None:
    """MCP 2026-07-28, transports: values are case-sensitive."""
    sent = modern("tools/call", {"name": "t"}, mcp_method=header, mcp_name="t")
    assert refused(sent) == MISMATCH


@pytest.mark.parametrize("header", [None, "", "drop", "Thing", "thing ", "th\u0131ng"], ids=repr)
@pytest.mark.parametrize(
    ("method", "member"),
    [
        ("tools/call", "name"),
        ("prompts/get", "name"),
        ("resources/read", "uri"),
        ("tasks/get", "taskId"),
        ("tasks/update", "taskId"),
        ("tasks/cancel", "taskId"),
    ],
)
def test_a_name_header_that_is_not_the_bodys_name_is_refused(
    method: str, member: str, header: str | None
) -> None:
    """MCP 2026-07-28, transports: HeaderMismatch."""
    assert refused(modern(method, {member: "thing"}, mcp_name=header)) == MISMATCH
    assert decode(modern(method, {member: "thing"}, mcp_name="thing")).era == "modern"


def encoded(text: str) -> str:
    """Spell a name as a header that cannot hold it does."""
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("café", encoded("café")),
        ("thing", encoded("thing")),
        (" edge ", encoded(" edge ")),
        ("a\nb", encoded("a\nb")),
        ("=?base64?dGhpbmc=?=", encoded("=?base64?dGhpbmc=?=")),
        ("=?BASE64?dGhpbmc=?=", "=?BASE64?dGhpbmc=?="),
        ("=?Base64?dGhpbmc=?=", "=?Base64?dGhpbmc=?="),
        ("=?base64?dGhpbmc=", "=?base64?dGhpbmc="),
        ("dGhpbmc=?=", "dGhpbmc=?="),
        ("=?base64?=", "=?base64?="),
    ],
    ids=ascii,
)
def test_an_encoded_name_header_is_decoded_and_anything_else_is_literal(
    name: str, header: str
) -> None:
    """MCP 2026-07-28, transports: encoding of header values."""
    assert decode(modern("tools/call", {"name": name}, mcp_name=header)).name == name


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("thing", "=?base64?dGhpbmc?="),
        ("thing", "=?base64?dGhpbmc==?="),
        ("thing", "=?base64? dGhpbmc=?="),
        ("thing", "=?base64?dGhp bmc=?="),
        ("thing", "=?base64?dGhpbmc=?"),
        ("thing", "=?BASE64?dGhpbmc=?="),
        ("thing", "?base64?dGhpbmc=?="),
        ("thing", encoded("drop")),
        ("thing", encoded("Thing")),
        ("thing", "=?base64??="),
        ("thing", "=?base64?!!!!?="),
        ("a??", "=?base64?YT8_?="),
        ("\ufffd", "=?base64?/w==?="),
        ("=?base64?dGhpbmc=?=", "=?base64?dGhpbmc=?="),
    ],
    ids=ascii,
)
def test_an_encoded_name_header_that_is_bad_or_says_another_name_is_refused(
    name: str, header: str
) -> None:
    """MCP 2026-07-28, transports: bad padding or alphabet is rejected."""
    assert refused(modern("tools/call", {"name": name}, mcp_name=header)) == MISMATCH


@pytest.mark.parametrize("params", [{}, {"taskId": None}], ids=["absent", "null"])
@pytest.mark.parametrize("header", [None, "=?base64?!?=", "9"])
def test_a_bad_name_header_does_not_agree_with_a_missing_name(
    params: dict[str, Any], header: str | None
) -> None:
    """House: nothing equals nothing is no agreement."""
    assert refused(modern("tasks/get", params, mcp_name=header)) == MISMATCH


@pytest.mark.parametrize("value", [9, True, ["9"], None], ids=repr)
def test_a_name_header_is_compared_with_text_only(value: Any) -> None:
    """House."""
    assert refused(modern("tasks/cancel", {"taskId": value}, mcp_name="9")) == MISMATCH


@pytest.mark.parametrize("version", [None, LEGACY, "2099-01-01"])
@pytest.mark.parametrize(
    "headers",
    [
        {"mcp_method": "tools/list"},
        {"mcp_method": "tools/list", "mcp_name": "thing"},
        {"mcp_name": "drop"},
        {"mcp_name": "=?base64?!?="},
        {"mcp_method": "tools/call", "mcp_name": "drop"},
        {"mcp_method": ""},
    ],
    ids=["method", "method-not-name", "name", "bad-name", "name-not-method", "empty"],
)
def test_a_routing_header_that_lies_is_refused_in_every_era(
    version: str | None, headers: dict[str, str]
) -> None:
    """House: whoever routes on the header would act on another call."""
    message = rpc("tools/call", {"name": "thing"})
    assert refused(request(message, mcp_protocol_version=version, **headers)) == MISMATCH


def test_a_routing_header_that_is_true_is_harmless_in_the_legacy_era() -> None:
    """House."""
    sent = request(rpc("tools/call", {"name": "t"}), mcp_method="tools/call", mcp_name="t")
    assert decode(sent) == ToolCall(sent, "tools/call", "tool", "t", {}, "legacy", None, 7)


def test_a_refusal_of_a_modern_notification_has_no_id_to_answer() -> None:
    """JSON-RPC 2.0 §4.1."""
    message = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
    sent = request(message, mcp_protocol_version=MODERN)
    assert refused(sent) == ("header_mismatch", HEADER_MISMATCH, None)


def test_the_call_holds_the_very_bytes_that_came() -> None:
    """House: design §1.2."""
    body = b' {"method" : "tools/list","id":7, "jsonrpc":"2.0"}\n'
    assert decode(request(body)).request.body is body


@pytest.mark.parametrize(("method", "kind", "member", "params"), NAMED, ids=NAMED_IDS)
def test_what_a_caller_says_about_a_call_stands_apart_from_what_it_asks(
    method: str, kind: str, member: str, params: dict[str, Any]
) -> None:
    """House: `_meta` is kept for evidence and is neither an argument nor anything else."""
    meta = {"progressToken": 1, "bailiwick/run": "r-1"}
    call = decode(request(rpc(method, {member: "thing", **params, "_meta": meta})))
    assert call.meta == meta
    assert "r-1" not in str([call.arguments, call.other])
