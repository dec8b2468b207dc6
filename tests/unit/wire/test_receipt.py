import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import UpstreamError
from gateway.core.record import Receipt
from gateway.wire.receipt import (
    MAX_MEMBERS,
    MAX_SPLICED,
    event_filled,
    event_place,
    headers,
    place,
    without_ours,
)
from gateway.wire.sse import Event

RECEIPT = Receipt(7, "sha256:" + "a" * 64, "example.com/bailiwick/0")
OURS = {"origin": "example.com/bailiwick/0", "seq": 7, "leaf_hash": "sha256:" + "a" * 64}
SPLICE = '"bailiwick/receipt":' + json.dumps(OURS, separators=(",", ":"))
META = '"_meta":{' + SPLICE + "}"
FORGED = '"bailiwick/receipt":{"origin":"evil","seq":1}'


def with_receipt(message: bytes, receipt: Receipt | None) -> bytes:
    """Return the message as a caller gets it."""
    found = place(message)
    return message if found is None else found.filled(receipt)


def event_with_receipt(raw: bytes, receipt: Receipt | None, first: bool = False) -> bytes:
    """Return the event as a caller gets it."""
    event = Event(raw, first)
    found = event_place(event)
    return raw if found is None else event_filled(event, found, receipt)


def answer(result: str) -> bytes:
    """Return a response with this result."""
    return f'{{"jsonrpc":"2.0","id":1,"result":{result}}}'.encode()


def seen(message: bytes) -> Any:
    """Return what a lenient client takes for the receipt: the last of equal keys."""
    return json.loads(message)["result"]["_meta"]["bailiwick/receipt"]


def seen_meta(message: bytes) -> Any:
    """Return `_meta` of a message."""
    return json.loads(message)["result"]["_meta"]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("{}", "{" + META + "}"),
        ("{ }", "{" + META + " }"),
        ('{"content":[]}', "{" + META + ',"content":[]}'),
        ('{\n "a" : 1.50e1 ,\t"b":"\\u00e9é"}', "{" + META + ',\n "a" : 1.50e1 ,\t"b":"\\u00e9é"}'),
        ('{"_meta":{}}', '{"_meta":{' + SPLICE + "}}"),
        (
            '{"a":1,"_meta" : { "x":{"y":[1]} } }',
            '{"a":1,"_meta" : {' + SPLICE + ', "x":{"y":[1]} } }',
        ),
        ('{"_\\u006deta":{"x":1}}', '{"_\\u006deta":{' + SPLICE + ',"x":1}}'),
    ],
    ids=["empty", "blank", "content", "odd spelling", "empty meta", "meta", "escaped meta"],
)
def test_the_receipt_is_put_in_and_every_other_byte_stays(result: str, expected: str) -> None:
    """House: what a client reads besides the receipt is what the upstream wrote."""
    spliced = with_receipt(answer(result), RECEIPT)
    assert spliced == answer(expected)
    assert seen(spliced) == OURS


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ("{" + FORGED + "}", "{" + SPLICE + "}"),
        ("{" + FORGED + ',"x":1}', "{" + SPLICE + ',"x":1}'),
        ('{"x":1, ' + FORGED + " }", "{" + SPLICE + ',"x":1 }'),
        ('{"x":1,' + FORGED + ',"y":2}', "{" + SPLICE + ',"x":1,"y":2}'),
        ("{" + FORGED + "," + FORGED + ',"x":1,' + FORGED + "}", "{" + SPLICE + ',"x":1}'),
        ('{"bailiwick\\/receipt":1,"x":1}', "{" + SPLICE + ',"x":1}'),
        ('{"bailiwick/receip\\u0074":1}', "{" + SPLICE + "}"),
        ('{"bailiwick/refusal":{},"x":1,"BAILIWICK/Receipt":2}', "{" + SPLICE + ',"x":1}'),
    ],
    ids=["only", "first", "last", "middle", "many", "slash", "letter", "other members of ours"],
)
def test_what_the_upstream_wrote_in_our_name_is_taken_out(meta: str, expected: str) -> None:
    """House: whichever of two equal keys a parser takes, it takes ours."""
    bare = with_receipt(answer('{"_meta":' + meta + "}"), None)
    assert b"bailiwick" not in bare.lower() and seen_meta(bare).keys() <= {"x", "y"}
    spliced = with_receipt(answer('{"_meta":' + meta + "}"), RECEIPT)
    assert spliced == answer('{"_meta":' + expected + "}")
    assert b"evil" not in spliced


