"""A document of one issuer (keys, a trust bundle): kept, renewed behind the calls, fetched rarely.

Rules: a call that finds a current document never waits; one fetch at a time, whoever asks; what a
document lacks causes at most one fetch per 30 s, whatever its outcome; a document outlives a
failing issuer by at most an hour, over restarts too (`saving.py`). One `Kept` an issuer: there is
no pool. Does not know how documents are fetched or what is in them.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import anyio
from anyio import to_thread

from gateway.core.errors import IssuerUnavailable
from gateway.identity.saving import Saved, restore, save
from gateway.ports import Clock

FRESH_SECONDS: Final = 300
"""A document is fetched again after this, or sooner if it says so."""
RETRY_SECONDS: Final = 30
"""Shortest time between scheduled fetches, and from a failed one to the next."""
RENEW_SECONDS: Final = 30
"""Shortest time between two fetches that something missing caused."""
LOAD_SECONDS: Final = 5
"""Shortest pause between two fetches for calls that found no document at all.

Shorter than the others, because nobody of this issuer gets in meanwhile: recovery should not wait.
Longer than nothing, because in an outage every call would else be a request to the issuer.
"""
STALE_SECONDS: Final = 3600
"""Oldest document that is believed, if the issuer cannot be asked."""
FETCH_SECONDS: Final = 10.0
"""Longest fetch, whatever it does; those over the network have tighter bounds of their own."""
BIG_BYTES: Final = 8 * 1024
"""Longer documents are parsed in a thread: 256 KiB of JSON take some 70 ms."""

_SECOND: Final = 1_000_000_000
_logger = logging.getLogger(__name__)

Fetch = Callable[[], Awaitable[bytes]]
"""Gets the document from its one configured place.

Raises:
    IssuerUnavailable: it cannot be had.
