"""What the gateway says in an answer: where its record stands, and that its charter observes.

In a header and in a tool's result. A caller that keeps its receipts can prove later that the log
leaves one out. In a result they are put into the text, so that every other byte stays the
upstream's; whatever the upstream wrote there under the gateway's name is taken out. A message that
two parsers could read differently is left alone, and refused if one of them could find the
gateway's name in it. Does not check receipts.
"""

import json
import re
from collections.abc import Mapping
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
OBSERVED_HEADER: Final = "bailiwick-observed"
"""In observe mode, what the answer would be outside it: `permit`, `deny` or `hold`."""
OBSERVED_KEY: Final = "bailiwick/observed"
"""The same in `_meta` of a tool's result."""
OUR_HEADERS: Final = "bailiwick-"
"""Prefix of the headers that only the gateway writes."""
OURS: Final = "bailiwick/"
"""Prefix of the members of `_meta` that only the gateway writes."""
MAX_SPLICED: Final = MAX_KEPT
"""Longest message that a receipt is put into, in bytes: all that is kept of one body."""
MAX_MEMBERS: Final = 10_000
"""Most members of an object that is looked through."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_BOM: Final = "\ufeff"


def headers(receipt: Receipt | None, observed: str | None = None) -> dict[str, str]:
    """Return the headers that the gateway adds to an answer.

    Args:
        receipt: of its record; None: there is none to give.
        observed: what it would be outside observe mode; None: the charter does not observe.
    """
    found = {} if observed is None else {OBSERVED_HEADER: observed}
    if receipt is not None:
        origin = receipt.origin.replace("\\", "\\\\").replace('"', '\\"')
        found[HEADER] = f'origin="{origin}", seq={receipt.seq}, leaf="{receipt.leaf_hash}"'
    return found


def without_ours(headers: Mapping[str, str]) -> dict[str, str]:
    """Return an upstream's headers without what claims to be ours; names are in lower case."""
    return {name: said for name, said in headers.items() if not name.startswith(OUR_HEADERS)}


class Place(NamedTuple):
    """A message with a place for the receipt, and without what claims to be ours."""

    before: str
    others: str
    """The other members of `_meta`, each with its comma before it."""
    after: str
    bare: str
    """The message with nothing of ours."""

    def filled(self, receipt: Receipt | None, observed: str | None = None) -> bytes:
        """Return the message with what there is to say; see `headers`."""
        ours = meta(receipt, observed)
        if not ours:
            return self.bare.encode("utf-8")
        said = dumps(ours).decode("utf-8")[1:-1]
        return (self.before + said + self.others + self.after).encode("utf-8")


def meta(receipt: Receipt | None, observed: str | None) -> dict[str, Any]:
    """Return the members of `_meta` that the gateway adds to a tool's result; see `headers`."""
    found: dict[str, Any] = {} if receipt is None else {KEY: receipt.as_evidence()}
    return found if observed is None else {**found, OBSERVED_KEY: observed}


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


def event_filled(
    event: Event, found: Place, receipt: Receipt | None, observed: str | None = None
) -> bytes:
    """Return the event with what there is to say at this place, its data in one line."""
    # Between the lines of JSON a newline is white space, since a text cannot hold one.
    return event.with_data(found.filled(receipt, observed).replace(b"\n", b" "))


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
