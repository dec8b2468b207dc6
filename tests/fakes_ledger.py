"""A ledger in memory, which fails as a test says; see `tests/fakes.py`."""

from typing import Any

from gateway.core.approval import Approval, Situation, match_digest
from gateway.core.call import ToolCall
from gateway.core.claims import Claims
from gateway.core.decision import Hold, Permit
from gateway.core.errors import LedgerUnavailable
from gateway.core.session import CONFLICT, IDLE_NS, Session, named, session_of
from gateway.core.session_facts import Mark, SessionFacts, brought, counts, scope_of
from tests.fakes_gate import Gate

MINUTE_NS = 60 * 10**9


class FakeLedger:
    """Approval requests, sessions and their facts in memory."""

    def __init__(self, tape: list[Any] | None = None, session_idle_seconds: float = 3600) -> None:
        self.tape = [] if tape is None else tape
        self.requests: list[tuple[str, Approval]] = []
        """Match digest and request, in the order in which they were stored."""
        self.sessions: dict[Session, int] = {}
        """When each was used last."""
        self.calls: dict[str, list[int]] = {}
        """When calls came, by what sessions are kept under."""
        self.marks: dict[str, set[Mark]] = {}
        self.policies: list[tuple[str, str]] = []
        """Revision and digest of each policy that was in force."""
        self._idle_ns = round(session_idle_seconds * 10**9)
        self._used: dict[str, int] = {}
        self.broken: dict[str, str] = {}
        """Failure mode by method: `raises`, `times out`, `lost`."""
        self.gates: dict[str, Gate] = {}
        self._healthy = True

    async def situate(self, call: ToolCall, claims: Claims, now_ns: int) -> Situation:
        """See `Ledger.situate`."""
        await self._begin("situate")
        self._end("situate")
        pending = None
        if call.action == "tools/call":
            pending = self._pending(match_digest(call, claims), now_ns)
        session_id = named(call.request)
        session = session_of(call.system, session_id, claims) if session_id is not None else None
        facts = self._facts(call, claims, now_ns)
        return Situation(pending, session is not None and self._owned(session, now_ns), facts)

    async def permitted(
        self, call: ToolCall, claims: Claims, decision: Permit, now_ns: int
    ) -> None:
        """See `Ledger.permitted`."""
        await self._begin("permitted")
        for key in scope_of(claims).noted:
            self._forget(key, now_ns)
            self._used[key] = now_ns
            self.marks.setdefault(key, set()).update(brought(call, decision))
        self._end("permitted")

    async def advance_policy(
        self, revision: str, digest: str, now_ns: int, *, reusable: bool
    ) -> None:
        """See `Ledger.advance_policy`; takes any."""
        await self._begin("advance_policy")
        self.policies.append((revision, digest))
        self._end("advance_policy")

    async def open_session(self, system: str, session_id: str, claims: Claims, now_ns: int) -> None:
        """See `Ledger.open_session`."""
        await self._begin("open_session")
        session = session_of(system, session_id, claims)
        for known, used_ns in self.sessions.items():
            same_id = (known.system, known.id_digest) == (session.system, session.id_digest)
            if same_id and known != session and used_ns + IDLE_NS > now_ns:
                raise LedgerUnavailable("the session is another's", code=CONFLICT)
        self.sessions[session] = now_ns
        self._end("open_session")

    async def hold(
        self, call: ToolCall, claims: Claims, decision: Hold, call_id: str, now_ns: int
    ) -> Approval:
        """See `Ledger.hold`."""
        await self._begin("hold")
        match = match_digest(call, claims)
        approval = self._pending(match, now_ns)
        if approval is None:
            lifetime_ns = decision.approval.expires_seconds * 1_000_000_000
            approval = Approval(f"approval-{len(self.requests)}", "pending", now_ns + lifetime_ns)
            self.requests.append((match, approval))
        self._end("hold")
        return approval

    def healthy(self) -> bool:
        """See `Ledger.healthy`."""
        return self._healthy

    async def _begin(self, method: str) -> None:
        self.tape.append(method)
        if method in self.gates:
            await self.gates[method].passed()
        if self.broken.get(method, "lost") != "lost":
            self._fail()

    def _end(self, method: str) -> None:
        if method in self.broken:
            self._fail()
        self._healthy = True

    def _fail(self) -> None:
        self._healthy = False
        raise LedgerUnavailable("the ledger did not answer")

    def _pending(self, match: str, now_ns: int) -> Approval | None:
        for stored, approval in self.requests:
            if stored == match and approval.expires_at > now_ns:
                return approval
        return None

    def _facts(self, call: ToolCall, claims: Claims, now_ns: int) -> SessionFacts:
        scope = scope_of(claims)
        for key in scope.keys:
            self._forget(key, now_ns)
            if counts(call):
                self._used[key] = now_ns
                if key in scope.noted:
                    self.calls.setdefault(key, []).append(now_ns)
        calls = [at for key in scope.read for at in self.calls.get(key, ())]
        lately = [at for at in calls if at > now_ns - MINUTE_NS]
        marks = [mark for key in scope.read for mark in self.marks.get(key, ())]
        return SessionFacts.of(len(calls), len(lately), frozenset(marks))

    def _forget(self, key: str, now_ns: int) -> None:
        if self._used.get(key, now_ns) <= now_ns - self._idle_ns:
            for kept in (self._used, self.calls, self.marks):
                kept.pop(key, None)

    def _owned(self, session: Session, now_ns: int) -> bool:
        owned = session in self.sessions and self.sessions[session] + IDLE_NS > now_ns
        if owned:
            self.sessions[session] = now_ns
        return owned
