"""A JWK set, read strictly: what may verify, with the algorithms it may verify.

At most 256 KiB with at most 64 keys. An algorithm belongs to its key (RFC 7517 §4, RFC 7518 §3.1),
so a token cannot choose another one. Symmetric keys are refused: who could verify could mint. Does
not fetch or keep key sets (`fetching.py`, `kept.py`) and does not verify tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

from gateway.core.canonical import parse_object
from gateway.core.errors import IssuerUnavailable, MalformedMessage

MAX_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 64
_LONGEST_MODULUS: Final = 1366
"""Base64url characters of 8,192 bits."""
_LONGEST_EXPONENT: Final = 6
"""Base64url characters of 32 bits."""

_ALGORITHMS: Final[Mapping[tuple[str, str | None], tuple[str, ...]]] = {
    ("RSA", None): ("RS256", "PS256"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("OKP", "Ed25519"): ("EdDSA",),
}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key, and the algorithms it may verify."""

    jwk: Mapping[str, Any]
    algorithms: tuple[str, ...]
    loaded: Mapping[str, jwt.PyJWK] = field(default_factory=dict, compare=False, repr=False)
    """By algorithm, in the form that PyJWT takes; made once, not for each token."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of one issuer that may verify for us."""

    keys: Mapping[str, VerificationKey]
    """By `kid`; a key without one is in no set."""
    refresh_seconds: float | None = None
    """How often its publisher wants it fetched again, if it says so."""


def in_force(
    current: Callable[[], KeySet | None], kid: str, key: VerificationKey
) -> Callable[[], bool]:
    """Return what says whether a key is still in its issuer's current set, unchanged."""

    def held() -> bool:
        keys = current()
        now = keys.keys.get(kid) if keys is not None else None
        return now is key or now == key

    return held


def read_key_set(document: bytes, use: str = "sig") -> KeySet:
    """Read a JWK set (RFC 7517 §5); keys that cannot verify signatures for us are left out.

    Args:
        document: the bytes.
        use: `sig` takes keys of that use and of none; any other takes only keys of exactly that
            use, as a trust bundle's `jwt-svid` (SPIFFE Trust Domain and Bundle §4.2.2).

    Raises:
        IssuerUnavailable: it is not a key set, or it is too large.
    """
    return key_set_of(read_members(document), use)


def read_members(document: bytes) -> Mapping[str, Any]:
    """Return the members of the JSON object that a key set is.

    Raises:
        IssuerUnavailable: it is none, or it is too large.
    """
    if len(document) > MAX_BYTES:
        raise IssuerUnavailable("the key set is larger than 256 KiB")
    try:
        return parse_object(document)
    except MalformedMessage as exc:
        raise IssuerUnavailable(f"the key set is not strict JSON: {exc.message}") from exc


def key_set_of(members: Mapping[str, Any], use: str) -> KeySet:
    """Return the keys of a set that was read, as `read_key_set`.

    Raises:
        IssuerUnavailable: it is not a key set.
    """
    keys = members.get("keys")
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise IssuerUnavailable(f"the key set has no list of at most {MAX_KEYS} keys")
    usable: dict[str, VerificationKey] = {}
    for jwk in keys:
        loaded = _load(jwk, use) if isinstance(jwk, dict) else {}
        if not loaded:
            continue
        if jwk["kid"] in usable:
            raise IssuerUnavailable("the key set names a kid twice")
        usable[jwk["kid"]] = VerificationKey(jwk, tuple(loaded), loaded)
    return KeySet(usable, _refresh_hint(members))


def _refresh_hint(members: Mapping[str, Any]) -> float | None:
    """Return `spiffe_refresh_hint` (SPIFFE Trust Domain and Bundle §4.1.2); nonsense is none."""
    hint: Any = members.get("spiffe_refresh_hint")
    number = isinstance(hint, int | float) and not isinstance(hint, bool)
    return float(hint) if number and hint > 0 else None


def _load(jwk: Mapping[str, Any], use: str) -> Mapping[str, jwt.PyJWK]:
    """Return the key for each algorithm it may verify; PyJWT ignores `use` and `key_ops`."""
    needed = [jwk.get("kid"), jwk.get("kty"), jwk.get("use", "sig")]
    texts = [*needed, *(jwk.get(name, "") for name in ("crv", "n", "e"))]
    operations = jwk.get("key_ops", ["verify"])
    if not all(isinstance(text, str) for text in texts) or not isinstance(operations, list):
        return {}
    # A private key that everybody can fetch proves nothing.
    if jwk.get("use", "sig") != use or "verify" not in operations or "d" in jwk:
        return {}
    # Each token would pay for the size: verifying takes time that grows faster than the key.
    if len(jwk.get("n", "")) > _LONGEST_MODULUS or len(jwk.get("e", "")) > _LONGEST_EXPONENT:
        return {}
    algorithms = _ALGORITHMS.get((jwk["kty"], jwk.get("crv")), ())
    if "alg" in jwk:
        algorithms = tuple(name for name in algorithms if name == jwk["alg"])
    try:
        loaded = {name: jwt.PyJWK(dict(jwk), algorithm=name) for name in algorithms}
    except jwt.PyJWTError:
        return {}
    # A weak key says so here; PyJWT would only say it at the first token.
    weak = any(key.Algorithm.check_key_length(key.key) for key in loaded.values())
    return {} if weak else loaded