"""


class Document(Protocol):
    """What can be kept."""

    @property
    def refresh_seconds(self) -> float | None:
        """How often its publisher wants it fetched again, if it says so."""
        ...


T = TypeVar("T", bound=Document)


@dataclass(frozen=True, slots=True)
class _Held(Generic[T]):
    """A document, and when its issuer was last asked for it and gave it."""

    document: T
    body: bytes
    wall_ns: int
    monotonic_ns: int


class Kept(Generic[T]):
    """The document of one issuer. Used concurrently, by one event loop.

    Args:
        name: whose it is; for people, and to know a saved file again.
        fetch: how it is fetched.
        read: how it is read. Raises IssuerUnavailable.
        clock: for ages and paces.
        saved: file in which `run` keeps the last good document over restarts.
        sleep: how `run` waits.
        longest: seconds that a fetch may take.
    """

    def __init__(
        self,
        name: str,
        fetch: Fetch,
        read: Callable[[bytes], T],
        clock: Clock,
        saved: Path | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        longest: float = FETCH_SECONDS,
    ) -> None:
        self._name, self._fetch, self._read = name, fetch, read
        self._clock, self._saved, self._sleep, self._longest = clock, saved, sleep, longest
        self._held: _Held[T] | None = None
        self._flight: anyio.Event | None = None
        self._failure: str | None = None
        self._began_ns: int | None = None
        self._ended_ns: int | None = None
        self._renewed_ns: int | None = None
        self._unsaved = anyio.Event()

    def current(self) -> T | None:
        """Return the last good document, None if there is none or it is too old; no I/O."""
        held = self._held
        if held is None or self._age_ns(held) > STALE_SECONDS * _SECOND:
            return None
        return held.document

    def age_seconds(self) -> int:
        """Return how long ago the issuer last gave this document.

        Raises:
            IssuerUnavailable: there never was one.
        """
        if self._held is None:
            raise self._unavailable()
        return self._age_ns(self._held) // _SECOND

    async def get(self) -> T:
        """Return the current document; only if there is none, wait for a fetch.

        Raises:
            IssuerUnavailable: it cannot be had, or could not just now.
        """
        while (document := self.current()) is None:
            if self._flight is not None:
                await self._flight.wait()
            elif self._passed(self._ended_ns, LOAD_SECONDS):
                await self._fly_shielded()
            else:
                raise self._unavailable()
        return document

    async def renewed(self) -> T:
        """Return the document after a fetch, because something is missing in the current one.

        If such a fetch was made less than 30 s ago, the current document is all there is.

        Raises:
            IssuerUnavailable: there is no current document even so.
        """
        seen = self.current()
        # A fetch on its way may have been answered before what is missing was published.
        while self._flight is not None:
            await self._flight.wait()
        if self.current() is seen and self._passed(self._renewed_ns, RENEW_SECONDS):
            self._renewed_ns = self._clock.monotonic_ns()
            await self._fly_shielded()
        if (document := self.current()) is None:
            raise self._unavailable()
        return document

    async def run(self) -> None:
        """Fetch now and at the document's own pace, and save what is good; until cancelled."""
        async with anyio.create_task_group() as tasks:
            if self._saved is not None:
                tasks.start_soon(self._save_always, self._saved)
            while True:
                if self._flight is not None:
                    await self._flight.wait()
                else:
                    await self._fly()
                while (seconds := self._due_in()) > 0:
                    await self._sleep(seconds)

    async def _fly_shielded(self) -> None:
        # A caller that leaves must not spend the fetch that others wait for: else anybody could
        # lock everybody out by asking and hanging up. It stays for at most FETCH_SECONDS.
        with anyio.CancelScope(shield=True):
            await self._fly()

    async def _fly(self) -> None:
        """Make the one fetch; whoever comes meanwhile waits for `_flight`."""
        self._flight = flight = anyio.Event()
        self._began_ns = self._clock.monotonic_ns()
        try:
            await self._attempt()
            self._ended_ns = self._clock.monotonic_ns()
        finally:
            self._flight = None
            flight.set()

    async def _attempt(self) -> None:
        # Aged from before the fetch: the issuer answered no earlier.
        wall_ns, monotonic_ns = self._clock.wall_ns(), self._clock.monotonic_ns()
        try:
            with anyio.fail_after(self._longest):
                body = await self._fetch()
            held = self._held
            same = held is not None and held.body == body
            document = held.document if held and same else await self._parsed(body)
        except Exception as exc:
            # Also what no fetch should raise: it must not end the renewal of all others.
            reason = exc.message if isinstance(exc, IssuerUnavailable) else type(exc).__name__
            self._failure = reason
            _logger.warning("%s: nothing new could be read: %s", self._name, reason)
            if self._held is None and self._saved is not None:
                self._held = await self._restored(self._saved)
            return
        self._held, self._failure = _Held(document, body, wall_ns, monotonic_ns), None
        self._unsaved.set()

    async def _parsed(self, body: bytes) -> T:
        return (
            await to_thread.run_sync(self._read, body)
            if len(body) > BIG_BYTES
            else self._read(body)
        )

    async def _restored(self, path: Path) -> _Held[T] | None:
        """Return what an earlier run saved; only asked for once the issuer has failed."""
        saved = await to_thread.run_sync(restore, path, self._name)
        if saved is None:
            return None
        age_ns = self._clock.wall_ns() - saved.read_at * _SECOND
        # From the future: the clock went back since, and nobody can say how old it is.
        if age_ns < 0:
            return None
        try:
            document = await self._parsed(saved.document)
        except Exception as exc:
            _logger.warning("%s: %s cannot be read: %s", self._name, path, type(exc).__name__)
            return None
        began_ns = self._clock.monotonic_ns() - age_ns
        return _Held(document, saved.document, saved.read_at * _SECOND, began_ns)

    async def _save_always(self, path: Path) -> None:
        """Save what is good, one at a time, and without a call that waits for the disk."""
        while True:
            await self._unsaved.wait()
            self._unsaved = anyio.Event()
            if (held := self._held) is None:
                continue
            saved = Saved(self._name, held.wall_ns // _SECOND, held.body)
            try:
                await to_thread.run_sync(save, path, saved)
            except OSError as exc:
                _logger.warning("%s: cannot be kept in %s: %s", self._name, path, exc.strerror)

    def _due_in(self) -> float:
        """Return the seconds until the next scheduled fetch."""
        hint = self._held.document.refresh_seconds if self._held else None
        pace = min(max(hint or FRESH_SECONDS, RETRY_SECONDS), FRESH_SECONDS)
        if self._failure is not None:
            pace = RETRY_SECONDS
        return pace - (self._clock.monotonic_ns() - (self._began_ns or 0)) / _SECOND

    def _age_ns(self, held: _Held[T]) -> int:
        # The larger of two: the monotonic clock stands still while a machine sleeps, and the other
        # one can be set back.
        monotonic_ns = self._clock.monotonic_ns() - held.monotonic_ns
        return max(monotonic_ns, self._clock.wall_ns() - held.wall_ns)

    def _passed(self, since_ns: int | None, seconds: int) -> bool:
        return since_ns is None or self._clock.monotonic_ns() - since_ns >= seconds * _SECOND

    def _unavailable(self) -> IssuerUnavailable:
        reason = self._failure or "what was read last is too old"
        return IssuerUnavailable(f"the keys of {self._name} cannot be read: {reason}")
