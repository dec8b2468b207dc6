"""The key that signs policy bundles: OPA's signatures (RFC 7515 compact JWS), made and verified.

Algorithm, key, key id and scope are fixed by settings, never by what the signature says: a header
that names another algorithm, a key of its own or an extension is refused. Asymmetric keys only, RSA
from 2048 bits on, elliptic curves as RFC 7518 §3.4 pairs them.
https://www.openpolicyagent.org/docs/latest/management-bundles/#signature-format.
Does not know what a bundle holds: see gateway/policy/signature.py.
"""

import os
import stat
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.api_jws import PyJWS

from gateway.core.canonical import dumps, parse_object
from gateway.core.errors import BundleError, MalformedMessage, SettingsError
from gateway.identity.jws import from_base64url
from gateway.settings import Signature

INVALID: Final = "bundle_signature_invalid"
MAX_BYTES: Final = 32 * 1024 * 1024
"""Longest signature: it lists every file of the bundle."""

ALGORITHMS: Final[tuple[str, ...]] = get_args(get_type_hints(Signature)["algorithm"])
"""What settings can name; none of them has a secret that a public key could be taken for."""

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_CURVES: Final[Mapping[str, type[ec.EllipticCurve]]] = {
    "ES256": ec.SECP256R1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
}
_MIN_RSA_BITS: Final = 2048
_MAX_KEY_BYTES: Final = 64 * 1024
_HEADER: Final = {"alg", "kid", "typ"}
"""All that a header may hold: nothing that brings a key along or changes how it is read."""
_UNNAMED: Final = "default"
"""OPA's own id for a key that nobody named."""
_JWS: Final = PyJWS(options={"enforce_minimum_key_length": True})

_refusal = partial(BundleError, code=INVALID)


def verifier(settings: Signature) -> Callable[[str], Mapping[str, Any]]:
    """Return what checks a bundle's signature with the one key that counts.

    It takes a compact JWS and returns its payload with the key's id as `keyid`; it raises
    BundleError (`bundle_signature_invalid`) if the signature does not hold.

    Raises:
        SettingsError: the key cannot be read, or does not fit the algorithm.
    """
    key = _public(settings.key, settings.algorithm)
    return partial(_verified, settings, key)


def signer(
    key_file: Path, algorithm: str, key_id: str = _UNNAMED, scope: str = ""
) -> tuple[Callable[[Mapping[str, Any]], str], Callable[[str], Mapping[str, Any]]]:
    """Return what signs a payload, and what checks that it did, for one private key (PEM).

    Raises:
        SettingsError: the key cannot be read, others can read it, or it does not fit.
    """
    key = _private(key_file, algorithm)
    settings = Signature(key=key_file, algorithm=known(algorithm), key_id=key_id, scope=scope)
    return partial(_sign, settings, key), partial(_verified, settings, key.public_key())


def generate(algorithm: str) -> tuple[bytes, bytes]:
    """Return a new key pair for an algorithm: the private and the public key, both PEM.

    Raises:
        SettingsError: there is no such algorithm.
    """
    curve = _CURVES.get(known(algorithm))
    key: PrivateKey = (
        ec.generate_private_key(curve()) if curve else rsa.generate_private_key(65537, 3072)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


def known(algorithm: str) -> Any:
    """Return an algorithm that settings can name, as their type has it.

    Raises:
        SettingsError: it is none.
    """
    if algorithm not in ALGORITHMS:
        raise SettingsError(f"{algorithm} is none of {', '.join(ALGORITHMS)}")
    return algorithm


def _sign(settings: Signature, key: PrivateKey, payload: Mapping[str, Any]) -> str:
    scope = {"scope": settings.scope} if settings.scope else {}
    claims = dumps({**payload, "keyid": settings.key_id, **scope})
    return _JWS.encode(claims, key, settings.algorithm, {"kid": settings.key_id})


def _verified(settings: Signature, key: PublicKey, token: str) -> Mapping[str, Any]:
    # 1. The text says one thing, and its header nothing but which algorithm and key it is of.
    header, payload = _parts(token)
    if not header.keys() <= _HEADER:
        raise _refusal("the signature's header holds more than alg, kid and typ")
    if header.get("alg") != settings.algorithm:
        raise _refusal(f"the signature is not of the algorithm {settings.algorithm}")
    # 2. The signature holds, by the settings' algorithm and key.
    try:
        _JWS.decode(token, key, algorithms=[settings.algorithm])
    except jwt.PyJWTError as exc:
        raise _refusal(f"the signature is not by the key {settings.key}") from exc
    # 3. It names this key, where it names one, and was made for this scope.
    named = [part[name] for part, name in ((header, "kid"), (payload, "keyid")) if name in part]
    if any(name != settings.key_id for name in named or [_UNNAMED]):
        raise _refusal(f"the signature does not name the key id {settings.key_id}")
    if payload.get("scope", "") != settings.scope:
        raise _refusal(f"the signature is not for the scope {settings.scope or '(none)'}")
    return {**payload, "keyid": settings.key_id}


def _parts(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    parts = token.split(".") if len(token) <= MAX_BYTES else []
    if len(parts) != 3:
        raise _refusal("the signature is not a compact JWS")
    try:
        header, payload, _ = (from_base64url(part) for part in parts)
        return parse_object(header), parse_object(payload)
    except (MalformedMessage, ValueError) as exc:
        raise _refusal("a part of the signature is malformed") from exc


# --- keys ---


def _public(path: Path, algorithm: str) -> PublicKey:
    try:
        key = serialization.load_pem_public_key(_content(path, private=False))
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise SettingsError(f"{path}: is not the PEM of a public key") from exc
    if not isinstance(key, PublicKey):
        raise SettingsError(f"{path}: is not a key for {algorithm}")
    _check_fit(path, key, algorithm)
    return key


def _private(path: Path, algorithm: str) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(_content(path, private=True), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise SettingsError(f"{path}: is not the PEM of a private key without password") from exc
    if not isinstance(key, PrivateKey):
        raise SettingsError(f"{path}: is not a key for {algorithm}")
    _check_fit(path, key.public_key(), algorithm)
    return key


def _content(path: Path, private: bool) -> bytes:
    try:
        with path.open("rb") as file:
            if private and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise SettingsError(f"{path}: others can read this key; chmod 600, and replace it")
            return file.read(_MAX_KEY_BYTES)
    except OSError as exc:
        raise SettingsError(f"{path}: the key cannot be read ({exc.strerror})") from exc


def _check_fit(path: Path, key: PublicKey, algorithm: str) -> None:
    curve = _CURVES.get(known(algorithm))
    if isinstance(key, rsa.RSAPublicKey):
        fits = curve is None and key.key_size >= _MIN_RSA_BITS
    else:
        fits = curve is not None and isinstance(key.curve, curve)
    if not fits:
        needed = f"an elliptic key on {curve.name}" if curve else f"RSA from {_MIN_RSA_BITS} bits"
        raise SettingsError(f"{path}: is not a key for {algorithm}, which needs {needed}")
