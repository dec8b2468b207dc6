"""Facts of sessions in the ledger's file: calls counted, and marks that only ever get more.

Every request reads them from the file, so that gateways that share it agree on what taints a
session. Marks are durable before the call that brings them is sent; counts wait in memory for
about a second, which is what a crash may take, and what a gateway that shares the file may not see
yet. A session is forgotten once idle; when
there are too many, new ones are refused and none is pushed out: its taint would go with it.
Used by one thread at a time. Does not open the file or choose its thread.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.core.errors import LedgerUnavailable
from gateway.core.session_facts import Mark, Scope, SessionFacts
from gateway.ledger.unsynced import unsynced

SECOND_NS: Final = 1_000_000_000
WINDOW_SECONDS: Final = 60
WRITE_EVERY_NS: Final = SECOND_NS
"""How long counts may wait for the file: while calls come here, else in the ledger."""
MAX_WAITING: Final = 1000
"""Most keys whose counts wait."""
FORGOTTEN_AT_ONCE: Final = 100
"""How many more ended keys than there are new ones leave the file with a write."""
MAX_KEPT: Final = 200_000
"""Most keys in the file: two a session, and one more a workload."""
EXACT: Final = 60
"""The last use of a session is known to this part of the time after which it is forgotten."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS conduct (
    key TEXT PRIMARY KEY,
    calls INTEGER NOT NULL,
    used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS conduct_by_use ON conduct (used_at);
