"""Access tokens of configured issuers, RFC 9068 and RFC 7519, verified in numbered steps.

1. Header, issuer, type, key and signature (`issued.py`).
2. The audience is this gateway and nobody else (`claimed.check_audience`).
3. The times are sane and the token does not live longer than its cap (`times.py`).
4. What settings require is there.
5. The subject, and what else settings map, is text; the `act` chain is short and the issuer's own
   (`delegation.py`); a binding is one that can be checked (`claimed.confirmation`).
6. A service-account token is bound to a pod (`service_account.py`).
7. The workload is one that this issuer may vouch for.

Codes: `token_CLAIM_missing` for `exp`, `iat`, `aud`, `iss` and `sub` (also where settings say that
the subject is elsewhere), `token_claim_missing` for what settings require; the others name what is
wrong. Transaction tokens and DPoP proofs are never access tokens, whatever settings say.

Does not look at proofs of possession, revocations or a system's scopes, and never logs the token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.canonical import digest
from gateway.core.claims import Claims
from gateway.core.errors import CredentialRejected
from gateway.identity import claimed, delegation
from gateway.identity.issued import Issuers, Signed, TrustedIssuer, plain_type
from gateway.identity.jws import Unverified
from gateway.identity.service_account import pod_uid
from gateway.identity.steps import Steps
from gateway.identity.times import Times, check_times
from gateway.identity.verified import Verified
from gateway.identity.workload import looks_human
from gateway.ports import Clock
from gateway.settings import Issuer

__all__ = ["AccessTokenVerifier", "TrustedIssuer"]

TYPES: Final = frozenset({"at+jwt", "JWT"})
_OTHER_KINDS: Final = frozenset({"txntoken+jwt", "dpop+jwt"})
_OWN_MEMBERS: Final = frozenset({"exp", "iat", "nbf", "aud", "iss", "jti", "act", "cnf"})


@dataclass(frozen=True, slots=True)
class _Map:
    """Where an issuer writes what we need to know."""

    subject: claimed.Read
    tenant: claimed.Read
    scope: claimed.Read
    instance: claimed.Read | None
    workload: tuple[claimed.Read, ...]
    required: tuple[tuple[str, claimed.Read], ...]
    members: frozenset[str]
    """Claims that have a member of their own in `Claims`."""


class AccessTokenVerifier:
    """Verifies access tokens. Used concurrently.

    Args:
        issuers: with their keys; those of transaction tokens are left out.
        clock: the time.

    Raises:
        SettingsError: what settings map is not a claim.
    """

    def __init__(self, issuers: Sequence[TrustedIssuer], clock: Clock) -> None:
        own = [issuer for issuer in issuers if issuer.limits.profile != "transaction"]
        self._issuers = Issuers(own, _types, "token")
        self._maps = {issuer.limits.issuer: _map(issuer.limits) for issuer in own}
        self._clock = clock

    def knows(self, unverified: Unverified) -> bool:
        """Say whether a token says that it is from one of these issuers."""
        return self._issuers.knows(unverified)

    async def verify(self, unverified: Unverified, resource: str, steps: Steps) -> Verified:
        """Verify a token; see the module's steps.

        Args:
            unverified: as read.
            resource: canonical URI of the route; the audience, if the issuer has none of its own.
            steps: notes each step.

        Raises:
            CredentialRejected: the code names the step that failed.
            IssuerUnavailable: the issuer's keys cannot be had.
        """
        signed = await self._issuers.signed(unverified, steps)  # (1)
        limits, payload = signed.issuer.limits, unverified.payload
        audience = limits.audience or resource
        steps.at("the audience is this gateway alone", audience)
        claimed.check_audience(payload, audience)  # (2)
        now_seconds = self._clock.wall_ns() // 1_000_000_000
        steps.at("the token is within its time", _span(payload, now_seconds))
        times = check_times(payload, limits, now_seconds)  # (3)
        places = self._maps[limits.issuer]
        for name, read in places.required:  # (4)
            steps.at("what settings require is there", name)
            if read(payload) is None:
                raise CredentialRejected(f"there is no {name}", code="token_claim_missing")
        claims = _claims(unverified, signed, places, times, audience, steps)  # (5, 6)
        steps.at("the issuer may vouch for the workload", claims.subject)
        if limits.subjects and not claims.subject.startswith(limits.subjects):  # (7)
            raise CredentialRejected(
                "the issuer may not vouch for this subject", code="token_subject_refused"
            )
        return Verified.just_now(claims, signed.in_force, signed.issuer.keys.age_seconds)


def _types(limits: Issuer) -> frozenset[str] | None:
    if limits.types is not None:
        named = map(plain_type, limits.types)
        return frozenset(name for name in named if name.lower() not in _OTHER_KINDS)
    return None if limits.profile == "kubernetes" else TYPES


def _map(limits: Issuer) -> _Map:
    places = limits.claims
    named = {places.subject, places.tenant, places.scope, places.instance}
    return _Map(
        claimed.reader(places.subject),
        claimed.reader(places.tenant),
        claimed.reader(places.scope),
        None if places.instance is None else claimed.reader(places.instance),
        tuple(map(claimed.reader, places.workload)),
        tuple((name, claimed.reader(name)) for name in limits.require),
        _OWN_MEMBERS | {name for name in named if name is not None},
    )


def _claims(
    unverified: Unverified,
    signed: Signed,
    places: _Map,
    times: Times,
    audience: str,
    steps: Steps,
) -> Claims:
    payload, limits = unverified.payload, signed.issuer.limits
    steps.at("the subject is text")
    own_subject = places.subject(payload)
    if own_subject is None:
        raise CredentialRejected("there is no subject", code="token_sub_missing")
    own_subject = claimed.text(own_subject, "the subject")
    steps.at("jti, tenant, instance and scope are text")
    token_id = claimed.optional_text(payload.get("jti"), "jti")
    tenant = claimed.optional_text(places.tenant(payload), "the tenant")
    scopes = claimed.scopes(places.scope(payload), limits.scope_implies)
    steps.at("the actors are a short chain of the issuer's own subjects")
    actors = delegation.actors(payload, limits.issuer)
    steps.at("a key that the token is bound to can be checked")
    confirmation = claimed.confirmation(payload)
    return Claims(
        subject=actors[0] if actors else own_subject,
        issuer=limits.issuer,
        audience=audience,
        issued_at=times.issued_at,
        expires_at=times.expires_at,
        scheme=signed.kind or "service-account",
        algorithm=signed.algorithm,
        key_id=signed.kid,
        token_id=token_id,
        token_digest=digest(unverified.text.encode("ascii")),
        tenant=tenant,
        on_behalf_of=_person(payload) if actors else None,
        actors=actors,
        instance=_instance(payload, limits, places, steps),
        scopes=scopes,
        confirmation=confirmation,
        flags=("human_looking",) if looks_human(payload, places.workload) else (),
        other={name: value for name, value in payload.items() if name not in places.members},
    )


def _person(payload: Mapping[str, Any]) -> str:
    """Return whom an actor acts for: `sub` itself (RFC 8693 §4.1), whatever settings map."""
    if payload.get("sub") is None:
        raise CredentialRejected("there is no sub", code="token_sub_missing")
    return claimed.text(payload["sub"], "sub")


def _instance(payload: Mapping[str, Any], limits: Issuer, places: _Map, steps: Steps) -> str | None:
    read = places.instance
    mapped = None if read is None else claimed.optional_text(read(payload), "the instance")
    if limits.profile != "kubernetes":
        return mapped
    steps.at("the service account's token is bound to a pod")
    pod = pod_uid(payload)
    return mapped or pod


def _span(payload: Mapping[str, Any], now_seconds: int) -> str:
    shown = {"iat": payload.get("iat"), "exp": payload.get("exp"), "now": now_seconds}
    return ", ".join(f"{name} {value}" for name, value in shown.items() if type(value) is int)
