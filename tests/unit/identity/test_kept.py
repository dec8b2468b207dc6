import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import anyio
import pytest
from anyio import to_thread

from gateway.core.errors import IssuerUnavailable
from gateway.identity.kept import (
    BIG_BYTES,
    FRESH_SECONDS,
    LOAD_SECONDS,
    RENEW_SECONDS,
    RETRY_SECONDS,
    STALE_SECONDS,
    Kept,
)
from gateway.identity.saving import Saved, save
from tests.fakes_clock import FakeClock

NAME = "https://issuer.test"


@dataclass(frozen=True)
class Text:
    """A document: its own text, and a hint."""

    text: str
    refresh_seconds: float | None = None


def read(body: bytes) -> Text:
    """Read a document; "bad" is none, "bug" is a mistake of ours, "every-9" hints 9 s."""
    text = body.decode()
    if text == "bad":
        raise IssuerUnavailable("not a document")
    if text == "bug":
        raise ZeroDivisionError
    return Text(text, float(text.removeprefix("every-")) if text.startswith("every-") else None)


class Source:
    """What an issuer answers; counts how often it was asked. Owned by one test."""

    def __init__(self, answer: str | Exception = "one") -> None:
        self.answer = answer
        self.asked = 0
        self.open = anyio.Event()
        self.open.set()

    async def __call__(self) -> bytes:
        """Answer as scripted when asked, once the door is open."""
        self.asked += 1
        answer = self.answer
        await self.open.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer.encode()


DOWN = IssuerUnavailable("down")
FAILURES: dict[str, str | Exception] = {
    "down": DOWN,
    "bad": "bad",
    "bug": "bug",
    "foreign": RuntimeError("unexpected"),
}


