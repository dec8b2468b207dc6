import copy
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.blotter import MAX_FOUND, MAX_STAMPS
from gateway.core.canonical import canonical, dumps
from gateway.core.errors import VerificationError
from gateway.core.redaction import MAX_ECHOES, MORE, Redacted, Redactor, restore

KEY = b"k" * 32
SYSTEMS: dict[str, Any] = {
    "crm": {
        "tools": {
            "pay": {
                "redact": {
                    "arguments": {"/pin": "secret", "/to/*/iban": "pii", "/both": "pii"},
                    "result": {"/structuredContent/rows/*/email": "pii", "/code": "secret"},
                }
            },
            "plain": {},
        }
    }
}
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLXRoaXMx"
AWS = "AKIAIOSFODNN7EXAMPLE"
RANDOM = "q7Zr2mW9xK4vT8bN1cY6dF3g"
Fields = dict[str, Any]


def intent(arguments: Any = None, name: str = "pay", **more: Any) -> Fields:
    """Return the fields of an intent, as far as redaction looks at them."""
    return {
        "call_id": "call-1",
        "correlation": {"traceparent": None, "run": more.get("run")},
        "request": {
            "system": "crm",
            "target": more.get("target", "/crm/mcp"),
            "path": "/crm/mcp",
            "headers": {"content-type": "application/json", **more.get("headers", {})},
            "body_digest": "sha256:" + "0" * 64,
        },
        "call": {"action": more.get("action", "tools/call"), "name": name, "rpc_id": 7},
        "input": {"resource": {"name": name, "arguments": arguments or {}}},
    }


def outcome(body: Any, tool: str | None = "pay", **more: Any) -> Fields:
    """Return the fields of an outcome; a body that is no text is a JSON-RPC result."""
    if body is not None and not isinstance(body, str):
        body = json.dumps({"jsonrpc": "2.0", "id": 7, "result": body})
    headers = more.get("headers", {})
    return {"call_id": "call-1", "system": "crm", "tool": tool, "headers": headers, "body": body}


def redact(fields: Fields, kind: str = "intent", **more: Any) -> Redacted:
    """Redact, and check what must hold every time."""
    before = copy.deepcopy(fields)
    redacted = Redactor(KEY, SYSTEMS).redact(kind, fields, **more)
    assert fields == before, "the given fields were changed"
    assert restore(redacted.fields, redacted.originals) == before
    assert dumps(redacted.fields), "it cannot be written"
    assert dumps(restore(redacted.fields, redacted.originals)) == dumps(before), "reordered"
    return redacted


def arguments(redacted: Redacted) -> Any:
    """Return the arguments as recorded."""
    return redacted.fields["input"]["resource"]["arguments"]


def value_of(value: Any, kind: str) -> Any:
    """Return what must stand for a redacted value, reckoned anew (docs/evidence.md)."""
    data = canonical(value)
    digest = hmac.new(KEY, data, hashlib.sha256).hexdigest()
    return {"$redacted": {"class": kind, "hmac": f"hmac-sha256:{digest}", "bytes": len(data)}}


def text_of(value: Any, kind: str) -> str:
    """Return the same within a text."""
    said = value_of(value, kind)["$redacted"]
    return f"[redacted {said['class']} {said['hmac']} {said['bytes']}]"


# --- marked values ---


@pytest.mark.parametrize("value", ["x", "", 7, 1.5, None, True, {"a": [1]}, [], 2**60, "\ud800"])
def test_a_marked_argument_is_replaced_whatever_it_is(value: Any) -> None:
    """House: docs/evidence.md; a value without RFC 8785 form has a hash all the same."""
    said = Redactor(KEY, SYSTEMS).redact("intent", intent({"pin": value, "note": "n"})).fields
    shown = said["input"]["resource"]["arguments"]
    assert list(shown["pin"]["$redacted"]) == ["class", "hmac", "bytes"]
    assert shown["note"] == "n"
    if value not in (2**60, "\ud800"):
        assert shown["pin"] == value_of(value, "secret")


