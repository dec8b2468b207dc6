"""The ledger in one SQLite file (WAL, synchronous=FULL).

One connection, used by one thread at a time under a limiter, so that the event loop never waits for
the disk. Only its owner can read the file: it holds what agents asked for. What is in it is said by
`approvals.py`, `conduct.py`, `revisions.py` and `sessions.py`. Does not know their statements.
"""

import os
import secrets
import sqlite3
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from gateway.core.approval import Approval, Situation, match_digest
from gateway.core.call import ToolCall
from gateway.core.canonical import canonical
from gateway.core.claims import Claims
from gateway.core.decision import Hold, Permit
from gateway.core.errors import LedgerUnavailable
from gateway.core.session import CONFLICT, Session, named, session_of
from gateway.core.session_facts import Mark, Scope, brought, counts, scope_of
from gateway.ledger import approvals, conduct, revisions, sessions
from gateway.ledger.conduct import WRITE_EVERY_NS, Conduct

BUSY_SECONDS: Final = 0.25
"""How long to wait for another process that holds the file."""
DEADLINE_SECONDS: Final = 1.0
"""How long one use of the ledger may take, waiting for its turn included."""
MAX_KNOWN: Final = 10_000
"""Sessions of which it is remembered, without asking the disk, what their calls need not note."""

_SCHEMA: Final = approvals.SCHEMA + conduct.SCHEMA + revisions.SCHEMA + sessions.SCHEMA

T = TypeVar("T")


