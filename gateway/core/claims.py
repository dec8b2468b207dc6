"""Who is calling: the unverified text that came in, and the verified claims that came out of it.

`Claims` exist only after verification; only `gateway/identity/` makes them. The identity is the
workload (RFC 9068, SPIFFE), never something the prompt or the arguments say.
Does not verify anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Proof = Literal["bearer", "dpop", "certificate", "x509-svid"]
"""How possession was shown: not at all, RFC 9449, RFC 8705, or by the TLS handshake itself."""
Flag = Literal["shared_account", "two_networks", "human_looking"]
"""What looks wrong about a verified caller (OWASP NHI9, NHI9, NHI10)."""


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """Raw credential text as the caller wrote it; never logged, recorded or forwarded."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ForwardedCertificate:
    """An `X-Forwarded-Client-Cert` that came over a listener of a named terminator; not verified.

    Admission guarantees where it came from, and that it came once; not what it says.
    """

    text: str = field(repr=False)
    terminator: str
    """Name of the TLS terminator, as in settings."""


@dataclass(frozen=True, slots=True)
class Credential:
    """All that a request presents to prove who sends it; nothing of it is verified yet."""

    token: UnverifiedToken | None = None
    scheme: Literal["bearer", "dpop"] = "bearer"
    """The scheme of the `Authorization` header that the token came in."""
    proof: UnverifiedToken | None = None
    """The `DPoP` header (RFC 9449 §4.1)."""
    transaction: UnverifiedToken | None = None
    """The `Txn-Token` header: context of a transaction, never an authentication."""
    certificate: ForwardedCertificate | None = None


NOTHING = Credential()


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client certificate that was verified, and who vouched for the handshake."""

    digest: str
    """SHA-256 of its DER, as digests are written."""
    terminator: str
    not_after: int
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A verified transaction token (draft-ietf-oauth-transaction-tokens)."""

    id: str
    issuer: str
    subject: str
    token_digest: str
    scope: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    """`tctx`: what cannot change within the transaction."""

    def as_context(self) -> dict[str, Any]:
        """Return the `context.transaction` of the decision input."""
        return {
            "id": self.id,
            "issuer": self.issuer,
            "subject": self.subject,
            "scope": self.scope,
            "context": dict(self.context),
        }


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified credential says about the workload."""

    subject: str
    issuer: str
    """The `iss` of a token; of an SVID the trust domain, as `spiffe://NAME`."""
    audience: str
    issued_at: int
    """Seconds since the epoch (RFC 7519 §4.1.6)."""
    expires_at: int
    """Seconds since the epoch (RFC 7519 §4.1.4)."""
    scheme: str
    """The credential's kind: `jwt`, `at+jwt`, `jwt-svid`, `x509-svid` …"""
    algorithm: str
    key_id: str | None
    token_id: str | None
    token_digest: str | None
    """SHA-256 of the token, kept in evidence instead of the token; None without a token."""
    tenant: str | None = None
    on_behalf_of: str | None = None
    actors: tuple[str, ...] = ()
    """RFC 8693 `act` chain, outermost first; empty when the workload acts for itself."""
    instance: str | None = None
    """Which of the workload's instances (a pod), if the issuer says so."""
    scopes: tuple[str, ...] = ()
    confirmation: Mapping[str, str] | None = None
    """`cnf` (RFC 7800): `jkt` or `x5t#S256`, the key that the token is bound to."""
    proof: Proof = "bearer"
    certificate: Certificate | None = None
    key_age_seconds: int | None = None
    """How long ago the issuer's keys were read; large when the issuer is down."""
    flags: tuple[Flag, ...] = ()
    transaction: Transaction | None = None
    other: Mapping[str, Any] = field(default_factory=dict)
    """Verified claims that policy may read and that have no member of their own."""

    def as_subject(self, now_seconds: int) -> dict[str, Any]:
        """Return the `subject` of the decision input (design §5)."""
        return {
            "id": self.subject,
            "type": "workload",
            "issuer": self.issuer,
            "tenant": self.tenant,
            "instance": self.instance,
            "on_behalf_of": self.on_behalf_of,
            "actors": list(self.actors),
            "scopes": list(self.scopes),
            "proof": self.proof,
            "flags": list(self.flags),
            "lifetime_seconds": max(0, self.expires_at - now_seconds),
            "claims": dict(self.other),
        }

    def as_evidence(self) -> dict[str, Any]:
        """Return the identity facts of an evidence record: everything but the token."""
        certificate, transaction = self.certificate, self.transaction
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
            "tenant": self.tenant,
            "instance": self.instance,
            "on_behalf_of": self.on_behalf_of,
            "scopes": list(self.scopes),
            "cnf": dict(self.confirmation) if self.confirmation else None,
            "proof": self.proof,
            "certificate": {
                "digest": certificate.digest,
                "terminator": certificate.terminator,
                "not_after": certificate.not_after,
            }
            if certificate
            else None,
            "key_age_seconds": self.key_age_seconds,
            "flags": list(self.flags),
            "transaction": {"id": transaction.id, "token_digest": transaction.token_digest}
            if transaction
            else None,
            "revocation": None,
        }
