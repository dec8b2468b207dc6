from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.call import RequestId
from gateway.core.errors import UpstreamError
from gateway.wire.relay import Piece, error_event, is_event_stream, pieces
from gateway.wire.sse import MAX_EVENT_BYTES, Event, EventSplitter

JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream; charset=utf-8"}
NOTE = b'data: {"jsonrpc":"2.0","method":"notifications/progress"}\n\n'
ANSWER = b'event: message\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\n'
BROKEN = UpstreamError("broke off", code="upstream_broke_off")


class Body:
    """An upstream's body: chunks, then perhaps a failure or silence. Owned by one test."""

    def __init__(
        self, *chunks: bytes, failure: Exception | None = None, silent: bool = False
    ) -> None:
        self._chunks = list(chunks)
        self._failure = failure
        self._silent = silent
        self.taken = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        if self._chunks:
            self.taken += 1
            return self._chunks.pop(0)
        if self._failure:
            raise self._failure
        if self._silent:
            await anyio.sleep_forever()
        raise StopAsyncIteration


async def relayed(
    headers: dict[str, str], body: Body, rpc_id: RequestId | None = 1, hold: int | None = None
) -> tuple[list[Piece], str | None]:
    """Return the pieces, and the code of the failure that ended them."""
    got: list[Piece] = []
    try:
        with anyio.fail_after(5):
            async with aclosing(pieces(headers, body, rpc_id, hold)) as stream:
                async for piece in stream:
                    got.append(piece)
    except UpstreamError as failure:
        return got, failure.reason_code
    return got, None


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], [Piece(b"", True)]),
        ([b""], [Piece(b"", True)]),
        ([b"a"], [Piece(b"a", True)]),
        ([b"a", b"b"], [Piece(b"a"), Piece(b"b", True)]),
        ([b"a", b"b", b"c"], [Piece(b"a"), Piece(b"b"), Piece(b"c", True)]),
        ([b"a", b""], [Piece(b"a", True)]),
        ([b"", b"a", b"", b"b", b"", b""], [Piece(b"a"), Piece(b"b", True)]),
    ],
    ids=["nothing", "empty", "one", "two", "three", "empty-after", "empty-between"],
)
async def test_the_last_bytes_of_a_plain_body_are_in_its_final_piece(
    chunks: list[bytes], expected: list[Piece]
) -> None:
    """House: the outcome is durable before the caller gets the last byte."""
    assert await relayed(JSON, Body(*chunks)) == (expected, None)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], [Piece(b"", True)]),
        ([ANSWER], [Piece(ANSWER, True, "event", opens=True)]),
        ([NOTE + ANSWER], [Piece(NOTE), Piece(ANSWER, True, "event")]),
        ([NOTE, NOTE, ANSWER], [Piece(NOTE), Piece(NOTE), Piece(ANSWER, True, "event")]),
        ([NOTE[:9], NOTE[9:] + ANSWER], [Piece(NOTE), Piece(ANSWER, True, "event")]),
        ([NOTE + NOTE], [Piece(NOTE + NOTE), Piece(b"", True)]),
        ([NOTE, ANSWER[:-1]], [Piece(NOTE), Piece(ANSWER[:-1], True)]),
        ([NOTE, b"data: x"], [Piece(NOTE), Piece(b"data: x", True)]),
        ([b": ping\n\n"], [Piece(b": ping\n\n"), Piece(b"", True)]),
    ],
    ids=[
        "nothing",
        "answer",
        "one-chunk",
        "three-chunks",
        "cut-event",
        "no-answer",
        "answer-without-end",
        "event-without-end",
        "comment",
    ],
)
async def test_the_answer_of_a_stream_is_its_final_piece(
    chunks: list[bytes], expected: list[Piece]
) -> None:
    """House: design §1.3."""
    assert await relayed(SSE, Body(*chunks)) == (expected, None)


CHUNKS = st.lists(
    st.sampled_from([b"", b"\n", b"\r", b"data: x", NOTE, ANSWER, ANSWER[:20], ANSWER[20:]])
    | st.binary(max_size=8),
    max_size=8,
)


