"""The policy in force: exchanged as a whole, or not at all."""

import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.decision import Decision
from gateway.core.errors import (
    BundleError,
    LedgerUnavailable,
    PolicyUnavailable,
    SettingsError,
)
from gateway.ledger import revisions
from gateway.policy.bundle import Bundle
from gateway.policy.fingerprint import fingerprint
from gateway.policy.in_force import Means, PolicyInForce
from tests.fakes_clock import FakeClock
from tests.fakes_evidence import FakeEvidenceLog
from tests.fakes_policy import PERMIT, eventually, tiny_bundle

DOCUMENT = b"{}"


class FakeEngine:
    """An engine that says which bundle it is of, and fails as it is told."""

    def __init__(self, bundle: Bundle, failure: Exception | None) -> None:
        self.bundle, self.failure = bundle, failure
        self.running = False
        self.asked, self.deciding_fails = 0, False
        self.gate = anyio.Event()
        self.gate.set()

    async def start(self) -> None:
        """Start, or fail as told."""
        if self.failure:
            raise self.failure
        self.running = True

    async def aclose(self) -> None:
        """End."""
        self.running = False

    def healthy(self) -> bool:
        """Say whether it runs."""
        return self.running

    async def decide(self, document: bytes) -> Decision:
        """Permit, once the gate is open."""
        self.asked += 1
        if self.deciding_fails:
            raise PolicyUnavailable("the test took the engine away")
        await self.gate.wait()
        assert self.running
        return replace(PERMIT, policy=replace(PERMIT.policy, revision=self.bundle.revision))