CREATE TABLE IF NOT EXISTS conduct_seconds (
    key TEXT NOT NULL REFERENCES conduct ON DELETE CASCADE,
    second INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (key, second)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conduct_marks (
    key TEXT NOT NULL REFERENCES conduct ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('system', 'domain', 'untrusted')),
    name TEXT NOT NULL,
    PRIMARY KEY (key, kind, name)
) STRICT, WITHOUT ROWID;
"""
_FIND: Final = (
    "SELECT key, calls, used_at, (SELECT COALESCE(SUM(calls), 0) FROM conduct_seconds AS s "
    "WHERE s.key = c.key AND second >= ?) FROM conduct AS c WHERE key IN (?, ?, ?)"
)
_MARKS: Final = "SELECT key, kind, name FROM conduct_marks WHERE key IN (?, ?, ?)"
_COUNT: Final = "SELECT COUNT(*) FROM conduct"
_FORGET: Final = "DELETE FROM conduct WHERE key = ? AND used_at <= ?"
_FORGET_SOME: Final = (
    "DELETE FROM conduct WHERE rowid IN "
    "(SELECT rowid FROM conduct WHERE used_at <= ? ORDER BY used_at LIMIT ?)"
)
_ADD: Final = (
    "INSERT INTO conduct VALUES (?, ?, ?) ON CONFLICT DO UPDATE "
    "SET calls = calls + excluded.calls, used_at = MAX(used_at, excluded.used_at)"
)
_ADD_SECOND: Final = (
    "INSERT INTO conduct_seconds VALUES (?, ?, ?) "
    "ON CONFLICT DO UPDATE SET calls = calls + excluded.calls"
)
_LAST_SECONDS: Final = "DELETE FROM conduct_seconds WHERE key = ? AND second < ?"
_MARK: Final = "INSERT OR IGNORE INTO conduct_marks VALUES (?, ?, ?)"


@dataclass(slots=True)
class _Uses:
    """What the file does not have yet of one key."""

    used_at: int = 0
    calls: int = 0
    seconds: dict[int, int] = field(default_factory=dict)
    """Calls by second since the epoch; few, since nothing waits for long while calls come."""

    def since(self, second: int) -> int:
        """Return the calls of this second and later."""
        return sum(count for at, count in self.seconds.items() if at >= second)


@dataclass(frozen=True, slots=True)
class _Row:
    """What is known of one key, in the file and waiting, before this call."""

    calls: int
    in_minute: int
    marks: frozenset[Mark]
    written_at: int | None
    """The last use as the file has it; None if the file does not have the key."""


class Conduct:
    """The facts of all sessions; owned by one ledger.

    Args:
        idle_ns: how long after its last call a session is forgotten, in nanoseconds.
    """

    def __init__(self, idle_ns: int) -> None:
        self._exact_ns = idle_ns // EXACT
        # Another gateway may know of a later use than the file does.
        self._idle_ns = idle_ns + self._exact_ns
        self._waiting: dict[str, _Uses] = {}
        self._written_ns: int | None = None

    def facts(
        self, db: sqlite3.Connection, scope: Scope, now_ns: int, *, counted: bool
    ) -> tuple[SessionFacts, frozenset[Mark]]:
        """Return the facts of a session, and the marks that this workload's calls need not bring.

        Args:
            db: the ledger's connection.
            scope: the session.
            now_ns: wall time.
            counted: whether this request is a call of the session, which also keeps it alive.

        Raises:
            LedgerUnavailable: `sessions_full`.
            sqlite3.Error: the file cannot be read, or counts that are due cannot be written.
        """
        rows, gone = self._rows(db, scope.keys, now_ns)
        if counted:
            if gone:
                # Counts must not join those of a session that has ended.
                self.write(db, now_ns, gone)
            self._make_room(db, scope, rows, now_ns)
            self._count(scope, rows, now_ns)
            if self._due(rows, now_ns):
                self.write(db, now_ns)
        return _together(scope, rows, int(counted)), _in_both(scope, rows)

    def note(
        self, db: sqlite3.Connection, scope: Scope, marks: Iterable[Mark], now_ns: int
    ) -> None:
        """Add marks to a session, durably."""
        with db:
            db.execute("BEGIN IMMEDIATE")
            self._write(db, now_ns)
            for key in scope.noted:
                db.execute(_FORGET, (key, now_ns - self._idle_ns))
                db.execute(_ADD, (key, 0, now_ns))
                db.executemany(_MARK, [(key, *mark) for mark in marks])
        self._written(now_ns)

    def write(self, db: sqlite3.Connection, now_ns: int, gone: Iterable[str] = ()) -> None:
        """Write what waits, and forget these keys, and some others, if they were idle too long."""
        with unsynced(db), db:
            db.execute("BEGIN IMMEDIATE")
            self._write(db, now_ns)
            for key in gone:
                db.execute(_FORGET, (key, now_ns - self._idle_ns))
        self._written(now_ns)

    def fresh(self, used_at: int, now_ns: int) -> bool:
        """Say whether a session last used then, as far as is known, need not be kept alive yet."""
        # Calls at the same time overtake each other: the use may be a later call's.
        return abs(now_ns - used_at) < self._exact_ns

    @property
    def waiting(self) -> bool:
        """Whether there are counts that the file does not have."""
        return bool(self._waiting)

    def write_all(self, db: sqlite3.Connection) -> None:
        """Write what waits, as of the last use, for the end of a run or a burst; else read a bit.

        Raises:
            sqlite3.Error: the file cannot be used.
        """
        if self._waiting:
            self.write(db, max(uses.used_at for uses in self._waiting.values()))
        else:
            self._crowd(db)

    def _rows(
        self, db: sqlite3.Connection, keys: tuple[str, ...], now_ns: int
    ) -> tuple[dict[str, _Row], list[str]]:
        """Return what is known of each key that lives, and the keys of which all has ended."""
        since, three = _window(now_ns), (*keys, keys[0])[:3]
        kept = {key: about for key, *about in db.execute(_FIND, (since, *three))}
        marks: dict[str, set[Mark]] = {}
        for key, kind, name in db.execute(_MARKS, three) if kept else ():
            marks.setdefault(key, set()).add((kind, name))
        rows: dict[str, _Row] = {}
        gone: list[str] = []
        for key in keys:
            calls, written_at, in_minute = kept.get(key, (0, None, 0))
            used_at = written_at
            if waiting := self._waiting.get(key):
                used_at = max(waiting.used_at, written_at or 0)
                calls, in_minute = calls + waiting.calls, in_minute + waiting.since(since)
            if used_at is None:
                continue
            if used_at <= now_ns - self._idle_ns:
                gone.append(key)
            else:
                rows[key] = _Row(calls, in_minute, frozenset(marks.get(key, ())), written_at)
        return rows, gone

    def _make_room(
        self, db: sqlite3.Connection, scope: Scope, rows: Mapping[str, _Row], now_ns: int
    ) -> None:
        if all(key in rows for key in scope.noted) or self._crowd(db) <= MAX_KEPT:
            return
        self.write(db, now_ns)
        if self._crowd(db) > MAX_KEPT:
            raise LedgerUnavailable("too many sessions are under way", code="sessions_full")

    def _crowd(self, db: sqlite3.Connection) -> int:
        """Return how many keys there would be with one call more, at most."""
        kept: int = db.execute(_COUNT).fetchone()[0]
        return kept + len(self._waiting) + 2

    def _count(self, scope: Scope, rows: Mapping[str, _Row], now_ns: int) -> None:
        second = now_ns // SECOND_NS
        for key in scope.keys:
            noted = key in scope.noted
            if not (noted or key in rows):
                continue
            uses = self._waiting.setdefault(key, _Uses())
            uses.used_at = max(uses.used_at, now_ns)
            if noted:
                uses.calls += 1
                uses.seconds[second] = uses.seconds.get(second, 0) + 1

    def _due(self, rows: Mapping[str, _Row], now_ns: int) -> bool:
        written = self._written_ns
        if written is None or not 0 <= now_ns - written < WRITE_EVERY_NS:
            return True
        old = now_ns - self._exact_ns
        return len(self._waiting) > MAX_WAITING or any(
            row.written_at is not None and row.written_at <= old for row in rows.values()
        )

    def _write(self, db: sqlite3.Connection, now_ns: int) -> None:
        for key, uses in self._waiting.items():
            db.execute(_ADD, (key, uses.calls, uses.used_at))
            db.executemany(_ADD_SECOND, [(key, *counted) for counted in uses.seconds.items()])
            db.execute(_LAST_SECONDS, (key, _window(now_ns)))
        some = len(self._waiting) + FORGOTTEN_AT_ONCE
        db.execute(_FORGET_SOME, (now_ns - self._idle_ns, some))

    def _written(self, now_ns: int) -> None:
        self._waiting.clear()
        self._written_ns = now_ns


def _window(now_ns: int) -> int:
    """Return the first second that counts: the one in which the last minute began, as a whole."""
    return now_ns // SECOND_NS - WINDOW_SECONDS


def _together(scope: Scope, rows: Mapping[str, _Row], more: int) -> SessionFacts:
    """Return the facts of the session, this call (`more`) included."""
    read = [rows[key] for key in scope.read if key in rows]
    marks = frozenset[Mark]().union(*(row.marks for row in read))
    calls, in_minute = sum(row.calls for row in read), sum(row.in_minute for row in read)
    return SessionFacts.of(calls + more, in_minute + more, marks)


def _in_both(scope: Scope, rows: Mapping[str, _Row]) -> frozenset[Mark]:
    """Return the marks that every key has under which this workload's calls are noted."""
    if not all(key in rows for key in scope.noted):
        return frozenset()
    first, second = (rows[key].marks for key in scope.noted)
    return first & second