RESULT = '"result":{"content":[]}'


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"null",
        b'"text"',
        b"[" + answer("{}") + b"]",
        answer("{}")[:-1],
        answer("{}") + b"{}",
        answer("{}") + b",",
        answer('{"a":"\xff"}').replace(b"\xc3\xbf", b"\xff"),
        answer("null"),
        answer("[]"),
        answer('"{}"'),
        answer('{"_meta":null}'),
        answer('{"_meta":[]}'),
        answer('{"_meta":{},"_meta":{}}'),
        answer('{"_Meta":{}}'),
        answer('{"_meta":{},"_META":{}}'),
        answer('{"_meta":{"x":1,"x":2}}'),
        answer('{"a":NaN}'),
        answer('{"a":1,}'),
        answer('{"a":01}'),
        answer('{"a" 1}'),
        answer("{a:1}"),
        answer("{1:1}"),
        answer("{}").replace(b"{", b"{1:2,", 1),
        answer("{'a':1}"),
        answer('{"a":"\n"}'),
        answer('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"),
        answer("{}").replace(b'"id"', b'"id":2,"id"'),
        answer("{}").replace(b'"id":1', b'"result":{}'),
        answer("{}").replace(b'"id":1', b'"id":1,"Result":{}'),
        answer("{}").replace(b'"id":1', b'"id":1,"error":null'),
        answer("{}").replace(b'"id":1', b'"id":1,"method":"x"'),
        b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}',
        ("{" + RESULT + "}").encode(),
        ('{"id":1,' + RESULT + "}").encode(),
        ('{"jsonrpc":"2.0",' + RESULT + "}").encode(),
        answer('{"a":"' + "x" * MAX_SPLICED + '"}'),
    ],
    ids=lambda message: ascii(message[:60]),
)
def test_what_is_no_unambiguous_result_is_left_alone(message: bytes) -> None:
    """House: the header has the receipt; nobody's bytes are guessed at."""
    assert with_receipt(message, RECEIPT) == message


AMBIGUOUS = [
    b"[" + answer('{"_meta":{' + FORGED + "}}") + b"]",
    answer('{"a":NaN,"_meta":{' + FORGED + "}}"),
    answer('{"a":1,"a":2,"_meta":{' + FORGED + "}}"),
    answer('{"_META":1,"_meta":{' + FORGED + "}}"),
    answer('{"a":"@","_meta":{' + FORGED + "}}").replace(b"@", b"\xff"),
    answer('{"a":NaN,"_meta":{"\\u0062ailiwic\\u006b/receipt":1}}'),
    answer('{"a":NaN,"_meta":{"Bailiwic\u212a/receipt":1}}'),
    answer('{"_meta":{' + FORGED + "}}").decode().encode("utf-16-le"),
    answer('{"_meta":{' + FORGED + "}}") + b" " * MAX_SPLICED,
]


@pytest.mark.parametrize("message", AMBIGUOUS, ids=lambda message: ascii(message[:60]))
def test_what_readers_could_differ_over_is_refused_if_our_name_may_be_in_it(
    message: bytes,
) -> None:
    """House: no caller sees a receipt that is not ours where ours would stand."""
    with pytest.raises(UpstreamError) as caught:
        place(message)
    assert caught.value.reason_code == "upstream_answer_ambiguous"


def test_an_error_may_hold_any_text() -> None:
    """House: it has no `_meta`, so nothing in it can be taken for a receipt of ours."""
    error = b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"bailiwick \\u00e9"}}'
    assert place(error) is None