def test_a_star_stands_for_every_element_and_member() -> None:
    """House: the one extension to RFC 6901."""
    given = {"to": [{"iban": "DE1"}, {"iban": "DE2", "n": 1}]}
    assert arguments(redact(intent(given))) == {
        "to": [{"iban": value_of("DE1", "pii")}, {"iban": value_of("DE2", "pii"), "n": 1}]
    }
    by_name = arguments(redact(intent({"to": {"a": {"iban": "DE1"}}})))
    assert by_name == {"to": {"a": {"iban": value_of("DE1", "pii")}}}


def test_a_tool_that_is_not_listed_has_all_its_arguments_replaced() -> None:
    """House: nobody said that they are harmless."""
    redacted = redact(intent({"city": "Bern"}, name="weather"))
    assert arguments(redacted) == value_of({"city": "Bern"}, "unknown")
    assert redacted.secrets == ()
    assert "Bern" not in str(redact(outcome({"is": "Bern"}, tool="weather"), "outcome").fields)


def test_a_method_without_a_catalogue_entry_is_only_swept() -> None:
    """House: the catalogue lists tools."""
    given = {"ref": "list", "password": "pw"}
    said = redact(intent(given, name="", action="prompts/list"))
    assert arguments(said) == {"ref": "list", "password": value_of("pw", "credential")}
    assert redact(outcome({"ref": "list"}, tool=None), "outcome").originals == {}


