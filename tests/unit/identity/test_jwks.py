from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.core.errors import IssuerUnavailable
from gateway.identity.jwks import MAX_BYTES, MAX_KEYS, KeySet, VerificationKey, read_key_set
from tests.unit.identity.keys import ED25519, P256, P384, RSA, encode, jwk, key_set

KEY = jwk(P256, "a")
READ = VerificationKey(KEY, ("ES256",))
SET = key_set(KEY)


def test_each_key_may_verify_only_what_its_kind_can() -> None:
    """RFC 7518 §3.1; RFC 8725 §3.1."""
    keys = [jwk(RSA, "r"), jwk(P256, "2"), jwk(P384, "3"), jwk(ED25519, "e")]
    assert read_key_set(key_set(*keys, other=1)).keys == {
        "r": VerificationKey(keys[0], ("RS256", "PS256")),
        "2": VerificationKey(keys[1], ("ES256",)),
        "3": VerificationKey(keys[2], ("ES384",)),
        "e": VerificationKey(keys[3], ("EdDSA",)),
    }


def test_a_key_that_names_its_algorithm_has_no_other() -> None:
    """RFC 7517 §4.4."""
    key = jwk(RSA, "r", alg="PS256")
    assert read_key_set(key_set(key)).keys == {"r": VerificationKey(key, ("PS256",))}


WEAK = rsa.generate_private_key(65537, 1024)
UNUSABLE: dict[str, Any] = {
    "symmetric": {"kty": "oct", "k": "AAAA", "kid": "b"},
    "symmetric-with-alg": {"kty": "oct", "k": "AAAA", "kid": "b", "alg": "HS256"},
    "symmetric-named-for-rsa": {"kty": "oct", "k": "AAAA", "kid": "b", "alg": "RS256"},
    "weak-rsa": jwk(WEAK, "b"),
    "private-ec": jwk(P256, "b", secret=True),
    "private-rsa": jwk(RSA, "b", secret=True),
    "private-ed25519": jwk(ED25519, "b", secret=True),
    "p521": jwk(ec.generate_private_key(ec.SECP521R1()), "b"),
    "secp256k1": jwk(ec.generate_private_key(ec.SECP256K1()), "b"),
    "x25519": {"kty": "OKP", "crv": "X25519", "x": "A" * 43, "kid": "b"},
    "not-on-the-curve": {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43, "kid": "b"},
    "short-point": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "b"},
    "no-point": {"kty": "EC", "crv": "P-256", "kid": "b"},
    "number-for-point": jwk(P256, "b", x=5),
    "no-modulus": {"kty": "RSA", "e": "AQAB", "kid": "b"},
    "number-for-modulus": jwk(RSA, "b", n=5),
    "list-for-modulus": jwk(RSA, "b", n=[]),
    "empty-modulus": jwk(RSA, "b", n=""),
    "even-exponent": jwk(RSA, "b", e="AA"),
    "rsa-with-curve": jwk(RSA, "b", crv="P-256"),
    "huge-modulus": jwk(RSA, "b", n=encode(bytes([255]) * 1025)),
    "huge-exponent": jwk(RSA, "b", e=encode(bytes([1]) * 5)),
    "short-ed25519": jwk(ED25519, "b", x="AA"),
    "encryption": jwk(P256, "b", use="enc"),
    "signing-only": jwk(P256, "b", key_ops=["sign"]),
    "other-alg": jwk(P256, "b", alg="RS256"),
    "other-kty": jwk(P256, "b", kty="RSA"),
    "other-kty-case": jwk(P256, "b", kty="ec"),
    "no-kid": {name: value for name, value in KEY.items() if name != "kid"},
    "kid-number": KEY | {"kid": 1},
    "kid-null": KEY | {"kid": None},
    "use-null": jwk(P256, "b", use=None),
    "use-other-case": jwk(P256, "b", use="SIG"),
    "use-list": jwk(P256, "b", use=["sig"]),
    "svid": jwk(P256, "b", use="jwt-svid"),
    "key-ops-text": jwk(P256, "b", key_ops="verify"),
    "no-kty": {name: value for name, value in KEY.items() if name != "kty"} | {"kid": "b"},
    "kty-list": jwk(P256, "b", kty=["EC"]),
    "empty": {},
    "text": "b",
    "null": None,
    "list": [KEY],
}


