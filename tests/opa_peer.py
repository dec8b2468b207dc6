"""Something on a Unix socket that is asked as OPA is, and answers as a test says.

    async with scripted_opa(*answers) as peer:
        peer.settings       as `[policy.opa]` names it
        peer.heads          heads of the requests, in order; peer.bodies their bodies
        peer.connections    how many were accepted
        peer.gone           set when a connection was given up by the other side while `HANG`

Answers are given in order, the last one again and again: bytes are sent as they are, and
`answer(...)`, `head(...)` make sound ones. Does not evaluate anything.
"""

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from gateway.core.errors import PolicyError
from gateway.policy.opa import OPADecisionPoint
from gateway.ports import Clock
from gateway.settings.policy import OPA
from tests.fakes_policy import PERMIT, TickingClock, ask, eventually, tiny_bundle

Mood = Literal["hang", "drop", "drop late", "drip"]
HANG: Mood = "hang"
"""Says nothing and keeps the connection."""
DROP: Mood = "drop"
"""Closes the connection instead of answering."""
DROP_LATE: Mood = "drop late"
"""Closes the connection after 0.2 s."""
DRIP: Mood = "drip"
"""Sends a sound answer byte by byte, each in time and all of them too late."""


@dataclass(frozen=True)
class Cut:
    """Sends these bytes and closes the connection."""

    content: bytes


Answer = bytes | Mood | Cut

RESULT = {
    "effect": "permit",
    "reasons": [{"code": "asked", "rule": "tiny"}],
    "obligations": [],
    "class": {"effect": "read", "impacts": [], "domain": "crm", "environment": "test"},
    "charter": PERMIT.charter,
    "grant": None,
}
PROVENANCE = {"version": "1.20.2", "bundles": {"tiny": {"revision": "tiny-1"}}}


def head(status: str = "200 OK", length: int = 0, *more: str) -> bytes:
    """Return the head of an answer."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *more, "", ""]).encode()


def answer(content: Any, status: str = "200 OK", *more: str) -> bytes:
    """Return an answer with this body: bytes as they are, anything else as JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return head(status, len(body), *more) + body


def decided(**members: Any) -> bytes:
    """Return a sound permit, with members of its envelope replaced; None removes one."""
    envelope = {"result": RESULT, "provenance": PROVENANCE} | members
    return answer({name: value for name, value in envelope.items() if value is not None})


@dataclass
class ScriptedOPA:
    """The peer and what it saw. Owned by one test."""

    settings: OPA
    answers: list[Answer]
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    """How many of them have not ended."""
    most: int = 0
    """How many were open at once."""
    gone: anyio.Event = field(default_factory=anyio.Event)

    async def serve(self, stream: SocketStream) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        self.open += 1
        self.most = max(self.most, self.open)
        received = BufferedByteReceiveStream(stream)
        async with stream:
            try:
                while await self._answer(stream, received):
                    continue
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.IncompleteRead):
                return
            finally:
                self.open -= 1

    async def _answer(self, stream: SocketStream, received: BufferedByteReceiveStream) -> bool:
        asked = (await received.receive_until(b"\r\n\r\n", 65536)).decode()
        (length,) = (
            int(line.partition(":")[2])
            for line in asked.split("\r\n")
            if line.lower().startswith("content-length:")
        )
        self.heads.append(asked)
        self.bodies.append(await received.receive_exactly(length))
        said = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        match said:
            case bytes():
                await stream.send(said)
            case Cut(content):
                await stream.send(content)
                return False
            case "drop":
                return False
            case "drop late":
                await anyio.sleep(0.2)
                return False
            case "hang":
                try:
                    await received.receive(1)
                finally:
                    self.gone.set()
            case "drip":
                for place in range(len(decided())):
                    await stream.send(decided()[place : place + 1])
                    await anyio.sleep(0.02)
        return True


@asynccontextmanager
async def scripted_opa(*answers: Answer) -> AsyncIterator[ScriptedOPA]:
    """Listen while the block lasts."""
    with tempfile.TemporaryDirectory(prefix="opa-") as folder:
        path = Path(folder) / "s"
        peer = ScriptedOPA(OPA(socket=path), list(answers))
        async with await anyio.create_unix_listener(path) as listener:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listener.serve, peer.serve)
                yield peer
                # Whoever asked has closed its ends: every connection ends by itself.
                await eventually(lambda: not peer.open)
                tasks.cancel_scope.cancel()


@asynccontextmanager
async def asked(
    *answers: Answer, deadline_seconds: float = 20, clock: Clock | None = None
) -> AsyncIterator[tuple[OPADecisionPoint, ScriptedOPA]]:
    """Start a point over a scripted OPA; it has no self-tests, so nothing was asked yet.

    The deadline is long where something else is tested, so that a busy machine changes nothing.
    """
    async with scripted_opa(*answers) as peer:
        bundle = tiny_bundle(tests=())
        point = OPADecisionPoint(bundle, clock or TickingClock(), peer.settings, deadline_seconds)
        await point.start()
        try:
            yield point, peer
        finally:
            await point.aclose()


async def code_of(point: OPADecisionPoint) -> str:
    """Return the reason code of a decision, or the code of the failure."""
    try:
        return (await point.decide(ask("permit"))).reasons[0].code
    except PolicyError as exc:
        return exc.reason_code
