from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.answer import MAX_KEPT, PART_BYTES, PART_NS, Tally
from gateway.core.canonical import digest

NOTHING = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def tallied(*pieces: bytes) -> Tally:
    """Return a tally of these pieces."""
    tally = Tally()
    for piece in pieces:
        tally.add(piece, 0)
    return tally


def outcome(tally: Tally) -> dict[str, Any]:
    """Return the fields of a completed outcome."""
    return tally.outcome("completed", None)


def test_an_answer_is_recorded_whole() -> None:
    """House: every member of the record, as it is written."""
    tally = tallied(b"{", b"}")
    tally.begin(200, {"content-type": "application/json"})
    assert outcome(tally) == {
        "status": "completed",
        "error": None,
        "http_status": 200,
        "headers": {"content-type": "application/json"},
        "body_bytes": 2,
        "body_digest": digest(b"{}"),
        "body": "{}",
        "body_exact": True,
        "blob": None,
        "truncated": False,
        "omitted": False,
        "parts": 0,
        "relayed_bytes": None,
        "checks": [],
    }


@pytest.mark.parametrize("status", ["abandoned", "upstream_failed"])
def test_an_answer_that_is_not_whole_says_how_much_the_caller_has(status: Any) -> None:
    """House, evidence: a client that leaves is recorded with the bytes it got."""
    tally = tallied(b"abc")
    tally.relayed = 2
    assert tally.outcome(status, "x")["relayed_bytes"] == 2


def test_no_answer_has_the_same_members_and_no_status() -> None:
    """House: what was not reached is null; the digest is that of no bytes (FIPS 180-4)."""
    empty, full = Tally(), Tally()
    full.begin(200, {})
    assert outcome(empty).keys() == outcome(full).keys()
    assert outcome(empty)["http_status"] is None
    assert (outcome(empty)["body_digest"], outcome(empty)["body"]) == (NOTHING, "")


@given(st.lists(st.binary(max_size=40)), st.sets(st.integers(0, 10)))
def test_the_digest_depends_neither_on_how_the_body_was_cut_nor_on_its_parts(
    pieces: list[bytes], parts: set[int]
) -> None:
    """House: a chunk's border means nothing, and parts are not left out of the whole."""
    tally, kept = Tally(), []
    for number, piece in enumerate(pieces):
        tally.add(piece, 0)
        if number in parts:
            kept.append(tally.part())
            tally.part_kept()
    whole = b"".join(pieces)
    assert outcome(tally)["body_digest"] == digest(whole)
    assert outcome(tally)["body_bytes"] == len(whole)
    assert outcome(tally)["parts"] == len(kept)
    for part in kept:
        assert part["digest"] == digest(whole[part["offset"] : part["offset"] + part["bytes"]])


@pytest.mark.parametrize(
    ("length", "kept"), [(MAX_KEPT, True), (MAX_KEPT + 1, False), (MAX_KEPT + 10**6, False)]
)
@pytest.mark.parametrize("step", [300_000, 10**8], ids=["in pieces", "at once"])
def test_a_body_is_kept_up_to_the_limit_and_never_in_part(
    length: int, kept: bool, step: int
) -> None:
    """House: half a body would look like a whole one."""
    body = b"x" * length
    record = outcome(tallied(*(body[start : start + step] for start in range(0, length, step))))
    assert record["body"] == (body.decode() if kept else None)
    assert record["truncated"] is not kept
    assert (record["body_bytes"], record["body_digest"]) == (length, digest(body))


def test_a_body_that_is_not_text_is_spelled_with_escapes() -> None:
    """House: a record is JSON; the digest still covers the bytes."""
    record = outcome(tallied("é".encode() + b"\xff!"))
    assert (record["body"], record["body_exact"]) == ("é\\xff!", False)
    assert (record["body_digest"], record["truncated"]) == (digest(b"\xc3\xa9\xff!"), False)


def test_a_character_cut_by_a_chunk_border_is_still_text() -> None:
    """House: decoded as a whole, not by chunk."""
    assert outcome(tallied("é".encode()[:1], "é".encode()[1:]))["body"] == "é"


def test_headers_are_copied_when_they_are_taken() -> None:
    """House: what an adapter does with its mapping later changes no record."""
    headers, tally = {"mcp-session-id": "a"}, Tally()
    tally.begin(200, headers)
    headers["mcp-session-id"] = "b"
    assert outcome(tally)["headers"] == {"mcp-session-id": "a"}


@pytest.mark.parametrize(
    ("size", "age", "due"),
    [
        (0, 10 * PART_NS, None),
        (PART_BYTES - 1, 0, PART_NS),
        (PART_BYTES, 0, 0),
        (1, PART_NS - 1, 1),
        (1, PART_NS, 0),
        (1, PART_NS + 1, 0),
    ],
)
def test_a_part_is_due_when_it_is_large_or_old(size: int, age: int, due: int | None) -> None:
    """House, evidence: one part a MiB or 5 s, and none of nothing."""
    tally = Tally()
    tally.add(b"x" * size, 7)
    assert tally.part_due_in(7 + age) == due


def test_a_part_says_where_it_stands_in_the_body() -> None:
    """House: every member of the record, as it is written."""
    tally = tallied(b"one")
    tally.part_kept()
    tally.add(b"two", 0)
    assert tally.part() == {
        "index": 1,
        "offset": 3,
        "bytes": 3,
        "digest": digest(b"two"),
        "body": "two",
        "body_exact": True,
        "blob": None,
        "truncated": False,
        "omitted": False,
    }


def test_a_part_that_is_not_durable_yet_is_not_forgotten() -> None:
    """House: only `part_kept` begins the next one."""
    tally = tallied(b"one")
    assert tally.part() == tally.part()
    assert outcome(tally)["body"] == "one"


@pytest.mark.parametrize("length", [0, 3, MAX_KEPT + 1])
def test_of_what_the_charter_leaves_out_only_length_and_digest_are_kept(length: int) -> None:
    """Charter: `evidence.capture` without `results`; that it was left out is said."""
    tally, body = Tally(omitted=True), b"x" * length
    tally.begin(200, {})
    tally.add(body, 0)
    record = outcome(tally)
    assert (record["body"], record["body_exact"], record["blob"]) == (None, True, None)
    assert (record["omitted"], record["truncated"]) == (True, False)
    assert (record["body_bytes"], record["body_digest"]) == (length, digest(body))


def test_what_is_left_out_is_left_out_of_every_part() -> None:
    """Charter: as above; the parts that follow one too."""
    tally = Tally(omitted=True)
    for number, piece in enumerate((b"one", b"two")):
        tally.add(piece, 0)
        assert tally.part() == {
            "index": number,
            "offset": 3 * number,
            "bytes": 3,
            "digest": digest(piece),
            "body": None,
            "body_exact": True,
            "blob": None,
            "truncated": False,
            "omitted": True,
        }
        tally.part_kept()
    tally.add(b"\xff", 0)
    assert (outcome(tally)["body"], outcome(tally)["body_exact"]) == (None, True)
    assert outcome(tally)["body_digest"] == digest(b"onetwo\xff")


def test_what_is_left_out_is_not_held_in_memory() -> None:
    """House: nobody will ask for it."""
    tally = Tally(omitted=True)
    tally.add(b"x" * 1000, 0)
    assert tally._rest._bytes == b""
