"""A JWS that a configured issuer signed: header, issuer, type, key and signature, in this order.

1. The algorithm is one of the asymmetric signatures we know: not `none`, not an HMAC.
2. The header is `alg`, `kid` and maybe `typ`, nothing else: no key, no URL, no `crit` from the
   caller. `kid` is looked up among keys that are there, never in a file or at an address.
3. The issuer is one of the configured ones, character for character.
4. `typ` is one that this issuer may use, or absent where its tokens have none.
5. The algorithm is one that settings allow this issuer.
6. The key is the issuer's own; one that is not known may be new, so the key set is renewed, once.
7. The algorithm is the key's: a token cannot choose another one (RFC 8725 §3.1).
8. The signature holds.

Nothing is believed, and nothing said about any other claim, before step 8. Does not look at claims
but `iss`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from gateway.core.errors import CredentialRejected
from gateway.identity import jws
from gateway.identity.jwks import KeySet, VerificationKey, in_force
from gateway.identity.jws import Unverified
from gateway.identity.kept import Kept
from gateway.identity.steps import Steps
from gateway.settings import Issuer
from gateway.settings.kinds import Algorithm

ALGORITHMS: Final = frozenset(get_args(Algorithm))
_NEEDED: Final = frozenset({"alg", "kid"})
_HEADER: Final = frozenset({"alg", "kid", "typ"})
_LONGEST_FINDING: Final = 200


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer's limits and its keys."""

    limits: Issuer
    keys: Kept[KeySet]


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed a JWS, and how."""

    issuer: TrustedIssuer
    algorithm: str
    kid: str
    kind: str | None
    """`typ` in lower case, without `application/`; None if the issuer's tokens have none."""
    in_force: Callable[[], bool] = field(repr=False)
    """Says whether the key is still the issuer's."""


class Issuers:
    """Issuers of one kind of token, and the types that each may use.

    Args:
        issuers: with their keys.
        types: accepted `typ` of an issuer that names none itself; None: its tokens have no `typ`.
        prefix: what the codes begin with.
    """

    def __init__(
        self,
        issuers: Sequence[TrustedIssuer],
        types: Callable[[Issuer], frozenset[str] | None],
        prefix: str,
    ) -> None:
        self._issuers = {issuer.limits.issuer: issuer for issuer in issuers}
        self._types = {issuer.limits.issuer: types(issuer.limits) for issuer in issuers}
        self._prefix = prefix

    def knows(self, unverified: Unverified) -> bool:
        """Say whether a token says that it is from one of these issuers."""
        issuer = unverified.payload.get("iss")
        return isinstance(issuer, str) and issuer in self._issuers

    async def signed(self, unverified: Unverified, steps: Steps) -> Signed:
        """Check who signed a token; see the module's steps.

        Raises:
            CredentialRejected: the code names the step that failed.
            IssuerUnavailable: the issuer's keys cannot be had.
        """
        algorithm, kid = self._header(unverified.header, steps)  # (1, 2)
        issuer = self._issuer(unverified.payload, steps)  # (3)
        kind = self._kind(unverified.header, issuer, steps)  # (4)
        steps.at("the algorithm is one that the issuer may use", algorithm)
        if algorithm not in issuer.limits.algorithms:  # (5)
            raise self._refused("the algorithm is not accepted of this issuer", "alg_refused")
        steps.at("the key is one of the issuer's", _shown(kid))
        key = await self._key(issuer, kid)  # (6)
        steps.at("the algorithm is the key's own", algorithm)
        if algorithm not in key.algorithms:  # (7)
            raise self._refused("the key is one for another algorithm", "key_mismatch")
        steps.at("the signature holds")
        jws.verify(unverified, key.loaded[algorithm], algorithm, f"{self._prefix}_signature")  # (8)
        return Signed(issuer, algorithm, kid, kind, in_force(issuer.keys.current, kid, key))

    def _header(self, header: Mapping[str, Any], steps: Steps) -> tuple[str, str]:
        algorithm, kid = header.get("alg"), header.get("kid")
        steps.at("the algorithm is an asymmetric signature", _shown(algorithm))
        if isinstance(algorithm, str) and algorithm not in ALGORITHMS:
            raise self._refused("the algorithm is none that is ever accepted", "alg_refused")
        steps.at("the header is alg, kid and typ, nothing else", _shown(", ".join(header)))
        texts = all(isinstance(value, str) for value in header.values())
        if not (_NEEDED <= header.keys() <= _HEADER) or not texts:
            raise self._refused("the header is not exactly alg, kid and typ", "header_refused")
        return str(algorithm), str(kid)

    def _issuer(self, payload: Mapping[str, Any], steps: Steps) -> TrustedIssuer:
        name = payload.get("iss")
        steps.at("the issuer is configured", _shown(name))
        if name is None:
            raise self._refused("there is no iss", "iss_missing")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise self._refused("the issuer is not configured", "issuer_unknown")
        return issuer

    def _kind(self, header: Mapping[str, Any], issuer: TrustedIssuer, steps: Steps) -> str | None:
        kind, types = header.get("typ"), self._types[issuer.limits.issuer]
        steps.at("the type is one that the issuer may use", _shown(kind))
        if types is None:
            if kind is not None:
                raise self._refused("the issuer's tokens have no typ", "type_refused")
            return None
        if kind is None:
            raise self._refused("the header is not exactly alg, kid and typ", "header_refused")
        plain = plain_type(str(kind))
        if plain not in types:
            raise self._refused("the token's typ is not accepted", "type_refused")
        return plain.lower()

    async def _key(self, issuer: TrustedIssuer, kid: str) -> VerificationKey:
        keys = issuer.keys.current() or await issuer.keys.get()
        key = keys.keys.get(kid) or (await issuer.keys.renewed()).keys.get(kid)
        if key is None:
            raise self._refused("the issuer has no such key", "key_unknown")
        return key

    def _refused(self, message: str, reason: str) -> CredentialRejected:
        return CredentialRejected(message, code=f"{self._prefix}_{reason}")


def plain_type(name: str) -> str:
    """Return a media type without the `application/` that a `typ` may leave out.

    RFC 7515 §4.1.9; so `application/at+jwt` is `at+jwt` (RFC 9068 §4). Case is kept: nobody writes
    another one, and what nobody writes is refused.
    """
    return name.removeprefix("application/")


def _shown(value: Any) -> str:
    """Return what a step shows of something the caller wrote."""
    if value is None:
        return "nothing"
    return value[:_LONGEST_FINDING] if isinstance(value, str) else f"a {type(value).__name__}"
