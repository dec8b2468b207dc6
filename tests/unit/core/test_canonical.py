import ast
import hashlib
import json
import math
import struct
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway.core.canonical as module
from gateway.core.canonical import (
    MAX_DEPTH,
    MAX_INTEGER,
    MAX_KEY_LENGTH,
    canonical,
    digest,
    dumps,
    parse_object,
    refuse_lookalikes,
)
from gateway.core.errors import MalformedMessage

VECTORS = Path(__file__).parents[2] / "vectors"
ACCEPT = sorted((VECTORS / "json" / "accept").glob("*.json"))
REFUSE = sorted((VECTORS / "json" / "refuse").glob("*.json"))
CANONICAL = sorted((VECTORS / "rfc8785" / "input").glob("*.json"))
NUMBERS = [
    line.split(" ") for line in (VECTORS / "rfc8785" / "numbers.txt").read_text().split("\n")
]
NUMBERS = [row for row in NUMBERS if row != [""]]

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)
JSONISH = st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b"\\u", b"d83d", b"de00", b"0061", b"a"]
        + [b"\x00", b"\\u0000", b"0", b"1", b"-", b".", b"e", b"9" * 17, b"999", b"NaN", b"true"]
        + [
            b"null",
            b"Infinity",
            b" ",
            b"\n",
            b"\xff",
            b"\xc3\xa9",
            b"\xef\xbb\xbf",
            b'{"a":',
            b'"a"',
        ]
    ),
    max_size=25,
).map(b"".join)


def refusal(data: bytes) -> str | None:
    """Return the code `data` is refused with, or None."""
    try:
        parse_object(data)
    except MalformedMessage as exc:
        return exc.reason_code
    return None


def same(left: Any, right: Any) -> bool:
    """Compare with types, signs of zero and key order, which `==` does not see."""
    return repr(left) == repr(right)


def codes_raised(*, beyond_the_reader: bool) -> set[str]:
    """Read from the source which codes the reader raises, or those that other functions raise."""
    others = {"canonical", "refuse_lookalikes"}
    found = set()
    for function in ast.parse(Path(module.__file__).read_text("utf-8")).body:
        if not isinstance(function, ast.FunctionDef):
            continue
        if (function.name in others) != beyond_the_reader:
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.keyword) and node.arg == "code":
                assert isinstance(node.value, ast.Constant)
                found.add(node.value.value)
    return found


# --- the corpus -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ACCEPT, ids=lambda path: path.stem)
def test_an_accepted_file_says_what_the_standard_library_reads(path: Path) -> None:
    """RFC 8259 §9: what is accepted means the same to a conforming parser."""
    data = path.read_bytes()
    assert same(parse_object(data), json.loads(data.decode("utf-8")))


@pytest.mark.parametrize("path", ACCEPT, ids=lambda path: path.stem)
def test_an_accepted_file_survives_encoding_and_reading_again(path: Path) -> None:
    """House: encoding is stable after the first time."""
    value = parse_object(path.read_bytes())
    once = dumps(value)
    assert (same(parse_object(once), value), dumps(parse_object(once))) == (True, once)


@pytest.mark.parametrize("path", ACCEPT, ids=lambda path: path.stem)
def test_an_accepted_file_has_a_canonical_form(path: Path) -> None:
    """RFC 8785 §3.1: nothing that we accept may fail later for want of a digest."""
    value = parse_object(path.read_bytes())
    assert json.loads(canonical(value), parse_int=float) == value


@pytest.mark.parametrize("path", REFUSE, ids=lambda path: path.stem)
def test_a_refused_file_is_refused_with_the_code_in_its_name(path: Path) -> None:
    """House: threats §3, each rule has its bad file."""
    assert refusal(path.read_bytes()) == path.stem.split("--")[0]


def test_every_code_of_the_reader_has_a_bad_file_and_every_bad_file_a_code() -> None:
    """House: no rule without a file, no file without a rule."""
    assert {path.stem.split("--")[0] for path in REFUSE} == codes_raised(beyond_the_reader=False)


def test_the_only_codes_without_a_bad_file_are_those_of_the_two_other_functions() -> None:
    """House: they take values, so their bad cases are tables in this file."""
    assert codes_raised(beyond_the_reader=True) == {
        "json_no_canonical_form",
        "json_ambiguous_key",
        "json_key_too_long",
    }


def test_the_corpus_has_not_shrunk() -> None:
    """House: a glob that finds nothing would pass every test above."""
    assert (len(ACCEPT) >= 40, len(REFUSE) >= 200, len(CANONICAL) >= 12) == (True, True, True)


