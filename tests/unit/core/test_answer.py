from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.answer import KEPT_BYTES, Tally
from gateway.core.canonical import digest

NOTHING = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def outcome(tally: Tally) -> dict[str, Any]:
    """Return the fields of a completed outcome."""
    return tally.outcome("call-1", "completed", None, 1_000_000_000, 5)


def test_an_answer_is_recorded_whole() -> None:
    """House: every member of the record, as it is written."""
    tally = Tally()
    tally.begin(200, {"content-type": "application/json"})
    tally.add(b"{")
    tally.add(b"}")
    assert outcome(tally) == {
        "time": "1970-01-01T00:00:01.000000Z",
        "call_id": "call-1",
        "status": "completed",
        "error": None,
        "http_status": 200,
        "headers": {"content-type": "application/json"},
        "body_bytes": 2,
        "body_digest": digest(b"{}"),
        "body": "{}",
        "timings": {"total_ns": 5},
    }


def test_no_answer_has_the_same_members_and_no_status() -> None:
    """House: what was not reached is null; the digest is that of no bytes (FIPS 180-4)."""
    empty, full = Tally(), Tally()
    full.begin(200, {})
    assert outcome(empty).keys() == outcome(full).keys()
    assert outcome(empty)["http_status"] is None
    assert (outcome(empty)["body_digest"], outcome(empty)["body"]) == (NOTHING, "")


@given(st.lists(st.binary(max_size=40)))
def test_the_digest_does_not_depend_on_how_the_body_was_cut(pieces: list[bytes]) -> None:
    """House: a chunk's border means nothing."""
    tally = Tally()
    for piece in pieces:
        tally.add(piece)
    whole = b"".join(pieces)
    assert outcome(tally)["body_digest"] == digest(whole)
    assert outcome(tally)["body_bytes"] == len(whole)


@pytest.mark.parametrize(
    ("length", "kept"), [(KEPT_BYTES, True), (KEPT_BYTES + 1, False), (3 * KEPT_BYTES, False)]
)
@pytest.mark.parametrize("step", [1000, 10**6], ids=["in pieces", "at once"])
def test_a_body_is_kept_up_to_the_limit_and_never_in_part(
    length: int, kept: bool, step: int
) -> None:
    """House: half a body would look like a whole one."""
    body, tally = b"x" * length, Tally()
    for start in range(0, length, step):
        tally.add(body[start : start + step])
    assert outcome(tally)["body"] == (body.decode() if kept else None)
    assert (outcome(tally)["body_bytes"], outcome(tally)["body_digest"]) == (length, digest(body))


def test_a_small_piece_after_a_large_one_is_not_kept_alone() -> None:
    """House: as above, where the large piece came first."""
    tally = Tally()
    tally.add(b"x" * (KEPT_BYTES + 1))
    tally.add(b"tail")
    assert outcome(tally)["body"] is None


def test_a_body_that_is_not_text_is_only_digested() -> None:
    """House: a record is JSON; the digest still covers the bytes."""
    tally = Tally()
    tally.add(b"\xff\xfe")
    assert (outcome(tally)["body"], outcome(tally)["body_bytes"]) == (None, 2)


def test_a_character_cut_by_a_chunk_border_is_still_text() -> None:
    """House: decoded as a whole, not by chunk."""
    tally = Tally()
    tally.add("é".encode()[:1])
    tally.add("é".encode()[1:])
    assert outcome(tally)["body"] == "é"


def test_headers_are_copied_when_they_are_taken() -> None:
    """House: what an adapter does with its mapping later changes no record."""
    headers, tally = {"mcp-session-id": "a"}, Tally()
    tally.begin(200, headers)
    headers["mcp-session-id"] = "b"
    assert outcome(tally)["headers"] == {"mcp-session-id": "a"}
