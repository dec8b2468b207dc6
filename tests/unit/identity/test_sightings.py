from dataclasses import replace
from typing import Any

import pytest

from gateway.core.claims import Certificate, Claims
from gateway.identity.sightings import MAX_CREDENTIALS, MAX_SUBJECTS, Sightings, network_of
from gateway.settings import Identity
from tests.fakes_clock import FakeClock
from tests.unit.identity.clocks import SteppedClock
from tests.unit.identity.keys import NOW

WINDOW = 300
ALLOWED = 2
SHARED, TWO = "shared_account", "two_networks"
CLAIMS = Claims(
    subject="spiffe://corp.test/agent/a",
    issuer="https://issuer.test",
    audience="https://gw.test/crm/mcp",
    issued_at=NOW,
    expires_at=NOW + 600,
    scheme="at+jwt",
    algorithm="ES256",
    key_id="a",
    token_id=None,
    token_digest=None,
)


def caller(token: str | None = None, certificate: str | None = None, **claims: Any) -> Claims:
    """Return a verified caller; without token and certificate nothing of it is watched twice."""
    bound = Certificate(certificate, "edge", NOW + 600) if certificate else None
    return replace(CLAIMS, token_digest=token, certificate=bound, **claims)


def sightings(clock: FakeClock | None = None) -> Sightings:
    """Return sightings that allow two networks a subject within 300 s."""
    settings = Identity(window_seconds=WINDOW, sources_per_subject=ALLOWED)
    return Sightings(settings, clock or FakeClock())


# One account in many places.


def test_a_subject_may_come_from_as_many_networks_as_settings_allow() -> None:
    """OWASP NHI9."""
    seen = sightings()
    assert seen.seen(caller(), "10.0.1.1") == ()
    assert seen.seen(caller(), "10.0.2.1") == ()
    assert seen.seen(caller(), "10.0.3.1") == (SHARED,)
    assert seen.seen(caller(), "10.0.1.1") == (SHARED,)


def test_addresses_of_one_network_are_one_place() -> None:
    """House."""
    seen = sightings()
    flags = [seen.seen(caller("t"), f"10.0.1.{number}") for number in range(1, 9)]
    assert flags == [()] * 8


@pytest.mark.parametrize(
    "other",
    [
        {"subject": "spiffe://corp.test/agent/b"},
        {"issuer": "https://other.test"},
        {"instance": "pod-2"},
    ],
    ids=["subject", "issuer", "instance"],
)
def test_another_subject_issuer_or_instance_is_another_account(other: dict[str, Any]) -> None:
    """House: replicas may run anywhere if the issuer says which is which."""
    seen = sightings()
    first = caller(instance="pod-1")
    second = replace(first, **other)
    for network in (1, 2):
        assert seen.seen(first, f"10.0.{network}.1") == ()
    for network in (3, 4):
        assert seen.seen(second, f"10.0.{network}.1") == ()
    assert seen.seen(second, "10.0.1.1") == (SHARED,)


def test_what_only_passes_through_the_subject_makes_no_other_account() -> None:
    """House: the person acted for, scopes and tenant change, the account does not."""
    seen = sightings()
    seen.seen(caller(on_behalf_of="alice"), "10.0.1.1")
    seen.seen(caller(on_behalf_of="bob"), "10.0.2.1")
    assert seen.seen(caller(scopes=("crm:read",)), "10.0.3.1") == (SHARED,)


def test_networks_count_while_they_were_seen_within_the_window() -> None:
    """House: the edge of the window is within it."""
    clock = FakeClock()
    seen = sightings(clock)
    seen.seen(caller(), "10.0.1.1")
    seen.seen(caller(), "10.0.2.1")
    clock.advance(WINDOW)
    assert seen.seen(caller(), "10.0.3.1") == (SHARED,)
    clock.advance(1e-9)
    assert seen.seen(caller(), "10.0.3.1") == ()


