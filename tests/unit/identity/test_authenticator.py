"""What only the whole authenticator shows: memory, keys taken away, keys that grow old."""

from dataclasses import replace

import pytest

from gateway.core.call import Request
from gateway.core.claims import Credential, UnverifiedToken
from gateway.core.errors import CredentialRejected, IdentityError, IssuerUnavailable
from gateway.identity.authenticator import WorkloadAuthenticator
from gateway.identity.issued import TrustedIssuer
from gateway.identity.jwks import read_key_set
from gateway.identity.kept import Kept
from gateway.settings import Issuer, System
from tests.fakes_clock import FakeClock
from tests.unit.identity.authenticating import authenticating
from tests.unit.identity.keys import ALL_KEYS, AUDIENCE, ISSUER, NOW, P256, jwk, key_set, token
from tests.unit.identity.tokens import Publisher

RESOURCE = "https://gw.test/crm/mcp"


def request(text: str) -> Request:
    """Return a call with this bearer token."""
    credential = Credential(UnverifiedToken(text))
    return Request(
        "POST", "/crm/mcp", "crm", {}, b"", "192.0.2.1", credential=credential, resource=RESOURCE
    )


def known_by(
    publisher: Publisher, audience: str | None = AUDIENCE, system: System | None = None
) -> tuple[WorkloadAuthenticator, FakeClock, Kept[object]]:
    """Return an authenticator over one issuer, its clock and the issuer's keys."""
    clock = FakeClock(NOW * 10**9)
    keys = Kept(ISSUER, publisher, read_key_set, clock)
    trusted = TrustedIssuer(Issuer(ISSUER, audience, "unused"), keys)
    systems = {"crm": system or System("http://127.0.0.1:9/mcp")}
    return authenticating([trusted], clock=clock, systems=systems), clock, keys  # type: ignore[return-value]


async def test_a_token_is_verified_once_while_it_and_its_key_last() -> None:
    """Issue: remembered by digest until its expiry, never past its key."""
    publisher = Publisher()
    authenticator, clock, keys = known_by(publisher)
    asked = request(token())
    first = await authenticator.authenticate(asked)
    assert await authenticator.authenticate(asked) == first
    publisher.keys = key_set(jwk(P256, "another"))
    clock.advance(31)
    await keys.renewed()
    with pytest.raises(CredentialRejected) as refused:
        await authenticator.authenticate(asked)
    assert refused.value.reason_code == "token_key_unknown"


async def test_the_age_of_the_keys_is_that_of_now() -> None:
    """Reference §2: stale keys are shown in the record."""
    authenticator, clock, _ = known_by(Publisher())
    asked = request(token())
    assert (await authenticator.authenticate(asked)).key_age_seconds == 0
    clock.advance(250)
    assert (await authenticator.authenticate(asked)).key_age_seconds == 250


async def test_a_remembered_token_does_not_outlive_keys_that_are_too_old() -> None:
    """Issue: stale-if-error for a bounded time."""
    publisher = Publisher()
    authenticator, clock, _ = known_by(publisher)
    asked = request(token())
    await authenticator.authenticate(asked)
    publisher.keys = b"the issuer is ill"
    clock.advance(3601)
    with pytest.raises((IdentityError, IssuerUnavailable)):
        await authenticator.authenticate(asked)


async def test_without_an_audience_of_the_issuer_a_token_is_for_one_system() -> None:
    """RFC 8707, MCP authorization: audience = this resource; also for what is remembered."""
    authenticator, _, _ = known_by(Publisher(ALL_KEYS), audience=None)
    asked = request(token({**_claims(), "aud": RESOURCE}))
    assert (await authenticator.authenticate(asked)).audience == RESOURCE
    with pytest.raises(CredentialRejected) as refused:
        await authenticator.authenticate(replace(asked, resource="https://gw.test/hr/mcp"))
    assert refused.value.reason_code == "token_audience"


async def test_a_refusal_says_which_scopes_the_system_wants() -> None:
    """MCP authorization: the challenge may name them."""
    system = System("http://127.0.0.1:9/mcp", scopes=("crm:read", "crm:write"))
    authenticator, _, _ = known_by(Publisher(), system=system)
    for text in (token(), "rubbish"):
        with pytest.raises(IdentityError) as refused:
            await authenticator.authenticate(request(text))
        assert refused.value.scopes == ("crm:read", "crm:write")


def _claims() -> dict[str, object]:
    return {"iss": ISSUER, "sub": "agent:a", "iat": NOW, "exp": NOW + 600}
