"""The ledger in one SQLite file (WAL, synchronous=FULL).

One connection, used by one thread at a time under a limiter, so that the event loop never waits for
the disk. Only its owner can read the file: it holds what agents asked for. Requests are capped, so
that neither the disk nor the people who approve can be flooded, and are removed once expired.
Only adds and reads requests; answering and consuming them comes with the console. Sessions are in
the same file (`sessions.py`).
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
from gateway.core.decision import Hold
from gateway.core.errors import LedgerUnavailable
from gateway.core.session import CONFLICT, Session, named, session_of
from gateway.ledger import sessions

BUSY_SECONDS: Final = 0.25
"""How long to wait for another process that holds the file."""
DEADLINE_SECONDS: Final = 1.0
"""How long one use of the ledger may take, waiting for its turn included."""
MAX_PENDING: Final = 1000
MAX_PENDING_PER_SUBJECT: Final = 5
"""A person who is asked too often approves without reading."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS approvals (
    id TEXT PRIMARY KEY,
    match_digest TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending')),
    call_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    system TEXT NOT NULL,
    tool TEXT NOT NULL,
    arguments BLOB NOT NULL,
    request_body BLOB NOT NULL,
    policy_revision TEXT NOT NULL,
    approvers TEXT NOT NULL,
    approvers_needed INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS approvals_by_match ON approvals (match_digest, expires_at);
"""
_PENDING: Final = (
    "SELECT id, state, expires_at FROM approvals "
    "WHERE match_digest = ? AND state = 'pending' AND expires_at > ? LIMIT 1"
)
_FORGET: Final = "DELETE FROM approvals WHERE state = 'pending' AND expires_at <= ?"
_COUNT: Final = (
    "SELECT COUNT(*), COUNT(*) FILTER (WHERE subject = ?) FROM approvals WHERE state = 'pending'"
)
_INSERT: Final = "INSERT INTO approvals VALUES (?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

T = TypeVar("T")


class SQLiteLedger:
    """The `Ledger` port on SQLite. Owns its connection."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

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
                self._db.executescript(_SCHEMA + sessions.SCHEMA)
                _narrow(path.resolve())
                self._path, self._opened = path, path.stat()
                undo.pop_all()
        except (OSError, sqlite3.Error) as exc:
            raise LedgerUnavailable(f"{path}: the ledger cannot be opened ({exc})") from exc
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._in_use = Lock()
        self._healthy = True

    async def situate(self, call: ToolCall, claims: Claims, now_ns: int) -> Situation:
        """Return the pending request for this exact call, and whether its session is its own."""
        match = match_digest(call, claims) if call.action == "tools/call" else None
        session_id = named(call.request)
        if match is None and session_id is None:
            return Situation()
        session = None if session_id is None else session_of(call.system, session_id, claims)
        return await self._run(lambda: self._situation(match, session, now_ns))

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
            lambda: self._join_or_insert(match, now_ns, claims.subject, approval, row)
        )
        if held is None:
            raise LedgerUnavailable("too many approval requests are pending", code="approvals_full")
        return held

    def healthy(self) -> bool:
        """Say whether the last use of the file succeeded."""
        return self._healthy

    def close(self) -> None:
        """Close the file, unless a thread that was left behind still uses it: that would crash."""
        if self._in_use.acquire(timeout=DEADLINE_SECONDS):
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

    def _situation(self, match: str | None, session: Session | None, now_ns: int) -> Situation:
        return Situation(
            self._pending(match, now_ns) if match is not None else None,
            session is not None and sessions.owned(self._db, session, now_ns),
        )

    def _pending(self, match: str, now_ns: int) -> Approval | None:
        row = self._db.execute(_PENDING, (match, now_ns)).fetchone()
        return Approval(*row) if row else None

    def _join_or_insert(
        self, match: str, now_ns: int, subject: str, approval: Approval, row: tuple[object, ...]
    ) -> Approval | None:
        """Return the request that now stands for the call, or None if there is no room for it."""
        # Leaving the block commits, or rolls back whatever went wrong in it. A crash before the
        # commit leaves no request; after it, the repeat joins this one.
        with self._db:
            # One writer at a time from here on, also across processes: two repeats cannot both add.
            self._db.execute("BEGIN IMMEDIATE")
            pending = self._pending(match, now_ns)
            if pending is not None:
                return pending
            self._db.execute(_FORGET, (now_ns,))
            everyone, own = self._db.execute(_COUNT, (subject,)).fetchone()
            if everyone >= MAX_PENDING or own >= MAX_PENDING_PER_SUBJECT:
                return None
            self._db.execute(_INSERT, row)
        return approval


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