def test_a_network_seen_again_counts_from_then_on() -> None:
    """House."""
    clock = FakeClock()
    seen = sightings(clock)
    seen.seen(caller(), "10.0.1.1")
    clock.advance(200)
    seen.seen(caller(), "10.0.2.1")
    seen.seen(caller(), "10.0.1.2")
    clock.advance(200)
    assert seen.seen(caller(), "10.0.3.1") == (SHARED,)


def test_a_network_left_is_left_though_another_was_seen_before_it_too() -> None:
    """House: what counts is when each was seen last, not first."""
    clock = FakeClock()
    seen = sightings(clock)
    seen.seen(caller(), "10.0.1.1")
    clock.advance(10)
    seen.seen(caller(), "10.0.2.1")
    clock.advance(200)
    seen.seen(caller(), "10.0.1.1")
    clock.advance(101)
    assert seen.seen(caller(), "10.0.3.1") == ()


def test_a_subject_that_moves_slowly_is_not_in_many_places() -> None:
    """House: places in the past do not add up."""
    clock = FakeClock()
    seen = sightings(clock)
    for network in range(20):
        assert seen.seen(caller(), f"10.0.{network}.1") == ()
        clock.advance(WINDOW / 2 + 1)


def test_the_wall_clock_does_not_matter() -> None:
    """House."""
    clock = SteppedClock()
    seen = sightings(clock)
    seen.seen(caller("t"), "10.0.1.1")
    clock.step(10 * WINDOW)
    assert seen.seen(caller("t"), "10.0.2.1") == (TWO,)


# One credential in two places.


@pytest.mark.parametrize("kind", ["token", "certificate"])
def test_one_credential_from_two_networks_is_flagged_and_two_are_not(kind: str) -> None:
    """OWASP NHI9: a copy of it is in use somewhere else."""
    seen = sightings()
    assert seen.seen(caller(**{kind: "a"}), "10.0.1.1") == ()
    assert seen.seen(caller(**{kind: "b"}), "10.0.2.1") == ()
    assert seen.seen(caller(**{kind: "b"}), "10.0.2.2") == ()
    assert seen.seen(caller(**{kind: "a"}), "10.0.2.1") == (TWO,)
    assert seen.seen(caller(**{kind: "a"}), "10.0.1.1") == (TWO,)


def test_the_flag_of_a_credential_falls_away_after_the_window() -> None:
    """House."""
    clock = FakeClock()
    seen = sightings(clock)
    seen.seen(caller("a"), "10.0.1.1")
    clock.advance(WINDOW)
    assert seen.seen(caller("a"), "10.0.2.1") == (TWO,)
    clock.advance(1e-9)
    assert seen.seen(caller("a"), "10.0.2.1") == ()


@pytest.mark.parametrize("two", ["token", "certificate"])
def test_token_and_certificate_are_watched_apart(two: str) -> None:
    """House: whichever comes from two places, and after a flag too."""
    seen = sightings()
    one = "certificate" if two == "token" else "token"
    seen.seen(caller(**{two: "a", one: "b"}), "10.0.1.1")
    assert seen.seen(caller(**{two: "a", one: "c"}), "10.0.2.1") == (TWO,)
    assert seen.seen(caller(**{one: "c"}), "10.0.1.1") == (TWO,)


def test_both_flags_can_be_up() -> None:
    """House."""
    seen = sightings()
    for network in (1, 2):
        seen.seen(caller("a"), f"10.0.{network}.1")
    assert seen.seen(caller("a"), "10.0.3.1") == (SHARED, TWO)


def test_a_caller_that_does_what_it_always_does_is_never_flagged() -> None:
    """House."""
    clock = FakeClock()
    seen = sightings(clock)
    for _ in range(50):
        assert seen.seen(caller("a", "c"), "10.0.1.1") == ()
        clock.advance(20)


# Networks.

