"""The public key in a proof's own header, read for one algorithm (RFC 7517, RFC 7518 §6, RFC 8037).

What comes with the caller proves nothing by itself: the key counts only once its thumbprint is the
one that an issuer wrote into the token. Private members, certificates and places to fetch keys from
are refused, and so are keys that are weak or dear to check. Does not look for keys by `kid`.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import jwt

from gateway.core.canonical import canonical
from gateway.identity.jws import from_base64url, to_base64url

_KINDS: Final[Mapping[str, Mapping[str, str]]] = {
    "ES256": {"kty": "EC", "crv": "P-256"},
    "ES384": {"kty": "EC", "crv": "P-384"},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
    "PS256": {"kty": "RSA"},
    "RS256": {"kty": "RSA"},
}
ALGORITHMS: Final = frozenset(_KINDS)
"""What a proof may be signed by: asymmetric only, each bound to one kind of key (RFC 8725 §3.1)."""
_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "EC": ("x", "y"),
    "OKP": ("x",),
    "RSA": ("e", "n"),
}
_HARMLESS: Final = {"kid", "use", "alg", "key_ops", "ext"}
"""What key libraries add to a public key; `ext` is WebCrypto's."""
_LONGEST_MODULUS: Final = 512
"""Bytes. The time of a check grows with the square, and the caller chooses the key."""
_EXPONENT: Final = "AQAB"
"""65537, which everybody uses; a long exponent makes a check as dear as a signature."""


def read(jwk: Any, algorithm: str) -> jwt.PyJWK:
    """Return the key that a JWK stands for, if it may verify this algorithm.

    Raises:
        ValueError: it is no public key of that algorithm, or not one that we take.
    """
    if not isinstance(jwk, dict):
        raise ValueError("not an object")
    kind = _KINDS[algorithm]
    values = _VALUES[kind["kty"]]
    if not kind.items() <= jwk.items() or not jwk.keys() <= {*kind, *values, *_HARMLESS}:
        raise ValueError("not exactly a public key of this algorithm")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("not a key to verify by")
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        raise ValueError("a key for something else")
    sizes = {name: _size(jwk.get(name)) for name in values}
    if kind["kty"] == "RSA" and (sizes["n"] > _LONGEST_MODULUS or jwk["e"] != _EXPONENT):
        raise ValueError("an RSA key that is dear to check")
    bare = {name: jwk[name] for name in (*kind, *values)}
    try:
        key = jwt.PyJWK(bare, algorithm=algorithm)
    except jwt.PyJWTError as exc:
        raise ValueError("not a key") from exc
    if key.Algorithm.check_key_length(key.key):
        raise ValueError("a weak key")
    return key


def thumbprint_of(jwk: Mapping[str, Any]) -> str:
    """Return the SHA-256 thumbprint of a key that `read` took (RFC 7638 §3; RFC 8037 §2)."""
    kept = {name: jwk[name] for name in ("crv", *_VALUES[jwk["kty"]], "kty") if name in jwk}
    # RFC 7638 §3.3 and RFC 8785 agree where all values are plain ASCII text, as these are.
    return to_base64url(hashlib.sha256(canonical(kept)).digest())


def _size(value: Any) -> int:
    """Return how many bytes canonical base64url stands for."""
    if not isinstance(value, str):
        raise ValueError("not text")
    return len(from_base64url(value))
