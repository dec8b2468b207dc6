import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.errors import UpstreamError
from gateway.wire.sse import MAX_EVENT_BYTES, Event, EventSplitter

BOM = b"\xef\xbb\xbf"
TOKENS = [b"\r", b"\n", b"\r\n", b"data:", b"data: ", b"data", b"x", b":", b" ", b"id: 1", BOM]
STREAMS = st.lists(st.sampled_from(TOKENS), max_size=24).map(b"".join) | st.binary(max_size=40)


def split(stream: bytes, cuts: list[int] | None = None) -> tuple[list[Event], bytes]:
    """Feed a stream in the chunks that these positions cut; return the events and the rest."""
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts or []), len(stream)]
    splitter, events = EventSplitter(), list[Event]()
    for start, end in zip(places, places[1:], strict=False):
        events += splitter.feed(stream[start:end])
    return events, splitter.rest()


def dispatched(stream: bytes) -> list[bytes]:
    """Return the data of each event, read byte by byte as the standard words it."""
    stream = stream.removeprefix(BOM)
    events, data, line = list[bytes](), list[bytes](), b""
    position = 0
    while position < len(stream):
        byte = stream[position : position + 1]
        if byte not in (b"\r", b"\n"):
            line += byte
            position += 1
            continue
        position += 2 if stream[position : position + 2] == b"\r\n" else 1
        if not line:
            events.append(b"\n".join(data))
            data = []
        elif line == b"data":
            data.append(b"")
        elif line.startswith(b"data: "):
            data.append(line[6:])
        elif line.startswith(b"data:"):
            data.append(line[5:])
        line = b""
    return [event for event in events if event]


@given(STREAMS, st.lists(st.integers(0, 1000), max_size=12))
@example(b"data: 1\r\n\r\ndata: 2\r\n\r\n", list(range(22)))
@example(b"data: 1\r\r\n\rdata: 2\n\r\n\r", list(range(22)))
def test_any_split_rejoins_to_the_same_bytes_and_gives_the_same_events(
    stream: bytes, cuts: list[int]
) -> None:
    """House: the bytes that come out are the bytes that went in."""
    events, rest = split(stream, cuts)
    assert (events, rest) == split(stream)
    assert b"".join(event.raw for event in events) + rest == stream


@given(STREAMS, st.lists(st.integers(0, 1000), max_size=12))
def test_the_events_are_those_of_the_standard(stream: bytes, cuts: list[int]) -> None:
    """WHATWG HTML §9.2.6."""
    # One more byte settles whether a last CR was half of a CRLF.
    events, _ = split(stream + b"x", cuts)
    assert [event.data() for event in events if event.data()] == dispatched(stream + b"x")


