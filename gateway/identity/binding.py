"""Client certificates that came forwarded, and tokens that are bound to one (RFC 8705 §3).

A bound token is good only over a connection whose client holds the certificate's key. The TLS
terminator saw that; here the certificate that it forwards is read, held against the digest that it
took, and against the time of *this* request, since connections outlive certificates. It may be any
that the terminator let in, self-signed ones too (RFC 8705 §2.2): it says which key was used, and
not who uses it. Does not identify anybody (`x509_svid.py`) and does not verify chains.
"""

import hmac
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography import x509

from gateway.core.canonical import digest
from gateway.core.claims import Certificate, Claims, ForwardedCertificate
from gateway.core.errors import CredentialRejected
from gateway.identity import jws, xfcc
from gateway.identity.steps import Steps
from gateway.ports import Clock

CONFIRMATION: Final = "x5t#S256"
_SECOND: Final = 1_000_000_000
_READ: Final = 512
"""How many header values are remembered as read; each is at most 24 KiB, commonly 2."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A client certificate that was read and holds now; whose it is, is still open."""

    certificate: Certificate
    leaf: x509.Certificate
    forwarded: xfcc.Forwarded


@dataclass(frozen=True, slots=True)
class _Read:
    forwarded: xfcc.Forwarded
    leaf: x509.Certificate
    digest: str
    not_before: int
    not_after: int


def presented(forwarded: ForwardedCertificate, clock: Clock, steps: Steps) -> Certificate:
    """Return the client certificate that a terminator forwarded, if it holds now.

    Raises:
        CredentialRejected: as `read`.
    """
    return read(forwarded, clock, steps).certificate


def read(forwarded: ForwardedCertificate, clock: Clock, steps: Steps) -> Presented:
    """Read a forwarded certificate and check what can be checked of any.

    Raises:
        CredentialRejected: xfcc_…, as `xfcc.read`; xfcc_hash_mismatch, certificate_malformed,
            certificate_not_yet_valid, certificate_expired.
    """
    steps.at("the forwarded certificate is one, strictly spelled", forwarded.terminator)
    seen = _read(forwarded.text)
    steps.at("its SHA-256 is the one that the terminator took", seen.digest)
    if not hmac.compare_digest(seen.digest, f"sha256:{seen.forwarded.hash}"):
        raise CredentialRejected("Hash is another certificate's", code="xfcc_hash_mismatch")
    # To the second and without leeway: issuers date certificates back for clocks that are behind.
    now = clock.wall_ns() // _SECOND
    steps.at("it holds now", f"{seen.not_before} to {seen.not_after}, now {now}")
    if now < seen.not_before:
        raise CredentialRejected("it is not valid yet", code="certificate_not_yet_valid")
    if now > seen.not_after:
        raise CredentialRejected("it has expired", code="certificate_expired")
    certificate = Certificate(seen.digest, forwarded.terminator, seen.not_after)
    return Presented(certificate, seen.leaf, seen.forwarded)


def thumbprint(certificate_digest: str) -> str:
    """Return the `x5t#S256` of a certificate (RFC 8705 §3.1).

    Args:
        certificate_digest: SHA-256 of its DER, as digests are written.
    """
    return jws.to_base64url(bytes.fromhex(certificate_digest.removeprefix("sha256:")))


def bound_to_certificate(claims: Claims, certificate: Certificate | None, steps: Steps) -> None:
    """Check that who presents a token presented the certificate that the token is bound to, if any.

    Raises:
        CredentialRejected: certificate_required, certificate_mismatch.
    """
    bound = (claims.confirmation or {}).get(CONFIRMATION)
    if bound is None:
        return
    steps.at("the client certificate that the token is bound to came with it", bound)
    if certificate is None:
        raise CredentialRejected(
            "the token is bound to a client certificate", code="certificate_required"
        )
    if not hmac.compare_digest(bound.encode(), thumbprint(certificate.digest).encode()):
        raise CredentialRejected(
            "the token is bound to another client certificate", code="certificate_mismatch"
        )


# The same text says the same, so a connection's header is read once and not for each call.
@lru_cache(maxsize=_READ)
def _read(text: str) -> _Read:
    forwarded = xfcc.read(text)
    try:
        leaf = x509.load_der_x509_certificate(forwarded.certificate)
        not_before, not_after = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    except ValueError as exc:
        raise CredentialRejected(
            "the certificate cannot be read", code="certificate_malformed"
        ) from exc
    return _Read(
        forwarded,
        leaf,
        digest(forwarded.certificate),
        int(not_before.timestamp()),
        int(not_after.timestamp()),
    )
