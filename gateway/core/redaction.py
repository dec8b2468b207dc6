"""Redaction at capture: no secret that is marked, shaped or named like one reaches a record.

Marked values are replaced by their pointers, what looks like a secret wherever it occurs, and each
secret found so is then looked for in the rest of the record, because answers repeat what they were
asked. What is given is never changed, and `restore` brings it back from the originals.
Does not seal the originals and does not see more than one record: a secret cut in two by the border
of a `stream-part` is found only if each half looks like one. Keyless digests of whole bodies stay.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from gateway.core import bodytext, sweep
from gateway.core.blotter import MIN_ECHO, Blotter
from gateway.core.errors import VerificationError
from gateway.core.ink import Ink, Stamp
from gateway.core.marks import EVERYTHING, NONE, Catalogue, ToolMarks
from gateway.core.pointer import differences, replaced, segments

KINDS: Final = frozenset({"intent", "refusal", "outcome", "stream-part"})
MAX_ECHOES: Final = 256
"""Most secrets of one record that are followed through the rest of it."""
MAX_SEARCHED: Final = 2**28
"""Most characters, times secrets, that one record is searched for: some 0.1 s."""
_ROUNDS: Final = 4
_FEW: Final = 16
"""So many echoes are searched for at once; more often vanish when whole values are compared."""
_MIN_QUERY_ECHO: Final = 8
_ARGUMENTS: Final = (("input", "resource", "arguments"), ("call", "arguments"), ("arguments",))
_SWEPT: Final = (
    ("call", "name"),
    ("call", "rpc_id"),
    ("call", "meta"),
    ("call", "other"),
    ("correlation",),
    ("input", "resource", "name"),
    ("request", "path"),
)


@dataclass(frozen=True, slots=True)
class Redacted:
    """A record that may be written, and what is missing from it."""

    fields: dict[str, Any]
    originals: dict[str, Any]
    """By JSON pointer into the record: what stood there. Never to be written in clear."""
    secrets: tuple[str, ...]
    """Texts to blot out in the records that follow for the same call."""


class Redactor:
    """Redacts records with one key and one catalogue.

    Args:
        key: the key of the hashes that stand for redacted values, at least 32 bytes.
        systems: the catalogue, as `Bundle.systems`.
    """

    def __init__(self, key: bytes, systems: Mapping[str, Mapping[str, Any]]) -> None:
        self._ink = Ink(key)
        self._catalogue = Catalogue(systems)

    def hmac(self, data: bytes) -> str:
        """Return the keyed hash of some bytes, as `hmac-sha256:<hex>`."""
        return self._ink.hmac(data)

    def text(self, text: str) -> str:
        """Return a text that belongs to no call, with what looks like a secret replaced."""
        return Blotter(self._ink, {}, {}).text(text)

    def redact(self, kind: str, fields: Mapping[str, Any], also: Collection[str] = ()) -> Redacted:
        """Return the record without its secrets.

        Args:
            kind: the record's kind; others than those of a call pass as they are.
            fields: the record's fields.
            also: secrets of the same call's earlier records.
        """
        if kind not in KINDS:
            return Redacted(dict(fields), {}, ())
        marks = self._catalogue.of(fields)
        new, found = self._rounds(fields, marks, also)
        return Redacted(dict(new), differences(fields, new), tuple(found))

    def _rounds(
        self, fields: Mapping[str, Any], marks: ToolMarks, also: Collection[str]
    ) -> tuple[Mapping[str, Any], dict[str, Stamp]]:
        sought = {text: self._ink.stamp("secret", text) for text in also if len(text) >= MIN_ECHO}
        active: dict[str, Stamp] = {}
        for _ in range(_ROUNDS):
            new, found = self._once(fields, marks, sought, active)
            fresh = {text: stamp for text, stamp in found.items() if text not in sought}
            sought |= fresh
            left = _left(new, sought, active)
            if left is None:
                break
            if not left:
                return new, found
            if len(left) <= _FEW or not fresh:
                active |= left
            if len(active) > MAX_ECHOES:
                break
        # Too much to follow: what could repeat a secret goes as a whole.
        echoes = dict(list(sought.items())[:MAX_ECHOES])
        return self._once(fields, EVERYTHING, sought, echoes)[0], found

    def _once(
        self,
        fields: Mapping[str, Any],
        marks: ToolMarks,
        known: Mapping[str, Stamp],
        echoes: Mapping[str, Stamp],
    ) -> tuple[Mapping[str, Any], dict[str, Stamp]]:
        blotter = Blotter(self._ink, known, echoes)
        new = fields
        for path in _ARGUMENTS:
            new = _edited(new, path, partial(blotter.value, marks=marks.arguments))
        for path in _SWEPT:
            new = _edited(new, path, blotter.value)
        hidden = bool(marks.arguments)
        for path in (("request", "headers"), ("headers",)):
            new = _edited(new, path, lambda given: _headers(blotter, given, hidden))
        new = _edited(new, ("request", "target"), partial(_target, blotter))
        new = _edited(new, ("body",), partial(_body, blotter, marks))
        return new, blotter.found


def restore(fields: Mapping[str, Any], originals: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as it was before redaction.

    Raises:
        VerificationError: `originals_mismatch`: these are not the originals of this record.
    """
    restored: Any = dict(fields)
    try:
        for pointer, value in originals.items():
            restored = replaced(restored, segments(pointer), value)
    except (LookupError, ValueError) as exc:
        raise VerificationError(
            "the originals are not those of this record", code="originals_mismatch"
        ) from exc
    return dict(restored)