@pytest.mark.parametrize(("members", "found"), [(MAX_MEMBERS, True), (MAX_MEMBERS + 1, False)])
def test_an_object_of_too_many_members_is_not_looked_through(members: int, found: bool) -> None:
    """House: work is bounded whatever the upstream sends."""
    result = json.dumps({str(number): 0 for number in range(members)})
    assert (place(answer(result)) is not None) is found


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_a_byte_order_mark_and_white_space_stay_around_the_message(before: bytes) -> None:
    """House: clients skip them, so the receipt goes in all the same."""
    message = before + answer('{"_meta":{' + FORGED + "}}") + b" \n"
    assert with_receipt(message, RECEIPT) == before + answer("{" + META + "}") + b" \n"


def test_without_a_receipt_to_give_the_message_stays_as_it_is() -> None:
    """core/record: what is not durable gives no receipt."""
    assert with_receipt(answer('{"a":1}'), None) == answer('{"a":1}')


@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda key: key.casefold() != "_meta"),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=4), inner, max_size=3)
            ),
            max_leaves=8,
        ),
        max_size=4,
    ),
    st.none() | st.dictionaries(st.sampled_from(["x", "y", "bailiwick/receipt"]), st.integers()),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_only_the_receipt_differs_for_a_client_whatever_the_result(
    result: dict[str, Any], meta: dict[str, Any] | None, indent: int | None, ascii_only: bool
) -> None:
    """House: the one permitted difference."""
    whole = result if meta is None else {**result, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "result": whole}
    sent = json.dumps(message, indent=indent, ensure_ascii=ascii_only).encode()
    try:
        spliced = with_receipt(sent, RECEIPT)
    except UpstreamError:
        return  # Ambiguous keys, and an escape that could spell ours: both are tested above.
    if spliced == sent:
        return  # Ambiguous keys; what those are is tested above.
    got = json.loads(spliced)
    assert got["result"]["_meta"].pop("bailiwick/receipt") == OURS
    if meta is None:
        assert got["result"].pop("_meta") == {}
    else:
        meta.pop("bailiwick/receipt", None)
    assert got == message


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"data: ", b"\n\n"),
        (b"data:", b"\n\n"),
        (b"id: 1\r\nevent: message\r\ndata: ", b"\r\n\r\n"),
        (b": note\rdata: ", b"\rretry: 1\r\r"),
        (b"datum: {}\ndata: ", b"\n\n"),
    ],
)
def test_an_event_of_one_line_of_data_gets_the_receipt_within_it(
    before: bytes, after: bytes
) -> None:
    """WHATWG HTML §9.2.6; every other byte of the event stays."""
    expected = with_receipt(answer("{}"), RECEIPT)
    assert event_with_receipt(before + answer("{}") + after, RECEIPT) == before + expected + after


@pytest.mark.parametrize(
    ("raw", "first"),
    [
        (b"data\ndata: @\n\n", False),
        (b"data: @\r\ndata\r\nid: 1\r\n\r\n", False),
        (b"\xef\xbb\xbfdata: @\n\n", True),
        (b"\xef\xbb\xbfdata: 1\ndata: @\n\n", False),
    ],
    ids=["empty line before", "empty line after", "byte order mark", "mark that is none"],
)
def test_the_lines_of_data_of_an_event_are_one_message(raw: bytes, first: bool) -> None:
    """WHATWG HTML §9.2.6: a client joins them; only the first event has a byte order mark."""
    forged = answer('{"_meta":{' + FORGED + "}}")
    got = event_with_receipt(raw.replace(b"@", forged), RECEIPT, first)
    assert seen(Event(got, first).data()) == OURS
    assert b"evil" not in got
    assert got.startswith(raw[:3])