@pytest.mark.parametrize(
    ("stream", "events", "rest"),
    [
        (b"", [], b""),
        (b"data: 1\n\n", [b"data: 1\n\n"], b""),
        (b"data: 1\r\n\r\n", [b"data: 1\r\n\r\n"], b""),
        (b"data: 1\r\rdata: 2\r\r:", [b"data: 1\r\r", b"data: 2\r\r"], b":"),
        (b"data: 1\n\r\n", [b"data: 1\n\r\n"], b""),
        (b"data: 1\r\n\n", [b"data: 1\r\n\n"], b""),
        (b"data: 1\r\r\n", [b"data: 1\r\r\n"], b""),
        (b"data: 1\r\n", [], b"data: 1\r\n"),
        (b"data: 1\r\r", [], b"data: 1\r\r"),
        (b"data: 1\r\n\r", [], b"data: 1\r\n\r"),
        (b"data: 1\n", [], b"data: 1\n"),
        (b"data: 1\n\n\n\ndata: 2\n\n", [b"data: 1\n\n", b"\n\n", b"data: 2\n\n"], b""),
        (b": ping\n\n", [b": ping\n\n"], b""),
        (b"data: a\x0b\x0b\x1e\x85b\n\n", [b"data: a\x0b\x0b\x1e\x85b\n\n"], b""),
    ],
    ids=lambda value: repr(value) if isinstance(value, bytes) else "",
)
def test_a_stream_is_cut_after_each_blank_line_and_nowhere_else(
    stream: bytes, events: list[bytes], rest: bytes
) -> None:
    """WHATWG HTML §9.2.5."""
    expected = [Event(raw, first=index == 0) for index, raw in enumerate(events)]
    assert split(stream) == (expected, rest)


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"data: 1\n\n", b"1"),
        (b"data:1\n\n", b"1"),
        (b"data:  1 \n\n", b" 1 "),
        (b"data\n\n", b""),
        (b"data\ndata: 1\n\n", b"\n1"),
        (b"data: a\r\ndata: b\rdata: c\n\n", b"a\nb\nc"),
        (b"data: a:b\n\n", b"a:b"),
        (b"event: x\nid: 1\ndata: 1\nretry: 5\n\n", b"1"),
        (b": data: 1\n\n", b""),
        (b" data: 1\n\n", b""),
        (b"Data: 1\n\n", b""),
        (b"data : 1\n\n", b""),
        (b"xdata: 1\n\n", b""),
        (b"data\xc2\xa0: 1\n\n", b""),
    ],
    ids=repr,
)
def test_the_data_of_an_event_is_that_of_its_data_fields(raw: bytes, data: bytes) -> None:
    """WHATWG HTML §9.2.6."""
    assert Event(raw).data() == data


def test_a_byte_order_mark_is_skipped_at_the_start_of_a_stream_and_nowhere_else() -> None:
    """WHATWG HTML §9.2.5."""
    events, rest = split(BOM + b"data: 1\n\n" + BOM + b"data: 2\n\n")
    assert ([event.data() for event in events], rest) == ([b"1", b""], b"")
    assert events[0].raw == BOM + b"data: 1\n\n"


def answer(rpc_id: Any = 1, **members: Any) -> bytes:
    """Make a JSON-RPC response."""
    return json.dumps({"jsonrpc": "2.0", "id": rpc_id, **(members or {"result": {}})}).encode()


def event(data: bytes) -> Event:
    """Make an event of this data."""
    return Event(b"event: message\ndata: " + data + b"\n\n")