class Waits:
    """How `run` waits: until the test lets it. Owned by one test."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.asked: list[float] = []
        self._gate = anyio.Event()

    async def __call__(self, seconds: float) -> None:
        """Wait for `over`."""
        self.asked.append(seconds)
        await self._gate.wait()

    async def over(self, seconds: float | None = None) -> None:
        """Let the time go by that `run` waits for, or some other, and let it go on."""
        self.clock.advance(self.asked[-1] if seconds is None else seconds)
        gate, self._gate = self._gate, anyio.Event()
        gate.set()
        await settled()


async def settled() -> None:
    """Wait until nothing can go on by itself, threads included."""
    await anyio.wait_all_tasks_blocked()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock(monotonic_ns=10**15)


@pytest.fixture
def source() -> Source:
    """An issuer that answers."""
    return Source()


@pytest.fixture
def waits(clock: FakeClock) -> Waits:
    """A wait that only the test ends."""
    return Waits(clock)


@pytest.fixture
def kept(source: Source, clock: FakeClock, waits: Waits) -> Kept[Text]:
    """A document that was not read yet."""
    return Kept(NAME, source, read, clock, sleep=waits)


@asynccontextmanager
async def running(kept: Kept[Text]) -> AsyncIterator[None]:
    """Run the renewal while the block lasts."""
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kept.run)
            await settled()
            yield
            tasks.cancel_scope.cancel()


async def unavailable(ask: Callable[[], Awaitable[Any]]) -> str:
    """Assert that there is no document; return what is said."""
    with pytest.raises(IssuerUnavailable) as caught:
        await ask()
    assert caught.value.reason_code == "issuer_unavailable"
    return caught.value.message


# A call finds its document.


async def test_a_document_is_fetched_once_and_then_there(kept: Kept[Text], source: Source) -> None:
    """House: cache rules."""
    assert kept.current() is None
    first = await kept.get()
    assert first == Text("one")
    assert (await kept.get(), kept.current()) == (first, first)
    assert source.asked == 1


async def test_a_call_with_a_current_document_never_waits_for_a_fetch(
    kept: Kept[Text], source: Source, clock: FakeClock
) -> None:
    """House: an issuer that is slow holds nobody up whose key is known."""
    await kept.get()
    source.open = anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kept.renewed)
            tasks.start_soon(kept.run)
            await settled()
            assert source.asked == 2
            clock.advance(STALE_SECONDS)
            with anyio.CancelScope() as scope:
                scope.cancel()  # whatever waits is cancelled at once
                found = await kept.get()
            assert found is kept.current()
            tasks.cancel_scope.cancel()
            source.open.set()


async def test_concurrent_first_calls_are_one_fetch(kept: Kept[Text], source: Source) -> None:
    """House: single flight."""
    source.open = anyio.Event()
    found: list[Text] = []

    async def ask() -> None:
        found.append(await kept.get())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
            await settled()
            assert (source.asked, found) == (1, [])
            source.open.set()
    assert (source.asked, found) == (1, [Text("one")] * 5)


async def test_concurrent_calls_in_an_outage_are_one_fetch_and_all_fail(
    kept: Kept[Text], source: Source
) -> None:
    """House: fail closed, once."""
    source.answer, source.open = DOWN, anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(unavailable, kept.get)
            await settled()
            source.open.set()
    assert source.asked == 1


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_without_a_document_an_outage_is_asked_about_once_in_five_seconds(
    kept: Kept[Text], source: Source, clock: FakeClock, failure: str | Exception
) -> None:
    """House: neither a request a call, nor half a minute of refusals after recovery."""
    source.answer = failure
    for _ in range(5):
        await unavailable(kept.get)
    assert source.asked == 1
    clock.advance(LOAD_SECONDS - 0.001)
    await unavailable(kept.get)
    assert source.asked == 1
    clock.advance(0.001)
    source.answer = "two"
    assert (await kept.get(), source.asked) == (Text("two"), 2)


async def test_a_pause_begins_when_the_fetch_ended(
    kept: Kept[Text], source: Source, clock: FakeClock
) -> None:
    """House: else a slow outage would be one fetch after another."""
    source.answer, source.open = DOWN, anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(unavailable, kept.get)
            await settled()
            clock.advance(LOAD_SECONDS)
            source.open.set()
    await unavailable(kept.get)
    assert source.asked == 1


async def test_what_cannot_be_had_is_said_with_its_issuer_and_reason(
    kept: Kept[Text], source: Source
) -> None:
    """House."""
    source.answer = DOWN
    for _ in range(2):
        said = await unavailable(kept.get)
        assert said == f"the keys of {NAME} cannot be read: down"
    assert await unavailable(kept.renewed) == said


async def test_a_caller_that_leaves_does_not_spend_the_fetch_that_others_wait_for(
    kept: Kept[Text], source: Source
) -> None:
    """House: else anybody could lock everybody out by asking and hanging up."""
    for ask in (kept.get, kept.renewed):
        before, source.open = source.asked, anyio.Event()
        source.answer = f"after {before}"
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await settled()
                tasks.cancel_scope.cancel()
                source.open.set()
        assert (kept.current(), source.asked) == (Text(f"after {before}"), before + 1)


async def test_a_waiting_caller_that_leaves_spoils_nothing(
    kept: Kept[Text], source: Source
) -> None:
    """House."""
    source.open = anyio.Event()
    found: list[Text] = []

    async def ask() -> None:
        found.append(await kept.get())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await settled()
            with anyio.move_on_after(0):
                await kept.get()
            source.open.set()
    assert (found, source.asked) == ([Text("one")], 1)


async def test_a_fetch_that_never_ends_is_given_up(source: Source, clock: FakeClock) -> None:
    """House: whatever a fetch does, nobody waits for ever."""
    source.open = anyio.Event()
    kept = Kept(NAME, source, read, clock, longest=0.01)
    with anyio.fail_after(5):
        assert "TimeoutError" in await unavailable(kept.get)


# Something is missing in it.


@pytest.mark.parametrize(
    "answer", ["one", "two", *FAILURES.values()], ids=["same", "new", *FAILURES]
)
async def test_what_is_missing_causes_at_most_one_fetch_in_30_seconds_whatever_its_outcome(
    kept: Kept[Text], source: Source, clock: FakeClock, answer: str | Exception
) -> None:
    """House: cache rules (PyJWKClient counts successes only)."""
    await kept.get()
    source.answer, source.asked = answer, 0
    expected = Text("two") if answer == "two" else Text("one")
    assert [await kept.renewed() for _ in range(5)] == [expected] * 5
    clock.advance(RENEW_SECONDS - 0.001)
    assert (await kept.renewed(), source.asked) == (expected, 1)
    clock.advance(0.001)
    assert (await kept.renewed(), source.asked) == (expected, 2)


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_with_nothing_at_all_what_is_missing_is_asked_for_as_rarely(
    kept: Kept[Text], source: Source, clock: FakeClock, failure: str | Exception
) -> None:
    """House."""
    source.answer = failure
    for _ in range(5):
        await unavailable(kept.renewed)
    clock.advance(RENEW_SECONDS - 0.001)
    await unavailable(kept.renewed)
    assert source.asked == 1


async def test_a_flood_of_concurrent_misses_is_one_fetch(kept: Kept[Text], source: Source) -> None:
    """House: single flight."""
    await kept.get()
    source.answer, source.open = "two", anyio.Event()
    found: list[Text] = []

    async def miss() -> None:
        found.append(await kept.renewed())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(miss)
            await settled()
            assert (source.asked, found) == (2, [])
            source.open.set()
    assert (source.asked, found) == (2, [Text("two")] * 100)


async def test_a_miss_just_after_the_first_read_is_looked_for(
    kept: Kept[Text], source: Source
) -> None:
    """House: the issuer may rotate at any moment."""
    await kept.get()
    source.answer = "two"
    assert (await kept.renewed(), source.asked) == (Text("two"), 2)


async def test_a_miss_during_a_fetch_that_began_before_it_is_looked_for_again(
    kept: Kept[Text], source: Source
) -> None:
    """House: that fetch may have been answered before the new key was published."""
    await kept.get()
    source.open = anyio.Event()
    found: list[Text] = []

    async def miss() -> None:
        found.append(await kept.renewed())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kept.run)
            await settled()
            assert source.asked == 2
            source.answer = "two"
            for _ in range(5):
                tasks.start_soon(miss)
            await settled()
            assert source.asked == 2
            source.open.set()
            await settled()
            tasks.cancel_scope.cancel()
    assert (found, source.asked) == ([Text("two")] * 5, 3)


async def test_a_miss_during_a_fetch_that_brings_news_needs_no_other(
    kept: Kept[Text], source: Source
) -> None:
    """House: fetched rarely."""
    await kept.get()
    source.answer, source.open = "two", anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kept.run)
            await settled()
            tasks.start_soon(kept.renewed)
            await settled()
            source.open.set()
            await settled()
            tasks.cancel_scope.cancel()
    assert (kept.current(), source.asked) == (Text("two"), 2)


# The same document stays the same; a large one is read elsewhere.


async def test_a_document_fetched_unchanged_stays_the_same_object(
    kept: Kept[Text], source: Source, clock: FakeClock
) -> None:
    """House: what was verified with it is known by identity."""
    first = await kept.get()
    clock.advance(RENEW_SECONDS)
    assert await kept.renewed() is first
    source.answer = "two"
    clock.advance(RENEW_SECONDS)
    assert await kept.renewed() == Text("two")


@pytest.mark.parametrize(
    ("size", "in_loop"), [(BIG_BYTES, True), (BIG_BYTES + 1, False)], ids=["small", "large"]
)
async def test_a_large_document_is_read_in_a_thread(
    clock: FakeClock, size: int, in_loop: bool
) -> None:
    """House: nothing blocks the event loop."""
    threads: list[bool] = []

    def reader(body: bytes) -> Text:
        threads.append(current_thread() is main_thread())
        return Text("big")

    kept = Kept(NAME, Source("x" * size), reader, clock)
    assert (await kept.get(), threads) == (Text("big"), [in_loop])


# How old it may be.


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_a_document_outlives_a_failing_issuer_by_an_hour_and_no_longer(
    kept: Kept[Text], source: Source, clock: FakeClock, failure: str | Exception
) -> None:
    """House: stale-if-error, bounded."""
    await kept.get()
    source.answer = failure
    clock.advance(STALE_SECONDS)
    assert (await kept.get(), await kept.renewed()) == (Text("one"), Text("one"))
    clock.advance(0.001)
    assert kept.current() is None
    await unavailable(kept.get)
    await unavailable(kept.renewed)
    source.answer = "two"
    clock.advance(LOAD_SECONDS)
    assert await kept.get() == Text("two")


async def test_the_age_is_counted_from_before_the_fetch_and_starts_anew_with_each_good_one(
    kept: Kept[Text], source: Source, clock: FakeClock
) -> None:
    """House: shown in the record; the issuer answered no earlier than it was asked."""
    source.open = anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kept.get)
            await settled()
            clock.advance(3)
            source.open.set()
    assert kept.age_seconds() == 3
    clock.advance(30.9)
    assert kept.age_seconds() == 33
    await kept.renewed()
    assert kept.age_seconds() == 0
    source.answer = DOWN
    clock.advance(40)
    await kept.renewed()
    assert kept.age_seconds() == 40


def test_without_a_document_there_is_no_age(kept: Kept[Text]) -> None:
    """House."""
    with pytest.raises(IssuerUnavailable):
        kept.age_seconds()


class TwoClocks(FakeClock):
    """A clock whose two times move apart. Owned by one test."""

    def move(self, *, wall: float = 0, monotonic: float = 0) -> None:
        """Let each time go on, or back, by seconds."""
        self._wall_ns += round(wall * 1e9)
        self._monotonic_ns += round(monotonic * 1e9)


async def test_a_clock_that_is_set_back_does_not_make_keys_immortal(source: Source) -> None:
    """House: the monotonic clock goes on."""
    clock = TwoClocks()
    kept = Kept(NAME, source, read, clock)
    await kept.get()
    clock.move(wall=-86400, monotonic=STALE_SECONDS)
    assert kept.current() == Text("one")
    clock.move(monotonic=0.001)
    assert kept.current() is None


async def test_a_machine_that_slept_does_not_wake_up_with_old_keys(source: Source) -> None:
    """House: CLOCK_MONOTONIC stands still while a machine is suspended (clock_gettime(2))."""
    clock = TwoClocks()
    kept = Kept(NAME, source, read, clock)
    await kept.get()
    clock.move(wall=STALE_SECONDS + 0.001)
    assert kept.current() is None
    clock.move(monotonic=LOAD_SECONDS)
    assert (await kept.get(), source.asked) == (Text("one"), 2)


# Renewed behind the calls.


@pytest.mark.parametrize(
    ("answer", "pace"),
    [
        ("one", FRESH_SECONDS),
        ("every-9", RETRY_SECONDS),
        ("every-30", 30),
        ("every-77", 77),
        ("every-300", 300),
        ("every-86400", FRESH_SECONDS),
    ],
)
async def test_a_document_is_renewed_at_its_own_pace_within_bounds(
    kept: Kept[Text], source: Source, waits: Waits, answer: str, pace: float
) -> None:
    """House: 30 s to 300 s, 300 s unless it says so."""
    source.answer = answer
    async with running(kept):
        assert (kept.current(), source.asked) == (read(answer.encode()), 1)
        for round_number in (2, 3):
            assert waits.asked[-1] == pace
            await waits.over()
            assert source.asked == round_number


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_a_renewal_that_failed_is_tried_again_after_30_seconds_for_ever(
    kept: Kept[Text], source: Source, waits: Waits, failure: str | Exception
) -> None:
    """House: recovery needs no restart."""
    source.answer = failure
    async with running(kept):
        for tries in range(1, 5):
            assert (source.asked, waits.asked[-1]) == (tries, RETRY_SECONDS)
            await waits.over()
        source.answer = "two"
        await waits.over()
        assert (kept.current(), waits.asked[-1]) == (Text("two"), FRESH_SECONDS)


async def test_a_document_that_a_call_has_fetched_meanwhile_is_not_due_yet(
    kept: Kept[Text], source: Source, waits: Waits, clock: FakeClock
) -> None:
    """House: fetched rarely."""
    async with running(kept):
        clock.advance(100)
        await kept.renewed()
        await waits.over(200)
        assert (source.asked, waits.asked[-1]) == (2, 100)
        await waits.over()
        assert source.asked == 3


async def test_a_change_takes_effect_with_the_next_renewal(
    kept: Kept[Text], source: Source, waits: Waits
) -> None:
    """House: revoked keys must not live on."""
    async with running(kept):
        source.answer = "two"
        assert kept.current() == Text("one")
        await waits.over()
        assert kept.current() == Text("two")


async def test_the_first_call_waits_for_the_renewal_that_runs_already(
    kept: Kept[Text], source: Source
) -> None:
    """House: single flight, whoever asks."""
    source.open = anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kept.run)
            await settled()
            tasks.start_soon(kept.get)
            await settled()
            source.open.set()
            await settled()
            tasks.cancel_scope.cancel()
    assert source.asked == 1


async def test_a_renewal_waits_for_the_fetch_of_a_call_that_runs_already(
    kept: Kept[Text], source: Source, waits: Waits
) -> None:
    """House: single flight, whoever asks."""
    source.open = anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kept.get)
            await settled()
            tasks.start_soon(kept.run)
            await settled()
            source.open.set()
            await settled()
            tasks.cancel_scope.cancel()
    assert (source.asked, waits.asked) == (1, [FRESH_SECONDS])


async def test_a_renewal_that_is_cancelled_does_not_keep_the_calls_that_wait_for_it(
    kept: Kept[Text], source: Source
) -> None:
    """House: they fetch themselves."""
    source.open = anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as calls:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(kept.run)
                await settled()
                calls.start_soon(kept.get)
                await settled()
                tasks.cancel_scope.cancel()
            await settled()
            source.open.set()
    assert (kept.current(), source.asked) == (Text("one"), 2)


# Over restarts.


async def until(holds: Callable[[], bool]) -> None:
    """Wait, boundedly, for something that a thread does."""
    with anyio.fail_after(10):
        while not holds():
            await anyio.lowlevel.checkpoint()


async def saved_once(path: Path, clock: FakeClock, answer: str = "one") -> None:
    """Run until the document is saved."""
    async with running(Kept(NAME, Source(answer), read, clock, path, sleep=Waits(clock))):
        await until(path.exists)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the document is saved."""
    return tmp_path / "state" / "a.json"