class Revisions:
    """As much of a ledger as a policy needs, by the real rules."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.executescript(revisions.SCHEMA)
        self.up = True

    async def advance_policy(
        self, revision: str, digest: str, now_ns: int, *, reusable: bool
    ) -> None:
        """See `Ledger.advance_policy`."""
        if not self.up:
            raise LedgerUnavailable("the test took the ledger away")
        revisions.advance(self.db, revision, digest, now_ns, reusable=reusable)


class World:
    """A bundle that can be changed, and everything that it comes into force by."""

    def __init__(self, path: Path, signed: bool = True) -> None:
        self.lies_there: Bundle | Exception = bundle("2026.1.1-1")
        self.engine_failure: Exception | None = None
        self.engines: list[FakeEngine] = []
        self.adopted: list[Any] = []
        self.ledger, self.evidence, self.clock = Revisions(), FakeEvidenceLog(), FakeClock()
        self.policy = PolicyInForce(
            Means(
                path=path,
                read=self._read,
                engine=self._engine,
                engine_name="embedded",
                signed=signed,
                ledger=self.ledger,  # type: ignore[arg-type]
                clock=self.clock,
            )
        )

    def _read(self) -> Bundle:
        if isinstance(self.lies_there, Exception):
            raise self.lies_there
        return self.lies_there

    def _engine(self, loaded: Bundle) -> FakeEngine:
        self.engines.append(FakeEngine(loaded, self.engine_failure))
        return self.engines[-1]

    def running(self) -> list[str]:
        """Return the revisions whose engines run."""
        return [engine.bundle.revision for engine in self.engines if engine.running]

    async def decided_by(self) -> str:
        """Ask, and return the revision that answered."""
        decision = await self.policy.decide(DOCUMENT)
        assert decision.policy
        return decision.policy.revision

    def loaded(self) -> list[Any]:
        """Return the records of policies."""
        return [fields for kind, fields in self.evidence.records if kind == "policy.loaded"]


def bundle(revision: str, content: str = "a") -> Bundle:
    """Return a bundle of this revision and content."""
    return replace(
        tiny_bundle(), revision=revision, digest="sha256:" + content * 64, systems={content: {}}
    )


@asynccontextmanager
async def in_force(path: Path, **more: Any) -> AsyncIterator[World]:
    """Run a world whose first bundle is in force."""
    world = World(path, **more)
    await world.policy.start()
    await world.policy.told(world.evidence, world.adopted.append)
    yield world
    await world.policy.aclose()
    assert world.running() == []


async def test_a_newer_bundle_decides_from_its_record_on(tmp_path: Path) -> None:
    """Issue: reload = build new, verify, self-test, swap, record `policy.loaded`."""
    async with in_force(tmp_path) as world:
        assert await world.decided_by() == "2026.1.1-1"
        world.lies_there = bundle("2026.1.1-2", "b")
        assert await world.policy.reload()
        assert await world.decided_by() == "2026.1.1-2"
        assert world.running() == ["2026.1.1-2"]
        assert world.adopted == [{"b": {}}]
        first, second = world.loaded()
        assert (first["previous"], first["revision"]) == (None, "2026.1.1-1")
        assert second["previous"] == {
            "revision": "2026.1.1-1",
            "bundle_digest": "sha256:" + "a" * 64,
        }
        assert second["bundle_digest"] == "sha256:" + "b" * 64
        assert second["engine"] == "embedded"


async def test_the_same_bundle_again_changes_nothing(tmp_path: Path) -> None:
    """House: a reload is no event if nothing is new."""
    async with in_force(tmp_path) as world:
        assert await world.policy.reload()
        assert len(world.engines) == 1
        assert len(world.loaded()) == 1


def unreadable(world: World) -> None:
    """Put something there that is no bundle."""
    world.lies_there = BundleError("charters/x.yaml: is not YAML")


def unsound(world: World) -> None:
    """Put a bundle there whose self-test fails."""
    world.lies_there = bundle("2026.1.1-2", "b")
    world.engine_failure = BundleError("self-test permit: not permit")


def older(world: World) -> None:
    """Put an older bundle there."""
    world.lies_there = bundle("2026.1.1-0", "b")


def changed_under_its_name(world: World) -> None:
    """Put other content there under the same revision."""
    world.lies_there = bundle("2026.1.1-1", "b")


def changed_under_another_spelling(world: World) -> None:
    """Put other content there under the same revision, spelled otherwise."""
    world.lies_there = bundle("2026.1.1-1.0", "b")


def not_remembered(world: World) -> None:
    """Take the ledger away."""
    world.lies_there = bundle("2026.1.1-2", "b")
    world.ledger.up = False


def not_recorded(world: World) -> None:
    """Take the evidence log away."""
    world.lies_there = bundle("2026.1.1-2", "b")
    world.evidence.fail_next("policy.loaded")
    world.evidence.fail_next("policy.loaded")


def not_installed(world: World) -> None:
    """Take away what the engine needs."""
    world.lies_there = bundle("2026.1.1-2", "b")
    world.engine_failure = SettingsError("policy.opa.token_file: cannot be read")


BAD: list[Callable[[World], None]] = [
    unreadable,
    unsound,
    older,
    changed_under_its_name,
    changed_under_another_spelling,
    not_remembered,
    not_recorded,
    not_installed,
]


@pytest.mark.parametrize("break_it", BAD, ids=lambda each: each.__name__)
async def test_a_bad_bundle_leaves_the_old_one_in_force_and_says_so(
    break_it: Callable[[World], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Issue: a bad bundle leaves the old one in force and turns a metric and a log line red."""
    async with in_force(tmp_path) as world:
        assert world.policy.status().failure is None
        break_it(world)
        with caplog.at_level(logging.ERROR):
            assert not await world.policy.reload()
            assert not await world.policy.reload()
        assert await world.decided_by() == "2026.1.1-1"
        assert world.running() == ["2026.1.1-1"]
        assert world.policy.healthy()
        assert world.adopted == []
        assert world.policy.status().failure is not None
        assert len(world.loaded()) == 1
        # Once for what is wrong, however often it is looked at.
        assert caplog.text.count("2026.1.1-1 stays in force") == 1


async def test_a_good_bundle_after_a_bad_one_ends_the_alarm(tmp_path: Path) -> None:
    """House: an alarm that never ends is not looked at."""
    async with in_force(tmp_path) as world:
        unreadable(world)
        await world.policy.reload()
        world.lies_there = bundle("2026.1.1-2", "b")
        assert await world.policy.reload()
        assert world.policy.status().failure is None


