import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.errors import IssuerUnavailable
from gateway.identity.trust_bundle import BundleReader, read_bundle
from tests.unit.identity.certificates import Authority
from tests.unit.identity.keys import key_set
from tests.unit.identity.spiffe import jwt_key, x509_key

ROOT = Authority()
NEXT = Authority("corp.test, next")
DER = ROOT.certificate.public_bytes(Encoding.DER)


def test_a_bundle_has_keys_authorities_a_sequence_and_a_hint() -> None:
    """SPIFFE Trust Domain and Bundle §4.1, §4.2."""
    document = key_set(
        jwt_key("p256"),
        jwt_key("rsa"),
        x509_key(ROOT.certificate),
        x509_key(NEXT.certificate),
        spiffe_sequence=7,
        spiffe_refresh_hint=60,
    )
    bundle = read_bundle(document)
    assert list(bundle.jwt.keys) == ["p256", "rsa"]
    assert bundle.x509 == (ROOT.certificate, NEXT.certificate)
    assert (bundle.sequence, bundle.refresh_seconds) == (7, 60)


def test_a_bundle_with_one_kind_of_keys_is_enough() -> None:
    """JWT-SVID §6.2; X509-SVID §6.2: the trust domain does not support the other one."""
    jwt, x509 = read_bundle(key_set(jwt_key())), read_bundle(key_set(x509_key(ROOT.certificate)))
    assert (list(jwt.jwt.keys), jwt.x509) == (["p256"], ())
    assert (list(x509.jwt.keys), x509.x509) == ([], (ROOT.certificate,))
    assert (jwt.sequence, jwt.refresh_seconds) == (None, None)


@pytest.mark.parametrize("use", ["sig", "enc", "wit-svid", "JWT-SVID", "x509-svid", "", None, 1])
def test_a_key_is_for_jwt_svids_only_if_its_use_says_exactly_that(use: Any) -> None:
    """SPIFFE Trust Domain and Bundle §4.2.2."""
    assert list(read_bundle(key_set(jwt_key("rsa"), jwt_key(use=use))).jwt.keys) == ["rsa"]
    absent = jwt_key()
    del absent["use"]
    assert list(read_bundle(key_set(jwt_key("rsa"), absent)).jwt.keys) == ["rsa"]


@pytest.mark.parametrize("use", ["sig", "wit-svid", "X509-SVID", "jwt-svid", "", None, 1])
def test_a_certificate_is_an_authoritys_only_if_its_use_says_exactly_that(use: Any) -> None:
    """SPIFFE Trust Domain and Bundle §4.2.2."""
    other = x509_key(NEXT.certificate, use=use)
    assert read_bundle(key_set(x509_key(ROOT.certificate), other)).x509 == (ROOT.certificate,)
    del other["use"]
    assert read_bundle(key_set(x509_key(ROOT.certificate), other)).x509 == (ROOT.certificate,)


@pytest.mark.parametrize("entry", ["text", 1, None, [], {"kty": "new", "use": "new-svid"}])
def test_what_is_not_understood_is_ignored(entry: Any) -> None:
    """SPIFFE Trust Domain and Bundle §4.1.3."""
    assert list(read_bundle(key_set(entry, jwt_key())).jwt.keys) == ["p256"]


@pytest.mark.parametrize("chain", [None, []], ids=["null", "empty"])
def test_an_authority_without_a_certificate_is_ignored(chain: Any) -> None:
    """X509-SVID §6.2."""
    entry = {"kty": "EC", "use": "x509-svid", "x5c": chain}
    bundle = read_bundle(key_set(entry, {"kty": "EC", "use": "x509-svid"}, jwt_key()))
    assert (list(bundle.jwt.keys), bundle.x509) == (["p256"], ())


CHAINS: dict[str, Any] = {
    "two": [b64encode(DER).decode()] * 2,
    "text": b64encode(DER).decode(),
    "object": {"0": b64encode(DER).decode()},
    "number": [1],
    "no certificate": ["AAAA"],
    "base64url": [urlsafe_b64encode(b"\xff\xff\xff" + DER).decode()],
    "padding": [b64encode(DER).decode().rstrip("=") + "!"],
    "pem": [ROOT.pem],
    "in lines": [b64encode(DER).decode()[:64] + "\n" + b64encode(DER).decode()[64:]],
    "half": [b64encode(DER[:-20]).decode()],
    "with a tail": [b64encode(DER + b"\x00").decode()],
}