NETWORKS = {
    "10.0.1.1": "10.0.1.0/24",
    "10.0.1.255": "10.0.1.0/24",
    "10.0.2.1": "10.0.2.0/24",
    "::ffff:10.0.1.7": "10.0.1.0/24",
    "::FFFF:0A00:0107": "10.0.1.0/24",
    "2001:db8:0:1::1": "2001:db8:0:1::/64",
    "2001:DB8:0:1:ffff:ffff:ffff:ffff": "2001:db8:0:1::/64",
    "2001:db8:0:2::1": "2001:db8:0:2::/64",
    "fe80::1%eth0": "fe80::/64",
    "127.0.0.1": "loopback",
    "127.8.9.10": "loopback",
    "::1": "loopback",
    "::ffff:127.0.0.1": "loopback",
    "": "",
    "unix:/run/edge.sock": "unix:/run/edge.sock",
    "10.0.1": "10.0.1",
    "10.0.01.1": "10.0.01.1",
    "10.0.1.1:80": "10.0.1.1:80",
}


@pytest.mark.parametrize(("source", "network"), NETWORKS.items(), ids=NETWORKS)
def test_an_address_is_in_the_network_that_a_host_stays_in(source: str, network: str) -> None:
    """RFC 4291 §2.5.4, §2.5.5.2; House: /24 of IPv4."""
    assert network_of(source) == network


# Memory.


def test_a_flood_of_one_subjects_tokens_pushes_out_only_its_own() -> None:
    """House: bounded for each subject."""
    seen = sightings()
    victim = caller("v", subject="victim")
    seen.seen(victim, "10.0.1.1")
    for number in range(100_000):
        seen.seen(caller(f"flood-{number}"), "10.0.1.1")
    assert seen.seen(victim, "10.0.2.1") == (TWO,)


def test_the_latest_credentials_of_a_subject_are_watched() -> None:
    """House."""
    seen = sightings()
    for number in range(MAX_CREDENTIALS):
        seen.seen(caller(str(number)), "10.0.1.1")
    seen.seen(caller("0"), "10.0.1.1")
    seen.seen(caller("new"), "10.0.1.1")
    assert seen.seen(caller("0"), "10.0.2.1") == (TWO,)
    assert seen.seen(caller("2"), "10.0.2.1") == (TWO,)
    assert seen.seen(caller("1"), "10.0.2.1") == ()


def test_a_flood_of_networks_is_bounded_and_stays_flagged() -> None:
    """House: one more than allowed says all that many more would."""
    seen = sightings()
    for number in range(1000):
        flags = seen.seen(caller("t"), f"10.{number // 250}.{number % 250}.1")
    assert flags == (SHARED, TWO)
    (subject,) = seen._subjects.values()
    assert len(subject.networks._last) == ALLOWED + 1
    assert len(subject.credentials["t"]._last) == 2


def test_there_are_so_many_subjects_and_the_one_seen_longest_ago_gives_way() -> None:
    """House."""
    seen = sightings()
    for number in range(MAX_SUBJECTS):
        seen.seen(caller("t", subject=str(number)), "10.0.1.1")
    seen.seen(caller("t", subject="0"), "10.0.1.1")
    seen.seen(caller("t", subject="new"), "10.0.1.1")
    assert len(seen) == MAX_SUBJECTS
    assert seen.seen(caller("t", subject="0"), "10.0.2.1") == (TWO,)
    assert seen.seen(caller("t", subject="1"), "10.0.2.1") == ()


def test_subjects_that_were_not_seen_within_the_window_are_forgotten() -> None:
    """House: little by little, as others come."""
    clock = FakeClock()
    seen = sightings(clock)
    for number in range(10):
        seen.seen(caller(subject=str(number)), "10.0.1.1")
    clock.advance(WINDOW)
    seen.seen(caller(subject="on the edge"), "10.0.1.1")
    assert len(seen) == 11
    clock.advance(1)
    for number in range(5):
        seen.seen(caller(subject=f"new {number}"), "10.0.1.1")
    assert len(seen) == 6


def test_subjects_that_were_seen_within_the_window_stay() -> None:
    """House."""
    clock = FakeClock(monotonic_ns=10 * WINDOW * 10**9)
    seen = sightings(clock)
    for number in range(5):
        seen.seen(caller(subject=str(number)), "10.0.1.1")
    clock.advance(WINDOW)
    seen.seen(caller(subject="new"), "10.0.1.1")
    assert len(seen) == 6