@given(CHUNKS)
def test_of_a_plain_body_exactly_one_piece_is_final_and_it_is_the_last(chunks: list[bytes]) -> None:
    """House."""
    got, failure = anyio.run(relayed, JSON, Body(*chunks))
    assert failure is None
    assert [piece.final for piece in got] == [False] * (len(got) - 1) + [True]
    assert b"".join(piece.data for piece in got) == b"".join(chunks)
    assert got[-1].data or not b"".join(chunks)


@given(CHUNKS, st.sampled_from([1, "1", None]))
def test_of_a_stream_exactly_one_piece_is_final_and_it_is_the_last(
    chunks: list[bytes], rpc_id: RequestId | None
) -> None:
    """House."""
    got, failure = anyio.run(relayed, SSE, Body(*chunks), rpc_id)
    assert failure is None
    assert [piece.final for piece in got] == [False] * (len(got) - 1) + [True]
    assert b"".join(piece.data for piece in got) == _until_answer(b"".join(chunks), rpc_id)
    assert not any(
        event.answers(rpc_id) for piece in got[:-1] for event in EventSplitter().feed(piece.data)
    )


def _until_answer(stream: bytes, rpc_id: RequestId | None) -> bytes:
    passed = b""
    for event in EventSplitter().feed(stream):
        passed += event.raw
        if event.answers(rpc_id):
            return passed
    return stream


@pytest.mark.parametrize("headers", [JSON, SSE], ids=["json", "sse"])
@pytest.mark.parametrize(
    "chunks", [[], [b"a"], [NOTE], [NOTE, NOTE]], ids=["none", "byte", "event", "events"]
)
async def test_an_upstream_that_breaks_off_before_its_answer_gives_no_final_piece(
    headers: dict[str, str], chunks: Sequence[bytes]
) -> None:
    """House: failure table."""
    got, failure = await relayed(headers, Body(*chunks, failure=BROKEN))
    assert failure == "upstream_broke_off"
    assert not any(piece.final for piece in got)


async def test_an_upstream_that_breaks_off_in_mid_body_withholds_what_was_held() -> None:
    """House: a body that is not whole must not look whole."""
    assert await relayed(JSON, Body(b"a", b"b", failure=BROKEN)) == (
        [Piece(b"a")],
        "upstream_broke_off",
    )


async def test_an_upstream_that_breaks_off_in_mid_event_ends_at_an_events_boundary() -> None:
    """House: an error event must be able to follow."""
    assert await relayed(SSE, Body(NOTE + b"data: {", failure=BROKEN)) == (
        [Piece(NOTE)],
        "upstream_broke_off",
    )


async def test_an_upstream_that_breaks_off_after_its_answer_changes_nothing() -> None:
    """House: the answer has been recorded and given."""
    assert await relayed(SSE, Body(ANSWER, failure=BROKEN)) == (
        [Piece(ANSWER, True, "event", opens=True)],
        None,
    )


@pytest.mark.parametrize(
    "chunks",
    [[ANSWER + NOTE], [ANSWER, NOTE], [ANSWER, b"", NOTE], [ANSWER + ANSWER], [ANSWER + b"\n"]],
    ids=["same-chunk", "next-chunk", "after-empty", "second-answer", "blank-line"],
)
async def test_what_comes_after_the_answer_is_dropped(chunks: list[bytes]) -> None:
    """House: it is in no record."""
    assert await relayed(SSE, Body(*chunks)) == ([Piece(ANSWER, True, "event", opens=True)], None)


async def test_an_upstream_that_goes_on_after_its_answer_is_left_at_its_next_byte() -> None:
    """House."""
    body = Body(ANSWER, b"", NOTE, NOTE, NOTE, silent=True)
    assert await relayed(SSE, body) == ([Piece(ANSWER, True, "event", opens=True)], None)
    assert body.taken == 3


async def test_an_upstream_that_never_ends_after_its_answer_is_left_within_the_bound() -> None:
    """House: DRAIN_SECONDS."""
    assert await relayed(SSE, Body(ANSWER, silent=True)) == (
        [Piece(ANSWER, True, "event", opens=True)],
        None,
    )


