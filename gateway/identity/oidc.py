"""Bearer JWTs of configured issuers, RFC 7519 and RFC 9068, verified in numbered steps.

1. The text is a compact JWS of at most 8 KiB in canonical base64url; header and payload are strict
   JSON objects (no name twice).
2. The header holds `alg`, `kid`, `typ` and nothing else: no key, no URL, no `crit` from the caller.
3. The issuer is one of the configured ones, character for character.
4. `typ` is one that this issuer may use.
5. The key is the issuer's own, and the algorithm is one of that key's and of the settings'.
6. The signature holds; `exp`, `iat`, `aud`, `iss`, `sub` are there; the audience is this gateway
   and nothing else.
7. The times are sane integers: not expired, not from the future, lifetime within the cap.
8. The subject is text, and an `act` chain (RFC 8693 §4.1) is at most four deep.
9. The workload is one that this issuer may vouch for.

Does not look at proofs of possession, revocations or scopes, and never logs the token.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt

from gateway.core.canonical import digest, parse_object
from gateway.core.claims import Claims, UnverifiedToken
from gateway.core.errors import CredentialMissing, CredentialRejected, MalformedMessage
from gateway.identity.jwks import KeyCache, VerificationKey
from gateway.ports import Clock
from gateway.settings import Issuer

MAX_TOKEN_BYTES: Final = 8 * 1024
MAX_ACTORS: Final = 4
_REQUIRED: Final = ["exp", "iat", "aud", "iss", "sub"]
_HEADER: Final = {"alg", "kid", "typ"}
_OWN_MEMBERS: Final = {*_REQUIRED, "nbf", "jti", "act", "tenant"}


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer's limits and its keys."""

    limits: Issuer
    keys: KeyCache


