import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import quote

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from gateway.core.claims import Certificate, Claims, ForwardedCertificate
from gateway.core.errors import CredentialRejected, IssuerUnavailable
from gateway.identity import x509_svid
from gateway.identity.jwks import KeySet
from gateway.identity.kept import Kept
from gateway.identity.steps import Steps
from gateway.identity.svid import TrustedDomain
from gateway.identity.trust_bundle import TrustBundle
from gateway.identity.verified import Verified
from gateway.identity.x509_svid import X509Verifier
from gateway.settings import Terminator, TrustDomain
from tests.fakes_clock import FakeClock
from tests.unit.identity.certificates import (
    CLIENTS,
    DOMAIN,
    EDGE,
    NO_NAME,
    WORKLOAD,
    Authority,
    Issued,
)
from tests.unit.identity.keys import NOW

PARTNER = "partner.test"
OURS = Authority()
THEIRS = Authority(PARTNER)


@dataclass
class Domains:
    """Two trust domains, whose bundles a test may change, and a verifier of both."""

    clock: FakeClock = field(default_factory=FakeClock)
    ours: tuple[Authority, ...] = (OURS,)
    theirs: tuple[Authority, ...] = (THEIRS,)
    subjects: tuple[str, ...] = ()
    terminators: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {EDGE: (DOMAIN, PARTNER), "other": (PARTNER,)}
    )
    capacity: int = x509_svid.REMEMBERED
    fetches: int = 0
    down: bool = False

    def __post_init__(self) -> None:
        self.bundle = self._kept(DOMAIN, lambda: self.ours)
        self.verifier = X509Verifier(
            {
                DOMAIN: TrustedDomain(
                    TrustDomain(name=DOMAIN, subjects=self.subjects), self.bundle
                ),
                PARTNER: TrustedDomain(
                    TrustDomain(name=PARTNER), self._kept(PARTNER, lambda: self.theirs)
                ),
            },
            {
                name: Terminator(name=name, trust_domains=domains)
                for name, domains in self.terminators.items()
            },
            self.clock,
            self.capacity,
        )

    def _kept(self, name: str, now: Callable[[], tuple[Authority, ...]]) -> Kept[TrustBundle]:
        async def fetch() -> bytes:
            self.fetches += 1
            if self.down:
                raise IssuerUnavailable("down")
            return repr([authority.pem for authority in now()]).encode()

        def read(body: bytes) -> TrustBundle:
            return TrustBundle(KeySet({}), tuple(one.certificate for one in now()), None)

        return Kept(name, fetch, read, self.clock)

    async def verify(self, forwarded: ForwardedCertificate, steps: Steps | None = None) -> Verified:
        """Verify a forwarded certificate."""
        return await self.verifier.verify(forwarded, steps or Steps())

    async def refused(self, issued: Issued | ForwardedCertificate) -> str:
        """Return the code that a certificate is refused with."""
        forwarded = issued.forwarded() if isinstance(issued, Issued) else issued
        with pytest.raises(CredentialRejected) as caught:
            await self.verify(forwarded)
        return caught.value.reason_code

    async def replaced(self, *authorities: Authority) -> None:
        """Let our bundle be these authorities, and be fetched once more."""
        self.ours = authorities
        self.clock.advance(31)
        await self.bundle.renewed()


# Good certificates.


async def test_a_good_certificate_gives_its_workload() -> None:
    """SPIFFE X509-SVID §5.2; the audience is the trust domain, the token id the serial number."""
    issued = OURS.issue()
    verified = await Domains().verify(issued.forwarded(WORKLOAD))
    assert verified.claims == Claims(
        subject=WORKLOAD,
        issuer=f"spiffe://{DOMAIN}",
        audience=DOMAIN,
        issued_at=NOW - 60,
        expires_at=NOW + 3600,
        scheme="x509-svid",
        algorithm="ecdsa-with-SHA256",
        key_id=None,
        token_id=f"{issued.certificate.serial_number:x}",
        token_digest=None,
        proof="x509-svid",
        certificate=Certificate(f"sha256:{issued.hash}", EDGE, NOW + 3600),
        key_age_seconds=0,
    )
    assert verified.in_force()