def again(path: Path, clock: FakeClock, answer: str | Exception = DOWN) -> Kept[Text]:
    """Return what a restarted gateway has; its monotonic clock has started anew."""
    return Kept(NAME, Source(answer), read, FakeClock(clock.wall_ns(), 5), path)


async def test_a_restart_in_an_outage_has_the_last_good_document(
    path: Path, clock: FakeClock
) -> None:
    """House: cache rules."""
    await saved_once(path, clock)
    clock.advance(60)
    kept = again(path, clock)
    assert (await kept.get(), kept.age_seconds()) == (Text("one"), 60)


async def test_a_restart_with_an_issuer_that_answers_has_the_issuers_document(
    path: Path, clock: FakeClock
) -> None:
    """House: what was saved is for outages; a key taken back meanwhile is gone."""
    await saved_once(path, clock)
    kept = again(path, clock, "two")
    assert kept.current() is None
    assert await kept.get() == Text("two")


async def test_a_restart_does_not_start_the_hour_anew(path: Path, clock: FakeClock) -> None:
    """House: stale-if-error, bounded."""
    await saved_once(path, clock)
    clock.advance(STALE_SECONDS - 1)
    restarted = FakeClock(clock.wall_ns())
    kept = Kept(NAME, Source(DOWN), read, restarted, path)
    assert await kept.get() == Text("one")
    restarted.advance(1)
    assert kept.current() == Text("one")
    restarted.advance(0.001)
    await unavailable(kept.get)