class SQLiteLedger:
    """The `Ledger` port on SQLite. Owns its connection."""

    def __init__(self, path: Path, session_idle_seconds: float = 3600.0) -> None:
        """Open or create the file.

        Args:
            path: where it is.
            session_idle_seconds: after how long without a call the facts of a workload's session
                are forgotten; at most a sixtieth of it later.

        Raises:
            LedgerUnavailable: it cannot be opened.
        """
        try:
            with ExitStack() as undo:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _create_private(path)
                self._db = sqlite3.connect(
                    path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                undo.callback(self._db.close)
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute("PRAGMA foreign_keys = ON")
                self._db.executescript(_SCHEMA)
                _narrow(path.resolve())
                self._path, self._opened = path, path.stat()
                undo.pop_all()
        except (OSError, sqlite3.Error) as exc:
            raise LedgerUnavailable(f"{path}: the ledger cannot be opened ({exc})") from exc
        self._conduct = Conduct(round(session_idle_seconds * 1e9))
        self._known: dict[Scope, tuple[frozenset[Mark], int]] = {}
        """The marks that calls of a session need not bring any more, and when it was kept alive;
        used longest ago first."""
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._in_use = Lock()
        self._healthy = True

    async def situate(self, call: ToolCall, claims: Claims, now_ns: int) -> Situation:
        """Return the pending request for this exact call, whose its session is, and what it did."""
        match = match_digest(call, claims) if counts(call) else None
        session_id, scope = named(call.request), scope_of(claims)
        session = None if session_id is None else session_of(call.system, session_id, claims)
        situation, known = await self._run(lambda: self._situation(match, session, scope, now_ns))
        self._know(scope, known, now_ns if match is not None else 0)
        return situation

    async def permitted(
        self, call: ToolCall, claims: Claims, decision: Permit, now_ns: int
    ) -> None:
        """Note what a permitted call brings into its session.

        No disk if it has all of it, and is not to be kept alive by it.

        Raises:
            LedgerUnavailable: it could not be noted.
        """
        scope, marks = scope_of(claims), brought(call, decision)
        known, used_at = self._known.get(scope, (frozenset(), 0))
        if marks <= known and (not marks or self._conduct.fresh(used_at, now_ns)):
            return
        await self._run(lambda: self._conduct.note(self._db, scope, marks, now_ns))
        self._know(scope, known | marks, now_ns)

    async def advance_policy(
        self, revision: str, digest: str, now_ns: int, *, reusable: bool
    ) -> None:
        """Remember the revision of a policy; see `Ledger.advance_policy`."""
        await self._run(
            lambda: revisions.advance(self._db, revision, digest, now_ns, reusable=reusable)
        )

    async def open_session(self, system: str, session_id: str, claims: Claims, now_ns: int) -> None:
        """Bind a session to its caller.

        Raises:
            LedgerUnavailable: also `session_conflict`, if it is another caller's.
        """
        session = session_of(system, session_id, claims)
        if not await self._run(lambda: sessions.bind(self._db, session, now_ns)):
            raise LedgerUnavailable("the session is another caller's", code=CONFLICT)

    async def hold(
        self, call: ToolCall, claims: Claims, decision: Hold, call_id: str, now_ns: int
    ) -> Approval:
        """Store a request, or join the one that is pending for the same call.

        Raises:
            LedgerUnavailable: also `approvals_full`, if too many are pending already.
        """
        match = match_digest(call, claims)
        approval = Approval(
            id=secrets.token_hex(8),
            state="pending",
            expires_at=now_ns + decision.approval.expires_seconds * 1_000_000_000,
        )
        row = (
            approval.id,
            match,
            call_id,
            claims.subject,
            call.system,
            call.name,
            canonical(dict(call.arguments)),
            call.request.body,
            decision.policy.revision,
            decision.approval.approvers,
            decision.approval.count,
            now_ns,
            approval.expires_at,
        )
        held = await self._run(
            lambda: approvals.join_or_insert(self._db, match, now_ns, claims.subject, approval, row)
        )
        if held is None:
            raise LedgerUnavailable("too many approval requests are pending", code="approvals_full")
        return held

    async def tended(self, interval_seconds: float = WRITE_EVERY_NS / 1e9) -> None:
        """Do what would else wait for the next call, again and again. For ever.

        Counts are written, since another gateway on this file is to see the last burst of calls as
        well, or whoever is limited would take turns. And a file that failed is tried again, since
        no call may come to a gateway that says that it is not ready.
        """
        while True:
            await anyio.sleep(interval_seconds)
            # The next call tries again, and is denied if it cannot.
            with suppress(LedgerUnavailable):
                if self._conduct.waiting or not self._healthy:
                    await self._run(lambda: self._conduct.write_all(self._db))

    def healthy(self) -> bool:
        """Say whether the last use of the file succeeded."""
        return self._healthy

    def close(self) -> None:
        """Close the file, unless a thread that was left behind still uses it: that would crash."""
        if self._in_use.acquire(timeout=DEADLINE_SECONDS):
            # What waits is worth less than a start that fails over it; a crash would take it too.
            with suppress(sqlite3.Error):
                self._conduct.write_all(self._db)
            self._db.close()
            self._in_use.release()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            # A thread that hangs is left behind; should its insert still commit, a repeat joins it.
            with anyio.fail_after(DEADLINE_SECONDS):
                result = await anyio.to_thread.run_sync(
                    lambda: self._in_place(work),
                    limiter=self._one_at_a_time,
                    abandon_on_cancel=True,
                )
        except (OSError, OverflowError, sqlite3.Error) as exc:
            self._healthy = False
            raise LedgerUnavailable("the ledger did not answer") from exc
        self._healthy = True
        return result

    def _in_place(self, work: Callable[[], T]) -> T:
        """Do the work unless the file is gone: SQLite would go on writing to what nobody can read.

        Raises:
            OSError: the path names another file, or none.
        """
        # The limiter forgets a thread that was left behind; the connection must not.
        if not self._in_use.acquire(timeout=DEADLINE_SECONDS):
            raise TimeoutError("the ledger is still in use")
        try:
            if not os.path.samestat(self._path.stat(), self._opened):
                raise OSError("the ledger's file was replaced")
            return work()
        finally:
            self._in_use.release()

    def _know(self, scope: Scope, marks: frozenset[Mark], used_at: int) -> None:
        self._known.pop(scope, None)
        self._known[scope] = marks, used_at
        if len(self._known) > MAX_KNOWN:
            # Whoever is forgotten here asks the disk again.
            del self._known[next(iter(self._known))]

    def _situation(
        self, match: str | None, session: Session | None, scope: Scope, now_ns: int
    ) -> tuple[Situation, frozenset[Mark]]:
        db, counted = self._db, match is not None
        facts, known = self._conduct.facts(db, scope, now_ns, counted=counted)
        pending = approvals.pending(db, match, now_ns) if match is not None else None
        owned = session is not None and sessions.owned(db, session, now_ns)
        return Situation(pending, owned, facts), known


def _create_private(path: Path) -> None:
    """Create the file for its owner alone; SQLite gives its companions the same mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _narrow(path: Path) -> None:
    """Take a wider mode from a file that was there before, if it is ours."""
    # By name: closing a descriptor would drop the locks of every connection in this process.
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with suppress(FileNotFoundError):
            status = file.stat()
            if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077:
                file.chmod(0o600)