RSA = Authority(private=rsa.generate_private_key(65537, 2048))
P384 = Authority(private=ec.generate_private_key(ec.SECP384R1()))
GOOD = {
    "no-terminators-uri": OURS.issue().forwarded(),
    "below-an-intermediate": OURS.intermediate().issue().forwarded(WORKLOAD),
    "four-deep": OURS.intermediate("1")
    .intermediate("2")
    .intermediate("3")
    .intermediate("4")
    .issue()
    .forwarded(WORKLOAD),
    "no-subject": OURS.issue(subject=None).forwarded(WORKLOAD),
    "no-extended-key-usage": OURS.issue(extended=None).forwarded(),
    "clients-only": OURS.issue(extended=CLIENTS[1:]).forwarded(),
    "critical-extended-key-usage": OURS.issue(
        extended=None, extra=[(x509.ExtendedKeyUsage(CLIENTS), True)]
    ).forwarded(),
    "no-basic-constraints": OURS.issue(ca=None).forwarded(),
    "key-agreement-too": OURS.issue(
        usages=("digital_signature", "key_encipherment", "key_agreement")
    ).forwarded(),
    "dns-names-too": OURS.issue(
        names=[
            x509.DNSName("a.test"),
            x509.UniformResourceIdentifier(WORKLOAD),
            x509.DNSName("b.test"),
        ]
    ).forwarded(WORKLOAD),
    "rsa-key": OURS.issue(private=rsa.generate_private_key(65537, 2048)).forwarded(),
    "ed25519-key": OURS.issue(private=ed25519.Ed25519PrivateKey.generate()).forwarded(),
    "a-month-long": OURS.issue(ends=NOW + 30 * 86400).forwarded(),
}


@pytest.mark.parametrize("forwarded", GOOD.values(), ids=GOOD)
async def test_whatever_x509_svid_permits_is_good(forwarded: ForwardedCertificate) -> None:
    """SPIFFE X509-SVID §2, §3.1, §4; a certificate is no secret, so its age is not capped."""
    assert (await Domains().verify(forwarded)).claims.subject == WORKLOAD


@pytest.mark.parametrize(
    ("authority", "algorithm"),
    [(RSA, "sha256WithRSAEncryption"), (P384, "ecdsa-with-SHA256")],
    ids=["rsa", "p384"],
)
async def test_the_algorithm_is_the_issuers_signature(authority: Authority, algorithm: str) -> None:
    """House: evidence says by what it was believed."""
    verified = await Domains(ours=(authority,)).verify(authority.issue().forwarded())
    assert verified.claims.algorithm == algorithm


async def test_each_trust_domain_is_verified_by_its_own_authorities() -> None:
    """House: one set a trust domain, never a merged pool."""
    domains = Domains()
    for authority, name in ((OURS, WORKLOAD), (THEIRS, "spiffe://partner.test/agent/b")):
        verified = await domains.verify(authority.issue(name).forwarded(name))
        assert verified.claims.subject == name


# Bad ones.

