"""X.509-SVIDs: the workload that holds a forwarded client certificate (SPIFFE X509-SVID).

1. The header is one element, its `Hash` is the certificate's, the certificate holds now: at each
   request, since connections outlive certificates (`binding.py`).
2. It has exactly one URI, which is a SPIFFE ID; the terminator read the same one (§2, §5.2).
3. It is for signatures and no authority's (§4.1, §4.3), and for clients, if it says for whom
   (§4.4).
4. Its trust domain is configured, the terminator may vouch for that trust domain, and that trust
   domain for this name.
5. It chains to an authority of *that* trust domain's own bundle: there is no pool, so a federated
   authority cannot name workloads of another trust domain, whatever the terminator let in.

What 3 to 5 found is remembered by certificate and terminator, until anything in the chain ends or
its authority leaves the bundle. The age of a certificate is not capped: it is no secret, and its
issuer chose the life of its key. Does not authorize.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import SignatureAlgorithmOID

from gateway.core.claims import Certificate, Claims, ForwardedCertificate
from gateway.core.errors import CredentialRejected
from gateway.identity.binding import Presented, read
from gateway.identity.kept import Kept
from gateway.identity.spiffe_id import SPIFFEID
from gateway.identity.steps import Steps
from gateway.identity.svid import TrustedDomain
from gateway.identity.trust_bundle import TrustBundle
from gateway.identity.verified import Verified
from gateway.identity.x509_profile import check_uri, check_usage, named
from gateway.ports import Clock
from gateway.settings import Terminator

REMEMBERED: Final = 4096
"""How many certificates' verifications are remembered."""
SCHEME: Final = "x509-svid"
_SECOND: Final = 1_000_000_000
_ALGORITHMS: Final = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: "ecdsa-with-SHA256",
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: "ecdsa-with-SHA384",
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: "ecdsa-with-SHA512",
    SignatureAlgorithmOID.RSA_WITH_SHA256: "sha256WithRSAEncryption",
    SignatureAlgorithmOID.RSA_WITH_SHA384: "sha384WithRSAEncryption",
    SignatureAlgorithmOID.RSA_WITH_SHA512: "sha512WithRSAEncryption",
    SignatureAlgorithmOID.RSASSA_PSS: "id-RSASSA-PSS",
}
"""All that the path validation accepts, under their names in RFC 5758, RFC 8017 and RFC 4055."""
_LEAF: Final = verification.ExtensionPolicy.permit_all()
"""What a leaf has to be is checked in step 3; unknown critical extensions are refused here."""
_AUTHORITY: Final = verification.ExtensionPolicy.webpki_defaults_ca()
"""CA=true, keyCertSign, path length, name constraints (RFC 5280 §6.1)."""


