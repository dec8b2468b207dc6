"""Requests for a person's approval in the ledger's file, one for each exact call.

Capped, so that neither the disk nor the people who approve can be flooded, and removed once
expired. Only adds and reads requests; answering and consuming them comes with the console. Does not
open the file or choose its thread.
"""

import sqlite3
from typing import Final

from gateway.core.approval import Approval

MAX_PENDING: Final = 1000
MAX_PENDING_PER_SUBJECT: Final = 5
"""A person who is asked too often approves without reading."""

SCHEMA: Final = """
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


def pending(db: sqlite3.Connection, match: str, now_ns: int) -> Approval | None:
    """Return the request that is open for the call with this match digest."""
    row = db.execute(_PENDING, (match, now_ns)).fetchone()
    return Approval(*row) if row else None


def join_or_insert(
    db: sqlite3.Connection,
    match: str,
    now_ns: int,
    subject: str,
    approval: Approval,
    row: tuple[object, ...],
) -> Approval | None:
    """Return the request that now stands for the call, or None if there is no room for it."""
    # Leaving the block commits, or rolls back whatever went wrong in it. A crash before the
    # commit leaves no request; after it, the repeat joins this one.
    with db:
        # One writer at a time from here on, also across processes: two repeats cannot both add.
        db.execute("BEGIN IMMEDIATE")
        found = pending(db, match, now_ns)
        if found is not None:
            return found
        db.execute(_FORGET, (now_ns,))
        everyone, own = db.execute(_COUNT, (subject,)).fetchone()
        if everyone >= MAX_PENDING or own >= MAX_PENDING_PER_SUBJECT:
            return None
        db.execute(_INSERT, row)
    return approval