@pytest.mark.parametrize(
    ("path", "rpc_code"),
    [(path, -32600 if path.stem.startswith("json_not_object--") else -32700) for path in REFUSE],
    ids=lambda value: value.stem if isinstance(value, Path) else str(value),
)
def test_a_refusal_is_a_parse_error_unless_it_is_json_but_no_object(
    path: Path, rpc_code: int
) -> None:
    """JSON-RPC 2.0 §5.1: -32700 is invalid JSON, -32600 is not a request."""
    with pytest.raises(MalformedMessage) as caught:
        parse_object(path.read_bytes())
    assert (caught.value.rpc_code, caught.value.http_status) == (rpc_code, 400)


# --- too big for a file -----------------------------------------------------------------------


@pytest.mark.parametrize("levels", [65, 66, 500, 5_000, 100_000])
@pytest.mark.parametrize(
    ("opening", "closing"),
    [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]"), (b" [\n", b" ]\n")],
    ids=["arrays", "objects", "alternating", "spaced"],
)
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "unclosed"])
def test_nesting_beyond_64_is_refused_and_never_crashes(
    levels: int, opening: bytes, closing: bytes, closed: bool
) -> None:
    """House: CPython's parser recurses; a stack overflow must end as a refusal."""
    inner = opening * levels + (b"null" if b":" in opening else b"")
    data = b'{"a":' + inner + (closing * levels + b"}" if closed else b"")
    assert refusal(data) in ({"json_too_deep"} if closed else {"json_too_deep", "json_syntax"})


def test_the_limit_is_64_containers_with_the_object_itself_counted() -> None:
    """House: threats §3."""
    at = b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    over = b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}"
    assert (MAX_DEPTH, refusal(at), refusal(over)) == (64, None, "json_too_deep")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"a":' + b"1" * 1_000_000 + b"}", "json_integer_range"),
        (b'{"a":-' + b"1" * 1_000_000 + b"}", "json_integer_range"),
        (b'{"a":' + b"1" * 1_000_000 + b".5}", "json_number_range"),
        (b'{"a":1e' + b"1" * 1_000_000 + b"}", "json_number_range"),
        (b'{"a":0.' + b"1" * 1_000_000 + b"}", None),
        (b'{"a":"' + b"x" * 1_000_000 + b'"}', None),
        (b"{" + b",".join(b'"%d":0' % n for n in range(50_000)) + b',"7":1}', "json_duplicate_key"),
    ],
    ids=["integer", "negative", "float", "exponent", "fraction", "string", "late-duplicate"],
)
def test_a_million_characters_of_one_token_are_read_or_refused_at_once(
    data: bytes, code: str | None
) -> None:
    """House: int() of many digits is quadratic, and raises ValueError beyond 4,300."""
    assert refusal(data) == code


# --- integers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (2**53 - 1, None),
        (-(2**53) + 1, None),
        (2**53, "json_integer_range"),
        (-(2**53), "json_integer_range"),
        (10**19, "json_integer_range"),
        (-(10**19), "json_integer_range"),
    ],
    ids=["largest", "smallest", "2^53", "-2^53", "20-digits", "20-digits-negative"],
)
def test_an_integer_is_accepted_only_where_a_double_is_exact(number: int, code: str | None) -> None:
    """RFC 7493 §2.2: [-(2^53)+1, (2^53)-1]."""
    assert refusal(b'{"a":%d}' % number) == code


@pytest.mark.parametrize(
    ("number", "accepted"),
    [(2**63 - 1, True), (-(2**63) + 1, True), (2**63, False), (-(2**63), False), (10**30, False)],
    ids=["largest", "smallest", "2^63", "-2^63", "10^30"],
)
def test_a_wider_range_is_exact_to_the_last_integer(number: int, accepted: bool) -> None:
    """House: our own records hold nanoseconds."""
    data = b'{"a":%d}' % number
    if accepted:
        assert parse_object(data, max_integer=2**63 - 1) == {"a": number}
    else:
        with pytest.raises(MalformedMessage) as caught:
            parse_object(data, max_integer=2**63 - 1)
        assert caught.value.reason_code == "json_integer_range"


def test_an_integer_stays_an_integer_and_a_float_a_float() -> None:
    """House: policy compares types, so 1 and 1.0 are not merged."""
    assert same(parse_object(b'{"a":1,"b":1.0,"c":true}'), {"a": 1, "b": 1.0, "c": True})


# --- generated --------------------------------------------------------------------------------


@given(OBJECTS)
def test_whatever_orjson_writes_of_allowed_values_reads_back_equal(value: dict[str, Any]) -> None:
    """House: the reader refuses nothing that our encoder writes."""
    assert same(parse_object(orjson.dumps(value)), value)


