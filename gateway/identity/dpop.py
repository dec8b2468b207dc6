"""DPoP proofs (RFC 9449 §4.3): the caller holds the key that its token is bound to.

1. A proof came, and is a compact JWS, strictly spelled.
2. `typ` is `dpop+jwt`, the algorithm one of ours and asymmetric; the header holds these and the
   `jwk` and nothing else.
3. The `jwk` is a public key of that algorithm, and the one that the token is bound to (RFC 7638).
4. The signature holds by that key. Nothing of the payload is looked at before.
5. `htm` and `htu` are this request's.
6. `ath` is this token's hash.
7. `iat` is an integer, recent and not from the future; `jti` is text.
8. `nonce` is one of ours, if settings ask for it.
9. The proof was not used before; only a proof that passed everything else is used up.

Does not look into the token, and no message or finding holds proof text.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.core.call import Request
from gateway.core.claims import UnverifiedToken
from gateway.core.errors import CredentialRejected, ProofWanted
from gateway.identity import jws, proof_key
from gateway.identity.nonces import Nonces
from gateway.identity.replay import ReplayCache
from gateway.identity.steps import Steps
from gateway.ports import Clock
from gateway.settings import DPoP

LEEWAY_SECONDS: Final = 10
"""How far the caller's clock may be ahead of ours."""
MAX_JTI_LENGTH: Final = 256
_URL: Final = re.compile(
    r"(https?)://([^/@:\\\[\]]+|\[[0-9a-f:.]+\])(?::([0-9]+))?(/.*)?", re.IGNORECASE
)
_AFTER_PATH: Final = re.compile(r"[?#].*", re.DOTALL)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class DPoPVerifier:
    """Checks proofs of one process, which remembers those that were used.

    Args:
        settings: how old a proof may be, and whether it needs a nonce.
        clock: the time.
        nonce_key: random, made when the process starts; see `Nonces`.
    """

    def __init__(self, settings: DPoP, clock: Clock, nonce_key: bytes) -> None:
        self._max_age = settings.max_age_seconds
        self._clock = clock
        self._nonces = Nonces(nonce_key, clock) if settings.nonce else None
        # One second more: whole seconds are compared, so a proof is good until its last one ends.
        self._used = ReplayCache(self._max_age + LEEWAY_SECONDS + 1, clock)

    def nonce(self) -> str | None:
        """Return what the next proof has to contain, None if nonces are not in use."""
        return self._nonces.current() if self._nonces else None

    def verify(
        self, proof: UnverifiedToken | None, request: Request, token: str, jkt: str, steps: Steps
    ) -> None:
        """Check that a proof is the key holder's, for this request and token, and the first use.

        Args:
            proof: the `DPoP` header.
            request: what it has to be for.
            token: text of the token that came with it, verified.
            jkt: thumbprint of the key that the token is bound to (`cnf`).
            steps: where each step is noted.

        Raises:
            ProofWanted: `dpop_missing`, or `use_dpop_nonce`; with the nonce, if they are in use.
            CredentialRejected: the code names the step that failed.
        """
        steps.at("a DPoP proof came and is a compact JWS, strictly spelled")  # (1)
        if proof is None:
            raise ProofWanted(
                "the token is bound to a DPoP key", code="dpop_missing", nonce=self.nonce()
            )
        unverified = jws.read(proof.text, "dpop_malformed")
        _check_signature(unverified, jkt, steps)  # (2), (3), (4)
        claims = unverified.payload
        _check_request(claims, request, steps)  # (5)
        steps.at("the proof is for this token")  # (6)
        if not _same(claims.get("ath"), _digest(token)):
            raise CredentialRejected("the proof is for another token", code="dpop_ath")
        issued_at = self._fresh(claims, steps)  # (7)
        jti = _id(claims, steps)
        self._check_nonce(claims, steps)  # (8)
        steps.at("the proof was not used before")  # (9)
        self._used.spend(jkt, jti, issued_at)

    def _fresh(self, claims: Mapping[str, Any], steps: Steps) -> int:
        issued_at, now = claims.get("iat"), self._clock.wall_ns() // 1_000_000_000
        steps.at("the proof was made just now", f"iat {_shown(issued_at)}, now {now}")
        if type(issued_at) is not int:
            raise CredentialRejected("the proof has no iat in whole seconds", code="dpop_iat")
        if not now - self._max_age <= issued_at <= now + LEEWAY_SECONDS:
            raise CredentialRejected("the proof is too old, or from the future", code="dpop_iat")
        return issued_at

    def _check_nonce(self, claims: Mapping[str, Any], steps: Steps) -> None:
        if self._nonces is None:
            return
        steps.at("the proof holds a nonce of ours")
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not self._nonces.valid(nonce):
            raise ProofWanted(
                "the proof has to contain the nonce given",
                code="use_dpop_nonce",
                nonce=self._nonces.current(),
            )


