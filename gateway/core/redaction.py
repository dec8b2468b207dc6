"""Redaction at capture: no secret that is marked, shaped or named like one reaches a record.

Marked values are replaced by their pointers, what looks like a secret wherever it occurs, and each
secret found so is then looked for in the rest of the record, because answers repeat what they were
asked. What is given is never changed, and `restore` brings it back from the originals.
A record with more secrets than can be followed is not read to its end: its arguments or its body go
as one marker of class `secret`, which says by its length and keyed hash what was there; and the
later records of the call, which could repeat what was not read, go the same way.
Does not seal the originals and does not see more than one record: a secret cut in two by the border
of a `stream-part` is found only if each half looks like one. Keyless digests of whole bodies stay.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.blotter import MAX_FOUND, Blotter, TooMany
from gateway.core.echoes import MIN_ECHO, occurring
from gateway.core.errors import VerificationError
from gateway.core.ink import Ink, Stamp
from gateway.core.marks import EVERYTHING, Catalogue, ToolMarks
from gateway.core.places import Pass, searched
from gateway.core.pointer import differences, replaced, segments

KINDS: Final = frozenset({"intent", "refusal", "outcome", "stream-part"})
MAX_ECHOES: Final = 256
"""Most secrets of one record that are followed through the rest of it."""
MAX_SEARCHED: Final = 2**30
"""Most characters, times spellings of secrets, that one record is searched for: about a second."""
MORE: Final = ""
"""Stands among secrets for those that were too many to be told."""
_ROUNDS: Final = 4
_FEW: Final = 16
"""So many echoes are searched for at once; more often vanish when whole values are compared."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """A record that may be written, and what is missing from it."""

    fields: dict[str, Any]
    originals: dict[str, Any]
    """By JSON pointer into the record: what stood there. Never to be written in clear."""
    secrets: tuple[str, ...]
    """Texts to blot out in the records that follow for the same call, perhaps with `MORE`."""


class Redactor:
    """Redacts records with one key and one catalogue.

    Args:
        key: the key of the hashes that stand for redacted values, at least 32 bytes.
        systems: the catalogue, as `Bundle.systems`.
    """

    def __init__(self, key: bytes, systems: Mapping[str, Mapping[str, Any]]) -> None:
        self._ink = Ink(key)
        self._own = self._catalogue = Catalogue(systems)

    def adopt(self, systems: Mapping[str, Mapping[str, Any]]) -> None:
        """Redact by another catalogue from now on.

        What the one before marked stays marked beside it, until the next is adopted: calls that
        were decided by it may still be without their intent. For later records see `catalogue`.
        """
        own = Catalogue(systems)
        self._own, self._catalogue = own, own.beside(self._own)

    @property
    def catalogue(self) -> Catalogue:
        """What marks now; whoever keeps it keeps a call's answer covered, whatever is adopted."""
        return self._catalogue

    def hmac(self, data: bytes) -> str:
        """Return the keyed hash of some bytes, as `hmac-sha256:<hex>`."""
        return self._ink.hmac(data)

    def text(self, text: str) -> str:
        """Return a text that belongs to no call, with what looks like a secret replaced."""
        return Blotter(self._ink, {}, {}).text(text)

    def redact(
        self,
        kind: str,
        fields: Mapping[str, Any],
        also: Collection[str] = (),
        since: Catalogue | None = None,
    ) -> Redacted:
        """Return the record without its secrets.

        Args:
            kind: the record's kind; others than those of a call pass as they are.
            fields: the record's fields.
            also: secrets of the same call's earlier records.
            since: what marked when the call began; it marks beside what does so now.
        """
        if kind not in KINDS:
            return Redacted(dict(fields), {}, ())
        marks = self._catalogue.of(fields)
        if since is not None and since is not self._catalogue:
            marks = marks.beside(since.of(fields))
        new, found = self._rounds(fields, marks, also)
        return Redacted(dict(new), differences(fields, new), tuple(found))

    def _rounds(
        self, fields: Mapping[str, Any], marks: ToolMarks, also: Collection[str]
    ) -> tuple[Mapping[str, Any], dict[str, Stamp]]:
        if MORE in also or len(also) > MAX_FOUND:
            # An earlier record had more than could be told: nothing that could repeat one stays.
            return self._once(fields, EVERYTHING, {}, {}, follow=False)
        sought = {text: self._ink.stamp("secret", text) for text in also if text}
        active: dict[str, Stamp] = {}
        for _ in range(_ROUNDS):
            new, found = self._once(fields, marks, sought, active)
            fresh = {text: stamp for text, stamp in found.items() if text not in sought}
            sought |= fresh
            left = None if MORE in found else _left(new, sought, active)
            if left is None:
                break
            if not left and all(len(text) >= MIN_ECHO for text in fresh):
                return new, found
            if len(left) <= _FEW or not fresh:
                active |= left
            if len(active) > MAX_ECHOES:
                break
        # Too much to follow: what could repeat a secret goes as a whole.
        longer = [text for text in sought if len(text) >= MIN_ECHO]
        echoes = {text: sought[text] for text in longer[:MAX_ECHOES]}
        return self._once(fields, EVERYTHING, sought, echoes, follow=False)[0], found

    def _once(
        self,
        fields: Mapping[str, Any],
        marks: ToolMarks,
        known: Mapping[str, Stamp],
        echoes: Mapping[str, Stamp],
        follow: bool = True,
    ) -> tuple[Mapping[str, Any], dict[str, Stamp]]:
        """Read a record once; it is as it was, and `MORE` is found, if there were too many."""
        blotter = Blotter(self._ink, known, echoes, follow)
        try:
            return Pass(blotter, marks, fields).redacted(), blotter.found
        except TooMany:
            return fields, {**blotter.found, MORE: self._ink.stamp("secret", MORE)}


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


def _left(
    fields: Mapping[str, Any], sought: Mapping[str, Stamp], active: Mapping[str, Stamp]
) -> dict[str, Stamp] | None:
    """Return the secrets that still occur and were not blotted yet; None: too many to say."""
    waiting = {
        text: stamp
        for text, stamp in sought.items()
        if text not in active and len(text) >= MIN_ECHO
    }
    return occurring(waiting, searched(fields), MAX_SEARCHED) if waiting else {}
