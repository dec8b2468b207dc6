import pytest

from gateway.identity.nonces import MIN_KEY_BYTES, SLOT_SECONDS, Nonces
from tests.fakes_clock import FakeClock

KEY = bytes(range(MIN_KEY_BYTES))


def test_a_nonce_is_good_in_its_slot_and_in_the_next_and_then_no_more() -> None:
    """RFC 9449 §8.2; House: a nonce given out is always good for a whole slot."""
    clock = FakeClock()
    nonces = Nonces(KEY, clock)
    nonce = nonces.current()
    assert nonces.valid(nonce)
    clock.advance(2 * SLOT_SECONDS - 1e-9)
    assert nonces.valid(nonce)
    clock.advance(1e-9)
    assert not nonces.valid(nonce)


def test_a_nonce_given_at_the_end_of_a_slot_is_good_for_a_whole_one() -> None:
    """House."""
    clock = FakeClock()
    nonces = Nonces(KEY, clock)
    clock.advance(SLOT_SECONDS - 1e-9)
    nonce = nonces.current()
    clock.advance(SLOT_SECONDS)
    assert nonces.valid(nonce)
    clock.advance(1e-9)
    assert not nonces.valid(nonce)


def test_each_slot_has_a_nonce_of_its_own() -> None:
    """RFC 9449 §8.1: unpredictable, and another one each time."""
    clock = FakeClock()
    nonces = Nonces(KEY, clock)
    first = nonces.current()
    clock.advance(SLOT_SECONDS - 1e-9)
    assert nonces.current() == first
    clock.advance(1e-9)
    assert nonces.current() != first


def test_the_nonce_of_a_slot_to_come_is_not_good_yet() -> None:
    """House."""
    clock, ahead = FakeClock(), FakeClock(monotonic_ns=SLOT_SECONDS * 10**9)
    assert not Nonces(KEY, clock).valid(Nonces(KEY, ahead).current())


def test_setting_the_wall_clock_back_brings_no_nonce_back() -> None:
    """House."""
    clock = FakeClock()
    nonce = Nonces(KEY, clock).current()
    set_back = FakeClock(wall_ns=clock.wall_ns(), monotonic_ns=2 * SLOT_SECONDS * 10**9)
    assert not Nonces(KEY, set_back).valid(nonce)


def test_the_nonces_of_another_process_are_worth_nothing() -> None:
    """House: its key is made when it starts, so a restart ends every nonce."""
    clock = FakeClock()
    assert not Nonces(bytes(MIN_KEY_BYTES), clock).valid(Nonces(KEY, clock).current())


@pytest.mark.parametrize("text", ["", "a", "é" * 43, "\ud800", "A" * 43, "A" * 10_000])
def test_anything_else_is_no_nonce(text: str) -> None:
    """RFC 9449 §4.3 no. 10."""
    assert not Nonces(KEY, FakeClock()).valid(text)


def test_a_nonce_is_text_that_a_header_and_a_claim_may_hold() -> None:
    """RFC 9449 §8.1: `NQCHAR`."""
    nonce = Nonces(KEY, FakeClock()).current()
    assert len(nonce) == 43
    assert nonce.isascii()
    assert nonce.replace("-", "").replace("_", "").isalnum()


def test_a_key_that_could_be_guessed_is_refused() -> None:
    """RFC 2104 §3."""
    with pytest.raises(ValueError, match="32 bytes"):
        Nonces(KEY[:-1], FakeClock())
