"""Sessions in the ledger's file: whose each one is, for as long as it is used.

The ids are kept as digests only. An id has one owner until it is forgotten, which happens when it
was idle for too long or when there are too many: then the one unused for longest goes, and its
client, told 404, starts a new one by itself. An ended session is not taken out either, or its id
could become another's while somebody still holds it. Does not open the file or choose its thread.
"""

import sqlite3
from typing import Final

from gateway.core.session import IDLE_NS, Session
from gateway.ledger.unsynced import unsynced

TOUCH_NS: Final = 3600 * 1_000_000_000
"""How exactly the last use is known: a call is not to write each time."""
MAX_SESSIONS: Final = 100_000
MAX_SESSIONS_PER_SUBJECT: Final = 1000
"""One workload that leaves its sessions open pushes out its own, not everybody's."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sessions (
    system TEXT NOT NULL,
    id_digest TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    owner TEXT NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (system, id_digest)
) STRICT;
CREATE INDEX IF NOT EXISTS sessions_by_use ON sessions (used_at);
CREATE INDEX IF NOT EXISTS sessions_by_subject ON sessions (issuer, subject, used_at);
"""
_FIND: Final = "SELECT owner, used_at FROM sessions WHERE system = ? AND id_digest = ?"
_TOUCH: Final = "UPDATE sessions SET used_at = ? WHERE system = ? AND id_digest = ? AND owner = ?"
_FORGET: Final = "DELETE FROM sessions WHERE used_at <= ?"
_CROWD_OF_SUBJECT: Final = (
    "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions "
    "WHERE issuer = ? AND subject = ? ORDER BY used_at DESC LIMIT -1 OFFSET ?)"
)
_CROWD: Final = (
    "DELETE FROM sessions WHERE rowid IN "
    "(SELECT rowid FROM sessions ORDER BY used_at DESC LIMIT -1 OFFSET ?)"
)
_INSERT: Final = "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)"


def owned(db: sqlite3.Connection, session: Session, now_ns: int) -> bool:
    """Say whether the session is its owner's, and note that it is used."""
    found = db.execute(_FIND, (session.system, session.id_digest)).fetchone()
    if found is None:
        return False
    owner, used_at = found
    if owner != session.owner or used_at <= now_ns - IDLE_NS:
        return False
    if used_at <= now_ns - TOUCH_NS:
        # A crash may take the note, and the call need not wait for the disk.
        with unsynced(db):
            _touch(db, session, now_ns)
    return True


def bind(db: sqlite3.Connection, session: Session, now_ns: int) -> bool:
    """Give the session to its owner, durably; say no if it is another's."""
    with db:
        # One writer at a time from here on, also across processes: an id cannot get two owners.
        db.execute("BEGIN IMMEDIATE")
        db.execute(_FORGET, (now_ns - IDLE_NS,))
        found = db.execute(_FIND, (session.system, session.id_digest)).fetchone()
        if found is None:
            _insert(db, session, now_ns)
            return True
        _touch(db, session, now_ns)
        return bool(found[0] == session.owner)


def _touch(db: sqlite3.Connection, session: Session, now_ns: int) -> None:
    """Note a use, if the session is this owner's."""
    db.execute(_TOUCH, (now_ns, session.system, session.id_digest, session.owner))


def _insert(db: sqlite3.Connection, session: Session, now_ns: int) -> None:
    """Add the session, making room for it first."""
    about = (session.issuer, session.subject)
    db.execute(_CROWD_OF_SUBJECT, (*about, MAX_SESSIONS_PER_SUBJECT - 1))
    db.execute(_CROWD, (MAX_SESSIONS - 1,))
    db.execute(_INSERT, (session.system, session.id_digest, *about, session.owner, now_ns))
