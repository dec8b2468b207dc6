"""Keys of a real issuer over HTTP that fails, floods and rotates, and what calls see of it."""

import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from gateway.core.errors import CredentialRejected, IssuerUnavailable
from gateway.identity import jws
from gateway.identity.discovery import discovered
from gateway.identity.fetching import from_url
from gateway.identity.jwks import MAX_BYTES, KeySet, read_key_set
from gateway.identity.kept import BIG_BYTES, FRESH_SECONDS, RENEW_SECONDS, STALE_SECONDS, Kept
from tests.fakes_clock import FakeClock
from tests.issuer_server import IssuerServer, Mood, issuer_server
from tests.unit.identity.keys import ED25519, key_set, token

UNKNOWN = token(algorithm="EdDSA", kid="unknown", private=ED25519)
MOODS: list[Mood] = ["down", "huge", "redirect", "error", "html", "absent"]
TICKS = 500


class Sleeper:
    """How `run` waits: the clock goes on when the test says so. Owned by one test."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.gate = anyio.Event()
        self.waits = 0

    async def __call__(self, seconds: float) -> None:
        """Wait until the test wakes everybody."""
        self.waits += 1
        await self.gate.wait()

    async def next_renewal(self) -> None:
        """Let 300 s go by, and wait until the renewal has been made."""
        waits, gate = self.waits, self.gate
        self.clock.advance(FRESH_SECONDS)
        self.gate = anyio.Event()
        gate.set()
        await until(lambda: self.waits > waits)


async def until(holds: Callable[[], bool]) -> None:
    """Wait, boundedly, for something that another thread or the network does."""
    with anyio.fail_after(20):
        while not holds():
            await anyio.lowlevel.checkpoint()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def sleeper(clock: FakeClock) -> Sleeper:
    """A wait that only the test ends."""
    return Sleeper(clock)


def kept_of(issuer: IssuerServer, sleeper: Sleeper, saved: Path | None = None) -> Kept[KeySet]:
    """Return an issuer's keys as wiring has them."""
    fetch = discovered(issuer.url)
    return Kept(issuer.url, fetch, read_key_set, sleeper.clock, saved, sleep=sleeper)


@asynccontextmanager
async def running(kept: Kept[KeySet], sleeper: Sleeper) -> AsyncIterator[None]:
    """Renew the keys while the block lasts."""
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kept.run)
            await until(lambda: sleeper.waits > 0)
            yield
            tasks.cancel_scope.cancel()


async def accepted(kept: Kept[KeySet], text: str) -> bool:
    """Say whether the signature is a current key's, asking as a verifier does."""
    unverified = jws.read(text)
    kid = unverified.header["kid"]
    key = (await kept.get()).keys.get(kid) or (await kept.renewed()).keys.get(kid)
    if key is None:
        return False
    try:
        algorithm = unverified.header["alg"]
        jws.verify(unverified, key.loaded[algorithm], algorithm, "token_signature")
    except CredentialRejected:
        return False
    return True


async def tick(beats: int) -> None:
    """Let the event loop go round."""
    for _ in range(beats):
        await anyio.lowlevel.checkpoint()


# Outages.


@pytest.mark.parametrize("mood", MOODS)
async def test_calls_with_known_keys_go_on_and_others_are_refused(
    mood: Mood, sleeper: Sleeper
) -> None:
    """House: whatever the issuer does, for an hour."""
    with issuer_server() as issuer:
        kept, good = kept_of(issuer, sleeper), issuer.token()
        async with running(kept, sleeper):
            assert await accepted(kept, good)
            issuer.mood = mood
            for _ in range(3):
                asked = len(issuer.requests)
                assert await accepted(kept, good)
                assert len(issuer.requests) == asked
                for _ in range(5):
                    assert not await accepted(kept, UNKNOWN)
                sleeper.clock.advance(RENEW_SECONDS)
            sleeper.clock.advance(STALE_SECONDS - 3 * RENEW_SECONDS)
            assert await accepted(kept, good)
            sleeper.clock.advance(1)
            with pytest.raises(IssuerUnavailable):
                await accepted(kept, good)


