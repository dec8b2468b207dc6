"""One pass over the values of one record: what is marked, shaped or named like a secret goes.

A value in which nothing is found comes back as the very same object, so a record without secrets
costs a look at each text. Does not know records (`redaction.py`) or patterns (`sweep.py`).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.core import bodytext, sweep
from gateway.core.ink import Ink, Stamp, spelled
from gateway.core.marks import NONE, Marks, below, here

MIN_ECHO: Final = 4
"""Shortest secret, in characters, that is looked for elsewhere."""
MIN_SWEPT_ECHO: Final = 8
"""The same for one that only looks like a secret: `token: string` must not blot out a word."""
_NESTED: Final = 3
"""How many times JSON may stand in a text of JSON and still be read as such."""


_DEEPEST: Final = 32
"""Deepest nesting of such JSON: together they must stay within the recursion limit."""


class Blotter:
    """Replaces secrets in values. Owned by one pass over one record.

    Args:
        ink: makes what stands in a secret's place.
        known: secrets known already, to be replaced where a whole value is one.
        echoes: those that are also looked for within texts; each costs a search of every text.
    """

    def __init__(self, ink: Ink, known: Mapping[str, Stamp], echoes: Mapping[str, Stamp]) -> None:
        self._ink = ink
        self._known = {**echoes, **known}
        self._forms = [(form, text) for text in echoes for form in self.forms(text)]
        self.found: dict[str, Stamp] = {}
        """Secrets met on the way that are worth being looked for elsewhere."""

    @staticmethod
    def forms(secret: str) -> list[str]:
        """Return a secret as it can stand in a text: plain, or escaped as in JSON in JSON."""
        forms = [secret]
        for ascii_only in (False, True):
            form = secret
            for _ in range(_NESTED):
                form = json.dumps(form, ensure_ascii=ascii_only)[1:-1]
                forms.append(form)
        return list(dict.fromkeys(forms))

    def value(self, value: Any, marks: Marks = NONE, named: bool = False, nested: int = 0) -> Any:
        """Return a JSON value without its secrets; the very same if it has none.

        Args:
            value: the value.
            marks: what the catalogue says of it.
            named: whether the name of its member says that it is a secret.
            nested: how many texts of JSON it stands in.
        """
        if kind := here(marks):
            return self._whole(value, kind, MIN_ECHO).as_value()
        if isinstance(value, Mapping):
            return self._mapping(value, marks, nested)
        if isinstance(value, list):
            return self._list(value, marks, named, nested)
        if value is None or isinstance(value, bool) or value == "":
            return value
        if named:
            return self._whole(value, "credential", MIN_ECHO).as_value()
        if isinstance(value, str):
            return self._string(value, nested)
        stamp = self._known.get(spelled(value))
        return stamp.as_value() if stamp else value

    def needed(self, text: str) -> bool:
        """Say quickly whether a text has to be read at all; escapes could hide what it says."""
        hides = "\\u" in text or "\\/" in text
        return bool(self._known) or hides or sweep.suspicious(text)

    def text(self, text: str) -> str:
        """Return a text with its secrets replaced."""
        if stamp := self._known.get(text):
            return stamp.as_text()
        spans = [*sweep.find(text), *self._echoed(text)]
        if not spans:
            return text
        parts, at = [], 0
        for start, end, kind in _merged(spans):
            parts += [text[at:start], self._piece(text[start:end], kind)]
            at = end
        return "".join([*parts, text[at:]])

    def whole_text(self, text: str, kind: str, min_echo: int = MIN_ECHO) -> str:
        """Return what replaces a whole text."""
        return self._whole(text, kind, min_echo).as_text() if text else text

    def _mapping(self, value: Mapping[str, Any], marks: Marks, nested: int) -> Any:
        new = {
            self.text(name): self.value(item, below(marks, name), sweep.names_secret(name), nested)
            for name, item in value.items()
        }
        same = list(new) == list(value) and all(new[name] is value[name] for name in value)
        return value if same else new

    def _list(self, value: list[Any], marks: Marks, named: bool, nested: int) -> Any:
        new = [
            self.value(item, below(marks, index), named, nested) for index, item in enumerate(value)
        ]
        return value if all(a is b for a, b in zip(new, value, strict=True)) else new

    def _string(self, text: str, nested: int) -> str:
        if nested < _NESTED and text.lstrip()[:1] in ("{", "[") and self.needed(text):
            try:
                return bodytext.changed_json(
                    text, lambda v: self.value(v, nested=nested + 1), _DEEPEST
                )
            except bodytext.Unreadable:
                pass
        return self.text(text)

    def _whole(self, value: Any, kind: str, min_echo: int) -> Stamp:
        stamp = self._ink.stamp(kind, value)
        if kind != "unknown":
            for leaf in _leaves(value):
                self._note(leaf, kind, min_echo)
        return stamp

    def _piece(self, piece: str, kind: str) -> str:
        stamp = self._known.get(piece) or self._ink.stamp(kind, piece)
        if any(not sign.isalpha() for sign in piece):
            self._note(piece, kind, MIN_SWEPT_ECHO)
        return stamp.as_text()

    def _note(self, leaf: Any, kind: str, min_echo: int) -> None:
        text = spelled(leaf)
        if len(text) >= min_echo and text not in self.found:
            self.found[text] = self._ink.stamp(kind, leaf)

    def _echoed(self, text: str) -> Iterator[sweep.Span]:
        for form, secret in self._forms:
            at = text.find(form)
            while at >= 0:
                yield sweep.Span(at, at + len(form), self._known[secret].kind)
                at = text.find(form, at + len(form))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield value


def _merged(spans: list[sweep.Span]) -> list[sweep.Span]:
    """Return the spans in order, those that overlap made one."""
    merged: list[sweep.Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = last._replace(end=max(last.end, span.end))
        else:
            merged.append(span)
    return merged
