import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.canonical import MAX_DEPTH, loads_exact, parse_object
from gateway.core.errors import MalformedMessage, VerificationError
from gateway.core.record import KINDS, NO_PREV, VERSION, Record, decode, encode, leaf_hash

PREV = "sha256:" + "ab" * 32
LINE = (
    '{"v":1,"seq":7,"prev":"sha256:' + "ab" * 32 + '","kind":"intent",'
    '"call_id":"c-1","time_ns":1767225600123456789,"note":"caf\u00e9\u2028x\\ny"}'
).encode()
LEAF = "sha256:8f25c04f8c632745bea2983f102d280104c1386a640df7125992ff9e4c036b34"
FIELDS = {"call_id": "c-1", "time_ns": 1767225600123456789, "note": "caf\u00e9\u2028x\ny"}

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)
ENVELOPE = {"v", "seq", "prev", "kind"}


def line(**changes: Any) -> bytes:
    """Return a good line with members changed; `...` removes one."""
    members = {"v": 1, "seq": 0, "prev": NO_PREV, "kind": "start", **changes}
    return json.dumps({key: value for key, value in members.items() if value is not ...}).encode()


def test_a_record_is_written_as_the_vectors_line() -> None:
    """House: evidence §4, envelope first, raw UTF-8, escaped newline."""
    assert encode(7, PREV, "intent", FIELDS) == LINE


def test_the_leaf_hash_is_the_vectors() -> None:
    """RFC 6962 §2.1: SHA-256(0x00 || line); computed once with hashlib and written down."""
    assert leaf_hash(LINE) == LEAF


def test_the_leaf_hash_of_an_empty_line_is_the_known_one() -> None:
    """RFC 6962 §2.1: SHA-256 of the single byte 0x00."""
    expected = "sha256:6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf_hash(b"") == expected


def test_the_vectors_line_is_read_whole() -> None:
    """House: reading loses nothing, nanoseconds included."""
    fields = {"v": 1, "seq": 7, "prev": PREV, "kind": "intent", **FIELDS}
    assert decode(LINE) == Record(7, PREV, "intent", fields, LEAF)


def test_the_format_has_its_version_its_first_prev_and_its_kinds() -> None:
    """House: these are on disk, so they never change silently."""
    assert (VERSION, NO_PREV, KINDS) == (
        1,
        "sha256:0000000000000000000000000000000000000000000000000000000000000000",
        {
            *("start", "stop", "segment", "seal", "gap", "heartbeat", "key-rotate", "archive"),
            *("policy.loaded", "intent", "refusal", "stream-part", "outcome"),
        },
    )


@given(
    st.integers(0, 2**63 - 1),
    st.sampled_from(sorted(KINDS)),
    st.dictionaries(KEYS.filter(lambda key: key not in ENVELOPE), VALUES, max_size=5),
)
def test_a_record_that_is_written_reads_back_equal(
    seq: int, kind: str, fields: dict[str, Any]
) -> None:
    """House: every encoder has a round trip; its line has no newline byte."""
    written = encode(seq, PREV, kind, fields)
    whole = {"v": 1, "seq": seq, "prev": PREV, "kind": kind, **fields}
    leaf = "sha256:" + hashlib.sha256(b"\x00" + written).hexdigest()
    assert (decode(written), b"\n" in written) == (Record(seq, PREV, kind, whole, leaf), False)


@pytest.mark.parametrize(
    "number",
    [0, 2**53, 2**53 + 1, 1767225600123456789, 2**63 - 1, -(2**63) + 1],
    ids=str,
)
def test_nanoseconds_survive_to_the_last_digit(number: int) -> None:
    """House: 2^53 ns is April 1970."""
    assert decode(encode(0, NO_PREV, "start", {"time_ns": number})).fields["time_ns"] == number


