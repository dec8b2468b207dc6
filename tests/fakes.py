"""One fake a port, all of which can write to one shared tape, so that order can be asserted.

A failure is scripted in one of three modes: a step raises, times out (its adapter says so in the
port's own words), or did it and lost the answer. A `Gate` stops a step until the test lets it go
on, which is how a caller leaves in the middle of it. Held to the suites in `tests/contract/`.
Does not patch anything.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio

from gateway.core.call import Request, ToolCall
from gateway.core.claims import Claims
from gateway.core.errors import CredentialMissing, IssuerUnavailable
from gateway.core.record import Receipt
from gateway.ports import UpstreamResponse
from tests.fakes_clock import FakeClock
from tests.fakes_evidence import ORIGIN, FakeEvidenceLog
from tests.fakes_gate import Gate
from tests.fakes_ledger import FakeLedger
from tests.fakes_policy import PERMIT, STAMP, FakeDecisionPoint

__all__ = [
    "CLAIMS",
    "ORIGIN",
    "PERMIT",
    "STAMP",
    "FakeAuthenticator",
    "FakeCaller",
    "FakeClock",
    "FakeDecisionPoint",
    "FakeEvidenceLog",
    "FakeLedger",
    "FakeUpstream",
    "Gate",
    "GatedDecisionPoint",
    "GatedEvidenceLog",
]

Tape = list[Any]
"""What happened, in order; each fake adds its own words."""

CLAIMS = Claims(
    subject="spiffe://corp.example/agent/tester",
    issuer="https://issuer.example",
    audience="bailiwick",
    issued_at=1_795_510_000,
    expires_at=1_795_511_000,
    scheme="at+jwt",
    algorithm="ES256",
    key_id="key-1",
    token_id="token-1",
    token_digest="sha256:" + "1" * 64,
)


class FakeAuthenticator:
    """Knows one subject; anybody with a credential is it."""

    def __init__(self, claims: Claims = CLAIMS, tape: Tape | None = None) -> None:
        self.claims = claims
        self.tape = [] if tape is None else tape
        self.failure: Exception | None = None
        self.gate: Gate | None = None

    async def authenticate(self, request: Request) -> Claims:
        """See `Authenticator.authenticate`."""
        self.tape.append("authenticate")
        if self.gate:
            await self.gate.passed()
        if self.failure:
            raise self.failure
        if request.credential.token is None:
            raise CredentialMissing("no bearer token came with the request")
        return self.claims

    def fail(self, mode: str) -> None:
        """Fail the next calls; all modes look alike from outside, since this step has no effect."""
        self.failure = IssuerUnavailable(f"the fake was told: {mode}")


class GatedDecisionPoint(FakeDecisionPoint):
    """The fake decision point, which a test can stop."""

    gate: Gate | None = None

    async def decide(self, document: bytes) -> Any:
        """See `DecisionPoint.decide`."""
        if self.gate:
            await self.gate.passed()
        return await super().decide(document)


class GatedEvidenceLog(FakeEvidenceLog):
    """The fake log, which a test can stop before a record of a kind becomes durable.

    Puts ("durable", kind) on the tape once a record is stored, whoever learns of it.
    """

    def __init__(self, tape: Tape | None = None) -> None:
        super().__init__(tape)
        self.gates: dict[str, Gate] = {}

    async def append(
        self, kind: str, fields: Mapping[str, Any], *, effect: str | None = None
    ) -> Receipt:
        """See `EvidenceLog.append`."""
        if kind in self.gates:
            await self.gates[kind].passed()
        before = len(self.records)
        try:
            return await super().append(kind, fields, effect=effect)
        finally:
            if len(self.records) > before:
                self.tape.append(("durable", kind))

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the fields of every durable record of a kind."""
        return [fields for stored, fields in self.records if stored == kind]


class FakeUpstream:
    """Answers as scripted; `body` holds bytes to yield, errors to raise and gates to wait at."""

    def __init__(
        self,
        body: Sequence[bytes | Exception | Gate] = (),
        headers: Mapping[str, str] | None = None,
        status: int = 200,
        tape: Tape | None = None,
    ) -> None:
        self.body, self.status = body, status
        self.headers = {"content-type": "application/json"} if headers is None else headers
        self.tape = [] if tape is None else tape
        self.unreachable: Exception | None = None
        """Raised on entering, before the upstream saw a byte."""
        self.entering: Exception | Gate | None = None
        """Raised or waited at on entering, once the upstream has the call."""
        self.leaving: Exception | None = None
        """Raised on leaving, against the port's word."""
        self.calls: list[ToolCall] = []
        """Every call that the upstream saw."""

    def send(self, call: ToolCall) -> AbstractAsyncContextManager[UpstreamResponse]:
        """See `Upstream.send`."""
        return self._exchange(call)

    @asynccontextmanager
    async def _exchange(self, call: ToolCall) -> AsyncIterator[UpstreamResponse]:
        await anyio.lowlevel.checkpoint()
        if self.unreachable:
            raise self.unreachable
        self.calls.append(call)
        self.tape.append("send")
        try:
            await _meet(self.entering)
            yield UpstreamResponse(self.status, self.headers, self._chunks())
        finally:
            self.tape.append("hang up")
        if self.leaving:
            raise self.leaving

    async def _chunks(self) -> AsyncIterator[bytes]:
        for item in self.body:
            await anyio.lowlevel.checkpoint()
            if isinstance(item, bytes):
                yield item
            else:
                await _meet(item)


class FakeCaller:
    """Keeps what is written to it; fails or stops where a test says.

    Puts ("start", status), ("write", bytes), ("finish", bytes) and "abort" on the tape.
    """

    def __init__(self, tape: Tape | None = None) -> None:
        self.tape = [] if tape is None else tape
        self.trouble: dict[str, Exception | Gate] = {}
        """By step (`start`, `write`, `finish`, `abort`): the caller is gone, or does not read."""
        self.steps: list[str] = []
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = b""

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """See `Caller.start`."""
        await self._step("start", ("start", status))
        self.status, self.headers = status, headers

    async def write(self, piece: bytes) -> None:
        """See `Caller.write`."""
        await self._step("write", ("write", piece))
        self.body += piece

    async def finish(self, piece: bytes = b"") -> None:
        """See `Caller.finish`."""
        await self._step("finish", ("finish", piece))
        self.body += piece

    async def abort(self) -> None:
        """See `Caller.abort`."""
        await self._step("abort", "abort")

    async def _step(self, name: str, mark: Any) -> None:
        await _meet(self.trouble.get(name))
        await anyio.lowlevel.checkpoint()
        self.steps.append(name)
        self.tape.append(mark)


async def _meet(obstacle: Exception | Gate | None) -> None:
    if isinstance(obstacle, Gate):
        await obstacle.passed()
    elif obstacle is not None:
        raise obstacle
