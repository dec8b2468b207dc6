import json
from typing import Any

import pytest

from gateway.core.errors import MalformedMessage
from gateway.wire.jsonrpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    MAX_ID,
    MAX_METHOD,
    REFUSED,
    Message,
    read,
)


def body(*without: str, **members: Any) -> bytes:
    """Make a ping request with members left out or replaced."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"} | members
    return json.dumps({key: value for key, value in message.items() if key not in without}).encode()


def refused(sent: bytes) -> tuple[str, int, str | int | None]:
    """Return the code, the JSON-RPC code and the id of the refusal."""
    with pytest.raises(MalformedMessage) as caught:
        read(sent)
    return caught.value.reason_code, caught.value.rpc_code, caught.value.rpc_id


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (body(), Message("request", 1, "ping", {})),
        (body(params={"a": 1}), Message("request", 1, "ping", {"a": 1})),
        (body("id"), Message("notification", None, "ping", {})),
        (body("method", result={"a": 1}), Message("response", 1, "", {})),
        (body("method", result=None), Message("response", 1, "", {})),
        (body("method", error={"code": 1}), Message("response", 1, "", {})),
        (body(extra=1), Message("request", 1, "ping", {})),
    ],
    ids=["request", "params", "notification", "result", "null-result", "error", "unknown-member"],
)
def test_each_kind_of_message_is_read_as_what_it_is(sent: bytes, expected: Message) -> None:
    """JSON-RPC 2.0 §4, §5."""
    assert read(sent) == expected


@pytest.mark.parametrize(
    "value",
    [0, 1, -1, 2**53 - 1, -(2**53 - 1), "", "a", "1", "é", "x" * MAX_ID],
    ids=lambda value: repr(value)[:20],
)
def test_an_id_of_text_or_an_integer_is_kept_with_its_type(value: str | int) -> None:
    """JSON-RPC 2.0 §4; MCP, requests."""
    message = read(body(id=value))
    assert message == Message("request", value, "ping", {})
    assert type(message.id) is type(value)


@pytest.mark.parametrize("response", [False, True], ids=["request", "response"])
@pytest.mark.parametrize("value", [None, True, False, 1.0, 1.5, -0.0, [], [1], {}], ids=repr)
def test_any_other_id_is_refused(value: Any, response: bool) -> None:
    """MCP, requests: the id must not be null."""
    sent = body("method", id=value, result={}) if response else body(id=value)
    assert refused(sent) == ("jsonrpc_id", INVALID_REQUEST, None)


def test_an_id_or_a_method_that_fills_a_record_is_refused() -> None:
    """House: records show both, also of callers without a credential."""
    assert refused(body(id="x" * (MAX_ID + 1)))[0] == "jsonrpc_id"
    assert refused(body(method="x" * (MAX_METHOD + 1)))[0] == "jsonrpc_method"
    assert read(body(method="x" * MAX_METHOD)).kind == "request"


@pytest.mark.parametrize("digits", ["9007199254740992", "-9007199254740992", "9" * 5000], ids=len)
def test_an_id_that_some_reader_would_round_is_refused(digits: str) -> None:
    """RFC 7493 §2.2."""
    sent = f'{{"jsonrpc":"2.0","id":{digits},"method":"ping"}}'.encode()
    assert refused(sent)[0] == "json_integer_range"


@pytest.mark.parametrize("value", ["1.0", "2", "2.0 ", "", 2, 2.0, None, ["2.0"]], ids=repr)
def test_another_jsonrpc_version_is_refused(value: Any) -> None:
    """JSON-RPC 2.0 §4."""
    assert refused(body(jsonrpc=value)) == ("jsonrpc_version", INVALID_REQUEST, None)


def test_a_message_without_a_version_is_refused() -> None:
    """JSON-RPC 2.0 §4."""
    assert refused(body("jsonrpc")) == ("jsonrpc_version", INVALID_REQUEST, None)


@pytest.mark.parametrize("value", ["", None, 1, True, ["ping"], {"name": "ping"}], ids=repr)
def test_a_method_that_is_not_a_name_is_refused(value: Any) -> None:
    """JSON-RPC 2.0 §4."""
    assert refused(body(method=value)) == ("jsonrpc_method", INVALID_REQUEST, None)


@pytest.mark.parametrize("value", [None, [], ["a"], "a", 1, False], ids=repr)
def test_params_that_are_not_an_object_are_refused_to_the_request_that_sent_them(
    value: Any,
) -> None:
    """MCP, requests: params is an object."""
    assert refused(body(params=value)) == ("jsonrpc_params", INVALID_PARAMS, 1)
    assert refused(body("id", params=value)) == ("jsonrpc_params", INVALID_PARAMS, None)


@pytest.mark.parametrize(
    "sent",
    [
        body(result={}),
        body(error={}),
        body("id", result={}),
        body("method"),
        body("method", "id"),
        body("method", "id", result={}),
        body("method", result={}, error={}),
        body("method", params={}),
    ],
    ids=[
        "method-and-result",
        "method-and-error",
        "notification-and-result",
        "only-id",
        "nothing",
        "result-without-id",
        "result-and-error",
        "params-without-method",
    ],
)
def test_a_message_of_two_kinds_or_of_none_is_refused(sent: bytes) -> None:
    """JSON-RPC 2.0 §4, §5."""
    assert refused(sent) == ("jsonrpc_envelope", INVALID_REQUEST, None)


@pytest.mark.parametrize(
    "sent",
    [b"[]", b"[" + body() + b"]", b"[" + body() + b"," + body(id=2) + b"]", b'"ping"', b"null"],
    ids=["empty-batch", "batch-of-one", "batch-of-two", "text", "null"],
)
def test_a_batch_or_a_bare_value_is_refused(sent: bytes) -> None:
    """House: threats §4, JSON-RPC batch."""
    assert refused(sent) == ("json_not_object", INVALID_REQUEST, None)


@pytest.mark.parametrize(
    "member",
    ["Method", "METHOD", "ID", "Id", "\u0131d", "\u0130D", "Params", "param\u017f", "JSONRPC"]
    + ["json\uff52pc", "Result", "re\u017fult", "Error", "\uff45rror"],
)
def test_a_member_that_a_lenient_reader_takes_for_another_is_refused(member: str) -> None:
    """CVE-2026-27896."""
    assert refused(body(**{member: "x"})) == ("json_ambiguous_key", INVALID_REQUEST, None)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "json_syntax"),
        (b"\xef\xbb\xbf" + body(), "json_bom"),
        (body() + body(), "json_syntax"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"x"}', "json_duplicate_key"),
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', "json_duplicate_key"),
        (b'{"jsonrpc":"2.0","id":1,"m\\u0065thod":"x","method":"ping"}', "json_duplicate_key"),
        (b'{"jsonrpc":"2.0","id":1,"method\\u0000":"x","method":"ping"}', "json_nul_in_key"),
        (body().decode().encode("utf-16"), "json_not_utf8"),
    ],
    ids=["empty", "bom", "two", "method-twice", "id-twice", "escaped-twice", "nul", "utf-16"],
)
def test_bytes_that_say_more_than_one_thing_are_no_message(sent: bytes, code: str) -> None:
    """RFC 7493 §2."""
    assert refused(sent) == (code, -32700, None)


def test_our_own_error_code_lies_outside_what_the_protocols_reserve() -> None:
    """JSON-RPC 2.0 §5.1; MCP 2026-07-28, error codes."""
    assert not -32768 <= REFUSED <= -32000