def test_unknown_members_are_kept_wherever_they_are() -> None:
    """House: an older reader loses nothing of a newer record."""
    extra = {"new": {"deep": [1, {"x": None}]}, "Seq": 1, "": "empty"}
    assert decode(line(**extra)).fields == {
        "v": 1,
        "seq": 0,
        "prev": NO_PREV,
        "kind": "start",
        **extra,
    }


@pytest.mark.parametrize("name", sorted(ENVELOPE))
def test_a_field_never_replaces_the_envelope(name: str) -> None:
    """House: whoever fills the fields must not choose its place in the log."""
    written = encode(3, PREV, "refusal", {"a": 1, name: "forged"})
    assert written == b'{"v":1,"seq":3,"prev":"%s","kind":"refusal","a":1}' % PREV.encode()


def test_a_record_written_again_from_what_was_read_is_the_same_line() -> None:
    """House: `fields` is the whole object."""
    record = decode(LINE)
    assert encode(record.seq, record.prev, record.kind, record.fields) == LINE


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_read(kind: str) -> None:
    """House: evidence §4."""
    assert decode(line(kind=kind)).kind == kind


BAD = {
    "empty": b"",
    "nul-bytes": b"\x00" * 64,
    "not-json": b"{",
    "not-utf8": line(note="x").replace(b'"x"', b'"\xff"'),
    "bom": b"\xef\xbb\xbf" + line(),
    "array": b"[" + line() + b"]",
    "two-records": line() + line(),
    "two-lines": line() + b"\n" + line(),
    "with-its-newline": line() + b"\n",
    "newline-inside": line().replace(b", ", b",\n"),
    "trailing-nul": line() + b"\x00",
    "cut": line()[:-1],
    "duplicate-seq": line()[:-1] + b',"seq":1}',
    "duplicate-kind-escaped": line()[:-1] + b',"k\\u0069nd":"gap"}',
    "duplicate-deep": line()[:-1] + b',"a":[{"b":1,"b":2}]}',
    "nan": line()[:-1] + b',"a":NaN}',
    "integer-beyond-2^63": line()[:-1] + b',"a":9223372036854775808}',
    "129-deep": line()[:-1] + b',"a":' + b"[" * 128 + b"]" * 128 + b"}",
    "v-missing": line(v=...),
    "v-other": line(v=2),
    "v-zero": line(v=0),
    "v-true": line(v=True),
    "v-float": line(v=1.0),
    "v-text": line(v="1"),
    "v-null": line(v=None),
    "seq-missing": line(seq=...),
    "seq-null": line(seq=None),
    "seq-negative": line(seq=-1),
    "seq-text": line(seq="0"),
    "seq-float": line(seq=0.0),
    "seq-true": line(seq=True),
    "seq-list": line(seq=[0]),
    "prev-missing": line(prev=...),
    "prev-null": line(prev=None),
    "prev-number": line(prev=0),
    "prev-list": line(prev=[NO_PREV]),
    "kind-missing": line(kind=...),
    "kind-null": line(kind=None),
    "kind-unknown": line(kind="permit"),
    "kind-capital": line(kind="Start"),
    "kind-empty": line(kind=""),
    "kind-list": line(kind=["start"]),
    "kind-object": line(kind={"start": 1}),
    "kind-number": line(kind=1),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_line_that_is_not_a_record_is_refused(bad: bytes) -> None:
    """House: evidence §5, a bad line ends the log; nothing foreign is raised."""
    with pytest.raises(VerificationError) as caught:
        decode(bad)
    assert caught.value.reason_code == "record_unreadable"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.sampled_from([2**53, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, -(2**63) + 1])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def read_slowly(data: bytes) -> dict[str, Any] | None:
    """Return what the strict reader says, None if it refuses."""
    try:
        return parse_object(data, max_integer=2**63 - 1, max_depth=2 * MAX_DEPTH)
    except MalformedMessage:
        return None


@given(st.dictionaries(st.text(), JSON, max_size=4), st.booleans(), st.booleans())
def test_the_fast_reader_accepts_nothing_that_the_strict_one_refuses(
    value: dict[str, Any], ascii_only: bool, spaced: bool
) -> None:
    """House: one language; what is read fast is read equal, integers beyond 2^63 included."""
    separators = (", ", ": ") if spaced else (",", ":")
    text = json.dumps(value, ensure_ascii=ascii_only, separators=separators)
    data = text.encode("utf-8", "surrogatepass")
    fast = loads_exact(data, max_depth=2 * MAX_DEPTH)
    if fast is not None:
        assert repr(fast) == repr(read_slowly(data))


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_what_our_encoder_writes_is_read_fast(fields: dict[str, Any]) -> None:
    """House: the slow reader is for lines of others; a NUL in a text is left to it."""
    written = encode(0, NO_PREV, "start", fields)
    fast = loads_exact(written, max_depth=2 * MAX_DEPTH)
    # Doubtful texts may look like a large integer between commas; they are read slowly.
    assert fast is not None or b"\\u0000" in written or LARGE.search(written)
    assert repr(decode(written).fields) == repr(read_slowly(written))


LARGE = re.compile(rb"\d{19}")


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, -(2**63), -(2**63) - 1], ids=str)
def test_an_integer_that_the_strict_reader_refuses_is_not_read_fast(number: int) -> None:
    """House: the encoder writes up to 2^64-1, so equal bytes alone prove nothing here."""
    data = b'{"a":%d}' % number
    assert (loads_exact(data), read_slowly(data)) == (None, None)


