"""Receipts for callers: where a call's record stands in the log, in a header and in a tool result.

A caller that keeps its receipts can prove later that the log leaves one out. In a tool's result the
receipt is put into the text itself, so that every other byte stays the upstream's; a receipt that
the upstream wrote there is taken out. A message that two parsers could read differently is left
alone: it then has the receipt of the header only, and what it claims for itself proves nothing,
since a receipt is worth what the signed log says. Does not check receipts.
"""

import json
import re
from typing import Any, Final, NamedTuple

from gateway.core.canonical import dumps, refuse_lookalikes
from gateway.core.errors import MalformedMessage
from gateway.core.record import Receipt

HEADER: Final = "bailiwick-receipt"
"""A dictionary of RFC 8941 (now RFC 9651): `origin="…", seq=7, leaf="sha256:…"`."""
KEY: Final = "bailiwick/receipt"
"""Member of `_meta` of a tool's result."""
MAX_SPLICED: Final = 1024 * 1024
"""Longest message that a receipt is put into, in bytes."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_LINE: Final = re.compile(rb"[^\r\n]+")


def header(receipt: Receipt | None) -> dict[str, str]:
    """Return the header of an answer, as headers to add; none without a receipt."""
    if receipt is None:
        return {}
    origin = receipt.origin.replace("\\", "\\\\").replace('"', '\\"')
    return {HEADER: f'origin="{origin}", seq={receipt.seq}, leaf="{receipt.leaf_hash}"'}


def with_receipt(message: bytes, receipt: Receipt) -> bytes:
    """Return a JSON-RPC response whose `result._meta` holds the receipt.

    What is no such response with a result, or not unambiguously so, is returned as it is.
    """
    if len(message) > MAX_SPLICED:
        return message
    try:
        return _spliced(message.decode("utf-8"), receipt).encode("utf-8")
    except (ValueError, RecursionError, MalformedMessage):
        return message


def event_with_receipt(event: bytes, receipt: Receipt) -> bytes:
    """Return a server-sent event whose one line of data is such a response, the receipt in it.

    An event of more lines of data is returned as it is, and so is one behind a byte order mark.
    """
    lines = [line for line in _LINE.finditer(event) if line[0].partition(b":")[0] == b"data"]
    if len(lines) != 1 or b":" not in lines[0][0] or event.startswith(b"\xef\xbb\xbf"):
        return event
    start = lines[0].start() + len(b"data:")
    data = event[start : lines[0].end()]
    return event[:start] + with_receipt(data, receipt) + event[lines[0].end() :]


class _Member(NamedTuple):
    key: str
    start: int
    """Where the value starts."""
    end: int
    """Where it ends."""


def _spliced(text: str, receipt: Receipt) -> str:
    """Splice; ValueError or MalformedMessage when the message is not for us to change."""
    envelope, end = _members(text, _skip(text, 0))
    if _skip(text, end) != len(text):
        raise ValueError("something follows the message")
    found = _distinct(envelope, ("jsonrpc", "id", "result", "error", "method"))
    if not {"jsonrpc", "id", "result"} <= found.keys() or found.keys() & {"error", "method"}:
        raise ValueError("not a response with a result")
    members, _ = _members(text, found["result"].start)
    ours = f'"{KEY}":' + dumps(receipt.as_evidence()).decode("utf-8")
    meta = _distinct(members, ("_meta",)).get("_meta")
    if meta is not None:
        return text[: meta.start] + _meta(text, meta, ours) + text[meta.end :]
    inside = found["result"].start + 1
    return f'{text[:inside]}"_meta":{{{ours}}}{"," if members else ""}{text[inside:]}'


def _meta(text: str, meta: _Member, ours: str) -> str:
    """Return the text of `_meta` with our member first, and without any that claims to be ours."""
    members, end = _members(text, meta.start)
    kept, before = [], meta.start + 1
    for number, member in enumerate(members):
        # From the end of the member before: the comma, unless it is the first, and all white space.
        if member.key != KEY:
            kept.append(("," if number == 0 else "") + text[before : member.end])
        before = member.end
    _distinct([member for member in members if member.key != KEY], (KEY,))
    return "{" + ours + "".join(kept) + text[before:end]


def _distinct(members: list[_Member], known: tuple[str, ...]) -> dict[str, _Member]:
    """Index members by key.

    Raises:
        ValueError, MalformedMessage: a key comes twice, or can be taken for another one.
    """
    found = {member.key: member for member in members}
    if len(found) != len(members):
        raise ValueError("a key comes twice")
    refuse_lookalikes(found, known, "the message")
    return found


def _members(text: str, start: int) -> tuple[list[_Member], int]:
    """Step through the members of the object at `start`; return them and where the object ends.

    Raises:
        ValueError: there is no object, or it is no JSON.
    """
    members: list[_Member] = []
    at = _expect(text, start, "{")
    if text[at : at + 1] == "}":
        return members, at + 1
    while True:
        key, after = _value(text, at)
        if not isinstance(key, str) or text[at] != '"':
            raise ValueError("a key is no text")
        begin = _expect(text, after, ":")
        _, end = _value(text, begin)
        members.append(_Member(key, begin, end))
        at = _skip(text, end)
        if text[at : at + 1] == "}":
            return members, at + 1
        at = _expect(text, at, ",")


def _expect(text: str, at: int, character: str) -> int:
    """Return where the text goes on after this character and white space."""
    at = _skip(text, at)
    if text[at : at + 1] != character:
        raise ValueError(f"{character} expected")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _constant(_: str) -> Any:
    raise ValueError("NaN and Infinity are not JSON")


# Numbers stay text: nobody needs their values, and converting long ones takes quadratic time.
_value: Final = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=_constant
).raw_decode
