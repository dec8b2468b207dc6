"""JSON that says exactly one thing: the strict reader, the canonical bytes, the digest.

The reader accepts one JSON object of RFC 8259 and I-JSON (RFC 7493): UTF-8 without BOM, no key
twice at any depth, no NaN or infinity, integers within ±(2^53-1), no lone surrogate, no NUL in a
key, nested at most 64 deep. Parsers behind us differ on all of these; what we read is what they
read.
A digest that somebody must recompute from a *value* is taken over RFC 8785 bytes (`canonical`);
bytes that are kept are hashed as they are. Does not read files, does not know any message format.
"""

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import orjson
import rfc8785

from gateway.core.errors import MalformedMessage

MAX_DEPTH = 64
MAX_KEY_LENGTH = 256
"""Longest name, in characters, of a member of an envelope or of params."""
MAX_INTEGER = 2**53 - 1
"""Largest magnitude that every JSON implementation keeps exact (RFC 7493 §2.2).

2^53 itself is out: it is also what a double makes of 2^53+1, and RFC 8785 refuses it.
"""

_LARGE = re.compile(rb"[:,\[]-?(?:\d{20}|9[2-9]\d{17})[,}\]]")
"""An integer that may lie beyond ±(2^63-1), as the encoder writes one."""
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_object(
    data: bytes, *, max_integer: int = MAX_INTEGER, max_depth: int = MAX_DEPTH
) -> dict[str, Any]:
    """Read `data` as one JSON object that every conforming parser reads the same way.

    Args:
        data: the bytes.
        max_integer: largest magnitude of an integer.
        max_depth: deepest nesting. Only our own records pass larger limits, since they hold
            nanoseconds, and a whole body further down.

    Raises:
        MalformedMessage: with the code of the first rule broken (`json_*`).
    """
    text = _decode(data)
    value = _parse(text, max_integer)
    if not isinstance(value, dict):
        what = "an array (batch)" if isinstance(value, list) else "not an object"
        raise MalformedMessage(
            f"the body is {what}; send one JSON object", code="json_not_object", rpc_code=-32600
        )
    _check_depth_and_text(value, max_depth, bool(_SURROGATE_ESCAPE.search(text)))
    return value


def loads_exact(data: bytes, *, max_depth: int = MAX_DEPTH) -> dict[str, Any] | None:
    """Read one JSON object that is spelled exactly as `dumps` spells it; None if it is not.

    What is returned, `parse_object` would return too, with integers up to 2^63-1; None says nothing
    of what it would do. That the bytes come out the same again rules out at once a key given twice,
    white space, a byte order mark, broken UTF-8 and escapes that were not needed, half surrogates
    among them; what the encoder does write and the strict reader refuses is looked for: integers
    from 2^63, a NUL in a key, depth. About six times faster than `parse_object`.
    """
    try:
        value = orjson.loads(data)
        if orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER) != data:
            return None
    except orjson.JSONDecodeError:
        return None
    except orjson.JSONEncodeError:
        # An integer beyond 2^53: nanoseconds on a machine that has been up for 104 days, or more.
        if _LARGE.search(data) or orjson.dumps(value) != data:
            return None
    # A backslash is found far faster than an escape, and most records hold none.
    if not isinstance(value, dict) or (b"\\" in data and b"\\u0000" in data):
        return None
    if data.count(b"{") + data.count(b"[") > max_depth:
        try:
            _check_depth_and_text(value, max_depth, surrogates_possible=False)
        except MalformedMessage:
            return None
    return value


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value.

    Raises:
        MalformedMessage: when the value has no canonical form (`json_no_canonical_form`).
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as exc:
        raise MalformedMessage(
            "the value has no RFC 8785 form", code="json_no_canonical_form"
        ) from exc


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` as `sha256:<hex>`, the one spelling used everywhere."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def dumps(value: Any) -> bytes:
    """Encode a value as compact JSON without newlines, keys in insertion order (not canonical)."""
    return orjson.dumps(value)


def refuse_lookalikes(members: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Refuse keys that another parser could take for one another or for a known member.

    Go's encoding/json matches keys without regard to case, U+017F included (CVE-2026-27896), so
    `Name` beside or instead of `name` would be read differently behind us.

    Raises:
        MalformedMessage: `json_ambiguous_key`, or `json_key_too_long`.
    """
    spelled = {_fold(name): name for name in known}
    for key in members:
        # Normalising takes time that grows with the square of the length.
        if len(key) > MAX_KEY_LENGTH:
            raise MalformedMessage(
                f"a member of {where} has too long a name",
                code="json_key_too_long",
                rpc_code=-32600,
            )
        # Equal to a known name when folded, or to a key before it: both are ambiguous.
        if spelled.setdefault(_fold(key), key) != key:
            raise MalformedMessage(
                f"a member of {where} can be read as another one; use the exact spelling",
                code="json_ambiguous_key",
                rpc_code=-32600,
            )


def _fold(key: str) -> str:
    # Dotted and dotless I stay apart under casefold, but Java's equalsIgnoreCase takes both for i.
    folded = unicodedata.normalize("NFKC", key).replace("\u0130", "i").replace("\u0131", "i")
    return folded.casefold()


def _decode(data: bytes) -> str:
    if data.startswith(b"\xef\xbb\xbf"):
        raise MalformedMessage("the body starts with a byte order mark", code="json_bom")
    try:
        return data.decode("utf-8", "strict")
    except UnicodeDecodeError as exc:
        raise MalformedMessage("the body is not UTF-8", code="json_not_utf8") from exc


def _parse(text: str, max_integer: int) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=partial(_integer, max_integer),
            parse_float=_float,
        )
    except RecursionError as exc:
        raise _too_deep() from exc
    except ValueError as exc:
        raise MalformedMessage("the body is not JSON", code="json_syntax") from exc


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedMessage("an object names a key twice", code="json_duplicate_key")
    for key in members:
        if "\x00" in key:
            raise MalformedMessage("a key holds a NUL character", code="json_nul_in_key")
    return members


def _constant(_: str) -> Any:
    raise MalformedMessage("NaN and Infinity are not JSON", code="json_not_a_number")


def _integer(largest: int, digits: str) -> int:
    # 20 characters hold any 64-bit integer; longer ones are not converted (quadratic in digits).
    if len(digits) > 20 or abs(value := int(digits)) > largest:
        raise MalformedMessage("an integer lies beyond ±(2^53-1)", code="json_integer_range")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise MalformedMessage("a number is too large", code="json_number_range")
    return value


def _too_deep() -> MalformedMessage:
    return MalformedMessage("nested too deep", code="json_too_deep")


def _check_depth_and_text(root: dict[str, Any], max_depth: int, surrogates_possible: bool) -> None:
    """Walk the value without recursion; texts are looked at only if an escape could hurt."""
    stack: list[tuple[dict[str, Any] | list[Any], int]] = [(root, 1)]
    while stack:
        container, depth = stack.pop()
        if depth > max_depth:
            raise _too_deep()
        values = container.values() if isinstance(container, dict) else container
        stack.extend((value, depth + 1) for value in values if isinstance(value, dict | list))
        if surrogates_possible:
            _check_texts([*container, *values])


def _check_texts(values: list[Any]) -> None:
    try:
        for value in values:
            if isinstance(value, str):
                value.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise MalformedMessage(
            "a string holds half of a surrogate pair", code="json_lone_surrogate"
        ) from exc
