from dataclasses import replace
from typing import Any

import pytest

from gateway.core.claims import Claims
from gateway.identity.remembered import Remembered
from gateway.identity.verified import Verified
from tests.fakes_clock import FakeClock
from tests.unit.identity.clocks import SteppedClock
from tests.unit.identity.keys import NOW

TOKEN = "header.payload.signature"
RESOURCE = "https://gw.test/crm/mcp"
CLAIMS = Claims(
    subject="spiffe://corp.test/agent/a",
    issuer="https://issuer.test",
    audience=RESOURCE,
    issued_at=NOW,
    expires_at=NOW + 600,
    scheme="at+jwt",
    algorithm="ES256",
    key_id="a",
    token_id="1",
    token_digest="sha256:1",
)


class Key:
    """What a token was verified by; it can be taken away."""

    def __init__(self) -> None:
        self.good = True

    def in_force(self) -> bool:
        """Say whether it is still there."""
        return self.good


def verified(key: Key | None = None, **claims: Any) -> Verified:
    """Return what a verification said."""
    return Verified(replace(CLAIMS, **claims), (key or Key()).in_force, lambda: 0)


@pytest.fixture
def clock() -> SteppedClock:
    """A clock at NOW."""
    return SteppedClock(NOW * 10**9)


@pytest.fixture
def memory(clock: SteppedClock) -> Remembered:
    """A memory for three."""
    return Remembered(3, clock)


def test_what_was_verified_is_returned_itself(memory: Remembered) -> None:
    """House."""
    assert memory.get(TOKEN, RESOURCE) is None
    said = verified()
    memory.put(TOKEN, RESOURCE, said)
    assert memory.get(TOKEN, RESOURCE) is said
    assert memory.get(TOKEN, RESOURCE) is said


@pytest.mark.parametrize(
    ("token", "resource"),
    [
        (TOKEN, "https://gw.test/erp/mcp"),
        (TOKEN, ""),
        (TOKEN + "=", RESOURCE),
        (TOKEN.upper(), RESOURCE),
        ("", RESOURCE),
        ("\ud800", RESOURCE),
        ("é", RESOURCE),
        (RESOURCE, TOKEN),
    ],
    ids=["resource", "no-resource", "longer", "case", "empty", "surrogate", "accent", "swapped"],
)
def test_another_text_or_another_resource_is_unknown(
    memory: Remembered, token: str, resource: str
) -> None:
    """House: the audience of a token may depend on the resource (RFC 8707)."""
    memory.put(TOKEN, RESOURCE, verified())
    assert memory.get(token, resource) is None


def test_a_token_is_forgotten_when_it_expires_to_the_nanosecond(
    memory: Remembered, clock: FakeClock
) -> None:
    """RFC 7519 §4.1.4: on or after; House: no leeway is added."""
    memory.put(TOKEN, RESOURCE, verified())
    clock.advance(600 - 1e-9)
    assert memory.get(TOKEN, RESOURCE)
    clock.advance(1e-9)
    assert memory.get(TOKEN, RESOURCE) is None
    assert len(memory) == 0


@pytest.mark.parametrize("expires_at", [NOW, NOW - 1])
def test_a_token_that_only_leeway_kept_alive_is_not_remembered(
    memory: Remembered, expires_at: int
) -> None:
    """House."""
    memory.put(TOKEN, RESOURCE, verified(expires_at=expires_at))
    assert len(memory) == 0


def test_a_key_taken_away_takes_its_tokens_with_it(memory: Remembered) -> None:
    """House: and they do not come back with it."""
    key, other = Key(), Key()
    memory.put(TOKEN, RESOURCE, verified(key))
    memory.put("other", RESOURCE, verified(other))
    key.good = False
    assert memory.get(TOKEN, RESOURCE) is None
    assert memory.get("other", RESOURCE)
    key.good = True
    assert memory.get(TOKEN, RESOURCE) is None


def test_a_clock_set_back_to_before_the_verification_ends_the_memory_of_it(
    memory: Remembered, clock: SteppedClock
) -> None:
    """House: then nothing is known about its times."""
    memory.put(TOKEN, RESOURCE, verified())
    clock.step(-1e-9)
    assert memory.get(TOKEN, RESOURCE) is None
    clock.step(1e-9)
    assert memory.get(TOKEN, RESOURCE) is None


def test_a_clock_set_back_does_not_make_a_token_live_longer(
    memory: Remembered, clock: SteppedClock
) -> None:
    """House: the monotonic clock counts too."""
    memory.put(TOKEN, RESOURCE, verified())
    clock.advance(500)
    clock.step(-400)
    assert memory.get(TOKEN, RESOURCE)
    clock.advance(100 - 1e-9)
    assert memory.get(TOKEN, RESOURCE)
    clock.advance(1e-9)
    assert memory.get(TOKEN, RESOURCE) is None


def test_a_clock_set_forward_ends_what_has_expired_by_it(
    memory: Remembered, clock: SteppedClock
) -> None:
    """House."""
    memory.put(TOKEN, RESOURCE, verified())
    clock.step(600)
    assert memory.get(TOKEN, RESOURCE) is None


def test_the_least_recently_used_one_gives_way(memory: Remembered) -> None:
    """House: bounded; a token that gave way is verified again."""
    for name in "abc":
        memory.put(name, RESOURCE, verified())
    memory.get("a", RESOURCE)
    memory.put("d", RESOURCE, verified())
    assert [name for name in "abcd" if memory.get(name, RESOURCE)] == ["a", "c", "d"]
    assert len(memory) == 3


def test_a_token_put_again_is_the_latest_and_one_entry(
    memory: Remembered, clock: FakeClock
) -> None:
    """House: the new verification counts."""
    for name in "abc":
        memory.put(name, RESOURCE, verified())
    clock.advance(1)
    again = verified()
    memory.put("a", RESOURCE, again)
    assert len(memory) == 3
    memory.put("d", RESOURCE, verified())
    assert memory.get("a", RESOURCE) is again
    assert memory.get("b", RESOURCE) is None


def test_without_capacity_nothing_is_remembered(clock: FakeClock) -> None:
    """House: `remembered_tokens = 0`."""
    memory = Remembered(0, clock)
    memory.put(TOKEN, RESOURCE, verified())
    assert memory.get(TOKEN, RESOURCE) is None
    assert len(memory) == 0


def test_tokens_are_forgotten_by_what_they_say(memory: Remembered) -> None:
    """House: for revocations."""
    for number in "123":
        memory.put(number, RESOURCE, verified(token_id=number, tenant="a" if number < "3" else "b"))
    assert memory.forget(lambda claims: claims.tenant == "a") == 2
    assert memory.forget(lambda claims: claims.tenant == "a") == 0
    assert [number for number in "123" if memory.get(number, RESOURCE)] == ["3"]


def reachable(value: Any, seen: set[int]) -> list[Any]:
    """Return every text and every bytes that hang on a value."""
    if id(value) in seen:
        return []
    seen.add(id(value))
    if isinstance(value, str | bytes):
        return [value]
    if isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple):
        inner = list(value)
    else:
        slots = getattr(type(value), "__slots__", ())
        inner = [getattr(value, name) for name in slots if hasattr(value, name)]
        inner += list(getattr(value, "__dict__", {}).values())
    return [text for item in inner for text in reachable(item, seen)]


def test_no_token_is_kept(memory: Remembered) -> None:
    """House: a dump of memory is not a bundle of credentials."""
    memory.put(TOKEN, RESOURCE, verified())
    texts = reachable(memory, set())
    assert CLAIMS.subject in texts
    assert not any("payload" in str(text) for text in texts)
