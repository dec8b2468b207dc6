"""Receipts for callers: where a call's record stands in the log, in a header and in a tool result.

A caller that keeps its receipts can prove later that the log leaves one out. In a tool's result the
receipt is put into the text itself, so that every other byte stays the upstream's; whatever the
upstream wrote there under the gateway's name is taken out. A message that two parsers could read
differently is left alone, and refused if one of them could find the gateway's name in it. Does not
check receipts.
"""

import json
import re
from typing import Any, Final, NamedTuple

from gateway.core.answer import MAX_KEPT
from gateway.core.canonical import dumps, refuse_lookalikes
from gateway.core.errors import MalformedMessage, UpstreamError
from gateway.core.record import Receipt
from gateway.wire.sse import Event

HEADER: Final = "bailiwick-receipt"
"""A dictionary of RFC 8941 (now RFC 9651): `origin="…", seq=7, leaf="sha256:…"`."""
KEY: Final = "bailiwick/receipt"
"""Member of `_meta` of a tool's result."""
OURS: Final = "bailiwick/"
"""Prefix of the members of `_meta` that only the gateway writes."""
MAX_SPLICED: Final = MAX_KEPT
"""Longest message that a receipt is put into, in bytes: all that is kept of one body."""
MAX_MEMBERS: Final = 10_000
"""Most members of an object that is looked through."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_BOM: Final = "\ufeff"


def header(receipt: Receipt | None) -> dict[str, str]:
    """Return the header of an answer, as headers to add; none without a receipt."""
    if receipt is None:
        return {}
    origin = receipt.origin.replace("\\", "\\\\").replace('"', '\\"')
    return {HEADER: f'origin="{origin}", seq={receipt.seq}, leaf="{receipt.leaf_hash}"'}


class Place(NamedTuple):
    """A message with a place for the receipt, and without what claims to be ours."""

    before: str
    others: str
    """The other members of `_meta`, each with its comma before it."""
    after: str
    bare: str
    """The message without a receipt."""

    def filled(self, receipt: Receipt | None) -> bytes:
        """Return the message with this receipt; without one there may be none to give."""
        if receipt is None:
            return self.bare.encode("utf-8")
        ours = f'"{KEY}":' + dumps(receipt.as_evidence()).decode("utf-8")
        return (self.before + ours + self.others + self.after).encode("utf-8")


def place(message: bytes) -> Place | None:
    """Find the place of the receipt in a JSON-RPC response; None if it has no result.

    Raises:
        UpstreamError: `upstream_answer_ambiguous`: readers could differ over what it says, and
            some could find a member of ours in it.
    """
    try:
        if len(message) > MAX_SPLICED:
            raise ValueError("too long to be looked through")
        return _placed(message.decode("utf-8"))
    except (ValueError, RecursionError, MalformedMessage) as exc:
        if _may_name_us(message):
            raise UpstreamError(
                "the upstream's answer can be read in two ways", code="upstream_answer_ambiguous"
            ) from exc
        return None


def event_place(event: Event) -> Place | None:
    """Find the place of the receipt in the data of an event; see `place`."""
    return place(event.data())


def event_filled(event: Event, found: Place, receipt: Receipt | None) -> bytes:
    """Return the event with the receipt at this place, its data in one line."""
    # Between the lines of JSON a newline is white space, since a text cannot hold one.
    return event.with_data(found.filled(receipt).replace(b"\n", b" "))


def _may_name_us(message: bytes) -> bool:
    """Say whether some reader may find our name: in any case, escaped, or in UTF-16."""
    text = message.decode("utf-8", "ignore").replace("\0", "").casefold()
    return OURS.rstrip("/") in text or "\\u" in text


class _Member(NamedTuple):
    key: str
    start: int
    """Where the value starts."""
    end: int
    """Where it ends."""


def _placed(text: str) -> Place | None:
    """Find the place; ValueError or MalformedMessage when the message is not for us to change."""
    envelope, end = _members(text, _skip(text, len(_BOM) if text.startswith(_BOM) else 0))
    if _skip(text, end) != len(text):
        raise ValueError("something follows the message")
    found = _distinct(envelope, ("jsonrpc", "id", "result", "error", "method"))
    if "result" not in found:
        return None
    if not {"jsonrpc", "id"} <= found.keys() or found.keys() & {"error", "method"}:
        raise ValueError("not a response with a result")
    members, _ = _members(text, found["result"].start)
    meta = _distinct(members, ("_meta",)).get("_meta")
    if meta is not None:
        return _in_meta(text, meta)
    inside = found["result"].start + 1
    after = "}" + ("," if members else "") + text[inside:]
    return Place(text[:inside] + '"_meta":{', "", after, text)


def _in_meta(text: str, meta: _Member) -> Place:
    """Find the place in `_meta`, whose other members follow it."""
    members, _ = _members(text, meta.start)
    others, kept, end = [], [], meta.start + 1
    for number, member in enumerate(members):
        # From the end of the member before: the comma, unless it is the first, and all white space.
        if not member.key.casefold().startswith(OURS):
            kept.append(member)
            others.append(("," if number == 0 else "") + text[end : member.end])
        end = member.end
    _distinct(kept, (KEY,))
    before, joined, after = text[: meta.start + 1], "".join(others), text[end:]
    return Place(before, joined, after, before + joined[1:] + after)


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
        if len(members) > MAX_MEMBERS:
            raise ValueError("too many members")
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
