"""The spellings in which a secret that is known can come back, and where they stand in a text.

Texts and spellings are compared without regard to case, so that percent-encoding and base64 need no
variants of their own. Does not know hexadecimal, compression or encryption: whoever wants to get
a secret past this can; it is for answers that repeat what they were asked.
"""

import base64
import json
import string
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gateway.core.ink import Stamp

MIN_ECHO: Final = 4
"""Shortest secret, in characters, that is looked for within texts."""
NESTED: Final = 3
"""How many times JSON may stand in a text of JSON and still be read as such."""
_MIN_ENCODED: Final = 6
"""Shortest secret, in bytes, whose base64 form says enough to be looked for."""


def folded(text: str) -> str:
    """Return a text in lower case, of the very same length."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := sign.lower()) == 1 else sign for sign in text)


def spellings(secret: str) -> tuple[str, ...]:
    """Return a secret as it can stand in a folded text: plain, escaped or encoded."""
    data = secret.encode("utf-8", "replace")
    found = [secret, *_percent_encoded(data)]
    for ascii_only in (False, True):
        form = secret
        for _ in range(NESTED):
            form = json.dumps(form, ensure_ascii=ascii_only)[1:-1]
            found.append(form)
    if len(data) >= _MIN_ENCODED:
        for shift, skipped in ((0, 0), (1, 2), (2, 3)):
            # Only characters that the secret alone decides; those at the borders mix with others.
            encoded = base64.b64encode(bytes(shift) + data).decode()
            encoded = encoded[skipped : (shift + len(data)) * 8 // 6]
            found += [encoded, encoded.translate(_URL_SAFE)]
    return tuple(dict.fromkeys(folded(form) for form in found))


_URL_SAFE: Final = str.maketrans("+/", "-_")
_UNRESERVED: Final = frozenset(string.ascii_letters + string.digits + "-._~")


def _percent_encoded(data: bytes) -> list[str]:
    """Return data as in a path, with and without its slashes, and as in a form's field."""
    plain = "".join(chr(byte) if chr(byte) in _UNRESERVED else f"%{byte:02x}" for byte in data)
    return [plain, plain.replace("%2f", "/"), plain.replace("%20", "+")]


class Echoes:
    """Secrets that are looked for within texts; each costs some searches of every text."""

    def __init__(self, secrets: Mapping[str, Stamp]) -> None:
        self._stamps = {form: stamp for text, stamp in secrets.items() for form in spellings(text)}

    def __bool__(self) -> bool:
        return bool(self._stamps)

    def stamp(self, piece: str) -> Stamp | None:
        """Return the stamp of the secret that a piece of text spells."""
        return self._stamps.get(folded(piece)) if self._stamps else None

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield start, end and class of every spelling in a text."""
        if not self._stamps:
            return
        searched = folded(text)
        for form, stamp in self._stamps.items():
            at = searched.find(form)
            while at >= 0:
                yield at, at + len(form), stamp.kind
                at = searched.find(form, at + len(form))


def occurring(
    secrets: Mapping[str, Stamp], texts: Iterable[str], most: int
) -> dict[str, Stamp] | None:
    """Return the secrets that some text repeats; None if more than `most` signs were to be read."""
    forms = {text: spellings(text) for text in secrets}
    searched = folded("\n".join(texts))
    if len(searched) * sum(len(some) for some in forms.values()) > most:
        return None
    return {
        text: secrets[text]
        for text, some in forms.items()
        if any(form in searched for form in some)
    }