FOREIGN = Authority()
"""Named as ours, with another key."""
LEAF = OURS.issue()
NOT_CA = Authority("not an authority", issuer=OURS, ca=False)
NO_SIGNING = Authority("may not sign", issuer=OURS, usages=("digital_signature",))
SHORT = Authority(path_length=0)
GONE = Authority("gone", issuer=OURS, begins=NOW - 7200, ends=NOW - 1)
BAD: dict[str, tuple[Issued | ForwardedCertificate, str]] = {
    "expired": (OURS.issue(begins=NOW - 3600, ends=NOW - 1), "certificate_expired"),
    "not-yet-valid": (OURS.issue(begins=NOW + 1), "certificate_not_yet_valid"),
    "another-hash": (OURS.issue().forwarded(Hash=LEAF.hash), "xfcc_hash_mismatch"),
    "appended-element": (
        ForwardedCertificate(f"{LEAF.text()},{OURS.issue().text()}", EDGE),
        "xfcc_several_elements",
    ),
    "quoted-injection": (
        OURS.issue("spiffe://corp.test/").forwarded(
            Subject=f'"CN=a,URI={WORKLOAD};Hash={LEAF.hash}"'
        ),
        "spiffe_id_path",
    ),
    "no-names": (OURS.issue(names=[NO_NAME]), "certificate_uri_missing"),
    "no-uri": (OURS.issue(names=[x509.DNSName("a.test")]), "certificate_uri_missing"),
    "two-uris": (OURS.issue(WORKLOAD, "spiffe://corp.test/b"), "certificate_uri_several"),
    "the-same-uri-twice": (OURS.issue(WORKLOAD, WORKLOAD), "certificate_uri_several"),
    "another-uri-too": (OURS.issue(WORKLOAD, "https://corp.test/a"), "certificate_uri_several"),
    "web-uri": (OURS.issue("https://corp.test/agent/a"), "spiffe_id_scheme"),
    "scheme-in-capitals": (OURS.issue("SPIFFE://corp.test/agent/a"), "spiffe_id_scheme"),
    "trust-domain-in-capitals": (
        OURS.issue("spiffe://CORP.test/agent/a"),
        "spiffe_id_trust_domain",
    ),
    "port": (OURS.issue("spiffe://corp.test:8443/agent/a"), "spiffe_id_trust_domain"),
    "dots": (OURS.issue("spiffe://corp.test/agent/../a"), "spiffe_id_path"),
    "encoded": (OURS.issue("spiffe://corp.test/agent/%61"), "spiffe_id_path"),
    "query": (OURS.issue("spiffe://corp.test/agent/a?b"), "spiffe_id_path"),
    "no-path": (OURS.issue("spiffe://corp.test"), "spiffe_id_path"),
    "terminator-read-another": (
        OURS.issue().forwarded("spiffe://corp.test/agent/b"),
        "certificate_uri_mismatch",
    ),
    "an-authority": (OURS.issue(ca=True), "certificate_is_authority"),
    "signs-certificates": (
        OURS.issue(usages=("digital_signature", "key_cert_sign")),
        "certificate_is_authority",
    ),
    "signs-revocations": (
        OURS.issue(usages=("digital_signature", "crl_sign")),
        "certificate_is_authority",
    ),
    "no-key-usage": (OURS.issue(usages=None), "certificate_key_usage"),
    "not-for-signatures": (OURS.issue(usages=("key_agreement",)), "certificate_key_usage"),
    "for-servers": (OURS.issue(extended=CLIENTS[:1]), "certificate_extended_key_usage"),
    "for-anything": (
        OURS.issue(extended=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
        "certificate_extended_key_usage",
    ),
    "unknown-trust-domain": (
        OURS.issue("spiffe://else.test/agent/a"),
        "certificate_trust_domain_unknown",
    ),
    "subdomain": (OURS.issue("spiffe://a.corp.test/agent/a"), "certificate_trust_domain_unknown"),
    "terminator-of-another-domain": (
        LEAF.forwarded(terminator="other"),
        "certificate_terminator_refused",
    ),
    "unknown-terminator": (LEAF.forwarded(terminator="none"), "certificate_terminator_refused"),
    "outside-the-prefixes": (
        OURS.issue("spiffe://corp.test/admin/a"),
        "certificate_subject_refused",
    ),
    "federated-authority-names-ours": (THEIRS.issue(WORKLOAD), "certificate_untrusted"),
    "ours-names-a-federated-one": (
        OURS.issue("spiffe://partner.test/agent/a"),
        "certificate_untrusted",
    ),
    "authority-of-our-name": (FOREIGN.issue(), "certificate_untrusted"),
    "self-made-chain": (FOREIGN.intermediate().issue(), "certificate_untrusted"),
    "chain-with-our-authority-after-it": (
        replace(FOREIGN.issue(), intermediates=(OURS.certificate,)),
        "certificate_untrusted",
    ),
    "intermediate-left-out": (
        replace(OURS.intermediate().issue(), intermediates=()),
        "certificate_untrusted",
    ),
    "signed-by-a-leaf": (NOT_CA.issue(), "certificate_untrusted"),
    "signed-by-what-may-not": (NO_SIGNING.issue(), "certificate_untrusted"),
    "intermediate-expired": (GONE.issue(), "certificate_untrusted"),
    "name-constraints": (
        OURS.intermediate(
            "constrained",
            extra=[
                (
                    x509.NameConstraints([x509.UniformResourceIdentifier("partner.test")], None),
                    True,
                )
            ],
        ).issue(),
        "certificate_untrusted",
    ),
    "unknown-critical-extension": (
        OURS.issue(
            extra=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.1"), b""), True)]
        ),
        "certificate_untrusted",
    ),
    "intermediate-that-is-not-one": (
        LEAF.forwarded(
            Chain=LEAF.text().partition('Cert="')[2].partition('"')[0]
            + "-----BEGIN%20CERTIFICATE-----%0AMAMCAQA%3D%0A-----END%20CERTIFICATE-----%0A"
        ),
        "certificate_untrusted",
    ),
}


@pytest.mark.parametrize(("issued", "code"), BAD.values(), ids=BAD)
async def test_a_bad_certificate_is_refused_with_its_own_code(
    issued: Issued | ForwardedCertificate, code: str
) -> None:
    """SPIFFE X509-SVID §5; RFC 5280 §6.1."""
    domains = Domains(subjects=("spiffe://corp.test/agent/", "spiffe://corp.test/b"))
    assert await domains.refused(issued) == code


def repeated() -> ForwardedCertificate:
    """Return a certificate with one extension twice, which no issuer's library writes."""
    kinds = [x509.ObjectIdentifier(f"1.3.6.1.4.1.{number}") for number in (1, 2)]
    issued = OURS.issue(extra=[(x509.UnrecognizedExtension(kind, b""), False) for kind in kinds])
    der = issued.certificate.public_bytes(Encoding.DER)
    first, second = (b"\x06\x06\x2b\x06\x01\x04\x01" + bytes([number]) for number in (1, 2))
    assert second in der
    der = der.replace(second, first)
    return forged(der)


def forged(der: bytes) -> ForwardedCertificate:
    """Return what a terminator would forward of these bytes."""
    body = base64.b64encode(der).decode()
    pem = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    text = f"Hash={hashlib.sha256(der).hexdigest()};Cert={quote(pem, safe='')}"
    return ForwardedCertificate(text, EDGE)


def raw(oid: x509.ObjectIdentifier, value: bytes) -> ForwardedCertificate:
    """Return a certificate in which an extension holds these bytes."""
    extra = [(x509.UnrecognizedExtension(oid, value), False)]
    return OURS.issue(names=[NO_NAME], usages=None, extra=extra).forwarded()


UNREADABLE = {
    "repeated-extension": repeated(),
    "names-that-are-none": raw(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x04\x00"),
    "names-of-another-kind": raw(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x02\xa3\x00"),
    "usage-that-is-none": raw(ExtensionOID.KEY_USAGE, b"\x04\x00"),
}


@pytest.mark.parametrize("forwarded", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_certificate_that_cannot_be_read_whole_is_refused(
    forwarded: ForwardedCertificate,
) -> None:
    """RFC 5280 §4.2: no extension twice; a refusal and not a failure."""
    assert await Domains().refused(forwarded) == "certificate_malformed"


async def test_a_changed_certificate_is_refused() -> None:
    """RFC 5280 §6.1.3: the digest is right and the signature is not."""
    der = LEAF.certificate.public_bytes(Encoding.DER)
    changed = der.replace(b"spiffe://corp.test/agent/a", b"spiffe://corp.test/agent/b")
    assert await Domains().refused(forged(changed)) == "certificate_untrusted"


async def test_a_federated_authority_names_nobody_of_ours_nor_ours_of_theirs() -> None:
    """House: identity §3; each domain's authorities are known and in force, and stay its own."""
    domains, partner = Domains(), "spiffe://partner.test/agent/b"
    await domains.verify(OURS.issue().forwarded())
    await domains.verify(THEIRS.issue(partner).forwarded())
    for issued in (THEIRS.issue(), THEIRS.intermediate().issue(), OURS.issue(partner)):
        assert await domains.refused(issued) == "certificate_untrusted"


async def test_a_path_is_no_longer_than_its_authority_allows() -> None:
    """RFC 5280 §4.2.1.9."""
    domains = Domains(ours=(SHORT,))
    assert (await domains.verify(SHORT.issue().forwarded())).claims.subject == WORKLOAD
    assert await domains.refused(SHORT.intermediate().issue()) == "certificate_untrusted"


async def test_an_authority_that_has_expired_itself_stands_behind_nobody() -> None:
    """RFC 5280 §6.1: SPIRE keeps its old authorities in the bundle for a while."""
    old = Authority(begins=NOW - 7200, ends=NOW - 1)
    assert await Domains(ours=(old,)).refused(old.issue()) == "certificate_untrusted"


async def test_a_bundle_without_authorities_verifies_nobody() -> None:
    """SPIFFE X509-SVID §6.2: that trust domain does not support X509-SVID."""
    assert await Domains(ours=()).refused(LEAF) == "certificate_untrusted"


async def test_without_a_bundle_nobody_is_refused_for_good() -> None:
    """House: an outage is a 503 and not the caller's fault."""
    with pytest.raises(IssuerUnavailable):
        await Domains(down=True).verify(LEAF.forwarded())


@pytest.mark.parametrize("name", BAD)
async def test_what_is_refused_is_refused_again(name: str) -> None:
    """House: nothing of a refusal is remembered as good."""
    issued, code = BAD[name]
    domains = Domains(subjects=("spiffe://corp.test/agent/", "spiffe://corp.test/b"))
    assert [await domains.refused(issued) for _ in range(2)] == [code] * 2


async def test_the_last_step_said_is_the_one_that_failed() -> None:
    """House: `bailiwick identity check` explains by the same code."""
    steps = Steps()
    with pytest.raises(CredentialRejected):
        await Domains().verify(THEIRS.issue(WORKLOAD).forwarded(WORKLOAD), steps)
    assert [title for title, _ in steps.taken] == [
        "the forwarded certificate is one, strictly spelled",
        "its SHA-256 is the one that the terminator took",
        "it holds now",
        "the certificate has exactly one URI",
        "the URI is a SPIFFE ID",
        "the terminator read the same URI",
        "it is a leaf, for signatures of a client",
        "its trust domain is configured",
        "the terminator may vouch for the trust domain",
        "the trust domain may vouch for the workload",
        "it chains to an authority of its own trust domain",
    ]
    assert not any("BEGIN" in finding for _, finding in steps.taken)


# Rotation.


async def test_a_new_authority_is_believed_as_soon_as_the_bundle_has_it() -> None:
    """House: rotation without a restart and without one refused good call."""
    domains, new = Domains(), Authority()
    await domains.verify(LEAF.forwarded())
    domains.ours = (OURS, new)
    domains.clock.advance(31)
    assert (await domains.verify(new.issue().forwarded())).claims.subject == WORKLOAD
    assert domains.fetches == 2


async def test_unknown_authorities_cause_one_fetch_and_no_more_for_half_a_minute() -> None:
    """House: identity §2, rule 3."""
    domains = Domains()
    await domains.verify(LEAF.forwarded())
    for _ in range(5):
        assert await domains.refused(Authority().issue()) == "certificate_untrusted"
    assert domains.fetches == 2


async def test_with_an_authority_taken_away_goes_what_it_stood_behind() -> None:
    """House: remembered identities fall with their authority, without a restart."""
    old, new = Authority(), Authority()
    domains = Domains(ours=(old, new))
    by_old, by_new = old.issue().forwarded(), new.issue().forwarded()
    first, second = await domains.verify(by_old), await domains.verify(by_new)
    await domains.replaced(new)
    assert (first.in_force(), second.in_force()) == (False, True)
    assert await domains.refused(by_old) == "certificate_untrusted"
    assert await domains.verify(by_new) is second
    await domains.replaced(new, old)
    assert (await domains.verify(by_old)).claims.subject == WORKLOAD


async def test_a_bundle_too_old_to_be_believed_takes_everybody_with_it() -> None:
    """House: identity §2, rule 4: stale for an hour at most."""
    domains = Domains()
    forwarded = OURS.issue(ends=NOW + 86400).forwarded()
    verified = await domains.verify(forwarded)
    domains.down = True
    domains.clock.advance(3600)
    assert verified.in_force()
    assert await domains.verify(forwarded) is verified
    domains.clock.advance(1)
    assert not verified.in_force()
    with pytest.raises(IssuerUnavailable):
        await domains.verify(forwarded)


# What is remembered.


async def verified_before(domains: Domains, forwarded: ForwardedCertificate) -> bool:
    """Verify, and say whether it was remembered."""
    steps = Steps()
    await domains.verify(forwarded, steps)
    return steps.taken[-1] == ("the certificate was verified before", WORKLOAD)


async def test_a_certificate_is_verified_once() -> None:
    """House: warm calls are cheap."""
    domains, forwarded = Domains(), LEAF.forwarded(WORKLOAD)
    assert [await verified_before(domains, forwarded) for _ in range(3)] == [False, True, True]


async def test_a_remembered_certificate_says_how_old_its_authorities_are_now() -> None:
    """House: identity §2, rule 4: shown in the record as key age."""
    domains, forwarded = Domains(), LEAF.forwarded()
    await domains.verify(forwarded)
    domains.clock.advance(40)
    assert (await domains.verify(forwarded)).current().key_age_seconds == 40


@pytest.mark.parametrize(
    ("seconds", "code"), [(3601, "certificate_expired"), (-61, "certificate_not_yet_valid")]
)
async def test_a_remembered_certificate_is_held_against_the_time_again(
    seconds: int, code: str
) -> None:
    """House: never past its end, nor before its beginning if the clock is set back."""
    domains, forwarded = Domains(), OURS.issue().forwarded()
    verified = await domains.verify(forwarded)
    domains.clock.advance(seconds)
    assert not verified.in_force()
    assert await domains.refused(forwarded) == code


async def test_a_remembered_certificate_ends_with_the_intermediate_above_it() -> None:
    """RFC 5280 §6.1.3: each certificate of the path is valid."""
    domains = Domains()
    forwarded = OURS.intermediate(begins=NOW - 60, ends=NOW + 10).issue().forwarded()
    verified = await domains.verify(forwarded)
    domains.clock.advance(10)
    assert verified.in_force()
    domains.clock.advance(1)
    assert not verified.in_force()
    assert await domains.refused(forwarded) == "certificate_untrusted"


async def test_a_remembered_certificate_is_vouched_for_by_its_own_terminator_only() -> None:
    """House: what one terminator may say, another may not."""
    domains = Domains()
    await domains.verify(LEAF.forwarded())
    refused = await domains.refused(LEAF.forwarded(terminator="other"))
    assert refused == "certificate_terminator_refused"


async def test_a_remembered_certificate_does_not_lend_its_name() -> None:
    """House: Hash and URI of the header are held against it each time."""
    domains = Domains()
    await domains.verify(LEAF.forwarded(WORKLOAD))
    other = OURS.issue("spiffe://corp.test/agent/b")
    assert await domains.refused(LEAF.forwarded("spiffe://corp.test/agent/b")) == (
        "certificate_uri_mismatch"
    )
    assert await domains.refused(other.forwarded(Hash=LEAF.hash)) == "xfcc_hash_mismatch"


async def test_the_least_recently_used_certificate_gives_way() -> None:
    """House: every memory has a bound."""
    domains = Domains(capacity=2)
    one, two, three = (OURS.issue().forwarded() for _ in range(3))
    for forwarded in (one, two, one, three):
        await domains.verify(forwarded)
    assert [await verified_before(domains, each) for each in (three, one, two)] == [
        True,
        True,
        False,
    ]


async def test_many_calls_at_once_come_to_the_same() -> None:
    """House: used concurrently by one event loop."""
    domains, found = Domains(), []

    async def call() -> None:
        found.append((await domains.verify(LEAF.forwarded(WORKLOAD))).claims)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(call)
    assert len(found) == 20
    assert len(set(map(repr, found))) == 1
    assert domains.fetches == 1
