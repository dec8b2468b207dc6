"""The development issuer: tokens for trying things on one machine.

Settings refuse it unless every listener is on loopback, so nothing it signs is worth anything
elsewhere. Its key is made by `bailiwick init` and never leaves its file. Does not verify tokens:
the authenticator treats it as one more issuer.
"""

import json
import os
import secrets
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from gateway.core.canonical import dumps
from gateway.core.errors import SettingsError
from gateway.settings import DevIssuer, Issuer

DEFAULT_LIFETIME_SECONDS: Final = 900
KEY_ID: Final = "dev"


def create_key(path: Path) -> None:
    """Write a new private key, readable by its owner only; an existing file is left alone.

    Raises:
        FileExistsError: there is a file already.
    """
    jwk = json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate()))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({**jwk, "kid": KEY_ID}, file)


def limits(dev: DevIssuer) -> Issuer:
    """Return the development issuer as the authenticator sees it."""
    return Issuer(
        issuer=dev.issuer,
        audience=dev.audience,
        jwks=str(dev.key),
        algorithms=("EdDSA",),
        types=("at+jwt",),
        subjects=dev.subjects,
    )


def public_keys(dev: DevIssuer) -> bytes:
    """Return the public key set.

    Raises:
        SettingsError: the key cannot be read.
    """
    public = {name: value for name, value in _private_jwk(dev).items() if name != "d"}
    return dumps({"keys": [{**public, "use": "sig", "alg": "EdDSA"}]})


def mint(dev: DevIssuer, subject: str, lifetime_seconds: int, now_seconds: int) -> str:
    """Return a signed access token (RFC 9068) for `subject`, a client that acts for itself.

    Raises:
        SettingsError: the key cannot be read.
    """
    try:
        key = jwt.PyJWK(_private_jwk(dev), algorithm="EdDSA").key
    except jwt.PyJWTError as exc:
        raise SettingsError(f"{dev.key}: not a private Ed25519 JWK") from exc
    claims = {
        "iss": dev.issuer,
        "aud": dev.audience,
        "sub": subject,
        "client_id": subject,
        "iat": now_seconds,
        "exp": now_seconds + lifetime_seconds,
        "jti": secrets.token_urlsafe(12),
    }
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"typ": "at+jwt", "kid": KEY_ID})


def _private_jwk(dev: DevIssuer) -> dict[str, Any]:
    try:
        jwk = json.loads(dev.key.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise SettingsError(
            f"{dev.key}: the development issuer's key cannot be read; `bailiwick init` makes one"
        ) from exc
    if not isinstance(jwk, dict) or jwk.get("kty") != "OKP" or "d" not in jwk:
        raise SettingsError(f"{dev.key}: not a private Ed25519 JWK")
    return jwk
