"""What a certificate must be to be a workload's X.509-SVID (SPIFFE X509-SVID §2, §4, §5.2).

One URI and that a SPIFFE ID; no authority, and no key that signs certificates; for signatures, and
for clients, if it says for whom. Does not verify who issued it.
"""

from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.core.errors import CredentialRejected
from gateway.identity.binding import Presented
from gateway.identity.spiffe_id import SPIFFEID
from gateway.identity.steps import Steps

T = TypeVar("T", bound=x509.ExtensionType)


def named(shown: Presented, steps: Steps) -> SPIFFEID:
    """Return the one SPIFFE ID that the certificate has (X509-SVID §2, §5.2).

    Raises:
        CredentialRejected: certificate_uri_missing, _uri_several, _uri_mismatch, _malformed; those
            of `SPIFFEID`.
    """
    steps.at("the certificate has exactly one URI")
    try:
        names = shown.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as exc:
        raise CredentialRejected("it has no URI", code="certificate_uri_missing") from exc
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as exc:
        raise _malformed() from exc
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if not uris:
        raise CredentialRejected("it has no URI", code="certificate_uri_missing")
    if len(uris) > 1:
        raise CredentialRejected("it has more than one URI", code="certificate_uri_several")
    steps.at("the URI is a SPIFFE ID", uris[0])
    name = SPIFFEID.parse(uris[0])
    check_uri(shown, uris[0], steps)
    return name


def check_uri(shown: Presented, uri: str, steps: Steps) -> None:
    """Check that the terminator read the URI that the certificate has, if it says which.

    Raises:
        CredentialRejected: certificate_uri_mismatch.
    """
    if shown.forwarded.uri is None:
        return
    steps.at("the terminator read the same URI", shown.forwarded.uri)
    if shown.forwarded.uri != uri:
        raise CredentialRejected("the terminator read another URI", code="certificate_uri_mismatch")


def check_usage(leaf: x509.Certificate, steps: Steps) -> None:
    """Check what the certificate is for (X509-SVID §4.1, §4.3, §4.4, §5.2).

    Raises:
        CredentialRejected: certificate_is_authority, _key_usage, _extended_key_usage, _malformed.
    """
    steps.at("it is a leaf, for signatures of a client")
    try:
        constraints = _extension(leaf, x509.BasicConstraints)
        usage = _extension(leaf, x509.KeyUsage)
        extended = _extension(leaf, x509.ExtendedKeyUsage)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as exc:
        raise _malformed() from exc
    if (constraints is not None and constraints.ca) or (
        usage is not None and (usage.key_cert_sign or usage.crl_sign)
    ):
        raise CredentialRejected("it is an authority's", code="certificate_is_authority")
    if usage is None or not usage.digital_signature:
        raise CredentialRejected("it is not for signatures", code="certificate_key_usage")
    if extended is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in extended:
        raise CredentialRejected("it is not for clients", code="certificate_extended_key_usage")


def _extension(leaf: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return leaf.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _malformed() -> CredentialRejected:
    return CredentialRejected("the certificate cannot be read", code="certificate_malformed")
