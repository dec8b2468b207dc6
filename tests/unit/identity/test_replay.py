import pytest

from gateway.core.errors import CredentialRejected
from gateway.identity.replay import ReplayCache
from tests.fakes_clock import FakeClock
from tests.unit.identity.clocks import SteppedClock

NOW = 1_800_000_000
SECONDS = 80
"""How long proofs are remembered here; a slice is ten seconds."""


def code_of(cache: ReplayCache, jkt: str, jti: str, issued_at: int = NOW) -> str | None:
    """Spend a proof and return the code it is refused with, None if it is not."""
    try:
        cache.spend(jkt, jti, issued_at)
    except CredentialRejected as refused:
        return refused.reason_code
    return None


def test_a_proof_is_good_once() -> None:
    """RFC 9449 §11.1."""
    cache = ReplayCache(SECONDS, FakeClock())
    assert code_of(cache, "key", "a") is None
    assert code_of(cache, "key", "a") == "dpop_replay"
    assert code_of(cache, "key", "b") is None


def test_ids_are_unique_to_a_key_and_not_to_all_of_them() -> None:
    """RFC 9449 §4.2, §11.1: an agent cannot spend the ids of another."""
    cache = ReplayCache(SECONDS, FakeClock())
    assert code_of(cache, "one", "a") is None
    assert code_of(cache, "other", "a") is None
    assert code_of(cache, "one", "a") == "dpop_replay"


@pytest.mark.parametrize("offset", [0, 1e-9, 5, 10 - 1e-9], ids=["0", "1ns", "5s", "10s-1ns"])
def test_a_proof_is_remembered_for_the_whole_span_wherever_in_a_slice_it_was_used(
    offset: float,
) -> None:
    """House: forgotten early is accepted twice."""
    clock = FakeClock()
    clock.advance(offset)
    cache = ReplayCache(SECONDS, clock)
    cache.spend("key", "a", NOW)
    clock.advance(SECONDS)
    assert code_of(cache, "key", "a") == "dpop_replay"


@pytest.mark.parametrize("offset", [0, 10 - 1e-9], ids=["0", "10s-1ns"])
def test_a_proof_is_forgotten_soon_after_the_span(offset: float) -> None:
    """House: memory is bounded by time."""
    clock = FakeClock()
    clock.advance(offset)
    cache = ReplayCache(SECONDS, clock)
    cache.spend("key", "a", NOW)
    clock.advance(SECONDS + 10)
    cache.spend("key", "b", NOW + SECONDS)
    assert len(cache) == 1


def test_a_span_that_slices_do_not_divide_is_remembered_whole() -> None:
    """House."""
    for offset in range(100):
        clock = FakeClock()
        clock.advance(offset / 10)
        cache = ReplayCache(71, clock)
        cache.spend("key", "a", NOW)
        clock.advance(71)
        assert code_of(cache, "key", "a") == "dpop_replay"


def test_there_are_few_slices_however_long_and_much_is_spent() -> None:
    """House: a call looks into each of them."""
    clock = FakeClock()
    cache = ReplayCache(SECONDS, clock)
    for number in range(300):
        cache.spend("key", str(number), NOW + number)
        clock.advance(1)
    assert len(cache._slices) == 9


def test_what_is_remembered_does_not_hang_on_the_wall_clock() -> None:
    """House."""
    clock = SteppedClock()
    cache = ReplayCache(SECONDS, clock)
    cache.spend("key", "a", NOW)
    clock.step(10 * SECONDS)
    cache.spend("key", "b", NOW + 10 * SECONDS)
    clock.step(-10 * SECONDS)
    assert code_of(cache, "key", "a") == "dpop_replay"


def test_setting_the_clock_back_opens_nothing() -> None:
    """House: what is no longer remembered is refused by its time."""
    clock = SteppedClock()
    cache = ReplayCache(SECONDS, clock)
    cache.spend("key", "a", NOW)
    clock.advance(2 * SECONDS)
    cache.spend("key", "b", NOW + 2 * SECONDS)
    clock.step(-2 * SECONDS)
    assert code_of(cache, "key", "a", NOW) == "dpop_clock_set_back"
    assert code_of(cache, "key", "c", NOW) == "dpop_clock_set_back"
    assert code_of(cache, "key", "d", NOW + 1) is None


def test_the_latest_time_of_what_was_forgotten_counts_in_whatever_order_it_came() -> None:
    """House."""
    clock = FakeClock()
    cache = ReplayCache(SECONDS, clock)
    cache.spend("key", "a", NOW + 5)
    cache.spend("key", "b", NOW)
    clock.advance(10)
    cache.spend("key", "c", NOW + 3)
    clock.advance(2 * SECONDS)
    assert code_of(cache, "key", "d", NOW + 5) == "dpop_clock_set_back"
    assert code_of(cache, "key", "e", NOW + 6) is None


def test_one_key_cannot_take_more_than_its_share_nor_anything_of_the_others() -> None:
    """House: availability of the others, without forgetting anything."""
    cache = ReplayCache(SECONDS, FakeClock(), capacity=10, per_key=3)
    for number in range(3):
        cache.spend("flood", str(number), NOW)
    assert code_of(cache, "flood", "3") == "dpop_key_busy"
    assert code_of(cache, "flood", "0") == "dpop_replay"
    assert code_of(cache, "other", "3") is None


def test_a_key_has_one_share_in_all_slices_together() -> None:
    """House."""
    clock = FakeClock()
    cache = ReplayCache(SECONDS, clock, capacity=10, per_key=3)
    for number in range(3):
        cache.spend("flood", str(number), NOW)
        clock.advance(10)
    assert code_of(cache, "flood", "3") == "dpop_key_busy"


def test_without_room_proofs_are_refused_and_none_is_forgotten() -> None:
    """House: fails closed."""
    cache = ReplayCache(SECONDS, FakeClock(), capacity=4, per_key=3)
    for number in range(4):
        cache.spend(f"key-{number}", "a", NOW)
    assert code_of(cache, "late", "a") == "dpop_replay_full"
    assert len(cache) == 4
    assert [code_of(cache, f"key-{number}", "a") for number in range(4)] == ["dpop_replay"] * 4


def test_room_comes_back_with_time() -> None:
    """House."""
    clock = FakeClock()
    cache = ReplayCache(SECONDS, clock, capacity=2, per_key=1)
    cache.spend("one", "a", NOW)
    cache.spend("other", "a", NOW)
    clock.advance(SECONDS + 10)
    later = NOW + SECONDS + 10
    assert code_of(cache, "one", "b", later) is None
    assert code_of(cache, "late", "b", later) is None


def test_a_refused_proof_takes_no_room() -> None:
    """House."""
    cache = ReplayCache(SECONDS, FakeClock(), capacity=10, per_key=1)
    cache.spend("key", "a", NOW)
    assert [code_of(cache, "key", jti) for jti in "abab"] == [
        "dpop_replay",
        "dpop_key_busy",
        "dpop_replay",
        "dpop_key_busy",
    ]
    assert len(cache) == 1


def test_any_text_can_be_spent() -> None:
    """House: no id may end in an error that is not a refusal."""
    cache = ReplayCache(SECONDS, FakeClock())
    for jti in ("", "\ud800", "é", "a b", "\x00"):
        assert code_of(cache, "key", jti) is None
        assert code_of(cache, "key", jti) == "dpop_replay"
