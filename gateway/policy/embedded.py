"""Rego in supervised child processes: the decision point that needs no other server.

An answer belongs to exactly the question it was read for. A child serves one exchange at a time
and goes back to the others only when that ended whole; one that was late, spoke out of turn, broke
off is killed, and its successor serves once it has passed the self-test. No decision is asked
twice, made up or late. Killing is the only bound there is on an evaluation.
Does not evaluate (`child.py`), does not start processes (`process.py`), does not choose the bundle.
"""

import asyncio
import importlib.metadata
import logging
import uuid
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled

from gateway.core.canonical import digest, dumps
from gateway.core.decision import Decision, PolicyStamp, read_decision
from gateway.core.errors import BundleError, PolicyAnswerInvalid, PolicyError, PolicyUnavailable
from gateway.policy.bundle import Bundle
from gateway.policy.limits import MAX_DOCUMENT_BYTES
from gateway.policy.process import ANSWER, READY, Child, started
from gateway.policy.selftest import SelfTest
from gateway.ports import Clock

RULE: Final = "data.bailiwick.decision"

_UNDEFINED: Final = b'"<undefined>"'

_BOOT_SECONDS: Final = 30.0
_REAP_SECONDS: Final = 5.0
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 2.0
_RESERVED_SHARE: Final = 0.5
"""Share of the deadline kept for the evaluation; only the rest may be spent waiting for a child.
A child asked with no time left would be killed for nothing, just when all are needed."""

_log = logging.getLogger(__name__)