class X509Verifier:
    """Verifies X.509-SVIDs of the configured trust domains. Used by one event loop.

    Args:
        domains: whose SVIDs are believed, by name of the trust domain.
        terminators: who may forward certificates, by name.
        clock: the time.
        capacity: how many certificates are remembered; the least recently used one gives way.
    """

    def __init__(
        self,
        domains: Mapping[str, TrustedDomain],
        terminators: Mapping[str, Terminator],
        clock: Clock,
        capacity: int = REMEMBERED,
    ) -> None:
        self._domains = domains
        self._terminators = terminators
        self._clock = clock
        self._capacity = capacity
        self._remembered: OrderedDict[tuple[str, str], Verified] = OrderedDict()

    async def verify(self, forwarded: ForwardedCertificate, steps: Steps) -> Verified:
        """Verify a forwarded certificate; see the module's steps.

        Of its claims, `audience` is the trust domain's name, since a certificate is for nobody in
        particular; `token_id` is its serial number, in hexadecimal digits.

        Raises:
            CredentialRejected: xfcc_… and certificate_… as `binding.read`; those of `SPIFFEID`;
                certificate_uri_missing, _uri_several, _uri_mismatch, _is_authority, _key_usage,
                _extended_key_usage, _trust_domain_unknown, _terminator_refused, _subject_refused,
                _untrusted.
            IssuerUnavailable: there is no current bundle of its trust domain.
        """
        shown = read(forwarded, self._clock, steps)  # (1)
        key = (shown.certificate.terminator, shown.certificate.digest)
        if (known := self._recall(key)) is not None:
            check_uri(shown, known.claims.subject, steps)
            steps.at("the certificate was verified before", known.claims.subject)
            return known
        name = named(shown, steps)  # (2)
        check_usage(shown.leaf, steps)  # (3)
        domain = self._domain(name, shown.certificate, steps)  # (4)
        verified = await self._chained(shown, name, domain, steps)  # (5)
        self._remember(key, verified)
        return verified

    def _domain(self, name: SPIFFEID, certificate: Certificate, steps: Steps) -> TrustedDomain:
        steps.at("its trust domain is configured", name.trust_domain)
        domain = self._domains.get(name.trust_domain)
        if domain is None:
            raise CredentialRejected(
                "the trust domain is not configured", code="certificate_trust_domain_unknown"
            )
        steps.at("the terminator may vouch for the trust domain", certificate.terminator)
        terminator = self._terminators.get(certificate.terminator)
        if terminator is None or name.trust_domain not in terminator.trust_domains:
            raise CredentialRejected(
                "the terminator may not vouch for this trust domain",
                code="certificate_terminator_refused",
            )
        steps.at("the trust domain may vouch for the workload", str(name))
        if domain.limits.subjects and not str(name).startswith(domain.limits.subjects):
            raise CredentialRejected(
                "the trust domain may not vouch for this subject",
                code="certificate_subject_refused",
            )
        return domain

    async def _chained(
        self, shown: Presented, name: SPIFFEID, domain: TrustedDomain, steps: Steps
    ) -> Verified:
        steps.at("it chains to an authority of its own trust domain", domain.limits.name)
        bundle = await domain.bundle.get()
        chain = self._chain(shown, bundle)
        if chain is None:
            # Its authority may be newer than the bundle.
            bundle = await domain.bundle.renewed()
            chain = self._chain(shown, bundle)
        if chain is None:
            raise CredentialRejected(
                "no authority of its trust domain stands behind it", code="certificate_untrusted"
            )
        begins = max(_seconds(link.not_valid_before_utc) for link in chain)
        ends = min(_seconds(link.not_valid_after_utc) for link in chain)
        in_force = _InForce(domain.bundle, bundle, chain[-1], self._clock, begins, ends)
        return Verified.just_now(_claims(shown, name), in_force, domain.bundle.age_seconds)

    def _chain(self, shown: Presented, bundle: TrustBundle) -> list[x509.Certificate] | None:
        """Return the path from the leaf to an authority of this bundle, None if there is none."""
        if not bundle.x509:
            return None
        now = datetime.fromtimestamp(self._clock.wall_ns() // _SECOND, UTC).replace(tzinfo=None)
        verifier = (
            verification.PolicyBuilder()
            .store(verification.Store(list(bundle.x509)))
            .time(now)
            .extension_policies(ca_policy=_AUTHORITY, ee_policy=_LEAF)
            .build_client_verifier()
        )
        try:
            links = [x509.load_der_x509_certificate(der) for der in shown.forwarded.intermediates]
            return verifier.verify(shown.leaf, links).chain
        except (verification.VerificationError, ValueError):
            return None

    def _recall(self, key: tuple[str, str]) -> Verified | None:
        known = self._remembered.get(key)
        if known is None or not known.in_force():
            return None
        self._remembered.move_to_end(key)
        return known

    def _remember(self, key: tuple[str, str], verified: Verified) -> None:
        self._remembered[key] = verified
        self._remembered.move_to_end(key)
        if len(self._remembered) > self._capacity:
            self._remembered.popitem(last=False)


@dataclass(slots=True)
class _InForce:
    """Says whether a chain still holds: within its times, its authority in the current bundle."""

    kept: Kept[TrustBundle]
    seen: TrustBundle
    """The last bundle that was found to have the authority."""
    authority: x509.Certificate
    clock: Clock
    begins: int
    ends: int

    def __call__(self) -> bool:
        if not self.begins <= self.clock.wall_ns() // _SECOND <= self.ends:
            return False
        current = self.kept.current()
        if current is None:
            return False
        if current is not self.seen:
            if self.authority not in current.x509:
                return False
            self.seen = current
        return True


def _claims(shown: Presented, name: SPIFFEID) -> Claims:
    leaf = shown.leaf
    return Claims(
        subject=str(name),
        issuer=f"spiffe://{name.trust_domain}",
        audience=name.trust_domain,
        issued_at=_seconds(leaf.not_valid_before_utc),
        expires_at=shown.certificate.not_after,
        scheme=SCHEME,
        algorithm=_ALGORITHMS.get(leaf.signature_algorithm_oid, "unknown"),
        key_id=None,
        token_id=f"{leaf.serial_number:x}",
        token_digest=None,
        proof="x509-svid",
        certificate=shown.certificate,
    )


def _seconds(time: datetime) -> int:
    return int(time.timestamp())
