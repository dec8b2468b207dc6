"""Who is calling: the unverified text that came in, and the verified claims that came out of it.

`Claims` exist only after verification; only `gateway/identity/` makes them. The identity is the
workload (RFC 9068, SPIFFE JWT-SVID), never something the prompt or the arguments say.
Does not verify anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """Raw credential text as the caller wrote it; never logged, recorded or forwarded."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified credential says about the workload."""

    subject: str
    issuer: str
    audience: str
    issued_at: int
    """Seconds since the epoch (RFC 7519 §4.1.6)."""
    expires_at: int
    """Seconds since the epoch (RFC 7519 §4.1.4)."""
    scheme: str
    """The credential's kind: `jwt` or `at+jwt`."""
    algorithm: str
    key_id: str | None
    token_id: str | None
    token_digest: str
    """SHA-256 of the token, kept in evidence instead of the token."""
    tenant: str | None = None
    on_behalf_of: str | None = None
    actors: tuple[str, ...] = ()
    """RFC 8693 `act` chain, outermost first; empty when the workload acts for itself."""
    other: Mapping[str, Any] = field(default_factory=dict)
    """Verified claims that policy may read and that have no member of their own."""

    def as_subject(self, now_seconds: int) -> dict[str, Any]:
        """Return the `subject` of the decision input (design §5)."""
        return {
            "id": self.subject,
            "type": "workload",
            "issuer": self.issuer,
            "tenant": self.tenant,
            "on_behalf_of": self.on_behalf_of,
            "actors": list(self.actors),
            "proof": "bearer",
            "lifetime_seconds": max(0, self.expires_at - now_seconds),
            "claims": dict(self.other),
        }

    def as_evidence(self) -> dict[str, Any]:
        """Return the identity facts of an evidence record: everything but the token."""
        return {
            "scheme": self.scheme,
            "iss": self.issuer,
            "sub": self.subject,
            "aud": self.audience,
            "jti": self.token_id,
            "kid": self.key_id,
            "alg": self.algorithm,
            "iat": self.issued_at,
            "exp": self.expires_at,
            "act": list(self.actors),
            "token_digest": self.token_digest,
        }
