"""One policy process from this side: how it is started, asked, watched and killed.

Frames are as `child.py` says. A child that speaks out of turn, says too much or ends is killed at
once, and whoever waits for it gets the failure. Does not know what is asked, and restarts nothing.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

from gateway.core.errors import BundleError, PolicyAnswerInvalid, PolicyError, PolicyUnavailable

READY, ANSWER, ERROR = b"R", b"A", b"E"
"""What a frame of the child begins with (`child.py`); anything else ends the child."""
_LENGTH_BYTES: Final = 4
_MAX_FRAME_BYTES: Final = 1024 * 1024 + 1  # status, and the longest answer `read_decision` takes
_MAX_LOG_LINE: Final = 500

_log = logging.getLogger(__name__)


class Child(asyncio.SubprocessProtocol):
    """One child process: asked one frame at a time, answering one frame each."""

    def __init__(self, siblings: "set[Child]") -> None:
        self._siblings = siblings  # holds this child from its start until it is gone
        self.serving = False  # whether it has passed the self-test
        self.alive = True  # False from the moment it may not be asked again
        self.in_step = False  # whether its last answer was read whole and it can go on
        self.proven = False  # whether it has ever decided, self-tests aside
        self.gone = asyncio.Event()  # set when the process is reaped and its pipes are closed
        self._answer: asyncio.Future[bytes] | None = None
        self._buffer = bytearray()
        self._line = b""

    async def ask(self, frame: bytes) -> bytes:
        """Write a frame and return the one that comes back; raise what `kill` was given."""
        if not self.alive:
            raise PolicyUnavailable("the policy engine ended")
        self.in_step = False
        self._answer = asyncio.get_running_loop().create_future()
        self._stdin.write(len(frame).to_bytes(_LENGTH_BYTES, "big") + frame)
        return await self._answer

    def kill(self, failure: PolicyError | None = None) -> None:
        """Kill the process, once; whoever waits for its answer gets the failure."""
        if not self.alive:
            return
        self.alive = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(failure or PolicyUnavailable("the policy engine ended"))
        self._transport.kill()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the process that was started."""
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._stdin = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))
        self.pid = self._transport.get_pid()
        self._siblings.add(self)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take a part of an answer, or of the log."""
        if fd == 2:
            self._write_log(data)
            return
        self._buffer += data
        if self._answer is None or self._answer.done():
            self.kill()  # it spoke without being asked
        elif len(self._buffer) >= _LENGTH_BYTES:
            self._end_exchange(self._answer)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Kill a child that can no longer be asked or heard."""
        if fd != 2:
            self.kill()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of a process that has been reaped."""
        self.kill()
        self._transport.close()
        self._siblings.discard(self)
        self.gone.set()

    def _end_exchange(self, answer: asyncio.Future[bytes]) -> None:
        size = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
        frame = bytes(self._buffer[_LENGTH_BYTES:])
        if size > _MAX_FRAME_BYTES:
            self.kill(PolicyAnswerInvalid("the answer is larger than 1 MiB"))
        elif len(frame) > size:
            self.kill()  # it said more than was asked
        elif len(frame) == size:
            self._buffer.clear()
            self.in_step = frame.startswith((READY, ANSWER, ERROR))
            answer.set_result(frame)

    def _write_log(self, data: bytes) -> None:
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest[:_MAX_LOG_LINE]
        for line in lines:
            # %r, so that what a policy or an input says cannot forge a line of the log.
            _log.warning("policy child %d: %r", self.pid, line[:_MAX_LOG_LINE])


@asynccontextmanager
async def started(children: set[Child]) -> AsyncIterator[Child]:
    """Run a child for as long as the block runs; on every way out it is killed.

    Args:
        children: holds the child from its start until it is gone.

    Raises:
        BundleError: the process cannot be started.
    """
    program = (sys.executable, "-I", "-m", "gateway.policy.child")
    start = asyncio.get_running_loop().subprocess_exec
    spawn = asyncio.ensure_future(start(lambda: Child(children), *program, env={}))
    try:
        # Only the waiting can be cancelled: asyncio leaks the pipes of a spawn cut short.
        await asyncio.wait([spawn])
        if isinstance(failure := spawn.exception(), OSError):
            raise BundleError("the policy engine's process cannot start") from failure
        yield spawn.result()[1]
    finally:
        # No await once the child runs: a cancellation here must not save it.
        if not spawn.done():
            await asyncio.wait([spawn])
        if spawn.exception() is None:
            spawn.result()[1].kill()
