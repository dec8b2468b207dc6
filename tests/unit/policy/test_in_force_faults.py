"""The policy in force, when something fails in a way that nobody foresaw."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from gateway.core.errors import BundleError, PolicyAnswerInvalid
from gateway.policy.in_force import fingerprint
from tests.unit.policy.test_in_force import DOCUMENT, World, bundle, in_force

UNFORESEEN = RuntimeError("nobody thought of this")


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


BAD: list[Callable[[World], None]] = [disk_fails, reader_fails, engine_fails]


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


async def test_whatever_an_engine_raises_is_a_denial(tmp_path: Path) -> None:
    """Policy §7.2 rule 9: any exception from the engine but cancellation."""
    async with in_force(tmp_path) as world:
        world.engines[0].decide = unforeseen  # type: ignore[method-assign, assignment]
        with pytest.raises(PolicyAnswerInvalid) as caught:
            await world.policy.decide(DOCUMENT)
        assert caught.value.reason_code == "pdp_error"
