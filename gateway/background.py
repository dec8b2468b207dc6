"""Work that goes on behind a block of code, and ends with it.

A bare task group would wrap whatever the block raises in an exception group, and a settings error
would reach its reader as a traceback; here it comes out as it went in. Does not restart what ends.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def background() -> AsyncIterator[TaskGroup]:
    """Yield a task group; leaving the block cancels what still runs in it, and waits for it.

    Raises:
        Exception: whatever the block raised, unwrapped.
        ExceptionGroup: a background task failed, which cancels the block.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        except Exception as exc:
            failure = exc
        tasks.cancel_scope.cancel()
    if failure:
        raise failure
