"""What native engines raise: a panic is a BaseException, and no reason to end the gateway.

Whoever catches everything asks here what is not an engine's to raise. Does not catch anything.
"""

import asyncio
from typing import Final

_ENDS: Final = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)


def ends_the_task(exc: BaseException) -> bool:
    """Say whether an exception ends the task or the process, rather than tells of a failure."""
    return isinstance(exc, _ENDS)