@pytest.mark.parametrize("seconds", [STALE_SECONDS + 1, -1], ids=["too-old", "from-the-future"])
async def test_a_saved_document_of_no_believable_age_is_ignored(
    path: Path, clock: FakeClock, seconds: float
) -> None:
    """House: a clock that was set back cannot say how old it is."""
    await saved_once(path, clock)
    clock.advance(seconds)
    await unavailable(again(path, clock).get)


async def test_a_restored_document_ages_by_the_monotonic_clock_too(path: Path) -> None:
    """House: a clock that is set back after the restart gains nothing."""
    clock = TwoClocks()
    await saved_once(path, clock)
    clock.move(wall=STALE_SECONDS - 10)
    kept = Kept(NAME, Source(DOWN), read, clock, path)
    await kept.get()
    clock.move(wall=-3000, monotonic=10.001)
    assert kept.current() is None


@pytest.mark.parametrize(
    "members",
    [
        {"document": "YmFk"},
        {"document": "!"},
        {"document": "YnVn"},
        {"name": "https://other.test"},
        {"read_at": "now"},
    ],
    ids=["unreadable", "no-base64", "reader-fails", "of-another", "no-time"],
)
async def test_a_saved_file_is_believed_no_more_than_what_an_issuer_sends(
    path: Path, clock: FakeClock, members: dict[str, Any]
) -> None:
    """House: damage is ignored."""
    await saved_once(path, clock)
    content = await anyio.Path(path).read_bytes()
    await anyio.Path(path).write_text(json.dumps(json.loads(content) | members))
    await unavailable(again(path, clock).get)


