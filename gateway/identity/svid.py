"""JWT-SVIDs: the workload that a SPIFFE trust domain vouches for (SPIFFE JWT-SVID).

1. The header holds `alg`, `kid` and `typ`, of which only `alg` is needed, and nothing else (§2).
2. `sub` is a SPIFFE ID, and its trust domain is configured: that trust domain's bundle verifies it
   and no other one, however they federate.
3. A key of the bundle that is for JWT-SVIDs holds the signature.
4. The audience is this gateway alone; the times hold; the trust domain may vouch for the workload.

`iss` is not what identifies, and a JWT-SVID delegates nothing: one with `act` is refused. Does not
authorize.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.canonical import digest
from gateway.core.claims import Claims
from gateway.core.errors import CredentialRejected
from gateway.identity import claimed, jws
from gateway.identity.jwks import KeySet, VerificationKey, in_force
from gateway.identity.jws import Unverified
from gateway.identity.kept import Kept
from gateway.identity.spiffe_id import SPIFFEID
from gateway.identity.steps import Steps
from gateway.identity.times import Times, check_times
from gateway.identity.trust_bundle import TrustBundle
from gateway.identity.verified import Verified
from gateway.ports import Clock
from gateway.settings import TrustDomain

SCHEME: Final = "jwt-svid"
ALGORITHMS: Final = ("ES256", "ES384", "RS256", "PS256")
"""Those of JWT-SVID §2.1 (EdDSA is none of them) that `jwks.py` reads keys for."""
MAX_TRIED: Final = 8
"""How many keys a token without a kid is tried by; of more, its issuer has to name one."""
_PREFIX: Final = "svid"
_TYPES: Final = (None, "JWT", "JOSE")
_OWN_MEMBERS: Final = frozenset({"sub", "aud", "exp", "iat", "nbf", "jti", "cnf"})


@dataclass(frozen=True, slots=True)
class TrustedDomain:
    """A trust domain's limits and its bundle."""

    limits: TrustDomain
    bundle: Kept[TrustBundle]

    def keys(self) -> KeySet | None:
        """Return the current keys of JWT-SVIDs, None if there are none that are believed."""
        bundle = self.bundle.current()
        return None if bundle is None else bundle.jwt


class SVIDVerifier:
    """Verifies JWT-SVIDs of the configured trust domains."""

    def __init__(self, domains: Sequence[TrustedDomain], clock: Clock) -> None:
        self._domains = {domain.limits.name: domain for domain in domains}
        self._clock = clock

    def knows(self, unverified: Unverified) -> bool:
        """Say whether the subject wants to be a SPIFFE ID, however it is spelled."""
        subject = unverified.payload.get("sub")
        return isinstance(subject, str) and subject[:7].lower() == "spiffe:"

    async def verify(self, unverified: Unverified, resource: str, steps: Steps) -> Verified:
        """Verify a JWT-SVID; see the module's steps.

        Args:
            unverified: as read.
            resource: canonical URI of the route; the audience, if the trust domain has none.
            steps: notes each step.

        Raises:
            CredentialRejected: the code names the step that failed.
            IssuerUnavailable: the trust domain's bundle cannot be had.
        """
        algorithm, kid = _header(unverified.header, steps)  # (1)
        name, domain = self._domain(unverified.payload, steps)  # (2)
        steps.at("a key of the trust domain's own bundle holds the signature", kid or "no kid")
        found, key = await _signer(unverified, algorithm, kid, domain)  # (3)
        limits, payload = domain.limits, unverified.payload
        audience = limits.audience or resource
        steps.at("the audience is this gateway alone", audience)  # (4)
        claimed.check_audience(payload, audience, _PREFIX)
        now = self._clock.wall_ns() // 1_000_000_000
        steps.at("the SVID is within its time", f"now {now}")
        times = check_times(payload, limits, now, prefix=_PREFIX, iat_needed=False)
        steps.at("the trust domain may vouch for the workload", str(name))
        if limits.subjects and not str(name).startswith(limits.subjects):
            raise _refused("subject_refused", "the trust domain may not vouch for this workload")
        steps.at("it delegates nothing, and a key that it is bound to can be checked")
        if "act" in payload:
            raise _refused("delegation_refused", "a JWT-SVID does not delegate")
        claims = _claims(unverified, name, found, audience, times)
        return Verified.just_now(
            claims, in_force(domain.keys, found, key), domain.bundle.age_seconds
        )

    def _domain(self, payload: Mapping[str, Any], steps: Steps) -> tuple[SPIFFEID, TrustedDomain]:
        subject = claimed.text(payload.get("sub"), "sub", _PREFIX)
        steps.at("the subject is a SPIFFE ID", subject)
        name = SPIFFEID.parse(subject)
        steps.at("its trust domain is configured", name.trust_domain)
        domain = self._domains.get(name.trust_domain)
        if domain is None:
            raise _refused("trust_domain_unknown", "the trust domain is not configured")
        return name, domain