class EmbeddedDecisionPoint:
    """A pool of regorus processes that all hold the same bundle.

    Use from one event loop, between `start` and `aclose`.
    """

    def __init__(
        self, bundle: Bundle, clock: Clock, deadline_seconds: float = 0.25, processes: int = 2
    ) -> None:
        self._tests = bundle.self_tests
        self._clock = clock
        self._deadline_seconds, self._processes = deadline_seconds, processes
        self._reserve_seconds = deadline_seconds * _RESERVED_SHARE
        engine = f"regorus/{importlib.metadata.version('gordon-to-regorus')}"
        self._stamp = partial(PolicyStamp, engine, bundle.revision, bundle.digest)
        data = bundle.data.decode()
        self._load = dumps({"policies": bundle.policies, "data": data, "rule": RULE})
        self._runner: asyncio.Task[None] | None = None
        self._children: set[Child] = set()
        self._idle: asyncio.Queue[Child] = asyncio.Queue()
        self._turn = asyncio.Lock()  # first come, first served; the queue alone lets callers barge

    async def start(self) -> None:
        """Start every child; when this returns each has loaded the bundle and passed its tests.

        Raises:
            BundleError: a child could not load the bundle or failed a self-test; none is left.
        """
        booted = [asyncio.get_running_loop().create_future() for _ in range(self._processes)]
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.aclose)
            # One task that outlives this call; it holds the group and `aclose` awaits it.
            self._runner = asyncio.create_task(self._run(booted))  # noqa: TID251
            await asyncio.gather(*booted)
            undo.pop_all()

    async def aclose(self) -> None:
        """Kill every child and wait until it is reaped; decisions in flight are denied."""
        if self._runner is None:
            return
        self._runner.cancel()
        with CancelScope(shield=True):
            await asyncio.wait([self._runner], timeout=_REAP_SECONDS)
        if self._runner.done() and not self._runner.cancelled():
            self._runner.result()

    def healthy(self) -> bool:
        """Say whether a self-tested child is alive."""
        return any(child.serving and child.alive for child in self._children)

    async def decide(self, document: bytes) -> Decision:
        """Decide within the deadline; may be called concurrently.

        Raises:
            PolicyUnavailable: `pdp_timeout` or `pdp_unavailable`.
            PolicyAnswerInvalid: `pdp_error`, `pdp_undefined`, or an answer that is no decision.
            PolicyError: `pdp_input_too_large`; the engine was not asked.
        """
        if len(document) > MAX_DOCUMENT_BYTES:
            raise PolicyError("the decision input is too large", code="pdp_input_too_large")
        until = asyncio.get_running_loop().time() + self._deadline_seconds
        child = await self._take(until)
        before = self._clock.monotonic_ns()
        # Shielded: a caller that leaves must not cost a child; the deadline bounds the wait.
        with CancelScope(shield=True):
            frame = await self._exchange(child, document, until)
        await checkpoint_if_cancelled()
        return self._read(frame, document, self._clock.monotonic_ns() - before)

    async def _take(self, until: float) -> Child:
        """Return an idle child that nobody else has."""
        if not self.healthy():
            raise PolicyUnavailable("no policy engine is running")
        try:
            async with asyncio.timeout_at(until - self._reserve_seconds), self._turn:
                while not (child := await self._idle.get()).alive:
                    continue
            return child
        except TimeoutError as exc:
            raise PolicyUnavailable("every policy engine is busy", code="pdp_timeout") from exc

    async def _exchange(self, child: Child, document: bytes, until: float) -> bytes:
        try:
            async with asyncio.timeout_at(until):
                return await child.ask(document)
        except TimeoutError as exc:
            raise PolicyUnavailable("no decision in time", code="pdp_timeout") from exc
        finally:
            # Whatever ended the wait: an answer that may still come must reach nobody.
            child.proven |= child.in_step
            if child.in_step:
                self._idle.put_nowait(child)
            else:
                child.kill()

    def _read(self, frame: bytes, document: bytes, eval_ns: int) -> Decision:
        if not frame.startswith(ANSWER):
            raise PolicyAnswerInvalid("the policy could not be evaluated", code="pdp_error")
        if frame[1:] == _UNDEFINED:
            raise PolicyAnswerInvalid("the policy has no decision", code="pdp_undefined")
        return read_decision(frame[1:], self._stamp(uuid.uuid4().hex, digest(document), eval_ns))

    async def _run(self, booted: list[asyncio.Future[None]]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for first in booted:
                    group.create_task(self._keep(first))
        finally:
            for first in booted:
                first.cancel()  # nobody is left to wait for
            for child in list(self._children):
                await child.gone.wait()

    async def _keep(self, first: asyncio.Future[None]) -> None:
        """Keep one child serving, for ever; only a first child that fails is not replaced."""
        pause_seconds = 0.0
        while True:
            await asyncio.sleep(pause_seconds)
            proven = False
            try:
                async with started(self._children) as child:
                    await self._boot(child)
                    if not first.done():
                        first.set_result(None)
                    child.serving = True
                    self._idle.put_nowait(child)
                    await child.gone.wait()
                    proven = child.proven
                    _log.warning("policy child %d is gone; starting another", child.pid)
            except BundleError as exc:
                if not first.done():
                    first.set_exception(exc)
                    return
                _log.error("a policy child could not be replaced: %s", exc.message)
            # A child that had decided was sound: the next starts at once. Others make us wait.
            longer = max(_FIRST_PAUSE_SECONDS, 2 * pause_seconds)
            pause_seconds = 0.0 if proven else min(longer, _LONGEST_PAUSE_SECONDS)

    async def _boot(self, child: Child) -> None:
        try:
            async with asyncio.timeout(_BOOT_SECONDS):
                if await child.ask(self._load) != READY:
                    raise BundleError("the policy engine does not accept the bundle's rules")
                for test in self._tests:
                    self._check(test, await child.ask(test.document))
        except (TimeoutError, PolicyError) as exc:
            raise BundleError("the policy engine ended, or was not ready in time") from exc

    def _check(self, test: SelfTest, frame: bytes) -> None:
        try:
            decision = self._read(frame, test.document, eval_ns=0)
        except PolicyError as exc:
            raise BundleError(f"self-test {test.name}: {exc.message}") from exc
        test.check(decision)