def test_a_message_cut_into_lines_of_data_comes_in_one() -> None:
    """WHATWG HTML §9.2.6; every other line stays."""
    message = answer("{}")
    raw = b"id: 1\ndata: " + message[:17] + b"\nretry: 1\ndata: " + message[17:] + b"\n\n"
    joined = (message[:17] + b" " + message[17:]).replace(b"{}", b"{" + META.encode() + b"}")
    assert event_with_receipt(raw, RECEIPT) == b"id: 1\ndata: " + joined + b"\nretry: 1\n\n"


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"data\n\n",
        b"data: " + answer("{}") + b"\ndata: 1\n\n",
        b"data: rubbish\n\n",
        b"Data: " + answer("{}") + b"\n\n",
    ],
)
def test_any_other_event_is_left_alone(event: bytes) -> None:
    """House: the header has the receipt."""
    assert event_with_receipt(event, RECEIPT) == event


def test_the_header_is_a_dictionary_of_structured_fields() -> None:
    """RFC 8941 §3.2: two strings and an integer."""
    assert headers(RECEIPT) == {
        "bailiwick-receipt": f'origin="example.com/bailiwick/0", seq=7, leaf="sha256:{"a" * 64}"'
    }


def test_an_origin_cannot_break_out_of_its_string() -> None:
    """RFC 8941 §3.3.3: quotes and backslashes are escaped."""
    text = headers(Receipt(1, "l", 'a"\\b'))["bailiwick-receipt"]
    assert text == 'origin="a\\"\\\\b", seq=1, leaf="l"'


def test_without_a_receipt_there_is_no_header() -> None:
    """House: an answer that no record stands behind claims none."""
    assert headers(None) == {}


@pytest.mark.parametrize("observed", ["permit", "deny", "hold"])
def test_in_observe_mode_a_header_says_what_would_be_outside_it(observed: str) -> None:
    """Issue: observe mode marks every answer, with a receipt or without."""
    assert headers(None, observed) == {"bailiwick-observed": observed}
    assert headers(RECEIPT, observed) == {"bailiwick-observed": observed, **headers(RECEIPT)}


def test_headers_in_our_name_are_taken_out() -> None:
    """House: neither a receipt nor a mark is the upstream's to give."""
    forged = {"bailiwick-observed": "permit", "bailiwick-receipt": "x", "bailiwick-": "x"}
    kept = {"content-type": "a/b", "x-bailiwick": "x"}
    assert without_ours({**forged, **kept}) == kept


@pytest.mark.parametrize("receipt", [RECEIPT, None], ids=["receipt", "no receipt"])
@pytest.mark.parametrize(
    ("result", "others"),
    [
        ("{}", {}),
        ('{"content":[]}', {}),
        ('{"_meta":{"x":1}}', {"x": 1}),
        ('{"_meta":{"bailiwick/observed":"permit"}}', {}),
        ('{"_meta":{"a":1,"Bailiwick/Observed":"permit","x":1}}', {"a": 1, "x": 1}),
    ],
    ids=["empty", "content", "meta", "forged", "forged among others"],
)
def test_a_result_says_so_beside_the_receipt_and_no_upstream_can(
    result: str, others: dict[str, Any], receipt: Receipt | None
) -> None:
    """Issue: observe mode marks every answer; `_meta` members of ours are the gateway's alone."""
    found = place(answer(result))
    assert found is not None
    ours = {} if receipt is None else {"bailiwick/receipt": OURS}
    meta = seen_meta(found.filled(receipt, "deny"))
    assert meta == {**ours, "bailiwick/observed": "deny", **others}
    unobserved = json.loads(found.filled(receipt))["result"].get("_meta", {})
    assert unobserved == {**ours, **others}


def test_an_event_says_so_too() -> None:
    """House: as above, in one line of data."""
    event = Event(b"data: " + answer('{"content":[]}') + b"\n\n", False)
    found = event_place(event)
    assert found is not None
    filled = event_filled(event, found, RECEIPT, "hold")
    meta = seen_meta(filled.removeprefix(b"data: "))
    assert meta == {"bailiwick/receipt": OURS, "bailiwick/observed": "hold"}