@given(OBJECTS, st.booleans(), st.sampled_from([None, 0, 2]))
def test_whatever_json_writes_of_allowed_values_reads_back_equal(
    value: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    """RFC 8259 §7, §2: escapes and whitespace do not change a value."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert same(parse_object(text.encode("utf-8")), value)


@given(OBJECTS)
def test_the_reader_and_orjson_read_the_same(value: dict[str, Any]) -> None:
    """House: two parsers, one meaning."""
    data = json.dumps(value).encode()
    assert same(parse_object(data), orjson.loads(data))


@given(st.binary(max_size=200) | JSONISH | JSONISH.map(lambda inner: b'{"a":' + inner + b"}"))
def test_any_bytes_are_read_as_an_object_or_raise_malformed_message(data: bytes) -> None:
    """House: no other exception leaves the reader, and what it accepts orjson reads alike."""
    try:
        value = parse_object(data)
    except MalformedMessage as exc:
        assert exc.reason_code in codes_raised(beyond_the_reader=False)
    else:
        assert same(value, orjson.loads(data))


@given(OBJECTS, st.data())
def test_any_one_byte_changed_is_read_like_orjson_or_refused(
    value: dict[str, Any], data: st.DataObject
) -> None:
    """House: near-valid input is where parsers differ."""
    line = bytearray(json.dumps(value).encode())
    line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    if refusal(bytes(line)) is None:
        assert same(parse_object(bytes(line)), orjson.loads(bytes(line)))


@given(KEYS, SCALARS, SCALARS, st.integers(0, 50))
def test_a_key_given_twice_is_refused_at_any_depth_and_in_any_spelling(
    key: str, first: Any, second: Any, depth: int
) -> None:
    """House: threats §3, duplicates at any depth."""
    plain = json.dumps(key, ensure_ascii=False)
    escaped = '"' + "".join(f"\\u{unit:04x}" for (unit,) in _utf16_units(key)) + '"'
    inner = f"{{{plain}:{json.dumps(first)},{escaped}:{json.dumps(second)}}}"
    text = '{"a":[' * (depth // 2) + inner + "]}" * (depth // 2)
    assert refusal(text.encode("utf-8")) == "json_duplicate_key"


def _utf16_units(text: str) -> list[tuple[int]]:
    return list(struct.iter_unpack(">H", text.encode("utf-16-be")))


@given(OBJECTS)
def test_canonical_bytes_say_the_same_value(value: dict[str, Any]) -> None:
    """RFC 8785 §1: canonicalisation does not change data (as doubles)."""
    assert json.loads(canonical(value), parse_int=float) == value


@given(OBJECTS)
def test_canonical_bytes_do_not_depend_on_the_order_of_keys(value: dict[str, Any]) -> None:
    """RFC 8785 §3.2.3."""
    assert canonical(dict(reversed(value.items()))) == canonical(value)


# --- canonical bytes and digests --------------------------------------------------------------


@pytest.mark.parametrize("path", CANONICAL, ids=lambda path: path.stem)
def test_canonical_bytes_are_those_of_the_vector(path: Path) -> None:
    """RFC 8785 §3.2.2-3.2.3."""
    expected = (path.parent.parent / "output" / path.name).read_bytes()
    assert canonical(parse_object(path.read_bytes())) == expected


def test_every_canonical_input_has_its_output_and_vice_versa() -> None:
    """House: one case a file."""
    outputs = sorted((VECTORS / "rfc8785" / "output").glob("*.json"))
    assert [path.name for path in outputs] == [path.name for path in CANONICAL]


@pytest.mark.parametrize(("bits", "text"), NUMBERS, ids=[row[0] for row in NUMBERS])
def test_a_double_is_written_as_in_ecmascript(bits: str, text: str) -> None:
    """RFC 8785 appendix B; `!` marks doubles without a JSON form."""
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    if text == "!":
        assert not math.isfinite(number)
        with pytest.raises(MalformedMessage) as caught:
            canonical(number)
        assert caught.value.reason_code == "json_no_canonical_form"
    else:
        assert canonical(number) == text.encode()


def _nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        2**53,
        -(2**53),
        10**400,
        "\ud800",
        {"\udc00": 1},
        {"a": ["\ud83d"]},
        {1: 2},
        {None: 1},
        b"bytes",
        {1, 2},
        object(),
        _nested(20_000),
    ],
    ids=[
        "nan",
        "infinity",
        "minus-infinity",
        "2^53",
        "-2^53",
        "10^400",
        "lone-surrogate",
        "lone-surrogate-key",
        "lone-surrogate-nested",
        "integer-key",
        "null-key",
        "bytes",
        "set",
        "object",
        "20000-deep",
    ],
)
def test_a_value_without_canonical_form_is_refused_by_code(value: Any) -> None:
    """RFC 8785 §3.1: input is I-JSON; nothing foreign is raised."""
    with pytest.raises(MalformedMessage) as caught:
        canonical(value)
    assert caught.value.reason_code == "json_no_canonical_form"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ],
    ids=["empty", "abc", "448-bits"],
)
def test_a_digest_is_the_known_sha256(data: bytes, expected: str) -> None:
    """FIPS 180-4, NIST example values."""
    assert digest(data) == expected


@given(st.binary())
def test_a_digest_is_sha256_in_lower_case_hex(data: bytes) -> None:
    """House: one spelling everywhere."""
    assert digest(data) == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_encoding_keeps_insertion_order_and_adds_no_space_or_newline() -> None:
    """House: the bytes on disk are what is hashed."""
    assert dumps({"b": 1, "a": ["x\ny", None, 1.0]}) == b'{"b":1,"a":["x\\ny",null,1.0]}'


# --- look-alikes ------------------------------------------------------------------------------

KNOWN = ("name", "arguments", "task", "_meta", "id")


@pytest.mark.parametrize(
    "keys",
    [
        ["Name"],
        ["NAME"],
        ["name", "Name"],
        ["Name", "name"],
        ["ta\u017fk"],
        ["argument\u017f"],
        ["task", "ta\u017fk"],
        ["tas\u212a"],
        ["\uff4e\uff41\uff4d\uff45"],
        ["\uff2e\uff21\uff2d\uff25"],
        ["n\u1d43me"],
        ["\U0001d427\U0001d41a\U0001d426\U0001d41e"],
        ["\u24dd\u24d0\u24dc\u24d4"],
        ["\u0131d"],
        ["\u0130d"],
        ["I\u0307d"],
        ["\uff3fmeta"],
        ["other", "Other"],
        ["other", "x", "OTHER"],
        ["stra\u00dfe", "STRASSE"],
        ["\u00e9", "e\u0301"],
        ["\u00c9", "e\u0301"],
        ["\ufb01x", "fix"],
        ["\u212b", "\u00e5"],
        ["\u03c3", "\u03c2"],
    ],
    ids=lambda keys: "+".join(key.encode("unicode_escape").decode() for key in keys),
)
def test_a_key_that_reads_as_another_one_is_refused(keys: list[str]) -> None:
    """CVE-2026-27896, UAX #15, UAX #31: by case, by U+017F, U+212A, width, form or dotless i."""
    with pytest.raises(MalformedMessage) as caught:
        refuse_lookalikes(dict.fromkeys(keys), KNOWN, "params")
    assert (caught.value.reason_code, caught.value.rpc_code) == ("json_ambiguous_key", -32600)


@pytest.mark.parametrize(
    "keys",
    [
        [],
        ["name"],
        ["name", "arguments", "task", "_meta", "id"],
        ["names", "nam", "meta", "name_"],
        ["other"],
        ["Other"],
        ["name", "other", "another", "\u00e9"],
        ["n\u0430me"],
    ],
    ids=lambda keys: "+".join(key.encode("unicode_escape").decode() for key in keys) or "none",
)
def test_keys_that_no_parser_confuses_are_let_through(keys: list[str]) -> None:
    """House: a Cyrillic letter fools eyes, not parsers; an unknown key may be spelled anyhow."""
    refuse_lookalikes(dict.fromkeys(keys), KNOWN, "params")


def test_the_refusal_of_a_lookalike_does_not_repeat_the_key() -> None:
    """House: errors hold no text of the caller."""
    with pytest.raises(MalformedMessage) as caught:
        refuse_lookalikes({"NAME": 1}, KNOWN, "params")
    assert "NAME" not in caught.value.message


@given(st.sampled_from(KNOWN), st.data())
def test_any_other_casing_of_a_known_key_is_refused(name: str, data: st.DataObject) -> None:
    """CVE-2026-27896."""
    upper = data.draw(st.lists(st.booleans(), min_size=len(name), max_size=len(name)))
    spelled = "".join(c.upper() if up else c for c, up in zip(name, upper, strict=True))
    if spelled == name:
        refuse_lookalikes({spelled: 1}, KNOWN, "params")
    else:
        with pytest.raises(MalformedMessage):
            refuse_lookalikes({spelled: 1}, KNOWN, "params")


def test_a_name_too_long_to_be_folded_is_refused_and_not_folded() -> None:
    """House: normalising 100,000 combining marks would stop every other call for seconds."""
    name = "a" + "\u0301\u0316" * 50_000
    with pytest.raises(MalformedMessage) as caught:
        refuse_lookalikes({name: 1}, ("name",), "params")
    assert caught.value.reason_code == "json_key_too_long"
    refuse_lookalikes({"x" * MAX_KEY_LENGTH: 1}, ("name",), "params")