def _header(header: Mapping[str, Any], steps: Steps) -> tuple[str, str | None]:
    algorithm, kid = header.get("alg"), header.get("kid")
    steps.at("the header holds alg, kid and typ alone", str(algorithm)[:16])
    if algorithm not in ALGORITHMS:
        raise _refused("alg_refused", "the algorithm is not accepted")
    if not header.keys() <= {"alg", "kid", "typ"}:
        raise _refused("header_refused", "the header holds more than alg, kid and typ")
    if kid is not None and not isinstance(kid, str):
        raise _refused("header_refused", "kid is not text")
    if header.get("typ") not in _TYPES or ("typ" in header and header["typ"] is None):
        raise _refused("type_refused", "the typ is not a JWT-SVID's")
    return str(algorithm), kid


async def _signer(
    unverified: Unverified, algorithm: str, kid: str | None, domain: TrustedDomain
) -> tuple[str, VerificationKey]:
    """Return the key that signed, by its id in the bundle.

    Raises:
        CredentialRejected: svid_key_unknown, svid_key_mismatch, svid_signature.
    """
    bundle = domain.bundle.current() or await domain.bundle.get()
    if kid is None:
        signer = _tried(unverified, algorithm, bundle)
        # The key may be newer than the bundle, as one that is named by its kid may be.
        if signer is None and (newer := await domain.bundle.renewed()) is not bundle:
            signer = _tried(unverified, algorithm, newer)
        if signer is None:
            raise _refused("signature", "no key of the trust domain holds the signature")
        return signer
    found = bundle.jwt.keys.get(kid)
    if found is None:
        found = (await domain.bundle.renewed()).jwt.keys.get(kid)
    if found is None:
        raise _refused("key_unknown", "the trust domain has no such key")
    if algorithm not in found.loaded:
        raise _refused("key_mismatch", "the key is not for this algorithm")
    jws.verify(unverified, found.loaded[algorithm], algorithm, f"{_PREFIX}_signature")
    return kid, found


def _tried(
    unverified: Unverified, algorithm: str, bundle: TrustBundle
) -> tuple[str, VerificationKey] | None:
    """Return which key signed a token without a kid (§2.2), tried one after another."""
    fitting = [(name, key) for name, key in bundle.jwt.keys.items() if algorithm in key.loaded]
    # A forged token costs as many signature checks, and everybody waits for them.
    for name, key in fitting[:MAX_TRIED]:
        if _holds(unverified, key, algorithm):
            return name, key
    return None


def _holds(unverified: Unverified, key: VerificationKey, algorithm: str) -> bool:
    try:
        jws.verify(unverified, key.loaded[algorithm], algorithm, f"{_PREFIX}_signature")
    except CredentialRejected:
        return False
    return True


def _claims(
    unverified: Unverified,
    name: SPIFFEID,
    kid: str,
    audience: str,
    times: Times,
) -> Claims:
    payload = unverified.payload
    return Claims(
        subject=str(name),
        issuer=f"spiffe://{name.trust_domain}",
        audience=audience,
        issued_at=times.issued_at,
        expires_at=times.expires_at,
        scheme=SCHEME,
        algorithm=unverified.header["alg"],
        # Also of a token that names none: a key that is denied is denied for all its tokens.
        key_id=kid,
        token_id=claimed.optional_text(payload.get("jti"), "jti", _PREFIX),
        token_digest=digest(unverified.text.encode("ascii")),
        confirmation=claimed.confirmation(payload),
        other={key: value for key, value in payload.items() if key not in _OWN_MEMBERS},
    )


def _refused(reason: str, message: str) -> CredentialRejected:
    return CredentialRejected(message, code=f"{_PREFIX}_{reason}")