@pytest.mark.parametrize(
    ("sent", "request_id"),
    [
        (event(answer(1)), 1),
        (event(answer(0)), 0),
        (event(answer(-1)), -1),
        (event(answer(2**53 - 1)), 2**53 - 1),
        (event(answer("1")), "1"),
        (event(answer("")), ""),
        (event(answer("é")), "é"),
        (event(answer(1, error={"code": 1, "message": ""})), 1),
        (event(answer(1, result=None)), 1),
        (event(answer(1.0)), 1),
        (event(b'{"id":1e0,"result":{}}'), 1),
        (event(b'{"id":1,"resul\\u0074":{}}'), 1),
        (event(b'{"id":1,"\\u0065rror":{}}'), 1),
        (event(b'{"id":2,"id":1,"result":{}}'), 1),
        (event(b'{"id":1,"result":{"text":"\xff"}}'), 1),
        (event(b'{"id":1,"result":{"n":' + b"9" * 5000 + b"}}"), 1),
        (Event(b'data: {"id":1,\r\ndata: "result"\rdata: :{}}\n\n'), 1),
        (Event(b'data:{"id":1,"result":{}}\n\n'), 1),
        (Event(BOM + b'data: {"id":1,"result":{}}\n\n', first=True), 1),
        (event(b"[" + answer(1) + b"]"), 1),
        (event(answer("1")), 1),
        (event(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}'), 1),
        (event(b'{"jsonrpc":"2.0","id":1,"method":null,"result":{}}'), 1),
    ],
    ids=[
        "integer",
        "zero",
        "negative",
        "largest",
        "text",
        "empty-text",
        "unicode",
        "error",
        "null-result",
        "float",
        "exponent",
        "escaped-result",
        "escaped-error",
        "last-id",
        "bad-utf8",
        "huge-integer",
        "many-lines",
        "no-space",
        "bom",
        "batch",
        "text-for-integer",
        "error-without-id",
        "method-null",
    ],
)
def test_an_event_that_a_client_takes_for_its_answer_is_one(
    sent: Event, request_id: str | int
) -> None:
    """JSON-RPC 2.0 §5; House: read as leniently as clients do."""
    assert sent.answers(request_id)


@pytest.mark.parametrize(
    ("sent", "request_id"),
    [
        (event(answer(2)), 1),
        (event(answer(1)), "1"),
        (event(answer(True)), 1),
        (event(answer(False)), 0),
        (event(answer(1.5)), 1),
        (event(answer([1])), 1),
        (event(answer(1)), None),
        (event(answer(None)), None),
        (event(b'{"jsonrpc":"2.0","result":{}}'), 1),
        (event(answer(1, method="sampling/createMessage", params={"result": 1})), 1),
        (event(answer(1, method="x", result={})), 1),
        (event(answer(1, params={"error": 1})), 1),
        (event(answer(1, note="result")), 1),
        (event(b"[" + answer(2) + b"]"), 1),
        (event(b'"result"'), 1),
        (event(b'{"id":1,"result":'), 1),
        (event(b"result"), 1),
        (event(b""), 1),
        (Event(b": " + answer(1) + b"\n\n"), 1),
        (Event(BOM + b'data: {"id":1,"result":{}}\n\n'), 1),
        (event(b'{"id":1,"result":NaN'), 1),
    ],
    ids=[
        "other-id",
        "integer-for-text",
        "true-for-one",
        "false-for-zero",
        "other-number",
        "array-id",
        "nothing-asked",
        "nothing-asked-null",
        "no-id",
        "server-request",
        "method-and-result",
        "neither",
        "word-only",
        "batch",
        "text",
        "cut",
        "not-json",
        "empty",
        "comment",
        "bom-later",
        "cut-nan",
    ],
)
def test_any_other_event_is_no_answer(sent: Event, request_id: str | int | None) -> None:
    """JSON-RPC 2.0 §5."""
    assert not sent.answers(request_id)


def test_an_event_nested_too_deep_to_tell_ends_the_exchange() -> None:
    """House: what we cannot read is not passed as if it were no answer."""
    depth = 200_000
    sent = event(b'{"id":1,"result":' + b"[" * depth + b"]" * depth + b"}")
    with pytest.raises(UpstreamError) as caught:
        sent.answers(1)
    assert caught.value.reason_code == "upstream_event_size"


def test_an_event_may_be_as_long_as_the_limit() -> None:
    """House."""
    raw = b"data: ".ljust(MAX_EVENT_BYTES - 2, b"x") + b"\n\n"
    assert split(raw, [MAX_EVENT_BYTES // 2]) == ([Event(raw, first=True)], b"")


@pytest.mark.parametrize(
    "chunks",
    [
        [b"x" * (MAX_EVENT_BYTES + 1)],
        [b"x" * MAX_EVENT_BYTES, b"x"],
        [b"x" * MAX_EVENT_BYTES, b"\n\n"],
        [b"x" * (MAX_EVENT_BYTES - 1) + b"\n\n"],
        [b"data: 1\n\n" + b"x" * (MAX_EVENT_BYTES - 1) + b"\n\ndata: 2\n\n"],
    ],
    ids=["one-chunk", "two-chunks", "ended", "ended-in-one-chunk", "between-others"],
)
def test_a_longer_event_ends_the_exchange(chunks: list[bytes]) -> None:
    """House: memory is bounded whatever the upstream sends."""
    splitter = EventSplitter()
    with pytest.raises(UpstreamError) as caught:
        for chunk in chunks:
            splitter.feed(chunk)
    assert caught.value.reason_code == "upstream_event_size"
