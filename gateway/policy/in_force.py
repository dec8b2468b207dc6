"""The policy in force: one engine on one bundle, exchanged for the next as a whole or not at all.

A new bundle is read, verified, not older than any before it, self-tested, remembered by the ledger
and recorded as `policy.loaded`, in this order, before its first decision; whatever fails on the way
leaves the one in force where it was, and says so until a bundle is good again. A decision is made
by one engine from its beginning to its end; the old one ends when its last decision has.
Does not verify signatures (`signature.py`) and does not choose engines (`engines.py`).
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from gateway.core.decision import Decision
from gateway.core.errors import (
    BundleError,
    GatewayError,
    PolicyAnswerInvalid,
    PolicyUnavailable,
)
from gateway.core.instant import iso
from gateway.policy.bundle import Bundle
from gateway.policy.engines import Engine
from gateway.policy.fingerprint import fingerprint
from gateway.policy.panic import ends_the_task
from gateway.ports import Clock, EvidenceLog, Ledger

KIND: Final = "policy.loaded"
"""Kind of the record."""

_DRAIN_SECONDS: Final = 15.0
"""Longest wait for the decisions of a replaced engine; the deadline of each is shorter."""

_log = logging.getLogger(__name__)

Adopt = Callable[[Mapping[str, Mapping[str, Any]]], None]


@dataclass(frozen=True, slots=True)
class Means:
    """What a bundle needs to come into force."""

    path: Path
    """Where the bundle lies."""
    read: Callable[[], Bundle]
    """Reads and verifies it; blocks."""
    engine: Callable[[Bundle], Engine]
    engine_name: str
    signed: bool
    """Whether only signed bundles count; then a revision names one content for ever."""
    ledger: Ledger
    clock: Clock


@dataclass(frozen=True, slots=True)
class Status:
    """What operators are told."""

    engine: str
    revision: str
    digest: str
    loaded_at: int
    """Nanoseconds since the epoch."""
    failure: GatewayError | None
    """Why the last bundle was not taken; None when it was."""


class _Serving:
    """An engine with its bundle, and how many decisions it is making."""

    def __init__(self, bundle: Bundle, engine: Engine, since_ns: int) -> None:
        self.bundle, self.engine, self.since_ns = bundle, engine, since_ns
        self._deciding = 0
        self._idle = anyio.Event()

    @contextmanager
    def deciding(self) -> Iterator[Engine]:
        self._deciding += 1
        try:
            yield self.engine
        finally:
            self._deciding -= 1
            if not self._deciding:
                self._idle.set()

    async def end(self) -> None:
        """End the engine once it makes no decision any more; nobody asks it a new one."""
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(_DRAIN_SECONDS):
                while self._deciding:
                    self._idle = anyio.Event()
                    await self._idle.wait()
            await self.engine.aclose()


class PolicyInForce:
    """The `DecisionPoint` port on whatever bundle is in force.

    Use from one event loop, between `start` and `aclose`.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._serving: _Serving | None = None
        self._evidence: EvidenceLog | None = None
        self._adopt: Adopt = lambda systems: None
        self._failure: GatewayError | None = None
        self._sound = True  # whether the last probe was answered as it should be
        self._seen: object = None
        self._one_at_a_time = anyio.Lock()

    async def start(self) -> None:
        """Bring the first bundle into force; nothing is left behind by a failure.

        Raises:
            BundleError, LedgerUnavailable, SettingsError: it cannot be.
        """
        self._seen = await self._fingerprint()
        self._serving = await self._next(await self._read())

    async def told(self, evidence: EvidenceLog, adopt: Adopt) -> None:
        """Record the first bundle, and use this log for those that follow.

        Args:
            evidence: where `policy.loaded` goes.
            adopt: takes the catalogue of a new bundle, before the first decision by it.

        Raises:
            EvidenceUnavailable: it cannot be recorded.
        """
        self._evidence, self._adopt = evidence, adopt
        await self._record(self.bundle, None)

    async def aclose(self) -> None:
        """End the engine in force."""
        if self._serving is not None:
            await self._serving.engine.aclose()

    @property
    def bundle(self) -> Bundle:
        """The bundle in force."""
        return self._in_force().bundle

    def status(self) -> Status:
        """Return what operators are told."""
        serving = self._in_force()
        bundle, name = serving.bundle, self._means.engine_name
        return Status(name, bundle.revision, bundle.digest, serving.since_ns, self._failure)

    def healthy(self) -> bool:
        """Say whether a decision could be had now; a bundle that was refused does not matter."""
        return self._serving is not None and self._sound and self._serving.engine.healthy()

    async def decide(self, document: bytes) -> Decision:
        """See `DecisionPoint.decide`; whatever else an engine raises is a denial too."""
        with self._in_force().deciding() as engine:
            try:
                return await engine.decide(document)
            except GatewayError:
                raise
            except BaseException as exc:
                if ends_the_task(exc):
                    raise
                # The text may quote policy or arguments.
                _log.error("the policy engine failed: %s", type(exc).__name__)
                raise PolicyAnswerInvalid("the policy engine failed", code="pdp_error") from exc

    async def reload(self) -> bool:
        """Bring the bundle that lies there now into force, if it is another one; never raises.

        Returns:
            Whether the policy in force is now what lies there.
        """
        async with self._one_at_a_time:
            self._seen = await self._fingerprint()
            try:
                await self._exchange()
            except BaseException as exc:
                if ends_the_task(exc):
                    raise
                self._refuse(exc)
                return False
            self._failure = None
            return True

    async def watch(self, interval_seconds: float) -> None:
        """Reload whenever the bundle changed, and again while it is refused. For ever."""
        while True:
            await anyio.sleep(interval_seconds)
            if self._failure is not None or await self._fingerprint() != self._seen:
                await self.reload()

    async def probe(self, interval_seconds: float) -> None:
        """Ask a question now and then, so that health is known while there are no calls. For ever.

        What is asked is a self-test; nothing of it is recorded. An engine that answers it wrongly
        goes on being asked by calls, but is not called healthy.
        """
        while True:
            await anyio.sleep(interval_seconds)
            test = self.bundle.self_tests[0]
            try:
                test.check(await self.decide(test.document))
                self._sound = True
            except BundleError as exc:
                self._sound = False
                _log.error("the policy engine is not sound: %s", exc.message)
            except GatewayError:
                continue  # the engine itself says whether it can be asked

    def _refuse(self, cause: BaseException) -> None:
        """Keep what is in force, and say why; once for the same cause."""
        known = isinstance(cause, GatewayError)
        failure = cause if isinstance(cause, GatewayError) else BundleError(repr(cause))
        if self._failure is None or failure.message != self._failure.message:
            _log.error(
                "the new policy is refused, %s stays in force: %s",
                self.bundle.revision,
                failure.message,
                exc_info=None if known else cause,
            )
        self._failure = failure

    async def _exchange(self) -> None:
        old = self._in_force()
        bundle = await self._read()
        if (bundle.revision, bundle.digest) == (old.bundle.revision, old.bundle.digest):
            return
        new = await self._next(bundle)
        try:
            await self._record(bundle, old.bundle)
            # No await from here on: no call is decided by a catalogue that evidence does not know.
            self._adopt(bundle.systems)
        except BaseException:
            await new.end()
            raise
        self._serving = new
        _log.warning("policy %s is in force, after %s", bundle.revision, old.bundle.revision)
        await old.end()

    async def _fingerprint(self) -> object:
        return await anyio.to_thread.run_sync(fingerprint, self._means.path)

    async def _read(self) -> Bundle:
        try:
            return await anyio.to_thread.run_sync(self._means.read)
        except OSError as exc:
            raise BundleError(f"{self._means.path}: cannot be read ({exc.strerror})") from exc

    async def _next(self, bundle: Bundle) -> _Serving:
        """Return an engine that has passed the bundle's tests, its revision remembered."""
        means, now_ns = self._means, self._means.clock.wall_ns()
        engine = means.engine(bundle)
        await engine.start()
        try:
            # Last of all: a bundle that does not work must not be the one others are measured by.
            await means.ledger.advance_policy(
                bundle.revision, bundle.digest, now_ns, reusable=not means.signed
            )
        except BaseException:
            await engine.aclose()
            raise
        return _Serving(bundle, engine, now_ns)

    async def _record(self, bundle: Bundle, before: Bundle | None) -> None:
        if self._evidence is None:
            raise BundleError("no evidence log is open, so no policy can be loaded")
        clock = self._means.clock
        await self._evidence.append(
            KIND,
            {
                "time": iso(clock.wall_ns()),
                "monotonic_ns": clock.monotonic_ns(),
                "engine": self._means.engine_name,
                "revision": bundle.revision,
                "bundle_digest": bundle.digest,
                "archive_digest": bundle.archive_digest,
                "signed_by": bundle.signed_by,
                "previous": {"revision": before.revision, "bundle_digest": before.digest}
                if before
                else None,
            },
        )

    def _in_force(self) -> _Serving:
        if self._serving is None:
            raise PolicyUnavailable("no policy is in force")
        return self._serving
