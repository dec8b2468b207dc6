"""Work behind a block: it ends with the block, and nothing is wrapped."""

import anyio
import pytest

from gateway.background import background
from gateway.core.errors import SettingsError


async def test_what_the_block_raises_comes_out_unwrapped() -> None:
    """House: a user never sees a traceback."""
    with pytest.raises(SettingsError, match="so it is"):
        async with background() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            raise SettingsError("so it is")


async def test_leaving_the_block_ends_what_runs_behind_it() -> None:
    """House: a lost task loses its exception."""
    ended = anyio.Event()

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    with anyio.fail_after(5):
        async with background() as tasks:
            tasks.start_soon(work)
            await anyio.lowlevel.checkpoint()
    assert ended.is_set()


async def test_a_failure_behind_the_block_ends_it_and_is_not_lost() -> None:
    """House: a lost task loses its exception."""

    async def fail() -> None:
        raise RuntimeError("behind")

    with anyio.fail_after(5), pytest.raises(ExceptionGroup) as raised:
        async with background() as tasks:
            tasks.start_soon(fail)
            await anyio.sleep_forever()
    assert raised.group_contains(RuntimeError, match="behind")
