"""Keys and tokens made at test time; nothing here is ever committed as a file."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.test"
AUDIENCE = "bailiwick"
NOW = 1_800_000_000
"""Seconds; where `FakeClock` starts."""

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
KEYS: Mapping[str, Private] = {"rsa": RSA, "p256": P256, "p384": P384, "ed": ED25519}


def jwk(private: Private, kid: str, *, secret: bool = False, **members: Any) -> dict[str, Any]:
    """Return the JWK of a key, public unless asked."""
    key: Any = private if secret else private.public_key()
    if isinstance(private, rsa.RSAPrivateKey):
        text = RSAAlgorithm.to_jwk(key)
    elif isinstance(private, ec.EllipticCurvePrivateKey):
        text = ECAlgorithm.to_jwk(key)
    else:
        text = OKPAlgorithm.to_jwk(key)
    plain = {name: value for name, value in json.loads(text).items() if name != "key_ops"}
    return plain | {"kid": kid} | members


def key_set(*keys: Any, **members: Any) -> bytes:
    """Return a JWK set."""
    return json.dumps({"keys": list(keys), **members}).encode()


ALL_KEYS = key_set(*(jwk(private, kid) for kid, private in KEYS.items()))


def payload(*without: str, **members: Any) -> dict[str, Any]:
    """Return a good payload with members left out or replaced."""
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "spiffe://corp.test/agent/a",
        "iat": NOW - 10,
        "exp": NOW + 600,
    }
    return {name: value for name, value in (good | members).items() if name not in without}


def encode(raw: bytes) -> str:
    """Return canonical base64url."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(header: bytes, body: bytes, private: Any, algorithm: str) -> str:
    """Return a compact JWS over exactly these bytes."""
    text = f"{encode(header)}.{encode(body)}"
    signer = jwt.get_algorithm_by_name(algorithm)
    return f"{text}.{encode(signer.sign(text.encode(), private))}"


def token(
    claims: Mapping[str, Any] | None = None,
    algorithm: str = "ES256",
    kid: str = "p256",
    private: Private | None = None,
    **header: Any,
) -> str:
    """Return a signed token, good unless said otherwise; a header member of None is left out."""
    members = {"alg": algorithm, "kid": kid, "typ": "at+jwt"} | header
    written = {name: value for name, value in members.items() if value is not None}
    return sign(
        json.dumps(written).encode(),
        json.dumps(payload() if claims is None else claims).encode(),
        private or KEYS[kid],
        algorithm,
    )