async def test_unsigned_a_bundle_may_change_under_its_revision_but_not_go_back(
    tmp_path: Path,
) -> None:
    """House: whoever edits a folder need not count; whoever signs must."""
    async with in_force(tmp_path, signed=False) as world:
        changed_under_its_name(world)
        assert await world.policy.reload()
        older(world)
        assert not await world.policy.reload()


async def test_an_older_bundle_does_not_start_either(tmp_path: Path) -> None:
    """Issue: the revision must not go back."""
    async with in_force(tmp_path) as world:
        again = World(tmp_path)
        again.ledger.db = world.ledger.db
        older(again)
        with pytest.raises(BundleError) as caught:
            await again.policy.start()
        assert caught.value.reason_code == "bundle_older"
        assert again.running() == []


async def test_a_decision_is_made_by_one_engine_to_its_end(tmp_path: Path) -> None:
    """House: a swap costs no call its decision."""
    async with in_force(tmp_path) as world:
        answers: list[str] = []
        world.engines[0].gate = anyio.Event()

        async def ask() -> None:
            answers.append(await world.decided_by())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            world.lies_there = bundle("2026.1.1-2", "b")
            tasks.start_soon(world.policy.reload)
            await eventually(lambda: world.policy.bundle.revision == "2026.1.1-2")
            assert world.running() == ["2026.1.1-1", "2026.1.1-2"]
            assert await world.decided_by() == "2026.1.1-2"
            world.engines[0].gate.set()
        assert answers == ["2026.1.1-1"] * 2
        assert world.running() == ["2026.1.1-2"]


async def test_a_reload_that_is_cancelled_leaves_no_engine_behind(tmp_path: Path) -> None:
    """House: whatever was started is ended."""
    async with in_force(tmp_path) as world:
        world.engines[0].gate = anyio.Event()
        world.lies_there = bundle("2026.1.1-2", "b")
        waiting = anyio.Event()

        async def never(*_: Any, **__: Any) -> None:
            waiting.set()
            await anyio.sleep_forever()

        world.ledger.advance_policy = never  # type: ignore[method-assign]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.policy.reload)
            await waiting.wait()
            tasks.cancel_scope.cancel()
        assert world.running() == ["2026.1.1-1"]


async def test_before_it_starts_there_is_no_policy_and_no_decision(tmp_path: Path) -> None:
    """Policy §7.2: no engine, no permit."""
    policy = World(tmp_path).policy
    assert not policy.healthy()
    with pytest.raises(PolicyUnavailable):
        await policy.decide(DOCUMENT)


async def test_an_idle_policy_is_asked_now_and_then(tmp_path: Path) -> None:
    """House: health is known while there are no calls; a failure ends nothing."""
    async with in_force(tmp_path) as world:
        engine = world.engines[0]
        asked = engine.asked
        engine.deciding_fails = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.policy.probe, 0.001)
            await eventually(lambda: engine.asked >= asked + 2)
            engine.deciding_fails = False
            await eventually(lambda: engine.asked >= asked + 4)
            tasks.cancel_scope.cancel()
        assert world.running() == ["2026.1.1-1"]


async def test_what_changed_on_disk_is_seen_and_a_refused_bundle_tried_again(
    tmp_path: Path,
) -> None:
    """House: a bundle that is copied file by file is whole at last."""
    (tmp_path / "a").write_text("one")
    async with in_force(tmp_path) as world:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.policy.watch, 0.01)
            unreadable(world)
            (tmp_path / "a").write_text("other")
            await eventually(lambda: world.policy.status().failure is not None)
            world.lies_there = bundle("2026.1.1-2", "b")
            await eventually(lambda: world.policy.bundle.revision == "2026.1.1-2")
            tasks.cancel_scope.cancel()


def test_a_fingerprint_tells_whether_a_file_or_a_folder_changed(tmp_path: Path) -> None:
    """House: names, sizes and times."""
    file = tmp_path / "bundle.tar.gz"
    assert fingerprint(file) == fingerprint(file)
    before = fingerprint(file)
    file.write_bytes(b"one")
    there = fingerprint(file)
    assert there != before
    folder = fingerprint(tmp_path)
    (tmp_path / "more").mkdir()
    assert fingerprint(tmp_path) != folder
    assert fingerprint(file) == there
