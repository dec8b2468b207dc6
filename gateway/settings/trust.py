"""Whose word on identities is taken: issuers, trust domains, and how much of it.

Nothing here permits a call: an identity that is believed may still do nothing. Does not read keys.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from gateway.settings.kinds import Algorithm, Positive, Seconds

MAX_LIFETIME_SECONDS: Final = 3600
"""No issuer may be given a longer cap: a longer token is a long-lived secret."""


class Claimed(Struct, frozen=True, forbid_unknown_fields=True):
    """`[issuers.claims]`: where this issuer writes what we need to know.

    A name of a claim, or a JSON pointer (RFC 6901) to a nested one.
    """

    subject: str = "sub"
    tenant: str = "tenant"
    scope: str = "scope"
    instance: str | None = None
    workload: tuple[str, ...] = ()
    """Claims that only a workload's token has; further to those known by themselves."""


class Issuer(Struct, frozen=True, forbid_unknown_fields=True):
    """`[[issuers]]`: an issuer of tokens that this gateway believes, and the limits of that."""

    issuer: Annotated[str, Meta(min_length=1)]
    audience: Annotated[str, Meta(min_length=1)] | None = None
    """What its tokens must be for; without it, the URL of the system that is called (RFC 8707)."""
    jwks: Annotated[str, Meta(min_length=1)] | None = None
    """Path of a JWKS file, or an https URL (http on loopback only); without it, discovery
    (OpenID Connect Discovery, RFC 8414) at the issuer's own URL."""
    ca_file: Path | None = None
    """PEM authorities that the issuer's server is believed by, instead of the system's."""
    token_file: Path | None = None
    """Bearer token shown to the issuer's server when keys are fetched (Kubernetes wants one)."""
    profile: Literal["access-token", "kubernetes", "transaction"] = "access-token"
    """RFC 9068 and plain JWT; projected service-account tokens; transaction tokens."""
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = ("ES256", "EdDSA", "RS256")
    types: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    """Accepted `typ` headers; the profile's, if not given: at+jwt and JWT, or none, or
    txntoken+jwt."""
    require: tuple[str, ...] = ()
    """Claims that must be there besides `exp`, `iat`, `aud`, `iss` and the subject."""
    max_lifetime_seconds: Annotated[int, Meta(ge=1, le=MAX_LIFETIME_SECONDS)] = MAX_LIFETIME_SECONDS
    leeway_seconds: Annotated[int, Meta(ge=0, le=60)] = 30
    subjects: tuple[str, ...] = ()
    """What the subjects it may vouch for begin with; empty means any, if it is the only issuer."""
    claims: Claimed = Claimed()
    scope_implies: dict[str, tuple[str, ...]] = {}
    """Scopes that a scope contains, such as `{"crm:admin" = ["crm:read"]}`."""

    @property
    def keys_in_file(self) -> bool:
        """Whether `jwks` is a file, which needs no network."""
        return self.jwks is not None and "://" not in self.jwks


class DevIssuer(Struct, frozen=True, forbid_unknown_fields=True):
    """`[dev_issuer]`: the issuer behind `bailiwick token mint`; loopback listeners only."""

    key: Path
    """Private JWK, made by `bailiwick init`."""
    issuer: str = "https://dev-issuer.invalid"
    audience: str = "bailiwick-dev"
    subjects: tuple[str, ...] = ()
    """As for `[[issuers]]`."""


class TrustDomain(Struct, frozen=True, forbid_unknown_fields=True):
    """`[[trust_domains]]`: a SPIFFE trust domain whose SVIDs are believed.

    Exactly one of `bundle`, `bundle_endpoint` and `workload_api` says where its keys come from.
    """

    name: Annotated[str, Meta(pattern=r"\A[a-z0-9._-]{1,255}\Z")]
    bundle: Path | None = None
    """File with the trust bundle (SPIFFE Trust Domain and Bundle §4); read again when refreshed."""
    bundle_endpoint: str | None = None
    """https URL of a bundle endpoint (SPIFFE Federation §5, profile https_web)."""
    ca_file: Path | None = None
    """PEM authorities that the endpoint's server is believed by, instead of the system's."""
    workload_api: str | None = None
    """`unix:///…` socket of a SPIFFE Workload API; needs the extra `spiffe`."""
    audience: Annotated[str, Meta(min_length=1)] | None = None
    """What its JWT-SVIDs must be for; without it, the URL of the system that is called."""
    max_lifetime_seconds: Annotated[int, Meta(ge=1, le=MAX_LIFETIME_SECONDS)] = MAX_LIFETIME_SECONDS
    leeway_seconds: Annotated[int, Meta(ge=0, le=60)] = 30
    subjects: tuple[str, ...] = ()
    """What the SPIFFE IDs it may vouch for begin with; empty means all of the trust domain."""


class DPoP(Struct, frozen=True, forbid_unknown_fields=True):
    """`[identity.dpop]`: how proofs of possession (RFC 9449) are taken."""

    nonce: bool = False
    """Whether a proof must hold a nonce of ours (§9), which a stolen proof soon has not."""
    max_age_seconds: Annotated[int, Meta(ge=1, le=300)] = 60
    """How old a proof may be, and how long its `jti` is remembered."""


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """`[identity]`: what is remembered of verified callers, and when they look wrong."""

    state: Path | None = None
    """Folder in which the last good keys are kept, so that a restart while an issuer is down does
    not lock everybody out; without it they are kept in memory."""
    remembered_tokens: Annotated[int, Meta(ge=0, le=1_000_000)] = 10_000
    """How many verified tokens are remembered until they expire; 0: each is verified each time."""
    window_seconds: Seconds = 300.0
    """Span within which sources count as simultaneous."""
    sources_per_subject: Positive = 4
    """From how many networks one subject may come within the window before it is flagged."""
    dpop: DPoP = DPoP()
