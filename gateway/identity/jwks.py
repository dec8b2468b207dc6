"""The keys of configured issuers: read strictly, kept briefly, fetched rarely.

Rules: only the configured place is read, never a URL from a token; a body is at most 256 KiB with
at most 64 keys; an unknown `kid` causes at most one fetch per 30 s, whatever its outcome; one fetch
at a time; keys outlive a failing issuer by at most an hour. An algorithm belongs to its key
(RFC 7517 §4, RFC 7518 §3.1), so a token cannot choose another one. Symmetric keys are refused: who
could verify could mint. Does not verify tokens.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import httpx
import jwt

from gateway.core.canonical import parse_object
from gateway.core.errors import IssuerUnavailable, MalformedMessage
from gateway.ports import Clock

MAX_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 64
FRESH_SECONDS: Final = 300
COOLDOWN_SECONDS: Final = 30
STALE_SECONDS: Final = 3600
FETCH_SECONDS: Final = 5.0

_ALGORITHMS: Final[Mapping[tuple[str, str | None], tuple[str, ...]]] = {
    ("RSA", None): ("RS256", "PS256"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("OKP", "Ed25519"): ("EdDSA",),
}

Fetch = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key, and the algorithms it may verify."""

    jwk: Mapping[str, Any]
    algorithms: tuple[str, ...]
    loaded: Mapping[str, jwt.PyJWK] = field(default_factory=dict, compare=False, repr=False)
    """By algorithm, in the form that PyJWT takes; made once, not for each token."""


def read_key_set(document: bytes) -> Mapping[str, VerificationKey]:
    """Read a JWK set (RFC 7517 §5); keys that cannot verify signatures for us are left out.

    Raises:
        IssuerUnavailable: it is not a key set, or it is too large.
    """
    if len(document) > MAX_BYTES:
        raise IssuerUnavailable("the key set is larger than 256 KiB")
    try:
        keys = parse_object(document).get("keys")
    except MalformedMessage as exc:
        raise IssuerUnavailable(f"the key set is not strict JSON: {exc.message}") from exc
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise IssuerUnavailable(f"the key set has no list of at most {MAX_KEYS} keys")
    usable: dict[str, VerificationKey] = {}
    for jwk in keys:
        loaded = _load(jwk) if isinstance(jwk, dict) else {}
        if not loaded:
            continue
        if jwk["kid"] in usable:
            raise IssuerUnavailable("the key set names a kid twice")
        usable[jwk["kid"]] = VerificationKey(jwk, tuple(loaded), loaded)
    return usable


def _load(jwk: Mapping[str, Any]) -> Mapping[str, jwt.PyJWK]:
    """Return the key for each algorithm it may verify; PyJWT ignores `use` and `key_ops`."""
    texts = [jwk.get("kid"), jwk.get("kty"), jwk.get("crv", ""), jwk.get("use", "sig")]
    operations = jwk.get("key_ops", ["verify"])
    if not all(isinstance(text, str) for text in texts) or not isinstance(operations, list):
        return {}
    # A private key that everybody can fetch proves nothing.
    if jwk.get("use", "sig") != "sig" or "verify" not in operations or "d" in jwk:
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


class KeyCache:
    """The keys of one issuer. Owned by its authenticator; used concurrently."""

    def __init__(self, issuer: str, fetch: Fetch, clock: Clock) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._lock = anyio.Lock()
        self._keys: Mapping[str, VerificationKey] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None

    async def key(self, kid: str) -> VerificationKey | None:
        """Return the key with this id, None if the issuer has no such key.

        Raises:
            IssuerUnavailable: the keys are unknown, or known for too long to be believed.
        """
        if self._age(self._read_at) > FRESH_SECONDS or kid not in self._keys:
            await self._refresh(kid)
        if self._age(self._read_at) > STALE_SECONDS:
            raise IssuerUnavailable(f"the keys of {self._issuer} cannot be read")
        return self._keys.get(kid)

    async def _refresh(self, kid: str) -> None:
        async with self._lock:
            # Whoever waited here may find the work done, or a try just made.
            fresh = self._age(self._read_at) <= FRESH_SECONDS and kid in self._keys
            if fresh or self._age(self._tried_at) <= COOLDOWN_SECONDS:
                return
            self._tried_at = self._now()
            try:
                # Shielded: a caller that leaves must not spend the try that others wait for.
                with anyio.CancelScope(shield=True):
                    self._keys = read_key_set(await self._fetch())
                self._read_at = self._now()
            except IssuerUnavailable:
                if self._read_at is None:
                    raise

    def _now(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    def _age(self, instant: float | None) -> float:
        return float("inf") if instant is None else self._now() - instant


def from_file(path: str) -> Fetch:
    """Return a fetch that reads a key set from a file."""

    async def fetch() -> bytes:
        try:
            return await anyio.Path(path).read_bytes()
        except OSError as exc:
            raise IssuerUnavailable(f"{path}: cannot be read ({exc.strerror})") from exc

    return fetch


def from_url(url: str) -> Fetch:
    """Return a fetch that gets a key set over HTTP: no redirects, no proxies, bounded."""

    async def fetch() -> bytes:
        try:
            with anyio.fail_after(FETCH_SECONDS):
                async with httpx.AsyncClient(trust_env=False, follow_redirects=False) as client:
                    return await _get(client, url)
        except (httpx.HTTPError, TimeoutError) as exc:
            raise IssuerUnavailable(f"{url}: cannot be fetched ({type(exc).__name__})") from exc

    return fetch


async def _get(client: httpx.AsyncClient, url: str) -> bytes:
    # Without compression, so that the limit bounds what is held and not what was sent.
    async with client.stream("GET", url, headers={"accept-encoding": "identity"}) as response:
        if response.status_code != 200:
            raise IssuerUnavailable(f"{url}: answered {response.status_code}")
        body = b""
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_BYTES:
                raise IssuerUnavailable(f"{url}: the key set is larger than 256 KiB")
        return body