def test_a_nul_in_a_key_is_not_read_fast() -> None:
    """House: the encoder writes it, and the strict reader refuses it."""
    data = b'{"a\\u0000b":1}'
    assert (loads_exact(data), read_slowly(data)) == (None, None)


@pytest.mark.parametrize(("depth", "accepted"), [(128, True), (129, False)])
def test_depth_is_counted_as_the_strict_reader_counts_it(depth: int, accepted: bool) -> None:
    """House: many brackets are not depth, and depth is refused."""
    data = b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
    assert (loads_exact(data, max_depth=128) is not None) == accepted
    assert (read_slowly(data) is not None) == accepted
    wide = b'{"a":[' + b",".join([b"[]"] * 200) + b"]}"
    assert loads_exact(wide, max_depth=128) is not None


def test_the_line_that_the_bad_ones_are_made_from_is_good() -> None:
    """House: else every refusal above could have another cause."""
    assert decode(line()) == Record(
        0,
        NO_PREV,
        "start",
        {"v": 1, "seq": 0, "prev": NO_PREV, "kind": "start"},
        "sha256:" + hashlib.sha256(b"\x00" + line()).hexdigest(),
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_raise_verification_error(data: bytes) -> None:
    """House: no other exception leaves the reader."""
    with pytest.raises(VerificationError):
        decode(data)


@given(st.integers(0, len(LINE) - 1), st.integers(1, 255))
def test_any_changed_byte_changes_the_leaf_hash(position: int, mask: int) -> None:
    """RFC 6962 §2.1: the hash is over bytes, so even whitespace counts."""
    other = bytearray(LINE)
    other[position] ^= mask
    assert leaf_hash(bytes(other)) != LEAF


def test_the_same_value_in_other_bytes_is_another_leaf() -> None:
    """House: hashes are never taken over a value that was serialised again."""
    spaced = LINE.replace(b'"v":1', b'"v": 1')
    assert (decode(spaced).fields == decode(LINE).fields, leaf_hash(spaced) != LEAF) == (True, True)


def test_a_record_holds_arguments_as_deep_as_admission_lets_them_be() -> None:
    """House: what was admitted must be readable in evidence, where it is nested once more."""
    deep: list[object] = []
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert decode(encode(0, NO_PREV, "intent", {"input": {"resource": deep}})).seq == 0
