"""The policy in force, when something fails in a way that nobody foresaw."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import anyio
import pytest

from gateway.core.decision import Decision, Deny, Reason
from gateway.core.errors import BundleError, PolicyAnswerInvalid
from gateway.policy.fingerprint import fingerprint
from tests.fakes_policy import eventually
from tests.unit.policy.test_in_force import DOCUMENT, World, bundle, in_force

UNFORESEEN = RuntimeError("nobody thought of this")


class Panic(BaseException):
    """What a native library raises when it panics: no Exception."""


def unforeseen(*_: object) -> NoReturn:
    """Fail as no adapter should."""
    raise UNFORESEEN


def disk_fails(world: World) -> None:
    """Take away the disk that the bundle lies on."""
    world.lies_there = PermissionError(13, "Permission denied")


def reader_fails(world: World) -> None:
    """Have the reader fail."""
    world.lies_there = UNFORESEEN


def engine_fails(world: World) -> None:
    """Have the new engine fail."""
    world.lies_there = bundle("2026.1.1-2", "b")
    world.engine_failure = UNFORESEEN


def engine_panics(world: World) -> None:
    """Have the new engine panic."""
    world.lies_there = bundle("2026.1.1-2", "b")
    world.engine_failure = Panic()


BAD: list[Callable[[World], None]] = [disk_fails, reader_fails, engine_fails, engine_panics]


@pytest.mark.parametrize("break_it", BAD, ids=lambda each: each.__name__)
async def test_whatever_fails_in_a_reload_leaves_the_old_policy_in_force(
    break_it: Callable[[World], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Issue: a bad bundle leaves the old one in force; a reload that raises ends the gateway."""
    async with in_force(tmp_path) as world:
        break_it(world)
        with caplog.at_level(logging.ERROR):
            assert not await world.policy.reload()
        assert await world.decided_by() == "2026.1.1-1"
        assert world.running() == ["2026.1.1-1"]
        assert isinstance(world.policy.status().failure, BundleError)
        assert "2026.1.1-1 stays in force" in caplog.text


async def test_a_catalogue_that_is_not_adopted_leaves_no_engine_behind(tmp_path: Path) -> None:
    """House: whatever was started is ended."""
    async with in_force(tmp_path) as world:
        await world.policy.told(world.evidence, unforeseen)
        world.lies_there = bundle("2026.1.1-2", "b")
        assert not await world.policy.reload()
        assert world.running() == ["2026.1.1-1"]


async def test_a_bundle_on_a_disk_that_fails_does_not_start_and_is_named(tmp_path: Path) -> None:
    """House: a failure to start is one sentence, not a traceback."""
    world = World(tmp_path / "bundle")
    disk_fails(world)
    with pytest.raises(BundleError, match=r"bundle: cannot be read \(Permission denied\)"):
        await world.policy.start()


def test_a_path_that_cannot_be_looked_at_has_a_fingerprint(tmp_path: Path) -> None:
    """House: watching goes on, whatever becomes of the disk."""
    assert fingerprint(tmp_path / ("x" * 5000)) is None


def panic(*_: object) -> NoReturn:
    """Panic."""
    raise Panic


@pytest.mark.parametrize("failing", [unforeseen, panic])
async def test_whatever_an_engine_raises_is_a_denial(
    failing: Callable[[bytes], NoReturn], tmp_path: Path
) -> None:
    """Policy §7.2 rule 9: any exception from the engine but cancellation."""
    async with in_force(tmp_path) as world:
        world.engines[0].decide = failing  # type: ignore[method-assign, assignment]
        with pytest.raises(PolicyAnswerInvalid) as caught:
            await world.policy.decide(DOCUMENT)
        assert caught.value.reason_code == "pdp_error"


async def test_an_engine_that_answers_a_probe_wrongly_is_not_healthy_until_it_is_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Policy §7.2 rule 10: a self-test that fails is looked at, also later."""
    async with in_force(tmp_path) as world:
        right = world.engines[0].decide

        async def wrong(document: bytes) -> Decision:
            return Deny((Reason("other", "rule"),))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.policy.probe, 0.001)
            world.engines[0].decide = wrong  # type: ignore[method-assign]
            await eventually(lambda: not world.policy.healthy())
            world.engines[0].decide = right  # type: ignore[method-assign]
            await eventually(world.policy.healthy)
            tasks.cancel_scope.cancel()
        assert "the policy engine is not sound" in caplog.text