def _edited(
    fields: Mapping[str, Any], path: tuple[str, ...], change: Callable[[Any], Any]
) -> Mapping[str, Any]:
    """Return the fields with one place changed; the very same when nothing stands there."""
    value: Any = fields
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
        if value is None:
            return fields
    new = change(value)
    return fields if new is value else dict(replaced(fields, path, new))


def _left(
    fields: Mapping[str, Any], sought: Mapping[str, Stamp], active: Mapping[str, Stamp]
) -> dict[str, Stamp] | None:
    """Return the secrets that still occur and were not blotted yet; None: too many to say."""
    waiting = {text: stamp for text, stamp in sought.items() if text not in active}
    if not waiting:
        return {}
    paths = (*_ARGUMENTS, *_SWEPT, ("request", "headers"), ("headers",), ("request", "target"))
    parts = [json.dumps(part, ensure_ascii=False) for part in (_at(fields, p) for p in paths)]
    searched = "\n".join([*parts, str(fields.get("body"))])
    if len(searched) * len(waiting) > MAX_SEARCHED:
        return None
    return {
        text: stamp
        for text, stamp in waiting.items()
        if any(form in searched for form in Blotter.forms(text))
    }


def _at(fields: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = fields
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _headers(blotter: Blotter, headers: Any, hidden: bool) -> Any:
    """Redact headers; `hidden`: `Mcp-Param-*` repeat arguments of which some are marked."""
    if not isinstance(headers, Mapping):
        return blotter.value(headers)
    new = {
        name: blotter.whole_text(value, "secret" if _is_parameter(name) else "credential")
        if isinstance(value, str) and (sweep.names_secret(name) or (hidden and _is_parameter(name)))
        else blotter.value(value)
        for name, value in headers.items()
    }
    return headers if new == headers else new


def _is_parameter(name: str) -> bool:
    return name.lower().startswith("mcp-param-")


def _target(blotter: Blotter, target: Any) -> Any:
    if not isinstance(target, str):
        return blotter.value(target)
    path, mark, query = target.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    hidden = "&".join(
        blotter.text(name) + equals + (_query_value(blotter, value) if value else "")
        for name, equals, value in pairs
    )
    new = blotter.text(path) + mark + hidden
    return target if new == target else new


def _query_value(blotter: Blotter, value: str) -> str:
    return blotter.whole_text(value, "secret", min_echo=_MIN_QUERY_ECHO)


def _body(blotter: Blotter, marks: ToolMarks, body: Any) -> Any:
    if not isinstance(body, str) or not body:
        return body
    if marks.whole:
        return blotter.whole_text(body, marks.whole, min_echo=len(body) + 1)
    if not marks.result and not blotter.needed(body):
        return body
    change = partial(_message, blotter, marks)
    if bodytext.is_event_stream(body):
        return bodytext.changed_events(body, lambda data: _data(blotter, marks, data), blotter.text)
    try:
        return bodytext.changed_json(body, change)
    except bodytext.Unreadable:
        return _opaque(blotter, marks, body)


def _data(blotter: Blotter, marks: ToolMarks, data: str) -> str:
    try:
        return bodytext.changed_json(data, partial(_message, blotter, marks))
    except bodytext.Unreadable:
        return _opaque(blotter, marks, data)


def _opaque(blotter: Blotter, marks: ToolMarks, text: str) -> str:
    """Redact a text without structure: where the marks point cannot be told, so it goes whole."""
    if not marks.result:
        return blotter.text(text)
    return blotter.whole_text(text, marks.result[0][1], min_echo=len(text) + 1)


def _message(blotter: Blotter, marks: ToolMarks, message: Any) -> Any:
    """Redact a JSON-RPC message, or a list of them."""
    if isinstance(message, list):
        new = [_message(blotter, marks, one) for one in message]
        return new if any(a is not b for a, b in zip(new, message, strict=True)) else message
    within = tuple((("result", *path), kind) for path, kind in marks.result) or NONE
    return blotter.value(message, marks=within)
