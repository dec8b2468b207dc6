import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.core.claims import Claims
from gateway.identity.kept import RENEW_SECONDS, STALE_SECONDS
from tests.fakes_clock import FakeClock
from tests.unit.identity.keys import KEYS, NOW, key_set
from tests.unit.identity.spiffe import (
    ALL_JWT_KEYS,
    authenticated,
    jwt_key,
    jwt_svid,
    rejected,
    trusted_domain,
    verified,
)
from tests.unit.identity.tokens import Publisher

STRANGER = ec.generate_private_key(ec.SECP256R1())
"""A key that is in no bundle."""


# Rotation.


@pytest.mark.parametrize("kid", ["p384", None])
async def test_a_key_that_is_newer_than_the_bundle_is_found(kid: str | None) -> None:
    """SPIFFE Trust Domain and Bundle §4.1.2; House: one fetch, and no good call is refused."""
    publisher = Publisher(key_set(jwt_key("p256")))
    domain = trusted_domain(publisher)
    await verified(jwt_svid(), domain)
    publisher.keys = key_set(jwt_key("p256"), jwt_key("p384"))
    text = jwt_svid(None, "p384", "ES384", kid=kid)
    for _ in range(3):
        assert (await authenticated(text, domain)).key_id == "p384"
        await verified(jwt_svid(), domain)
    assert publisher.asked == 2


async def test_a_rotation_refuses_no_good_call() -> None:
    """House: old key, both, new key; each SVID is good as long as its key is published."""
    clock = FakeClock(NOW * 10**9)
    publisher = Publisher(key_set(jwt_key("p256"), spiffe_sequence=1))
    domain = trusted_domain(publisher, clock=clock)
    old, new = jwt_svid(), jwt_svid(None, "p384", "ES384")
    before = await verified(old, domain)
    publisher.keys = key_set(jwt_key("p256"), jwt_key("p384"), spiffe_sequence=2)
    both = [await verified(text, domain) for text in (new, old, new, old)]
    assert [one.in_force() for one in (before, *both)] == [True] * 5
    publisher.keys = key_set(jwt_key("p384"), spiffe_sequence=3)
    clock.advance(RENEW_SECONDS)
    await domain.bundle.renewed()
    assert (await verified(new, domain)).in_force()
    assert [one.in_force() for one in (before, *both)] == [False, True, False, True, False]
    assert await rejected(old, domain) == "svid_key_unknown"


@pytest.mark.parametrize("kid", ["nobody", None])
async def test_unknown_keys_cause_at_most_one_fetch_in_a_while(kid: str | None) -> None:
    """House: else anybody could have a trust domain asked as often as they like."""
    clock = FakeClock(NOW * 10**9)
    publisher = Publisher(ALL_JWT_KEYS)
    domain = trusted_domain(publisher, clock=clock)
    await verified(jwt_svid(), domain)
    for expected in (2, 3):
        for _ in range(5):
            await rejected(jwt_svid(kid=kid, private=STRANGER), domain)
        assert publisher.asked == expected
        clock.advance(RENEW_SECONDS)


async def test_calls_at_once_with_a_new_key_cause_one_fetch_and_all_pass() -> None:
    """House: single flight."""
    publisher = Publisher(key_set(jwt_key("p256")))
    domain = trusted_domain(publisher)
    await verified(jwt_svid(), domain)
    publisher.keys = key_set(jwt_key("p256"), jwt_key("p384"))
    text = jwt_svid(None, "p384", "ES384")
    passed: list[Claims] = []

    async def call() -> None:
        passed.append(await authenticated(text, domain))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(call)
    assert (len(passed), publisher.asked) == (10, 2)


# Still in force.


@pytest.mark.parametrize("kid", ["p256", None])
async def test_a_key_that_leaves_the_bundle_takes_its_svids_with_it(kid: str | None) -> None:
    """House: what was verified by it no longer holds, however long it lives."""
    clock = FakeClock(NOW * 10**9)
    publisher = Publisher(key_set(jwt_key("p256"), jwt_key("rsa")))
    domain = trusted_domain(publisher, clock=clock)
    good = await verified(jwt_svid(kid=kid), domain)
    other = await verified(jwt_svid(None, "rsa", "RS256"), domain)
    assert good.in_force()
    publisher.keys = key_set(jwt_key("rsa"))
    clock.advance(RENEW_SECONDS)
    await domain.bundle.renewed()
    assert (good.in_force(), other.in_force()) == (False, True)


async def test_another_key_of_the_same_name_is_another_key() -> None:
    """House."""
    clock = FakeClock(NOW * 10**9)
    publisher = Publisher(key_set(jwt_key("p256", "a")))
    domain = trusted_domain(publisher, clock=clock)
    good = await verified(jwt_svid(kid="a"), domain)
    publisher.keys = key_set(jwt_key("p384", "a"))
    clock.advance(RENEW_SECONDS)
    await domain.bundle.renewed()
    assert not good.in_force()


async def test_a_bundle_that_only_grows_keeps_what_was_verified() -> None:
    """House: the same key, read again, is the same key."""
    clock = FakeClock(NOW * 10**9)
    publisher = Publisher(key_set(jwt_key("p256")))
    domain = trusted_domain(publisher, clock=clock)
    good = await verified(jwt_svid(), domain)
    publisher.keys = ALL_JWT_KEYS
    clock.advance(RENEW_SECONDS)
    assert len((await domain.bundle.renewed()).jwt.keys) == len(KEYS)
    assert good.in_force()


async def test_a_bundle_that_is_too_old_holds_nothing_in_force() -> None:
    """House: an hour without its trust domain."""
    clock = FakeClock(NOW * 10**9)
    good = await verified(jwt_svid(), trusted_domain(clock=clock))
    clock.advance(STALE_SECONDS)
    assert good.in_force()
    clock.advance(1)
    assert not good.in_force()


async def test_a_bundle_played_in_again_does_not_bring_a_key_back() -> None:
    """SPIFFE Trust Domain and Bundle §4.1.1."""
    clock = FakeClock(NOW * 10**9)
    old = key_set(jwt_key("p256"), jwt_key("rsa"), spiffe_sequence=1)
    publisher = Publisher(old)
    domain = trusted_domain(publisher, clock=clock)
    good = await verified(jwt_svid(), domain)
    for document in (key_set(jwt_key("rsa"), spiffe_sequence=2), old):
        publisher.keys = document
        clock.advance(RENEW_SECONDS)
        await domain.bundle.renewed()
        assert not good.in_force()
    assert publisher.asked == 3
    assert await rejected(jwt_svid(), domain) == "svid_key_unknown"