@pytest.mark.parametrize("name", CHAINS)
def test_an_authority_is_exactly_one_certificate(name: str) -> None:
    """X509-SVID §6.1; RFC 7517 §4.7: base64 of DER."""
    entry = x509_key(ROOT.certificate, x5c=CHAINS[name])
    with pytest.raises(IssuerUnavailable, match="x509-svid key"):
        read_bundle(key_set(jwt_key(), entry))


def test_a_workloads_certificate_is_no_authority() -> None:
    """X509-SVID §3.2: else any workload could name any other."""
    for certificate in (
        ROOT.issue().certificate,
        ROOT.issue(ca=None).certificate,
        Authority(ca=False).certificate,
    ):
        with pytest.raises(IssuerUnavailable, match="cannot be read|no authority"):
            read_bundle(key_set(jwt_key(), x509_key(certificate)))


def test_an_authority_that_another_one_signed_is_refused() -> None:
    """X509-SVID §6.1: self-signed; a bundle holds what trust begins with."""
    impostor = Authority(issuer=Authority())
    for certificate in (ROOT.intermediate().certificate, impostor.certificate):
        with pytest.raises(IssuerUnavailable, match="not self-signed"):
            read_bundle(key_set(jwt_key(), x509_key(certificate)))


def test_an_authority_with_a_key_of_another_kind_is_read() -> None:
    """House: what may verify is for the verifier of certificates to say."""
    root = Authority(private=ec.generate_private_key(ec.SECP384R1()))
    assert read_bundle(key_set(x509_key(root.certificate))).x509 == (root.certificate,)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[],"keys":[]}',
        key_set(jwt_key(use="sig")),
        key_set({"kty": "EC", "use": "x509-svid"}),
        key_set(*[jwt_key()] * 65),
        key_set(jwt_key(), jwt_key()),
        key_set(jwt_key(), padding="x" * 256 * 1024),
    ],
    ids=[
        "nothing",
        "list",
        "no-keys",
        "object",
        "empty",
        "twice",
        "use",
        "x5c",
        "65",
        "kid",
        "big",
    ],
)
def test_a_document_without_keys_for_svids_or_out_of_bounds_is_refused(document: bytes) -> None:
    """House: an empty bundle would lock everybody out, or let anything be believed later."""
    with pytest.raises(IssuerUnavailable):
        read_bundle(document)


@pytest.mark.parametrize("sequence", [-1, 1.5, "7", True, [7]])
def test_a_sequence_that_is_no_number_is_refused(sequence: Any) -> None:
    """SPIFFE Trust Domain and Bundle §4.1.1."""
    with pytest.raises(IssuerUnavailable, match="spiffe_sequence"):
        read_bundle(key_set(jwt_key(), spiffe_sequence=sequence))


def numbered(sequence: int | None, name: str = "p256") -> bytes:
    """Return a bundle; without a number if that is None."""
    members = json.loads(key_set(jwt_key(name)))
    return json.dumps(
        members if sequence is None else members | {"spiffe_sequence": sequence}
    ).encode()


def test_a_bundle_does_not_go_back() -> None:
    """SPIFFE Trust Domain and Bundle §4.1.1: a key that was taken away stays away."""
    read = BundleReader()
    assert read(numbered(7)).sequence == 7
    assert read(numbered(9, "rsa")).sequence == 9
    for older in (8, 7, 0):
        with pytest.raises(IssuerUnavailable, match="older"):
            read(numbered(older))
    assert list(read(numbered(9, "rsa")).jwt.keys) == ["rsa"]
    assert list(read(numbered(10, "ed")).jwt.keys) == ["ed"]


def test_a_bundle_that_is_refused_does_not_count() -> None:
    """House: else one damaged document would lock out all that come after."""
    read = BundleReader()
    read(numbered(7))
    with pytest.raises(IssuerUnavailable):
        read(key_set(spiffe_sequence=1000))
    assert read(numbered(8)).sequence == 8


def test_a_publisher_that_does_not_count_is_read_each_time() -> None:
    """SPIFFE Trust Domain and Bundle §4.1.1: SHOULD be set."""
    read = BundleReader()
    for sequence in (None, None, 3, None, 3):
        assert read(numbered(sequence)).sequence == sequence


def test_each_reader_counts_for_itself() -> None:
    """House: one trust domain's number says nothing of another's."""
    assert BundleReader()(numbered(9)).sequence == 9
    assert BundleReader()(numbered(1)).sequence == 1