@pytest.mark.parametrize("unusable", UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_that_cannot_verify_for_us_is_left_out_and_harms_no_other(unusable: Any) -> None:
    """RFC 7517 §5; House: symmetric, private and weak keys prove nothing."""
    assert read_key_set(key_set(unusable, KEY)).keys == {"a": READ}
    assert read_key_set(key_set(unusable)).keys == {}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys":null}',
        b'{"keys":{}}',
        b'{"keys":"a"}',
        b'{"Keys":[]}',
        b'{"keys":[],"keys":[]}',
        b"\xef\xbb\xbf" + SET,
        SET.decode().encode("utf-16"),
        SET + SET,
        SET[:-1],
        b'{"keys":[{"kid":"a","kid":"b"}]}',
        b"<html></html>",
        key_set(KEY, KEY),
        key_set(KEY, jwk(ED25519, "a")),
        key_set(*({} for _ in range(MAX_KEYS + 1))),
        key_set(KEY).ljust(MAX_BYTES + 1),
    ],
    ids=[
        "nothing",
        "null",
        "list",
        "no-keys",
        "null-keys",
        "object-keys",
        "text-keys",
        "other-case",
        "keys-twice",
        "bom",
        "utf-16",
        "two-documents",
        "cut",
        "member-twice",
        "html",
        "kid-twice",
        "kid-twice-other-kind",
        "65-keys",
        "too-large",
    ],
)
def test_what_is_no_bounded_strict_key_set_is_refused(document: bytes) -> None:
    """RFC 7517 §5; House: 64 keys, 256 KiB."""
    with pytest.raises(IssuerUnavailable):
        read_key_set(document)


def test_a_key_set_may_be_as_large_as_the_limits() -> None:
    """House."""
    assert MAX_KEYS == 64
    assert MAX_BYTES == 256 * 1024
    assert len(read_key_set(key_set(*(jwk(P256, str(kid)) for kid in range(64)))).keys) == 64
    assert read_key_set(SET.ljust(MAX_BYTES)).keys == {"a": READ}


def test_two_keys_of_one_kid_are_refused_only_if_both_could_verify() -> None:
    """House: an encryption key may share its signing key's id."""
    assert read_key_set(key_set(KEY, jwk(RSA, "a", use="enc"))).keys == {"a": READ}


def test_a_modulus_of_8192_bits_is_the_largest() -> None:
    """House: each token would pay for a larger one."""
    modulus = encode(bytes([255]) * 1024)
    assert list(read_key_set(key_set(jwk(RSA, "b", n=modulus))).keys) == ["b"]


# Trust bundles.

SVID = jwk(P256, "a", use="jwt-svid")


def test_a_bundle_gives_the_keys_of_exactly_the_wanted_use() -> None:
    """SPIFFE Trust Domain and Bundle §4.2.2: consumers select by use."""
    other = [jwk(RSA, "1"), jwk(RSA, "2", use="sig"), jwk(RSA, "3", use="x509-svid")]
    assert read_key_set(key_set(*other, SVID), "jwt-svid").keys == {
        "a": VerificationKey(SVID, ("ES256",))
    }


@pytest.mark.parametrize("use", [None, "sig", "x509-svid", "JWT-SVID", "jwt-svid ", ["jwt-svid"]])
def test_a_bundle_key_of_another_use_is_left_out(use: Any) -> None:
    """SPIFFE Trust Domain and Bundle §4.2.2."""
    assert read_key_set(key_set(SVID | {"use": use}), "jwt-svid").keys == {}


def test_a_bundle_key_without_use_or_without_kid_is_left_out() -> None:
    """SPIFFE Trust Domain and Bundle §4.2.2; SPIFFE JWT-SVID §4.1: keys are found by kid."""
    for missing in ("use", "kid"):
        lacking = {name: value for name, value in SVID.items() if name != missing}
        assert read_key_set(key_set(lacking), "jwt-svid").keys == {}


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [
        (300, 300.0),
        (0.5, 0.5),
        (0, None),
        (-1, None),
        (True, None),
        ("300", None),
        (None, None),
        ([300], None),
    ],
)
def test_a_refresh_hint_is_a_positive_number_or_none(hint: Any, seconds: float | None) -> None:
    """SPIFFE Trust Domain and Bundle §4.1.2."""
    document = key_set(SVID, spiffe_refresh_hint=hint)
    assert read_key_set(document, "jwt-svid").refresh_seconds == seconds


def test_a_key_set_without_a_hint_has_none() -> None:
    """House."""
    assert read_key_set(SET) == KeySet({"a": READ})


def test_keys_are_equal_when_they_verify_the_same() -> None:
    """House: a key that is still in the set is the same key, whenever it was read."""
    again = read_key_set(SET.replace(b" ", b"")).keys["a"]
    assert again == read_key_set(SET).keys["a"] == READ
    assert again != VerificationKey(KEY, ())
