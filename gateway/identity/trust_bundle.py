"""Trust bundles: the keys of one trust domain (SPIFFE Trust Domain and Bundle §4).

A key is for what its `use` says and nothing else: `jwt-svid` or `x509-svid`; other uses are left
out. A bundle does not go back: one with a lower sequence number than was seen is refused, or a key
that was taken away could be played in again. What is malformed is refused as a whole, so that the
last good bundle stays. Does not fetch, does not merge bundles, and does not count over restarts.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from gateway.core.errors import IssuerUnavailable
from gateway.identity.jwks import KeySet, key_set_of, read_members

_X509: Final = "x509-svid"
_UNREADABLE: Final = (
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class TrustBundle:
    """What a trust domain's SVIDs are verified by."""

    jwt: KeySet
    x509: tuple[x509.Certificate, ...]
    """Authorities of X.509-SVIDs."""
    sequence: int | None
    """`spiffe_sequence`; grows with each change, if the publisher counts."""

    @property
    def refresh_seconds(self) -> float | None:
        """How often its publisher wants it fetched again (`spiffe_refresh_hint`)."""
        return self.jwt.refresh_seconds


class BundleReader:
    """Reads the bundles of one trust domain, one after another, and none twice backwards."""

    def __init__(self) -> None:
        self._highest = -1

    def __call__(self, document: bytes) -> TrustBundle:
        """Read a bundle.

        Raises:
            IssuerUnavailable: it is none, or an older one than was read before.
        """
        bundle = read_bundle(document)
        if bundle.sequence is not None:
            if bundle.sequence < self._highest:
                raise IssuerUnavailable("the trust bundle is older than one that was seen")
            self._highest = bundle.sequence
        return bundle


def read_bundle(document: bytes) -> TrustBundle:
    """Read a trust bundle: a JWK set with the members that SPIFFE adds.

    Raises:
        IssuerUnavailable: it is none, is too large, or has no key of either kind.
    """
    members = read_members(document)
    jwt = key_set_of(members, "jwt-svid")
    authorities = tuple(
        _authority(jwk["x5c"])
        for jwk in members["keys"]
        # Without a certificate an entry must be ignored (X509-SVID §6.2).
        if isinstance(jwk, Mapping) and jwk.get("use") == _X509 and jwk.get("x5c")
    )
    if not jwt.keys and not authorities:
        raise IssuerUnavailable("the trust bundle has no key for SVIDs")
    return TrustBundle(jwt, authorities, _sequence(members))


def _authority(chain: Any) -> x509.Certificate:
    """Return the one self-signed authority that an entry holds (X509-SVID §6.1)."""
    if not isinstance(chain, list) or len(chain) != 1 or not isinstance(chain[0], str):
        raise IssuerUnavailable("an x509-svid key of the trust bundle is not one certificate")
    try:
        # Standard base64, not base64url (RFC 7517 §4.7).
        certificate = x509.load_der_x509_certificate(base64.b64decode(chain[0], validate=True))
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (binascii.Error, ValueError, *_UNREADABLE) as exc:
        raise IssuerUnavailable("an x509-svid key of the trust bundle cannot be read") from exc
    if not constraints.value.ca:
        raise IssuerUnavailable("an x509-svid key of the trust bundle is no authority's")
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature) as exc:
        raise IssuerUnavailable("an x509-svid key of the trust bundle is not self-signed") from exc
    return certificate


def _sequence(members: Mapping[str, Any]) -> int | None:
    sequence = members.get("spiffe_sequence")
    if sequence is not None and (type(sequence) is not int or sequence < 0):
        raise IssuerUnavailable("spiffe_sequence of the trust bundle is not a number")
    return sequence
