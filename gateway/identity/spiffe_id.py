"""SPIFFE IDs, read strictly (SPIFFE-ID standard §2): one workload has one spelling.

Nothing is normalised: another case, an encoded character, a dot segment is another text, and no
SPIFFE ID. Does not know which trust domains are believed.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from gateway.core.errors import CredentialRejected

MAX_BYTES: Final = 2048
MAX_TRUST_DOMAIN: Final = 255
_SCHEME: Final = "spiffe://"
_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9._-]+\Z")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._-]+\Z")


@dataclass(frozen=True, slots=True)
class SPIFFEID:
    """The name of a workload: its trust domain, and a path in it."""

    trust_domain: str
    path: str
    """Begins with a slash; a workload's is never empty."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the SPIFFE ID of a workload.

        Raises:
            CredentialRejected: spiffe_id_length, spiffe_id_scheme, spiffe_id_trust_domain (also a
                port or a user), spiffe_id_path (also a query, a fragment, or none at all).
        """
        if not text.isascii() or len(text) > MAX_BYTES:
            raise _refused("length", "is not ASCII of at most 2,048 characters")
        if not text.startswith(_SCHEME):
            raise _refused("scheme", "does not begin with spiffe://, in small letters")
        trust_domain, _, path = text.removeprefix(_SCHEME).partition("/")
        if not _TRUST_DOMAIN.match(trust_domain) or len(trust_domain) > MAX_TRUST_DOMAIN:
            raise _refused("trust_domain", "has no plain trust domain")
        # Without a path there is one segment, an empty one.
        if not all(_SEGMENT.match(one) and one not in (".", "..") for one in path.split("/")):
            raise _refused("path", "has no plain path")
        return cls(trust_domain, f"/{path}")

    def __str__(self) -> str:
        """Return the one spelling."""
        return f"{_SCHEME}{self.trust_domain}{self.path}"


def _refused(part: str, why: str) -> CredentialRejected:
    return CredentialRejected(f"the SPIFFE ID {why}", code=f"spiffe_id_{part}")