async def test_what_a_call_fetched_is_saved_too_and_a_failure_saves_nothing(
    path: Path, clock: FakeClock
) -> None:
    """House: the last good one."""
    source, waits = Source(), Waits(clock)
    kept = Kept(NAME, source, read, clock, path, sleep=waits)

    def at() -> Any:
        return json.loads(path.read_bytes())["read_at"] if path.exists() else None

    async with running(kept):
        await until(lambda: at() == clock.wall_ns() // 10**9)
        clock.advance(40)
        await kept.renewed()
        await until(lambda: at() == clock.wall_ns() // 10**9)
        before = at()
        source.answer = DOWN
        clock.advance(40)
        await kept.renewed()
        await settled()
        assert at() == before


async def test_a_document_is_written_once_for_each_fetch(path: Path, clock: FakeClock) -> None:
    """House."""
    kept = Kept(NAME, Source(), read, clock, path, sleep=Waits(clock))
    async with running(kept):
        await until(path.exists)
        await settled()
        await anyio.Path(path).unlink()
        for _ in range(5):
            await to_thread.run_sync(save, path.parent / "other", Saved(NAME, 0, b""))
        assert not await anyio.Path(path).exists()


async def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path, clock: FakeClock) -> None:
    """House: the issuer answers, so the calls go on."""
    (tmp_path / "file").write_text("")
    waits = Waits(clock)
    kept = Kept(NAME, Source(), read, clock, tmp_path / "file" / "a.json", sleep=waits)
    async with running(kept):
        await waits.over()
        assert kept.current() == Text("one")


async def test_without_the_renewal_nothing_is_written(path: Path, clock: FakeClock) -> None:
    """House: a command that only looks leaves no trace."""
    await Kept(NAME, Source(), read, clock, path).get()
    assert not path.parent.exists()
