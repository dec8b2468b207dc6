"""The newest policy revision that was ever in force, so that none older comes back.

What is remembered only ever advances; the comparison and the advance are one transaction, so that
of two gateways on one ledger neither can take the other back. Does not read bundles.
"""

import sqlite3
from typing import Final

from gateway.core.errors import BundleError
from gateway.core.revision import is_older, order

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS policy (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    revision TEXT NOT NULL,
    digest TEXT NOT NULL,
    loaded_at INTEGER NOT NULL
) STRICT;
"""
_FIND: Final = "SELECT revision, digest FROM policy"
_PUT: Final = "INSERT OR REPLACE INTO policy VALUES (1, ?, ?, ?)"


def advance(
    db: sqlite3.Connection, revision: str, digest: str, now_ns: int, *, reusable: bool
) -> None:
    """Remember a revision that is about to be in force.

    Args:
        db: the ledger's connection.
        revision: of the bundle.
        digest: of the bundle.
        now_ns: nanoseconds since the epoch.
        reusable: whether a revision may come with another content than it had before.

    Raises:
        BundleError: `bundle_older`, `bundle_revision_reused`.
    """
    with db:
        db.execute("BEGIN IMMEDIATE")
        found = db.execute(_FIND).fetchone()
        if found is not None:
            newest, its_digest = found
            _refuse_older(revision, newest)
            same = order(revision) == order(newest)  # `1` and `1.0` are one revision
            if same and digest != its_digest and not reusable:
                raise BundleError(
                    f"revision {revision} was in force with another content; a changed bundle "
                    "needs a revision of its own",
                    code="bundle_revision_reused",
                )
        db.execute(_PUT, (revision, digest, now_ns))


def _refuse_older(revision: str, newest: str) -> None:
    if is_older(revision, newest):
        raise BundleError(
            f"revision {revision} is older than {newest}, which was in force; to go back to what "
            "it says, give that a newer revision",
            code="bundle_older",
        )