def test_marks_within_a_result_are_found_in_json() -> None:
    """House: `result` pointers are relative to the JSON-RPC result."""
    body = {"structuredContent": {"rows": [{"email": "a@b.ch", "n": 1}]}}
    said = json.loads(redact(outcome(body), "outcome").fields["body"])
    assert said["result"]["structuredContent"]["rows"] == [
        {"email": value_of("a@b.ch", "pii"), "n": 1}
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_marks_within_a_result_are_found_in_server_sent_events(newline: str) -> None:
    """WHATWG HTML §9.2.6: an event's data can be several lines; others keep their bytes."""
    first = newline.join(["event: message", "id: 1", 'data: {"jsonrpc":"2.0",'])
    first += newline + 'data: "id":7,"result":{"code":"4711x"}}'
    second = newline.join([": ping", 'data:  {"method": "notifications/x"}'])
    body = newline * 2 + first + newline * 2 + second + newline * 2
    body = body.removeprefix(newline * 2)
    said = redact(outcome(body), "stream-part").fields["body"]
    assert "4711x" not in said
    events = [event for event in said.split(newline * 2) if event]
    data = [line for line in events[0].split("\n") if line.startswith("data: ")]
    assert len(data) == 1
    assert json.loads(data[0][6:])["result"] == {"code": value_of("4711x", "secret")}
    assert events[0].startswith("event: message\nid: 1\n")
    assert events[1] == second


@pytest.mark.parametrize(
    "body",
    [
        '{"result":{"code":"4711x"},"result":{}}',
        '{"result":{"code":"4711x"}',
        'data: {"result":{"code":"4711x"},"result":{}}\n\n',
        'data: {"result":{"code":"4711x"}',
        "the code is 4711x",
        '{"result":' + "[" * 200 + '"4711x"' + "]" * 200 + "}",
    ],
    ids=["key twice", "cut short", "event", "event cut short", "no JSON", "too deep"],
)
def test_an_answer_in_which_marks_cannot_be_found_goes_as_a_whole(body: str) -> None:
    """House: fail closed; a parser behind us may find in it what we do not."""
    assert "4711x" not in str(redact(outcome(body), "outcome").fields)


def test_a_batch_of_answers_is_looked_into() -> None:
    """JSON-RPC 2.0 §6."""
    body = json.dumps([{"result": {"code": "a"}}, {"result": {"n": 1}}])
    said = json.loads(redact(outcome(body), "outcome").fields["body"])
    assert said == [{"result": {"code": value_of("a", "secret")}}, {"result": {"n": 1}}]


def test_where_two_marks_meet_the_stricter_class_is_said() -> None:
    """House: `secret` before `pii`, in whatever order the catalogue lists them."""
    tool = {"redact": {"arguments": {"/a": "pii", "/*": "secret"}}}
    redactor = Redactor(KEY, {"crm": {"tools": {"pay": tool}}})
    assert arguments(redactor.redact("intent", intent({"a": "x"}))) == {
        "a": value_of("x", "secret")
    }


# --- echoes ---


def test_a_marked_value_is_blotted_out_where_the_result_repeats_it() -> None:
    """MCP: `content` repeats `structuredContent` as a text of JSON."""
    rows = {"rows": [{"email": 'a"\n é@b.ch', "n": 7}]}
    content = [{"type": "text", "text": json.dumps(rows)}, {"type": "text", "text": rows["rows"]}]
    said = redact(outcome({"structuredContent": rows, "content": content}), "outcome")
    assert "b.ch" not in said.fields["body"]
    assert json.loads(said.fields["body"])["result"]["content"][0]["type"] == "text"


def test_a_secret_has_one_hash_wherever_it_stands() -> None:
    """House: equal hashes answer the question "the same secret?"."""
    given = {"pin": "hunter", "note": "my pin is hunter!", "again": "hunter", "n": [1]}
    assert arguments(redact(intent(given))) == {
        "pin": value_of("hunter", "secret"),
        "note": f"my pin is {text_of('hunter', 'secret')}!",
        "again": text_of("hunter", "secret"),
        "n": [1],
    }


def test_a_marked_number_is_blotted_out_as_number_and_as_text() -> None:
    """House: a card number is one in either spelling."""
    said = arguments(redact(intent({"pin": 47110815, "a": 47110815, "b": "is 47110815", "c": 471})))
    assert said["a"] == value_of(47110815, "secret")
    assert said["b"] == f"is {text_of(47110815, 'secret')}"
    assert said["c"] == 471


def test_a_secret_of_the_intent_is_blotted_out_in_the_outcome() -> None:
    """House: an upstream answers with what it was asked."""
    asked = redact(intent({"pin": "hunter", "to": [{"iban": "CH93"}]}))
    assert {"hunter", "CH93"} <= set(asked.secrets)
    body = {"content": [{"type": "text", "text": '{"pin": "hunter", "say": "to CH93"}'}]}
    answer = redact(outcome(body, tool="plain"), "outcome", also=asked.secrets)
    assert "hunter" not in str(answer.fields)
    assert "CH93" not in str(answer.fields)
    assert "say" in str(answer.fields)


def test_a_short_secret_is_not_looked_for_elsewhere() -> None:
    """House: blotting out every `ab` would leave nothing to read."""
    assert arguments(redact(intent({"pin": "abc", "note": "abcd"})))["note"] == "abcd"


def test_a_secret_found_by_its_name_is_blotted_out_elsewhere() -> None:
    """House: it is said before it is named."""
    said = redact(outcome({"say": "it is hunter2", "password": "hunter2"}, tool="plain"), "outcome")
    assert "hunter2" not in str(said.fields)


def test_echoes_in_a_long_result_leave_the_rest_readable() -> None:
    """House: 500 marked values that `content` repeats are compared as whole values."""
    rows = {"rows": [{"email": f"user{i}@example.org", "n": f"row {i}"} for i in range(500)]}
    content = [{"type": "text", "text": json.dumps(rows)}]
    said = redact(outcome({"structuredContent": rows, "content": content}), "outcome")
    assert "@example.org" not in said.fields["body"]
    assert said.fields["body"].count("row 499") == 2


@pytest.mark.parametrize("filler", [0, 900_000])
def test_more_secrets_than_can_be_followed_take_the_whole_body_along(filler: int) -> None:
    """House: fail closed, in bounded time."""
    rows = [{"email": f"user{i}@example.org"} for i in range(MAX_ECHOES + 50)]
    text = " and ".join(row["email"] for row in rows) + " word" * (filler // 5)
    began = time.process_time()
    said = redact(outcome({"structuredContent": {"rows": rows}, "content": text}), "outcome")
    assert time.process_time() - began < 5
    assert "@example.org" not in said.fields["body"]
    assert said.fields["body"].startswith("[redacted secret ")


def test_more_secrets_than_can_be_told_take_the_whole_body_along_unread() -> None:
    """House: a body of nothing else must not cost a multiple of itself, nor come back in clear."""
    body = json.dumps({"result": [{"password": f"p{i:06}"} for i in range(60_000)]})
    said = redact(outcome(body, tool="plain"), "outcome")
    assert said.fields["body"] == text_of(body, "secret")
    assert MORE in said.secrets
    assert len(said.secrets) <= MAX_FOUND + 2


def test_more_places_than_can_be_marked_take_the_whole_body_along() -> None:
    """House: each marker is longer than what it stands for."""
    body = json.dumps({"result": "pwd=a " * (MAX_STAMPS + 1)})
    said = redact(outcome(body, tool="plain"), "outcome")
    assert said.fields["body"] == text_of(body, "secret")
    assert MORE in said.secrets
    after = redact(outcome("plain words", tool="plain"), "outcome", also=said.secrets)
    assert after.fields["body"] == text_of("plain words", "secret")


def test_after_more_than_can_be_told_the_answer_goes_as_a_whole() -> None:
    """House: it can repeat a secret that was not read."""
    given = {"x": [{"password": f"p{i:06}"} for i in range(MAX_FOUND + 100)]}
    asked = redact(intent(given, name="plain"))
    assert arguments(asked) == value_of(given, "secret")
    last = f"it was p{MAX_FOUND + 99:06}"
    answer = redact(outcome(last, tool="plain"), "outcome", also=asked.secrets)
    assert answer.fields["body"] == text_of(last, "secret")


def test_a_short_marked_value_goes_where_a_whole_value_equals_it() -> None:
    """House: a code of three digits is one beside the place that is marked, too."""
    said = arguments(redact(intent({"pin": "123", "copy": ["123"], "n": 123, "text": "1234"})))
    assert said["copy"] == [text_of("123", "secret")]
    assert (said["n"], said["text"]) == (123, "1234")


@pytest.mark.parametrize(
    "given",
    [
        {"password": {"value": "tiger12"}},
        {"tokens": [{"v": "tiger12"}]},
        {"api_keys": ["tiger12"]},
        {"headers": [{"name": "authorization", "value": "tiger12"}]},
        {"tags": [{"Key": "DB_PASSWORD", "Value": "tiger12"}]},
        {"x": '{"password":{"value":"tiger12"}}'},
        {"credentials": {"user": "u", "pw": "tiger12"}, "note": "it is tiger12"},
        {"env": ["DB_PASSCODE=tiger12", "passwd2: tiger12"]},
    ],
)
def test_what_stands_under_a_secret_name_goes_as_a_whole(given: Any) -> None:
    """House: whatever its form, and wherever it is repeated."""
    assert "tiger12" not in str(redact(intent(given, name="plain")).fields)
    assert "tiger12" not in str(redact(outcome(given, tool="plain"), "outcome").fields)


def test_words_of_a_schema_under_a_secret_name_stay_elsewhere() -> None:
    """House: a tool's description says `password: {type: string}`."""
    given = {"password": {"type": "string"}, "max_tokens": 4096, "kind": "string"}
    said = arguments(redact(intent(given, name="plain")))
    assert (said["kind"], said["max_tokens"]) == ("string", 4096)


# --- places ---


def test_the_values_of_a_query_go_and_its_names_stay() -> None:
    """House: nobody can tell which value of a query is a secret."""
    said = redact(intent(target="/crm/mcp?key=k-1&v=&flag&a=b=c")).fields["request"]["target"]
    key, rest = text_of("k-1", "secret"), text_of("b=c", "secret")
    assert said == f"/crm/mcp?key={key}&v=&{text_of('flag', 'secret')}&a={rest}"


def test_the_userinfo_of_a_url_goes() -> None:
    """RFC 3986 §3.2.1."""
    said = redact(intent(target="https://u:pw@crm/mcp")).fields["request"]["target"]
    assert "pw" not in said.replace("[redacted", "")
    assert said.endswith("crm/mcp")


@pytest.mark.parametrize("name", ["mcp-session-id", "cookie", "x-api-key", "Mcp-Session-Id"])
def test_a_header_that_carries_a_capability_is_redacted(name: str) -> None:
    """House: whoever reads a session's id can take the session over."""
    said = redact(intent(headers={name: "s-1"})).fields["request"]["headers"]
    assert said[name] == text_of("s-1", "credential")
    assert said["content-type"] == "application/json"
    assert "s-1" not in str(redact(outcome(None, headers={name: "s-1"}), "outcome").fields)


def test_headers_that_repeat_arguments_are_redacted_with_them() -> None:
    """MCP 2026-07-28: `Mcp-Param-*` mirror arguments, in base64 if need be."""
    headers = {"mcp-param-pin": "=?base64?MTIz?="}
    assert "MTIz" not in str(redact(intent({"pin": "123"}, headers=headers)).fields)
    assert "MTIz" not in str(redact(intent({}, name="unlisted", headers=headers)).fields)
    assert "MTIz" in str(redact(intent({}, name="plain", headers=headers)).fields)


def test_trace_context_and_digests_stay() -> None:
    """House: evidence is correlated by them."""
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    fields = intent(headers=headers)
    assert redact(fields).fields == fields


def test_records_of_other_kinds_pass_as_they_are() -> None:
    """House: they hold nothing that a caller said."""
    fields = {"headers": {"cookie": "x"}, "body": "password=x"}
    assert Redactor(KEY, SYSTEMS).redact("start", fields) == Redacted(fields, {}, ())


def test_a_call_without_secrets_is_recorded_as_it_is() -> None:
    """House: and nothing of it is copied but the outermost object."""
    fields = intent({"note": "due on 2026-12-01", "n": [1, {"a": None}]}, name="plain")
    redacted = redact(fields)
    assert (redacted.fields, redacted.originals, redacted.secrets) == (fields, {}, ())
    assert redacted.fields["input"] is fields["input"]


def test_a_body_without_secrets_keeps_its_bytes() -> None:
    """House: spaces and spelling are evidence too."""
    body = ' { "result" : { "token_count" : 1.50, "a":"\\u00e9" } } '
    assert redact(outcome(body, tool="plain"), "outcome").fields["body"] == body


def test_a_name_spelt_with_escapes_is_read() -> None:
    """RFC 8259 §7: any character may be escaped."""
    said = redact(outcome('{"result":{"p\\u0061ssw\\u006frd":"rosebud"}}', tool="plain"), "outcome")
    assert "rosebud" not in said.fields["body"]


def test_half_of_a_surrogate_pair_in_an_answer_can_be_written() -> None:
    """House: a body that is written anew still has a UTF-8 form."""
    body = '{"result":{"a":"\\ud800","password":"rosebud"}}'
    said = redact(outcome(body, tool="plain"), "outcome").fields["body"]
    assert json.loads(said)["result"]["a"] == "\ud800"
    assert "rosebud" not in said


@pytest.mark.parametrize("body", [None, "", "plain words", "null", "7", "[]", ":", "data:", "{"])
def test_any_body_is_taken(body: str | None) -> None:
    """House: an upstream can answer anything."""
    redact(outcome(body), "outcome")
    redact(outcome(body, tool="plain"), "outcome")
    redact({"body": body}, "outcome")
    redact({"call": None, "request": None, "input": None, "body": body}, "refusal")


@pytest.mark.parametrize("within", [31, 99])
@pytest.mark.parametrize("depth", [60, 99, 101, 5000])
def test_a_deeply_nested_answer_is_no_error(depth: int, within: int) -> None:
    """House: an error here would stop the gateway after the effect."""
    text = '{"password":"pw12345"}'
    for _ in range(3):
        text = json.dumps(["[" * within + text + "]" * within, text])
    body = '{"a":' * depth + text + "}" * depth
    assert "pw12345" not in str(redact(outcome(body, tool="plain"), "outcome").fields)


# --- canaries ---

CANARIES: dict[str, str] = {
    "marked, of low entropy": "rosebud",
    "an AWS key": AWS,
    "a JWT": JWT,
    "a random run": RANDOM,
    "a member named password": "swordfish",
    "a value of a query": "opensesame",
    "a header": "sess-0815",
    "one with escapes": 'mell"on\\é\n',
}
SPREAD = {
    "pin": CANARIES["marked, of low entropy"],
    "to": [{"iban": CANARIES["one with escapes"]}],
    "db": {"Pass-Word": CANARIES["a member named password"], AWS: 1},
    "note": f"call with {JWT} or {RANDOM}, and with rosebud; swordfish",
    "json": json.dumps({"deep": json.dumps({"jwt": JWT, "x": [CANARIES["one with escapes"]]})}),
}


def texts(canary: str) -> list[str]:
    """Return the spellings that must not survive."""
    plain = [canary, json.dumps(canary)[1:-1], json.dumps(canary, ensure_ascii=False)[1:-1]]
    return [*plain, *(json.dumps(text)[1:-1] for text in plain)]


def everywhere() -> list[tuple[str, Fields]]:
    """Return records that hold every canary somewhere."""
    target = f"/crm/mcp?x={CANARIES['a value of a query']}"
    headers = {"mcp-session-id": CANARIES["a header"], "tracestate": f"a={RANDOM}"}
    asked = intent(SPREAD, target=target, headers=headers, run=f"run {RANDOM}")
    asked["call"]["meta"] = {"x": JWT}
    result = {"code": CANARIES["marked, of low entropy"], "structuredContent": SPREAD}
    result["content"] = [{"type": "text", "text": json.dumps(SPREAD)}]
    message = json.dumps({"jsonrpc": "2.0", "id": 7, "result": result})
    events = f": {RANDOM}\nevent: message\ndata: {message}\n\ndata: {{}}\n\n"
    return [
        ("intent", asked),
        ("refusal", asked),
        ("outcome", outcome(message, headers=headers)),
        ("outcome", outcome(json.dumps(message), headers=headers, tool="plain")),
        ("stream-part", outcome(events)),
        ("stream-part", outcome(events, tool="plain")),
    ]


@pytest.mark.parametrize("name", sorted(CANARIES))
@pytest.mark.parametrize("number", range(6))
def test_no_canary_survives_in_any_record(number: int, name: str) -> None:
    """House: the property all of this is for; the secrets of the intent go along."""
    also = redact(intent(SPREAD, target=f"/?x={CANARIES['a value of a query']}")).secrets
    kind, fields = everywhere()[number]
    written = dumps(redact(fields, kind, also=also).fields).decode()
    for spelling in texts(CANARIES[name]):
        assert spelling not in written


def test_every_canary_is_in_the_records_before_redaction() -> None:
    """House: or the test above would pass by itself."""
    before = "".join(dumps(fields).decode() for _, fields in everywhere())
    for canary in CANARIES.values():
        assert any(spelling in before for spelling in texts(canary))


# --- restoring, and the key ---

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["password", "pin", "to", "iban", AWS, JWT, RANDOM, "rosebud", "a/b~c", "$redacted", "*", ""]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT | st.just("is rosebud"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
ARGUMENTS = st.dictionaries(TEXT, VALUES, max_size=4)


@given(ARGUMENTS, st.sampled_from(["pay", "plain", "unlisted"]), st.text(max_size=8))
def test_an_intent_can_be_restored_to_the_byte(given: Any, name: str, query: str) -> None:
    """House: whoever may open the sealed originals has the whole record."""
    query = query.encode("utf-8", "replace").decode()
    redact(intent(given, name=name, target=f"/crm?{query}={AWS}"), also=("rosebud",))


@given(VALUES, st.sampled_from(["pay", "plain", None]), st.booleans())
def test_an_outcome_can_be_restored_to_the_byte(result: Any, tool: str | None, sse: bool) -> None:
    """House: the original of a body is its text, not its meaning."""
    fields = outcome({"x": result}, tool=tool)
    if sse:
        fields["body"] = f"event: message\r\ndata: {fields['body']}\r\n\r\n"
    redact(fields, "outcome", also=("rosebud",))


@pytest.mark.parametrize("pointer", ["/input/nothing/x", "/call_id/x", "no pointer"])
def test_originals_of_another_record_are_refused(pointer: str) -> None:
    """House: what is put back must be what was taken away."""
    with pytest.raises(VerificationError) as caught:
        restore(intent(), {pointer: "x"})
    assert caught.value.reason_code == "originals_mismatch"


def test_the_hash_needs_the_key() -> None:
    """House: a value of low entropy must not be found by trying."""
    redactor = Redactor(KEY, {})
    assert redactor.hmac(b"x") == "hmac-sha256:" + hmac.new(KEY, b"x", "sha256").hexdigest()
    assert Redactor(b"l" * 32, {}).hmac(b"x") != redactor.hmac(b"x")
    with pytest.raises(ValueError):
        Redactor(b"short", {})


def test_a_text_of_no_call_is_swept() -> None:
    """House: messages of errors are recorded too."""
    assert Redactor(KEY, {}).text(f"no {AWS} here") == f"no {text_of(AWS, 'credential')} here"
