"""Verifying at NOW what `keys.py` makes, by the code that calls are verified with."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from gateway.core.canonical import digest
from gateway.core.claims import Claims
from gateway.core.errors import CredentialRejected
from gateway.identity import jws
from gateway.identity.access_token import AccessTokenVerifier
from gateway.identity.issued import TrustedIssuer
from gateway.identity.jwks import KeySet, read_key_set
from gateway.identity.kept import Kept
from gateway.identity.steps import Steps
from gateway.identity.verified import Verified
from gateway.settings import Issuer
from tests.fakes_clock import FakeClock
from tests.unit.identity.keys import ALL_KEYS, AUDIENCE, ISSUER, NOW

RESOURCE = "https://gw.test/crm/mcp"
LIMITS = Issuer(ISSUER, AUDIENCE, "unused", algorithms=("ES256", "EdDSA", "RS256"))


class Publisher:
    """What an issuer publishes; counts how often it is asked. Owned by one test."""

    def __init__(self, keys: bytes = ALL_KEYS) -> None:
        self.keys = keys
        self.asked = 0

    async def __call__(self) -> bytes:
        """Return the current key set."""
        self.asked += 1
        return self.keys


def kept(keys: bytes | Publisher = ALL_KEYS, clock: FakeClock | None = None) -> Kept[KeySet]:
    """Return a key set that can be had."""
    publisher = keys if isinstance(keys, Publisher) else Publisher(keys)
    return Kept(ISSUER, publisher, read_key_set, clock or FakeClock(NOW * 10**9))


def trusted(limits: Issuer = LIMITS, keys: bytes | Publisher = ALL_KEYS) -> TrustedIssuer:
    """Return an issuer whose key set can be had."""
    return TrustedIssuer(limits, kept(keys))


async def verified(
    text: str, *issuers: TrustedIssuer, resource: str = RESOURCE, steps: Steps | None = None
) -> Verified:
    """Verify at the last moment of NOW."""
    verifier = AccessTokenVerifier(issuers or (trusted(),), FakeClock(NOW * 10**9 + 999_999_999))
    with anyio.fail_after(5):
        return await verifier.verify(jws.read(text), resource, steps or Steps())


async def authenticated(text: str, *issuers: TrustedIssuer) -> Claims:
    """Return the claims of a good token."""
    return (await verified(text, *issuers)).current()


async def rejected(text: str, *issuers: TrustedIssuer) -> str:
    """Return the code of the rejection."""
    with pytest.raises(CredentialRejected) as caught:
        await verified(text, *issuers)
    return caught.value.reason_code


def claims(text: str, **members: Any) -> Claims:
    """Return the claims that a good token must give."""
    known: dict[str, Any] = {
        "subject": "spiffe://corp.test/agent/a",
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "issued_at": NOW - 10,
        "expires_at": NOW + 600,
        "scheme": "at+jwt",
        "algorithm": "ES256",
        "key_id": "p256",
        "token_id": None,
        "token_digest": digest(text.encode()),
        "key_age_seconds": 0,
    }
    return Claims(**(known | members))


def chain(*subjects: Any) -> dict[str, Any] | None:
    """Nest actors, outermost first."""
    nested: dict[str, Any] | None = None
    for subject in reversed(subjects):
        nested = {"sub": subject} | ({"act": nested} if nested else {})
    return nested


def titles(steps: Steps) -> Sequence[str]:
    """Return the titles of what was noted."""
    return [title for title, _ in steps.taken]