def _check_signature(unverified: jws.Unverified, jkt: str, steps: Steps) -> None:
    header = unverified.header
    kind, algorithm, jwk = header.get("typ"), header.get("alg"), header.get("jwk")
    steps.at("the proof's typ is dpop+jwt", _shown(kind))
    if kind != "dpop+jwt":
        raise CredentialRejected("the JWS is no DPoP proof", code="dpop_type")
    steps.at("the proof's algorithm is an accepted one", _shown(algorithm))
    if not isinstance(algorithm, str) or algorithm not in proof_key.ALGORITHMS:
        raise CredentialRejected("the proof's algorithm is not accepted", code="dpop_algorithm")
    steps.at("the proof's header is exactly typ, alg and jwk")
    if header.keys() != {"typ", "alg", "jwk"}:
        raise CredentialRejected("the header is not exactly typ, alg, jwk", code="dpop_header")
    steps.at("the proof's key is a public key of that algorithm")
    try:
        key = proof_key.read(jwk, algorithm)
    except ValueError as exc:
        raise CredentialRejected("the proof's jwk is not accepted", code="dpop_key") from exc
    thumbprint = proof_key.thumbprint_of(header["jwk"])
    steps.at("the token is bound to the proof's key", thumbprint)
    if not _same(thumbprint, jkt):
        raise CredentialRejected("the token is bound to another key", code="dpop_key_mismatch")
    steps.at("the proof's signature holds")
    jws.verify(unverified, key, algorithm, "dpop_signature")


def _check_request(claims: Mapping[str, Any], request: Request, steps: Steps) -> None:
    method, url = claims.get("htm"), claims.get("htu")
    steps.at("the proof is for this method", _shown(method))
    if method != request.method:
        raise CredentialRejected("the proof is for another method", code="dpop_htm")
    target = normal_url(url) if isinstance(url, str) else None
    steps.at("the proof is for this URL", f"{_shown(target, 200)}, expected {request.resource}")
    if target is None or target != normal_url(request.resource):
        raise CredentialRejected("the proof is for another URL", code="dpop_htu")


def _id(claims: Mapping[str, Any], steps: Steps) -> str:
    jti = claims.get("jti")
    steps.at("the proof has an id")
    if not isinstance(jti, str) or not 1 <= len(jti) <= MAX_JTI_LENGTH:
        raise CredentialRejected(
            f"the proof has no jti of 1 to {MAX_JTI_LENGTH} characters", code="dpop_jti"
        )
    return jti


def normal_url(url: str) -> str | None:
    """Return an http(s) URL as `htu` is compared, None if it is none (RFC 9449 §4.3).

    Without query and fragment; scheme and host in lower case, without the scheme's own port
    (RFC 3986 §6.2.3). Otherwise character for character: no path is equal to another spelling.
    """
    parts = _URL.fullmatch(_AFTER_PATH.sub("", url))
    if parts is None or not url.isascii() or not url.isprintable() or " " in url:
        return None
    scheme, host, port, path = parts[1].lower(), parts[2].lower(), parts[3], parts[4]
    shown = f":{port}" if port and port != _DEFAULT_PORTS[scheme] else ""
    return f"{scheme}://{host}{shown}{path or '/'}"


def _digest(token: str) -> str:
    return jws.to_base64url(hashlib.sha256(token.encode()).digest())


def _same(given: Any, expected: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(), expected.encode())


def _shown(value: Any, longest: int = 40) -> str:
    """Return what a caller wrote in a form that can be shown; nothing of it is long or hidden."""
    plain = isinstance(value, int) or (isinstance(value, str) and value.isprintable())
    return str(value)[:longest] if plain else "none"
