from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.identity.jws import to_base64url
from gateway.identity.proof_key import ALGORITHMS, read, thumbprint_of
from tests.unit.identity.keys import ED25519, P256, P384, RSA, jwk
from tests.unit.identity.proofs import SIGNERS, public

RFC_7638_KEY = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1"
    "L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4"
    "QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbO"
    "pbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csF"
    "Cur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
RFC_8037_KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
RFC_9449_KEY = {
    "kty": "EC",
    "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    "crv": "P-256",
}


@pytest.mark.parametrize(
    ("key", "algorithm", "thumbprint"),
    [
        (RFC_7638_KEY, "RS256", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (RFC_8037_KEY, "EdDSA", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        (RFC_9449_KEY, "ES256", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
    ],
    ids=["rsa", "okp", "ec"],
)
def test_a_thumbprint_is_the_one_that_the_standards_print(
    key: dict[str, Any], algorithm: str, thumbprint: str
) -> None:
    """RFC 7638 §3.1; RFC 8037 appendix A.3; RFC 9449 §6.1."""
    read(key, algorithm)
    assert thumbprint_of(key) == thumbprint


def test_a_proof_may_be_signed_by_asymmetric_algorithms_only() -> None:
    """RFC 9449 §4.3 no. 5; RFC 8725 §3.1."""
    assert {"ES256", "ES384", "EdDSA", "PS256", "RS256"} == ALGORITHMS


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_a_key_is_read_for_each_algorithm_that_its_kind_has(algorithm: str) -> None:
    """RFC 7518 §3.1; RFC 8037 §3.1."""
    key = public(SIGNERS[algorithm])
    assert read(key, algorithm).algorithm_name == algorithm


OTHER_KINDS = [
    (algorithm, of)
    for algorithm in SIGNERS
    for of in SIGNERS
    if SIGNERS[of] is not SIGNERS[algorithm]
]


@pytest.mark.parametrize(("algorithm", "of"), OTHER_KINDS)
def test_a_key_of_another_kind_is_refused(algorithm: str, of: str) -> None:
    """RFC 8725 §3.1."""
    with pytest.raises(ValueError, match="not exactly"):
        read(public(SIGNERS[of]), algorithm)


def test_what_key_libraries_add_to_a_public_key_harms_nothing() -> None:
    """RFC 7517 §4; Web Cryptography API §18.4.4 (`ext`)."""
    added = public(P256, kid="a", use="sig", alg="ES256", key_ops=["verify"], ext=True)
    assert read(added, "ES256").key.public_numbers() == P256.public_key().public_numbers()
    assert thumbprint_of(added) == thumbprint_of(public(P256))


def rsa_key(bits: int, exponent: int = 65537) -> dict[str, Any]:
    """Return an RSA key that looks right, of any size; nobody needs its factors."""
    modulus = (1 << bits - 1 | 1).to_bytes((bits + 7) // 8, "big")
    length = (exponent.bit_length() + 7) // 8
    return {
        "kty": "RSA",
        "n": to_base64url(modulus),
        "e": to_base64url(exponent.to_bytes(length, "big")),
    }


EC = public(P256)
REFUSED: dict[str, tuple[Any, str]] = {
    "none": (None, "ES256"),
    "text": ("key", "ES256"),
    "list": ([EC], "ES256"),
    "empty": ({}, "ES256"),
    "kty-list": (EC | {"kty": ["EC"]}, "ES256"),
    "kty-case": (EC | {"kty": "ec"}, "ES256"),
    "private-ec": (
        {name: value for name, value in jwk(P256, "a", secret=True).items() if name != "kid"},
        "ES256",
    ),
    "private-rsa": (jwk(RSA, "a", secret=True), "PS256"),
    "private-ed25519": (jwk(ED25519, "a", secret=True), "EdDSA"),
    "private-null": (EC | {"d": None}, "ES256"),
    "symmetric": ({"kty": "oct", "k": "AAAA"}, "ES256"),
    "certificates": (EC | {"x5c": ["AAAA"]}, "ES256"),
    "certificate-hash": (EC | {"x5t#S256": "AAAA"}, "ES256"),
    "place-of-certificates": (EC | {"x5u": "https://issuer.test/"}, "ES256"),
    "something-else": (EC | {"other": 1}, "ES256"),
    "encryption": (EC | {"use": "enc"}, "ES256"),
    "use-null": (EC | {"use": None}, "ES256"),
    "other-algorithm": (public(RSA, alg="RS256"), "PS256"),
    "signing-only": (EC | {"key_ops": ["sign"]}, "ES256"),
    "operations-text": (EC | {"key_ops": "verify"}, "ES256"),
    "no-y": ({name: value for name, value in EC.items() if name != "y"}, "ES256"),
    "x-number": (EC | {"x": 5}, "ES256"),
    "x-null": (EC | {"x": None}, "ES256"),
    "padded": (EC | {"x": EC["x"] + "="}, "ES256"),
    "spare-bits": (EC | {"x": EC["x"][:-1] + chr(ord(EC["x"][-1]) + 1)}, "ES256"),
    "not-on-the-curve": (EC | {"x": "A" * 43, "y": "A" * 43}, "ES256"),
    "short-point": (EC | {"x": "AA", "y": "AA"}, "ES256"),
    "non-ascii": (EC | {"x": "é" * 43}, "ES256"),
    "p521": (public(ec.generate_private_key(ec.SECP521R1())), "ES256"),
    "secp256k1": (public(ec.generate_private_key(ec.SECP256K1())), "ES256"),
    "short-ed25519": (public(ED25519, x="AA"), "EdDSA"),
    "weak-rsa": (public(rsa.generate_private_key(65537, 1024)), "RS256"),
    "huge-rsa": (rsa_key(4104), "RS256"),
    "long-exponent": (rsa_key(2048, 2**32 + 1), "RS256"),
    "small-exponent": (rsa_key(2048, 3), "RS256"),
    "empty-modulus": (public(RSA, n=""), "RS256"),
}


@pytest.mark.parametrize(("key", "algorithm"), REFUSED.values(), ids=REFUSED)
def test_anything_but_a_plain_strong_public_key_is_refused(key: Any, algorithm: str) -> None:
    """RFC 9449 §4.2, §4.3 no. 7; House: no certificates, no weak keys, none dear to check."""
    with pytest.raises(ValueError, match="."):
        read(key, algorithm)


def test_the_largest_key_that_is_taken_has_4096_bits() -> None:
    """House."""
    assert read(rsa_key(4096), "RS256").key.key_size == 4096
    assert read(public(P384), "ES384").key.key_size == 384
