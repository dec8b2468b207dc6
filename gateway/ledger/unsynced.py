"""Writes for which nobody waits: a crash of the machine may take them, one of the process not.

Does not open a transaction.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unsynced(db: sqlite3.Connection) -> Iterator[None]:
    """Let transactions that begin and end in the block return before the disk has them (WAL)."""
    db.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        db.execute("PRAGMA synchronous = FULL")