@pytest.mark.parametrize("mood", MOODS)
async def test_calls_go_on_when_the_issuer_recovers_without_a_restart(
    mood: Mood, sleeper: Sleeper
) -> None:
    """House."""
    with issuer_server() as issuer:
        issuer.mood = mood
        kept, good = kept_of(issuer, sleeper), issuer.token()
        async with running(kept, sleeper):
            with pytest.raises(IssuerUnavailable):
                await accepted(kept, good)
            issuer.mood = "good"
            await sleeper.next_renewal()
            assert await accepted(kept, good)


async def test_a_slow_issuer_holds_up_nobody_whose_key_is_known(sleeper: Sleeper) -> None:
    """House: nothing blocks the event loop; the issuer answers only after all those calls."""
    with issuer_server() as issuer:
        kept, good = kept_of(issuer, sleeper), issuer.token()
        async with running(kept, sleeper):
            issuer.mood, asked = "slow", len(issuer.requests)
            refused: list[bool] = []

            async def miss() -> None:
                refused.append(not await accepted(kept, UNKNOWN))

            async with anyio.create_task_group() as misses:
                for _ in range(50):
                    misses.start_soon(miss)
                await until(lambda: len(issuer.requests) > asked)
                for _ in range(TICKS):
                    assert await accepted(kept, good)
                    await tick(1)
                assert (refused, len(issuer.requests)) == ([], asked + 1)
                issuer.release()
            assert refused == [True] * 50


async def test_a_large_document_is_read_while_the_event_loop_goes_on(sleeper: Sleeper) -> None:
    """House: nothing blocks the event loop; reading ends only after it has gone round."""
    ticked = threading.Event()

    def reader(document: bytes) -> KeySet:
        assert len(document) <= BIG_BYTES or ticked.wait(20)
        return read_key_set(document)

    with issuer_server() as issuer, anyio.fail_after(30):
        kept = Kept(issuer.url, from_url(issuer.jwks_url), reader, sleeper.clock)
        assert await accepted(kept, issuer.token())
        kid = issuer.rotate()
        members = json.loads(issuer.documents["/jwks"])
        issuer.documents["/jwks"] = key_set(*members["keys"]).ljust(MAX_BYTES)
        found: list[bool] = []

        async def call() -> None:
            found.append(await accepted(kept, issuer.token(kid=kid)))

        async with anyio.create_task_group() as calls:
            calls.start_soon(call)
            await until(lambda: issuer.asked() == 2)
            await tick(TICKS)
            assert found == []
            ticked.set()
        assert found == [True]


async def test_a_flood_of_unknown_keys_is_one_fetch_in_30_seconds(sleeper: Sleeper) -> None:
    """House: whoever makes up keys makes no requests of ours."""
    flood = [token(algorithm="EdDSA", kid=f"made-up-{n}", private=ED25519) for n in range(100)]
    with issuer_server() as issuer:
        kept, good = kept_of(issuer, sleeper), issuer.token()
        async with running(kept, sleeper):
            before = issuer.asked()
            for fetches in (1, 2, 3):
                async with anyio.create_task_group() as calls:
                    for text in flood:
                        calls.start_soon(accepted, kept, text)
                for text in flood:
                    assert not await accepted(kept, text)
                assert await accepted(kept, good)
                assert issuer.asked() == before + fetches
                sleeper.clock.advance(RENEW_SECONDS)


# Rotation.


