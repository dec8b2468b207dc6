from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from gateway.app.server import Draining


class Calls:
    """An application whose requests wait for `finish`, and what became of them."""

    def __init__(self) -> None:
        self.began = 0
        self.answered = 0
        self.recorded = 0
        self.finish = anyio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Wait; on the way out write a record that no cancellation stops."""
        self.began += 1
        try:
            await self.finish.wait()
            self.answered += 1
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
                self.recorded += 1


Begin = Callable[[int], Awaitable[Draining]]


@pytest.fixture
def calls() -> Calls:
    """An application that no request has reached."""
    return Calls()


@pytest.fixture
async def begin(calls: Calls) -> Any:
    """Return a function that brings requests in flight."""
    draining = Draining()
    async with anyio.create_task_group() as tasks:

        async def requests(count: int) -> Draining:
            for _ in range(count):
                # An application for each, as there is one for each listener.
                tasks.start_soon(draining.around(calls), {}, None, None)
            await anyio.lowlevel.checkpoint()
            assert calls.began == count
            return draining

        with anyio.fail_after(5):
            yield requests
        tasks.cancel_scope.cancel()


async def test_nothing_in_flight_is_not_waited_for(begin: Begin) -> None:
    """House: a stop without calls is quick."""
    draining = await begin(0)
    await draining.ended()
    await draining.cancel()


async def test_the_end_is_the_end_of_the_last_request(begin: Begin, calls: Calls) -> None:
    """House: calls in flight are let finish."""
    draining = await begin(3)
    with anyio.move_on_after(0) as too_early:
        await draining.ended()
    assert too_early.cancelled_caught
    calls.finish.set()
    await draining.ended()
    assert (calls.answered, calls.recorded) == (3, 3)


async def test_cancelled_requests_have_written_their_records(begin: Begin, calls: Calls) -> None:
    """House: evidence closes after the last outcome, so no intent is orphaned by a stop."""
    draining = await begin(3)
    await draining.cancel()
    assert (calls.answered, calls.recorded) == (0, 3)


async def test_a_request_after_the_cancellation_does_not_reach_the_application(
    begin: Begin, calls: Calls
) -> None:
    """House: nobody would record its outcome."""
    draining = await begin(1)
    await draining.cancel()
    await draining.around(calls)({}, None, None)  # type: ignore[arg-type]
    assert calls.began == 1
