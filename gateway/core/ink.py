"""What stands in a record where a secret stood: the two forms of a redacted value.

Both forms carry a keyed hash and a length, taken over the RFC 8785 bytes of the value. So the same
secret has the same hash wherever it occurs, and whoever lacks the key cannot guess the secret from
its hash, however few values it could have. Does not decide what is secret.
"""

import hmac
import json
from dataclasses import dataclass
from typing import Any, Literal

from gateway.core.canonical import canonical
from gateway.core.errors import MalformedMessage

Kind = Literal["secret", "pii", "unknown", "credential", "entropy"]
"""Why a value was redacted (docs/evidence.md)."""
MEMBER = "$redacted"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a record says about one redacted value."""

    kind: str
    hmac: str
    bytes: int

    def as_value(self) -> dict[str, Any]:
        """Return what replaces a whole JSON value."""
        return {MEMBER: {"class": self.kind, "hmac": self.hmac, "bytes": self.bytes}}

    def as_text(self) -> str:
        """Return what replaces a piece of text."""
        return f"[redacted {self.kind} {self.hmac} {self.bytes}]"


class Ink:
    """Makes stamps with one key.

    Args:
        key: the secret of the hash, at least 32 bytes; it never rotates while its hashes are to be
            compared.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("the redaction key is shorter than 32 bytes")
        self._key = key

    def hmac(self, data: bytes) -> str:
        """Return HMAC-SHA256 as `hmac-sha256:<hex>`."""
        return "hmac-sha256:" + hmac.digest(self._key, data, "sha256").hex()

    def stamp(self, kind: str, value: Any) -> Stamp:
        """Return the stamp of a JSON value; a piece of text is a JSON string."""
        data = _bytes(value)
        return Stamp(kind, self.hmac(data), len(data))


def spelled(value: Any) -> str:
    """Return a scalar as it would stand in a text."""
    return value if isinstance(value, str) else json.dumps(value)


def _bytes(value: Any) -> bytes:
    try:
        return canonical(value)
    except MalformedMessage:
        # A number beyond I-JSON or half a surrogate pair: any fixed spelling serves.
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
