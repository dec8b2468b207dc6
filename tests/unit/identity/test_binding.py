import base64
import hashlib
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.claims import Certificate, Claims, ForwardedCertificate
from gateway.core.errors import CredentialRejected, ProofWanted
from gateway.identity.binding import bound_to_certificate, presented, thumbprint
from gateway.identity.steps import Steps
from tests.fakes_clock import FakeClock
from tests.unit.identity.certificates import EDGE, Authority, Issued
from tests.unit.identity.keys import NOW

AUTHORITY = Authority()
ISSUED = AUTHORITY.issue()
DER = ISSUED.certificate.public_bytes(Encoding.DER)
CERTIFICATE = Certificate(f"sha256:{ISSUED.hash}", EDGE, NOW + 3600)


def shown(
    forwarded: ForwardedCertificate, after: float = 0, steps: Steps | None = None
) -> Certificate:
    """Return the certificate that came forwarded, so many seconds from now."""
    clock = FakeClock()
    clock.advance(after)
    return presented(forwarded, clock, steps or Steps())


def refused(forwarded: ForwardedCertificate, after: float = 0) -> str:
    """Return the code that a forwarded certificate is refused with."""
    with pytest.raises(CredentialRejected) as caught:
        shown(forwarded, after)
    return caught.value.reason_code


def bound(confirmation: dict[str, str] | None) -> Claims:
    """Return the claims of a token that is bound so."""
    return Claims(
        subject="a",
        issuer="https://issuer.test",
        audience="bailiwick",
        issued_at=NOW,
        expires_at=NOW + 600,
        scheme="jwt",
        algorithm="ES256",
        key_id=None,
        token_id=None,
        token_digest=None,
        confirmation=confirmation,
    )


# The certificate that came forwarded.


def test_a_forwarded_certificate_is_known_by_its_digest_and_its_terminator() -> None:
    """House: an identity is only as good as who vouched."""
    assert shown(ISSUED.forwarded(terminator="other")) == Certificate(
        f"sha256:{hashlib.sha256(DER).hexdigest()}", "other", NOW + 3600
    )


@pytest.mark.parametrize(
    "issued",
    [
        Authority("nobody knows it").issue(),
        AUTHORITY.issue(names=[], ca=True),
        Issued(AUTHORITY.certificate, AUTHORITY.private),
    ],
    ids=["unknown-authority", "an-authority", "self-signed"],
)
def test_any_certificate_that_the_terminator_let_in_can_be_presented(issued: Issued) -> None:
    """RFC 8705 §2.2: self-signed ones too; binding needs a key and no name."""
    assert shown(issued.forwarded()).digest == f"sha256:{issued.hash}"


@pytest.mark.parametrize("seconds", [-60, 0, 3600])
def test_a_certificate_holds_from_its_first_second_to_its_last(seconds: int) -> None:
    """RFC 5280 §4.1.2.5: both ends are within."""
    assert shown(ISSUED.forwarded(), seconds) == CERTIFICATE


@pytest.mark.parametrize(
    ("seconds", "code"), [(-61, "not_yet_valid"), (3601, "expired"), (10**7, "expired")]
)
def test_a_certificate_is_held_against_the_time_of_each_request(seconds: int, code: str) -> None:
    """House: connections outlive certificates; identity §3."""
    assert shown(ISSUED.forwarded()) == CERTIFICATE
    assert refused(ISSUED.forwarded(), seconds) == f"certificate_{code}"


def test_a_certificate_with_anothers_hash_is_refused() -> None:
    """House: identity §3; one of the two was put in by somebody else."""
    other = AUTHORITY.issue().hash
    assert refused(ISSUED.forwarded(Hash=other)) == "xfcc_hash_mismatch"


def test_what_is_no_certificate_is_refused() -> None:
    """House: base64 of anything else has a digest too."""
    raw = b"\x30\x03\x02\x01\x00"
    pem = "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n"
    text = f"Hash={hashlib.sha256(raw).hexdigest()};Cert={quote(pem, safe='')}"
    assert refused(ForwardedCertificate(text, EDGE)) == "certificate_malformed"


def test_a_header_that_cannot_be_read_is_refused_each_time() -> None:
    """House: refusals are not remembered, nor is anything believed the second time."""
    doubled = ForwardedCertificate(f"{ISSUED.text()},{ISSUED.text()}", EDGE)
    assert [refused(doubled) for _ in range(3)] == ["xfcc_several_elements"] * 3


def test_the_steps_say_what_is_looked_at_and_not_the_certificate() -> None:
    """House: the last step said is the one that failed."""
    steps = Steps()
    with pytest.raises(CredentialRejected):
        shown(ISSUED.forwarded(), 3601, steps)
    assert steps.taken == [
        ("the forwarded certificate is one, strictly spelled", EDGE),
        ("its SHA-256 is the one that the terminator took", CERTIFICATE.digest),
        ("it holds now", f"{NOW - 60} to {NOW + 3600}, now {NOW + 3601}"),
    ]


# Tokens that are bound to it.


def test_the_thumbprint_of_rfc_8705_is_the_digest_in_base64url() -> None:
    """RFC 8705 §3.1."""
    expected = base64.urlsafe_b64encode(hashlib.sha256(DER).digest()).decode().rstrip("=")
    assert thumbprint(CERTIFICATE.digest) == expected


def test_a_bound_token_is_good_with_its_certificate() -> None:
    """RFC 8705 §3."""
    claims = bound({"x5t#S256": thumbprint(CERTIFICATE.digest)})
    bound_to_certificate(claims, shown(ISSUED.forwarded()), Steps())


def test_a_bound_token_without_any_certificate_is_refused() -> None:
    """RFC 8705 §3: the resource server must; no DPoP proof would help."""
    steps = Steps()
    with pytest.raises(CredentialRejected) as caught:
        bound_to_certificate(bound({"x5t#S256": thumbprint(CERTIFICATE.digest)}), None, steps)
    assert caught.value.reason_code == "certificate_required"
    assert not isinstance(caught.value, ProofWanted)
    assert steps.taken == [
        (
            "the client certificate that the token is bound to came with it",
            thumbprint(CERTIFICATE.digest),
        )
    ]


@pytest.mark.parametrize(
    "value",
    ["", ISSUED.hash, CERTIFICATE.digest, f"{thumbprint(CERTIFICATE.digest)}=", "\u00e9" * 43],
    ids=["empty", "hexadecimal", "digest", "padded", "not-ascii"],
)
def test_another_spelling_is_another_certificate(value: str) -> None:
    """RFC 8705 §3.1: base64url without padding."""
    with pytest.raises(CredentialRejected) as caught:
        bound_to_certificate(bound({"x5t#S256": value}), CERTIFICATE, Steps())
    assert caught.value.reason_code == "certificate_mismatch"


def test_a_bound_token_with_anothers_certificate_is_refused() -> None:
    """RFC 8705 §3: a stolen token comes over the thief's connection."""
    claims = bound({"x5t#S256": thumbprint(CERTIFICATE.digest)})
    with pytest.raises(CredentialRejected) as caught:
        bound_to_certificate(claims, shown(AUTHORITY.issue().forwarded()), Steps())
    assert caught.value.reason_code == "certificate_mismatch"


@pytest.mark.parametrize("confirmation", [None, {"jkt": "x"}], ids=["none", "dpop"])
def test_a_token_that_is_not_bound_to_a_certificate_needs_none(
    confirmation: dict[str, str] | None,
) -> None:
    """RFC 8705 §3: only `x5t#S256` binds to one."""
    steps = Steps()
    bound_to_certificate(bound(confirmation), None, steps)
    assert steps.taken == []
