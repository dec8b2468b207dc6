"""The circuit breaker: fast denial while OPA is down, one probe at a time, and back."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import anyio
import pytest

from gateway.core.decision import Permit
from gateway.core.errors import PolicyAnswerInvalid, PolicyUnavailable
from gateway.policy.breaker import (
    FAILURES,
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Breaker,
)
from gateway.policy.opa import OPADecisionPoint
from tests.fakes_clock import FakeClock
from tests.fakes_policy import ask, eventually
from tests.opa_peer import DROP, HANG, Answer, ScriptedOPA, answer, code_of, decided
from tests.opa_peer import asked as asked_of


class Caller:
    """Calls through a breaker. Owned by one test."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.breaker = Breaker(self.clock)

    def call(self, failure: BaseException | None = None) -> None:
        """Make a call that ends at once: well, or with this."""
        with self.breaker.call():
            if failure is not None:
                raise failure

    def fail(self, times: int = 1) -> None:
        """Make calls that fail as a server that is down does."""
        for _ in range(times):
            with pytest.raises(PolicyUnavailable, match="^down$"):
                self.call(PolicyUnavailable("down"))

    def refused(self) -> bool:
        """Say whether a call made now would not be tried, without making one."""
        try:
            with self.breaker.call():
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            return False
        except PolicyUnavailable as exc:
            assert exc.reason_code == "pdp_unavailable"
            assert "the circuit is open" in exc.message
            return True


@pytest.fixture
def caller() -> Iterator[Caller]:
    """Give a breaker whose circuit is closed."""
    yield Caller()


def test_three_failures_in_a_row_open_the_circuit(caller: Caller) -> None:
    """Policy §7.2: a circuit breaker denies fast while OPA is down."""
    caller.fail(FAILURES - 1)
    assert (caller.refused(), caller.breaker.lets_through()) == (False, True)
    caller.fail()
    assert (caller.refused(), caller.breaker.lets_through()) == (True, False)


def test_the_refusal_says_what_failed_last(caller: Caller) -> None:
    """House: a message names what is wrong."""
    caller.fail(FAILURES)
    with pytest.raises(PolicyUnavailable, match="the circuit is open; the last failure: down"):
        caller.call()


@pytest.mark.parametrize(
    "alive", [None, PolicyAnswerInvalid("500", code="pdp_error")], ids=["decision", "an error"]
)
def test_a_sign_of_life_starts_the_count_anew(caller: Caller, alive: BaseException | None) -> None:
    """House: an OPA that answers is not down, whatever it answers."""
    caller.fail(FAILURES - 1)
    try:
        caller.call(alive)
    except PolicyAnswerInvalid:
        pass
    caller.fail(FAILURES - 1)
    assert not caller.refused()


def test_errors_that_a_live_opa_answers_never_open_the_circuit(caller: Caller) -> None:
    """House: or one agent's arguments could shut out every other agent."""
    for _ in range(10 * FAILURES):
        with pytest.raises(PolicyAnswerInvalid):
            caller.call(PolicyAnswerInvalid("two values", code="pdp_error"))
    assert not caller.refused()


def test_after_the_pause_exactly_one_call_goes_through(caller: Caller) -> None:
    """House: a server that comes back is not met by everybody at once."""
    caller.fail(FAILURES)
    caller.clock.advance(FIRST_PAUSE_SECONDS - 0.001)
    assert caller.refused()
    caller.clock.advance(0.001)
    with caller.breaker.call():
        assert caller.refused()
    assert not caller.refused()


def test_a_probe_that_succeeds_closes_the_circuit_and_resets_the_pause(caller: Caller) -> None:
    """House: back to normal with the first answer."""
    caller.fail(FAILURES)
    caller.clock.advance(FIRST_PAUSE_SECONDS)
    caller.call()
    with ExitStack() as both:
        both.enter_context(caller.breaker.call())
        both.enter_context(caller.breaker.call())
    caller.fail(FAILURES)
    caller.clock.advance(FIRST_PAUSE_SECONDS)
    assert not caller.refused()


def test_each_failed_probe_doubles_the_pause_up_to_a_few_seconds(caller: Caller) -> None:
    """House: a server that is down is asked less and less, and never given up."""
    caller.fail(FAILURES)
    pauses = [FIRST_PAUSE_SECONDS]
    while len(pauses) < 8:
        caller.clock.advance(pauses[-1] - 0.001)
        assert caller.refused()
        caller.clock.advance(0.001)
        caller.fail()
        pauses.append(min(2 * pauses[-1], LONGEST_PAUSE_SECONDS))
    assert pauses[-1] == LONGEST_PAUSE_SECONDS <= 5


@pytest.mark.parametrize("left", [asyncio.CancelledError, KeyboardInterrupt])
def test_a_caller_that_leaves_is_no_failure_and_gives_the_probes_place_back(
    caller: Caller, left: type[BaseException]
) -> None:
    """House: else a caller that hangs up would keep the circuit open for ever."""
    caller.fail(FAILURES - 1)
    for _ in range(FAILURES):
        with pytest.raises(left):
            caller.call(left())
    assert not caller.refused()
    caller.fail()
    caller.clock.advance(FIRST_PAUSE_SECONDS)
    for _ in range(3):
        with pytest.raises(left):
            caller.call(left())
    caller.call()
    assert not caller.refused()


