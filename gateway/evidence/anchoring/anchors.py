"""Delivers each new checkpoint to every anchor, beside the log and never in its way.

The writer offers and goes on; each anchor has its own loop, gets only the newest checkpoint, one at
a time, and is tried again at growing intervals while it fails. A confirmation counts once it is
durable in `anchored.jsonl`. An anchor that fails does not stop the log: calls go on, and
`failing` says so. Does not decide what a failing anchor means, and does not know any kind of anchor
(`anchor.py`).
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio
from anyio import to_thread

from gateway.core.errors import GatewayError, SettingsError, VerificationError
from gateway.core.instant import iso
from gateway.core.merkle import Nodes
from gateway.core.note import VerifierKey
from gateway.evidence.anchoring.anchor import Anchor, AnchorError
from gateway.evidence.anchoring.anchor_file import FileAnchor
from gateway.evidence.anchoring.anchored import Confirmation, anchored, keep
from gateway.evidence.anchoring.witness_client import WitnessAnchor, http_client
from gateway.evidence.tree import open_nodes
from gateway.ports import Clock
from gateway.settings import Anchor as AnchorSettings
from gateway.settings import Evidence

__all__ = ["Anchor", "AnchorError", "Anchors", "FileAnchor", "WitnessAnchor", "anchored"]

FIRST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 60.0
"""An anchor that fails is tried again after 1, 2, 4, … s, at least this often."""
UNRECORDED: Final = "anchor_unrecorded"
"""The anchor confirmed, and that could not be written down here."""

_LOG = logging.getLogger(__name__)

Offer = tuple[str, int]


@dataclass(slots=True)
class _State:
    """How one anchor stands; owned by the event loop."""

    anchor: Anchor
    done: Offer | None = None
    """The offer that it confirmed last."""
    failing: str | None = None
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    """Held while something is delivered: one at a time."""


class Anchors:
    """The anchors of one log.

    Args:
        folder: the log's folder.
        anchors: where checkpoints are delivered; each has a name of its own.
        nodes: reads the log's tree, in threads; one that was given up may still read later.
        clock: for the times of confirmations.
        sleep: how to wait before another try.
    """

    def __init__(
        self,
        folder: Path,
        anchors: Sequence[Anchor],
        nodes: Nodes,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._folder, self._nodes, self._clock, self._sleep = folder, nodes, clock, sleep
        self._states = [_State(anchor) for anchor in anchors]
        self._offered: Offer | None = None
        self._news = anyio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keeping = threading.Lock()
        """Held in threads: a write that was given up still ends before the next begins."""

    def offer(self, note: str, size: int) -> None:
        """Have a checkpoint delivered soon, unless a newer one comes; from any thread, at once."""
        self._offered = (note, size)
        # After the line before: whoever wakes sees it. Without a loop, `run` looks when it starts.
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    async def run(self) -> None:
        """Deliver until cancelled; started once."""
        self._loop = asyncio.get_running_loop()
        try:
            async with anyio.create_task_group() as tasks:
                for state in self._states:
                    tasks.start_soon(self._keep_delivering, state)
        finally:
            self._loop = None

    async def flush(self, seconds: float) -> None:
        """Try once to deliver the newest checkpoint to every anchor that lacks it.

        Args:
            seconds: after which it is left undelivered.
        """
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:
                for state in self._states:
                    tasks.start_soon(self._attempt, state)

    def confirmed(self) -> Mapping[str, int]:
        """Return the size of the newest checkpoint that each anchor confirmed in this run."""
        return {state.anchor.name: state.done[1] for state in self._states if state.done}

    def failing(self) -> Mapping[str, str]:
        """Return the code of the failure of each anchor whose last delivery failed."""
        return {s.anchor.name: s.failing for s in self._states if s.failing is not None}

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def _keep_delivering(self, state: _State) -> None:
        wait = FIRST_WAIT_SECONDS
        while True:
            # Nothing is awaited between the look and the wait, so no news is missed.
            if self._offered in (None, state.done):
                await self._news.wait()
            elif await self._attempt(state):
                wait = FIRST_WAIT_SECONDS
            else:
                await self._sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    async def _attempt(self, state: _State) -> bool:
        """Deliver the newest checkpoint if the anchor lacks it; say whether it has it then."""
        async with state.lock:
            offered = self._offered
            if offered is None or offered == state.done:
                return True
            failure = await self._deliver(state.anchor, *offered)
            if failure is None:
                state.done = offered
            self._tell(state, failure)
            return failure is None

    async def _deliver(self, anchor: Anchor, note: str, size: int) -> GatewayError | None:
        try:
            proof = await anchor.deliver(note, size, self._nodes)
        except GatewayError as exc:
            return exc
        except OSError as exc:
            return AnchorError(f"anchor {anchor.name}: {exc.strerror}")
        except Exception as exc:
            # A bug in one anchor must not end the others, or the gateway.
            _LOG.exception("anchor %s: an unforeseen error", anchor.name)
            return AnchorError(f"anchor {anchor.name}: unforeseen ({type(exc).__name__})")
        return await self._keep(anchor.name, size, proof)

    async def _keep(self, name: str, size: int, note: str) -> GatewayError | None:
        confirmation = Confirmation(name, size, iso(self._clock.wall_ns()), note)
        try:
            await to_thread.run_sync(self._write, confirmation, abandon_on_cancel=True)
        except OSError as exc:
            return AnchorError(
                f"anchor {name}: confirmed, not kept ({exc.strerror})", code=UNRECORDED
            )
        return None

    def _write(self, confirmation: Confirmation) -> None:
        with self._keeping:
            keep(self._folder, confirmation)

    def _tell(self, state: _State, failure: GatewayError | None) -> None:
        """Log each change of state once."""
        code = failure.reason_code if failure else None
        if code != state.failing:
            name = state.anchor.name
            if failure:
                _LOG.warning("anchor %s fails (%s): %s", name, code, failure.message)
            else:
                _LOG.warning("anchor %s works again", name)
        state.failing = code


@asynccontextmanager
async def connected(settings: Evidence, clock: Clock) -> AsyncIterator[Anchors]:
    """Yield the anchors that settings name; the caller starts `run`.

    Raises:
        SettingsError: an anchor cannot be what settings say.
    """
    async with http_client() as client:

        def made(one: AnchorSettings) -> Anchor:
            if one.path is not None:
                return FileAnchor(one.name, one.path)
            try:
                key = VerifierKey.parse(one.key or "")
            except VerificationError as exc:
                raise SettingsError(f"evidence.anchors: {one.name}: {exc.message}") from exc
            return WitnessAnchor(one.name, one.url or "", key, client, clock)

        def nodes(level: int, n: int) -> bytes:
            # Opened for each hash: nobody has to know when a thread that was given up is done.
            with open_nodes(settings.folder) as read:
                return read(level, n)

        yield Anchors(settings.folder, [made(one) for one in settings.anchors], nodes, clock)