class OIDCAuthenticator:
    """The `Authenticator` port for bearer JWTs."""

    def __init__(self, issuers: Sequence[TrustedIssuer], clock: Clock) -> None:
        self._issuers = {issuer.limits.issuer: issuer for issuer in issuers}
        self._clock = clock

    async def authenticate(self, credential: UnverifiedToken | None) -> Claims:
        """Verify a bearer token; see the module's steps.

        Raises:
            CredentialMissing: there is none.
            CredentialRejected: the code names the step that failed.
            IssuerUnavailable: the issuer's keys cannot be had.
        """
        if credential is None:
            raise CredentialMissing("no bearer token came with the request")
        header, payload = _unverified(credential.text)  # (1)
        algorithm, kid, kind = _header_members(header)  # (2)
        issuer = self._issuers.get(payload["iss"]) if isinstance(payload.get("iss"), str) else None
        if issuer is None:  # (3)
            raise CredentialRejected("the issuer is not configured", code="token_issuer_unknown")
        if kind not in issuer.limits.types:  # (4)
            raise CredentialRejected("the token's typ is not accepted", code="token_type_refused")
        key = await issuer.keys.key(kid)
        if key is None or algorithm not in key.algorithms:  # (5)
            raise CredentialRejected("no key of the issuer fits", code="token_key_unknown")
        if algorithm not in issuer.limits.algorithms:
            raise CredentialRejected("the algorithm is not accepted", code="token_key_unknown")
        _verify_signature(credential.text, key, algorithm, issuer.limits)  # (6)
        _check_times(payload, issuer.limits, self._clock.wall_ns() // 1_000_000_000)  # (7)
        claims = _claims(payload, header, credential.text)  # (8)
        if issuer.limits.subjects and not claims.subject.startswith(issuer.limits.subjects):  # (9)
            raise CredentialRejected(
                "the issuer may not vouch for this subject", code="token_subject_refused"
            )
        return claims


def _unverified(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    parts = token.split(".")
    if len(token) > MAX_TOKEN_BYTES or len(parts) != 3:
        raise CredentialRejected("not a compact JWS of at most 8 KiB", code="token_malformed")
    try:
        header, payload, _ = (_strict_base64url(part) for part in parts)
        return parse_object(header), parse_object(payload)
    except (MalformedMessage, binascii.Error, ValueError) as exc:
        raise CredentialRejected("a part of the JWS is malformed", code="token_malformed") from exc


def _strict_base64url(part: str) -> bytes:
    raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    # Other spellings of the same bytes would make one token look like several.
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != part.encode("ascii"):
        raise ValueError("not canonical base64url")
    return raw


def _header_members(header: Mapping[str, Any]) -> tuple[str, str, str]:
    values = (header.get("alg"), header.get("kid"), header.get("typ"))
    if header.keys() != _HEADER or not all(isinstance(value, str) for value in values):
        raise CredentialRejected(
            "the header is not exactly alg, kid and typ", code="token_header_refused"
        )
    return header["alg"], header["kid"], header["typ"]


def _verify_signature(token: str, key: VerificationKey, algorithm: str, limits: Issuer) -> None:
    try:
        jwt.decode(
            token,
            key.loaded[algorithm],
            algorithms=[algorithm],
            audience=limits.audience,
            issuer=limits.issuer,
            options={
                "require": _REQUIRED,
                "strict_aud": True,
                "enforce_minimum_key_length": True,
                # Times are checked in step 7, against our own clock and stricter.
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.InvalidAudienceError as exc:
        raise CredentialRejected(
            "the token is for another audience", code="token_audience"
        ) from exc
    except jwt.MissingRequiredClaimError as exc:
        raise CredentialRejected("a required claim is missing", code="token_claim_missing") from exc
    except jwt.InvalidSignatureError as exc:
        raise CredentialRejected("the signature does not hold", code="token_signature") from exc
    except jwt.PyJWTError as exc:
        raise CredentialRejected("the token is not valid", code="token_invalid") from exc


def _check_times(payload: Mapping[str, Any], limits: Issuer, now: int) -> None:
    issued, expires, begins = payload["iat"], payload["exp"], payload.get("nbf", 0)
    if any(type(instant) is not int or instant < 0 for instant in (issued, expires, begins)):
        raise CredentialRejected("a time is not a plain number", code="token_time_malformed")
    if expires <= now - limits.leeway_seconds:
        raise CredentialRejected("the token has expired", code="token_expired")
    if max(issued, begins) > now + limits.leeway_seconds:
        raise CredentialRejected("the token is from the future", code="token_not_yet_valid")
    if not 0 < expires - issued <= limits.max_lifetime_seconds:
        raise CredentialRejected("the token lives too long", code="token_lifetime")


def _claims(payload: Mapping[str, Any], header: Mapping[str, Any], token: str) -> Claims:
    subject, actors = payload["sub"], _actors(payload)
    token_id, tenant = payload.get("jti"), payload.get("tenant")
    texts = [subject, *(value for value in (token_id, tenant) if value is not None)]
    if not all(_is_name(text) for text in texts):
        raise CredentialRejected("sub, jti or tenant is not text", code="token_claim_malformed")
    return Claims(
        # With an `act` chain the outermost actor is the workload; `sub` is whom it acts for.
        subject=actors[0] if actors else subject,
        issuer=payload["iss"],
        audience=payload["aud"],
        issued_at=payload["iat"],
        expires_at=payload["exp"],
        scheme=str(header["typ"]).lower(),
        algorithm=header["alg"],
        key_id=header["kid"],
        token_id=token_id,
        token_digest=digest(token.encode("ascii")),
        tenant=tenant,
        on_behalf_of=subject if actors else None,
        actors=actors,
        other={name: value for name, value in payload.items() if name not in _OWN_MEMBERS},
    )


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _actors(payload: Mapping[str, Any]) -> tuple[str, ...]:
    actors: list[str] = []
    actor = payload.get("act")
    while actor is not None:
        if not isinstance(actor, dict) or not _is_name(actor.get("sub")):
            raise CredentialRejected("act is not a chain", code="token_claim_malformed")
        actors.append(actor["sub"])
        if len(actors) > MAX_ACTORS:
            raise CredentialRejected("act is too deep", code="token_claim_malformed")
        actor = actor.get("act")
    return tuple(actors)