def test_a_call_from_before_the_circuit_opened_changes_nothing_when_it_ends(
    caller: Caller,
) -> None:
    """House: what fails together is one outage; and an old answer is no proof of life."""
    late = [caller.breaker.call() for _ in range(6)]
    for call in late:
        call.__enter__()
    for call in late[:FAILURES]:
        assert not call.__exit__(PolicyUnavailable, PolicyUnavailable("down"), None)
    for call in late[FAILURES:5]:
        assert not call.__exit__(PolicyUnavailable, PolicyUnavailable("late"), None)
    late[5].__exit__(None, None, None)
    assert caller.refused()
    caller.clock.advance(FIRST_PAUSE_SECONDS)
    assert not caller.refused()


def test_a_probe_from_before_does_not_free_the_place_of_the_probe_of_now(caller: Caller) -> None:
    """House: exactly one, also after the circuit closed and opened again meanwhile."""
    caller.fail(FAILURES)
    caller.clock.advance(FIRST_PAUSE_SECONDS)
    with caller.breaker.call():
        pass
    early = caller.breaker.call()
    early.__enter__()
    caller.fail(FAILURES)
    caller.clock.advance(FIRST_PAUSE_SECONDS)
    with caller.breaker.call():
        early.__exit__(None, None, None)
        assert caller.refused()


def test_opening_and_closing_are_logged_once_each(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """House: who looks for the reason finds it in the log."""
    caplog.set_level(logging.WARNING)
    caller.fail(FAILURES)
    caller.refused()
    caller.clock.advance(FIRST_PAUSE_SECONDS)
    caller.call()
    caller.call()
    assert [record.getMessage() for record in caplog.records] == [
        "the circuit is open for 0.25 s: down",
        "the circuit is closed again",
    ]


# --- through the decision point ---


@asynccontextmanager
async def asked(
    *answers: Answer, deadline_seconds: float = 20
) -> AsyncIterator[tuple[OPADecisionPoint, ScriptedOPA, FakeClock]]:
    """Start a point over a scripted OPA, by a clock that stands still."""
    clock = FakeClock()
    async with asked_of(*answers, deadline_seconds=deadline_seconds, clock=clock) as (point, peer):
        yield point, peer, clock


async def test_a_hung_opa_is_asked_three_times_and_then_denied_for_at_once() -> None:
    """Issue: a circuit breaker that denies fast; a deadline of 50 ms three times, then none."""
    async with asked(HANG, deadline_seconds=0.05) as (point, peer, _):
        assert [await code_of(point) for _ in range(5)] == [
            *["pdp_timeout"] * 3,
            *["pdp_unavailable"] * 2,
        ]
        assert len(peer.heads) == 3
        assert not point.healthy()


async def test_an_opa_that_comes_back_decides_again_after_the_pause() -> None:
    """House: and healthy says so without traffic, as soon as somebody would be let through."""
    async with asked(DROP, DROP, DROP, decided()) as (point, peer, clock):
        for _ in range(4):
            assert await code_of(point) == "pdp_unavailable"
        assert not point.healthy()
        assert len(peer.heads) == 3
        clock.advance(FIRST_PAUSE_SECONDS)
        assert point.healthy()
        assert await code_of(point) == "asked"
        assert point.healthy()


async def test_an_opa_that_answers_500_again_and_again_is_asked_each_time() -> None:
    """House: two values for one agent's input shut out nobody else."""
    broken = answer({"code": "internal_error"}, "500 Internal Server Error")
    async with asked(*[broken] * 6, decided()) as (point, _, _):
        assert [await code_of(point) for _ in range(7)] == [*["pdp_error"] * 6, "asked"]
        assert point.healthy()


async def test_a_probe_whose_caller_left_lets_the_next_call_probe() -> None:
    """House: the place is not lost with its caller."""
    async with asked(DROP, DROP, DROP, HANG, decided()) as (point, peer, clock):
        for _ in range(3):
            await code_of(point)
        clock.advance(FIRST_PAUSE_SECONDS)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(point.decide, ask("permit"))
            await eventually(lambda: len(peer.heads) == 4)
            assert await code_of(point) == "pdp_unavailable"
            tasks.cancel_scope.cancel()
        assert isinstance(await point.decide(ask("permit")), Permit)


async def test_callers_that_leave_do_not_open_the_circuit() -> None:
    """House: or whoever connects and hangs up could shut out everybody."""
    async with asked(*[HANG] * 6, decided()) as (point, peer, _):
        for turn in range(1, 7):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(point.decide, ask("permit"))
                await eventually(lambda turn=turn: len(peer.heads) == turn)
                tasks.cancel_scope.cancel()
        assert await code_of(point) == "asked"
