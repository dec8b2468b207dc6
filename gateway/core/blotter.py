"""One pass over the values of one record: what is marked, shaped or named like a secret goes.

A value in which nothing is found comes back as the very same object, so a record without secrets
costs a look at each text. Does not know records (`places.py`) or patterns (`sweep.py`).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.core import bodytext, sweep
from gateway.core.echoes import MIN_ECHO, NESTED, Echoes
from gateway.core.ink import Ink, Stamp, spelled
from gateway.core.marks import NONE, Marks, below, here

MIN_SWEPT_ECHO: Final = 8
"""Shortest secret that is looked for elsewhere because it looks like one: `token: string` must not
blot out a word."""
MAX_FOUND: Final = 4096
"""Most secrets that are noted of one record."""
MAX_STAMPS: Final = 4 * MAX_FOUND
"""Most places in one record that are replaced, each of which can make it longer."""
_DEEPEST: Final = 32
"""Deepest nesting of JSON in a text: together they must stay within the recursion limit."""
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(/))")


class TooMany(Exception):
    """More was met than `MAX_FOUND` or `MAX_STAMPS` allow: what is being read has to go whole."""


class Blotter:
    """Replaces secrets in values. Owned by one pass over one record.

    Args:
        ink: makes what stands in a secret's place.
        known: secrets known already, to be replaced where a whole value is one.
        echoes: those that are also looked for within texts; each costs a search of every text.
        follow: whether to note what is found; without, there is no end to what can be read.
    """

    def __init__(
        self,
        ink: Ink,
        known: Mapping[str, Stamp],
        echoes: Mapping[str, Stamp],
        follow: bool = True,
    ) -> None:
        self._ink = ink
        self._known = {**echoes, **known}
        self._echoes = Echoes(echoes)
        self._follow = follow
        self._stamps = 0
        self.found: dict[str, Stamp] = {}
        """Secrets met on the way that are worth being looked for elsewhere."""

    def value(self, value: Any, marks: Marks = NONE, named: bool = False, nested: int = 0) -> Any:
        """Return a JSON value without its secrets; the very same if it has none.

        Args:
            value: the value.
            marks: what the catalogue says of it.
            named: whether the name of its member says that it is a secret.
            nested: how many texts of JSON it stands in.
        """
        if kind := here(marks):
            # However short: a value that equals it is the same secret.
            return self._whole(value, kind, 1 if isinstance(value, str) else MIN_ECHO).as_value()
        if value is None or isinstance(value, bool) or value in ("", [], {}):
            return value
        if named:
            return self._named(value)
        if isinstance(value, Mapping):
            return self._mapping(value, marks, nested)
        if isinstance(value, list):
            return self._list(value, marks, nested)
        if isinstance(value, str):
            return self._string(value, nested)
        text = spelled(value)
        stamp = self._known.get(text) if len(text) >= MIN_ECHO else None
        return stamp.as_value() if stamp else value

    def needed(self, text: str) -> bool:
        """Say quickly whether a text has to be read at all; escapes could hide what it says."""
        return bool(self._known) or hides(text) or sweep.suspicious(text)

    def text(self, text: str, echoes: bool = True, entropy: bool = True) -> str:
        """Return a text with its secrets replaced.

        Args:
            text: the text.
            echoes: whether to look for secrets that are known.
            entropy: whether to look for what is merely random.
        """
        if echoes and (stamp := self._known_text(text)):
            return stamp.as_text()
        new = self._replaced(text, self._spans(text, echoes, entropy))
        if hides(new):
            # Whatever an escape hides cannot be cut out of the text that has it.
            plain = unescaped(new)
            if plain != new and self._spans(plain, echoes, entropy):
                return self.whole_text(text, "credential", min_echo=len(text) + 1)
        return new

    def _known_text(self, text: str) -> Stamp | None:
        return self._known.get(text) if len(text) >= MIN_ECHO else None

    def _spans(self, text: str, echoes: bool, entropy: bool) -> list[sweep.Span]:
        spans = sweep.find(text)
        if not entropy:
            spans = [span for span in spans if span.kind != "entropy"]
        return spans + [sweep.Span(*at) for at in self._echoes.find(text)] if echoes else spans

    def _replaced(self, text: str, spans: list[sweep.Span]) -> str:
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

    def note(self, leaf: Any, kind: str, min_echo: int = MIN_ECHO) -> None:
        """Take note of a secret that is to be looked for elsewhere.

        Raises:
            TooMany: it is one too many.
        """
        text = spelled(leaf)
        if self._follow and len(text) >= min_echo and text not in self.found:
            self.found[text] = self._ink.stamp(kind, leaf)
            if len(self.found) > MAX_FOUND:
                raise TooMany

    def _named(self, value: Any) -> dict[str, Any]:
        """Replace a whole value because of its member's name."""
        if not isinstance(value, Mapping | list):
            return self._whole(value, "credential", MIN_ECHO).as_value()
        for leaf in _leaves(value):
            # A schema says `string` under such a name, too: that must not blot out a word.
            if not spelled(leaf).isalpha():
                self.note(leaf, "credential")
        return self._stamp("credential", value).as_value()

    def _mapping(self, value: Mapping[str, Any], marks: Marks, nested: int) -> Any:
        pair = _names_its_value(value)
        new = {
            self.text(name): self.value(
                item,
                below(marks, name),
                sweep.names_secret(name) or (pair and name.lower() == "value"),
                nested,
            )
            for name, item in value.items()
        }
        same = list(new) == list(value) and all(new[name] is value[name] for name in value)
        return value if same else new

    def _list(self, value: list[Any], marks: Marks, nested: int) -> Any:
        new = [
            self.value(item, below(marks, index), False, nested) for index, item in enumerate(value)
        ]
        return value if all(a is b for a, b in zip(new, value, strict=True)) else new

    def _string(self, text: str, nested: int) -> str:
        if len(text) < MIN_ECHO and (stamp := self._known.get(text)):
            return stamp.as_text()
        if nested < NESTED and text.lstrip()[:1] in ("{", "[") and self.needed(text):
            try:
                return bodytext.changed_json(
                    text, lambda v: self.value(v, nested=nested + 1), _DEEPEST
                )
            except bodytext.Unreadable:
                pass
        return self.text(text)

    def _whole(self, value: Any, kind: str, min_echo: int) -> Stamp:
        stamp = self._stamp(kind, value)
        if kind != "unknown":
            for leaf in _leaves(value):
                self.note(leaf, kind, min_echo)
        return stamp

    def _piece(self, piece: str, kind: str) -> str:
        if stamp := self._known_text(piece) or self._echoes.stamp(piece):
            return stamp.as_text()
        if any(not sign.isalpha() for sign in piece):
            self.note(piece, kind, MIN_SWEPT_ECHO)
        return self._stamp(kind, piece).as_text()

    def _stamp(self, kind: str, value: Any) -> Stamp:
        self._stamps += 1
        if self._follow and self._stamps > MAX_STAMPS:
            raise TooMany
        return self._ink.stamp(kind, value)


def _names_its_value(value: Mapping[str, Any]) -> bool:
    """Say whether this is a pair as lists of headers have them, of a name and a secret value."""
    return any(
        isinstance(said, str) and name.lower() in ("name", "key") and sweep.names_secret(said)
        for name, said in value.items()
    )


def hides(text: str) -> bool:
    """Say whether a text has escapes behind which something could hide."""
    return "\\u" in text or "\\/" in text


def unescaped(text: str) -> str:
    """Return a text with its escapes read, of JSON or not."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else "/", text)


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