async def test_keys_that_are_announced_ahead_rotate_without_one_refused_good_call(
    sleeper: Sleeper,
) -> None:
    """OpenID Connect Core §10.1.1: rotation of signing keys; House: no restart."""
    with issuer_server() as issuer:
        kept = kept_of(issuer, sleeper)
        async with running(kept, sleeper):
            for _ in range(3):
                before, kid = issuer.token(), issuer.announce()
                await sleeper.next_renewal()
                issuer.rotate(kid)
                after, asked = issuer.token(), issuer.asked()
                assert await accepted(kept, before)
                assert await accepted(kept, after)
                assert issuer.asked() == asked
                issuer.withdraw()
                await sleeper.next_renewal()
                assert await accepted(kept, after)
                assert not await accepted(kept, before)
                sleeper.clock.advance(RENEW_SECONDS)


async def test_a_key_that_was_not_announced_rotates_without_one_refused_good_call(
    sleeper: Sleeper,
) -> None:
    """OpenID Connect Core §10.1.1: an unfamiliar kid means looking again."""
    with issuer_server() as issuer:
        kept = kept_of(issuer, sleeper)
        async with running(kept, sleeper):
            for _ in range(3):
                old, asked = issuer.token(), issuer.asked()
                issuer.rotate()
                issuer.withdraw()
                new = issuer.token()
                results: list[bool] = []

                async def call(text: str, results: list[bool] = results) -> None:
                    results.append(await accepted(kept, text))

                async with anyio.create_task_group() as calls:
                    for _ in range(20):
                        calls.start_soon(call, new)
                assert (results, issuer.asked()) == ([True] * 20, asked + 1)
                assert not await accepted(kept, old)
                sleeper.clock.advance(RENEW_SECONDS)


async def test_a_key_that_rotates_while_keys_are_fetched_is_not_missed(sleeper: Sleeper) -> None:
    """House: the fetch on its way was answered with the old keys."""
    with issuer_server() as issuer:
        fetch = from_url(issuer.jwks_url)
        kept = Kept(issuer.url, fetch, read_key_set, sleeper.clock, sleep=sleeper)
        await kept.get()
        issuer.mood = "slow"
        results: list[bool] = []

        async def call() -> None:
            results.append(await accepted(kept, issuer.token()))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(kept.run)
                await until(lambda: issuer.asked() == 2)
                issuer.rotate()
                tasks.start_soon(call)
                await tick(10)
                issuer.mood = "good"
                issuer.release()
                await until(lambda: bool(results))
                tasks.cancel_scope.cancel()
        assert (results, issuer.asked()) == ([True], 3)


async def test_a_key_taken_back_verifies_nothing_after_the_next_renewal(sleeper: Sleeper) -> None:
    """House: revoked keys must not live on."""
    with issuer_server() as issuer:
        kept, stolen = kept_of(issuer, sleeper), issuer.token()
        async with running(kept, sleeper):
            assert await accepted(kept, stolen)
            issuer.rotate()
            issuer.withdraw()
            await sleeper.next_renewal()
            assert not await accepted(kept, stolen)


# Restarts.


@pytest.mark.parametrize("mood", MOODS)
async def test_a_restart_in_an_outage_still_verifies_until_the_hour_is_over(
    mood: Mood, sleeper: Sleeper, tmp_path: Path
) -> None:
    """House: cache rules; the hour began when the keys were read, not with the restart."""
    saved = tmp_path / "issuer.json"
    with issuer_server() as issuer:
        good = issuer.token()
        async with running(kept_of(issuer, sleeper, saved), sleeper):
            await until(saved.exists)
        issuer.mood = mood
        sleeper.clock.advance(STALE_SECONDS - 60)
        restarted = Sleeper(FakeClock(sleeper.clock.wall_ns(), 1))
        kept = kept_of(issuer, restarted, saved)
        async with running(kept, restarted):
            assert await accepted(kept, good)
            assert not await accepted(kept, UNKNOWN)
            restarted.clock.advance(60)
            assert await accepted(kept, good)
            restarted.clock.advance(1)
            with pytest.raises(IssuerUnavailable):
                await accepted(kept, good)