async def test_the_final_piece_comes_before_the_stream_has_ended() -> None:
    """House: a client does not wait for an upstream that keeps its stream open."""
    with anyio.fail_after(0.5):
        async with aclosing(pieces(SSE, Body(NOTE, ANSWER, silent=True), 1)) as stream:
            assert [await anext(stream), await anext(stream)] == [
                Piece(NOTE),
                Piece(ANSWER, True, "event"),
            ]


async def test_a_caller_that_leaves_while_the_rest_is_read_is_not_kept() -> None:
    """House: cancelling the task ends the exchange at once."""
    with anyio.fail_after(5), anyio.move_on_after(0) as scope:
        await relayed(SSE, Body(ANSWER, silent=True))
    assert scope.cancelled_caught


async def test_an_event_that_is_too_long_ends_the_exchange() -> None:
    """House."""
    body = Body(NOTE, b"x" * (MAX_EVENT_BYTES + 1))
    assert await relayed(SSE, body) == ([Piece(NOTE)], "upstream_event_size")


async def test_an_answer_for_somebody_else_is_not_final() -> None:
    """House."""
    assert await relayed(SSE, Body(ANSWER), rpc_id=2) == (
        [Piece(ANSWER), Piece(b"", True)],
        None,
    )
    assert await relayed(SSE, Body(ANSWER), rpc_id=None) == (
        [Piece(ANSWER), Piece(b"", True)],
        None,
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content-type": "text/event-stream"}, True),
        ({"content-type": "Text/Event-Stream ; charset=utf-8"}, True),
        ({"content-type": "text/event-streams"}, False),
        ({"content-type": "application/json; x=text/event-stream"}, False),
        ({"content-type": ""}, False),
        ({}, False),
    ],
    ids=lambda value: str(value.get("content-type")) if isinstance(value, dict) else "",
)
def test_an_event_stream_is_known_by_its_media_type(
    headers: dict[str, str], expected: bool
) -> None:
    """RFC 9110 §8.3.1."""
    assert is_event_stream(headers) is expected


def test_an_error_event_is_one_whole_event_and_an_answer() -> None:
    """WHATWG HTML §9.2.6."""
    message = b'{"jsonrpc":"2.0","id":1,"error":{"code":-31001,"message":"x"}}'
    splitter = EventSplitter()
    assert splitter.feed(error_event(message)) == [Event(error_event(message), first=True)]
    assert splitter.rest() == b""
    assert Event(error_event(message)).data() == message
    assert Event(error_event(message)).answers(1)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], [Piece(b"", True, "json")]),
        ([b"abcd"], [Piece(b"abcd", True, "json")]),
        ([b"a", b"", b"bc", b"d", b""], [Piece(b"abcd", True, "json")]),
    ],
    ids=["nothing", "one", "many"],
)
async def test_a_json_body_is_one_piece_if_it_is_to_be_held(
    chunks: list[bytes], expected: list[Piece]
) -> None:
    """House: a receipt is put into a whole message only."""
    assert await relayed(JSON, Body(*chunks), hold=4) == (expected, None)


@pytest.mark.parametrize("chunks", [[b"abcde"], [b"ab", b"cd", b"e"], [b"ab", b"cde", b"", b"f"]])
async def test_a_held_body_that_is_too_long_ends_the_exchange(chunks: list[bytes]) -> None:
    """House: nothing of what nobody could look at goes on, and memory is bounded."""
    assert await relayed(JSON, Body(*chunks), hold=4) == ([], "upstream_body_size")


async def test_what_a_client_takes_for_json_is_held() -> None:
    """House: clients look for the words, not for the media type."""
    headers = {"content-type": "Application/JSON-seq; x=y"}
    assert (await relayed(headers, Body(b"a"), hold=4))[0] == [Piece(b"a", True, "json")]


async def test_a_body_that_is_not_json_is_not_held() -> None:
    """House: no receipt will be put into it."""
    assert await relayed({}, Body(b"a", b"b"), hold=4) == ([Piece(b"a"), Piece(b"b", True)], None)


async def test_a_held_body_that_breaks_off_gives_nothing() -> None:
    """House: nothing was given yet, so a whole error can be."""
    assert await relayed(JSON, Body(b"a", b"b", failure=BROKEN), hold=4) == (
        [],
        "upstream_broke_off",
    )
