"""`bailiwick evidence hold` and `archive-status`: what is deleted, what is not, and why.

Both work beside a running gateway and without one; neither writes a record. Does not delete.
"""

import getpass
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import output
from gateway.cli.evidence import Folder, log_of, reading
from gateway.cli.options import DEFAULT_SETTINGS, Json, SettingsPath
from gateway.core.instant import iso
from gateway.evidence.anchoring.anchored import anchored
from gateway.evidence.retention import hold as holds
from gateway.evidence.retention.archive import compressed_path
from gateway.evidence.retention.holdings import Held, Holdings
from gateway.evidence.retention.keeper import why_kept
from gateway.evidence.segments import first_seq, segments
from gateway.settings import load
from gateway.wiring import SystemClock


def hold(
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="WHY", help="Place a hold.")
    ] = None,
    release: Annotated[bool, typer.Option("--release", help="Lift the hold.")] = False,
    settings: SettingsPath = DEFAULT_SETTINGS,
    folder: Folder = None,
) -> None:
    """Show, place or lift the legal hold.

    While it is in place, nothing is deleted. Exit status 1 if there is one already, or none to
    lift.
    """
    if reason is not None and (release or not reason.strip()):
        raise typer.BadParameter("give a reason, or --release, not both")
    where = log_of(settings, folder)
    with reading(where):
        found = holds.held(where)
        if reason is not None and found is None:
            placed = holds.Hold(reason, iso(SystemClock().wall_ns()), _user())
            holds.place(where, placed)
            output.say(f"hold placed: {reason}")
            return
        if release and found is not None:
            holds.release(where)
            output.say(f"hold lifted: {found.reason}")
            return
    _show(found)
    if release or reason is not None:
        raise typer.Exit(1)


def archive_status(
    settings: SettingsPath = DEFAULT_SETTINGS, folder: Folder = None, json: Json = False
) -> None:
    """Show where each segment is, and whether it may go.

    If it may not be deleted here, says why. Reads the whole log. Says what the log says: whether a
    store still has a segment is checked before it is deleted, not here.
    """
    where = log_of(settings, folder)
    retention = load(settings).evidence.retention if settings.exists() else None
    with reading(where):
        rows = list(_rows(where, retention.keep_days if retention else None))
    if json:
        for row in rows:
            output.as_json(row.document())
        return
    columns = ("segment", "records", "raw", "compressed", "where", "shipped to", "may go")
    output.table(columns, [row.cells() for row in rows])


@dataclass(frozen=True, slots=True)
class _Row:
    held: Held
    where: str
    raw_bytes: int | None
    kept: str | None

    @property
    def records(self) -> int | None:
        """How many records it has; None while it is open."""
        end = self.held.next_seq
        return None if end is None else end - first_seq(Path(self.held.segment))

    def document(self) -> dict[str, Any]:
        made = self.held.compressed
        return {
            "segment": self.held.segment,
            "records": self.records,
            "raw_bytes": self.raw_bytes,
            "compressed_bytes": made.bytes if made else None,
            "digest": made.digest if made else None,
            "where": self.where,
            "shipped": sorted(self.held.shipped),
            "deletable": self.kept is None,
            "kept_because": self.kept,
        }

    def cells(self) -> tuple[str, ...]:
        made = self.held.compressed
        numbers = (self.records, self.raw_bytes, made.bytes if made else None)
        counts = ("" if number is None else str(number) for number in numbers)
        shipped = ", ".join(sorted(self.held.shipped)) or "no"
        return (
            self.held.segment.removesuffix(".jsonl"),
            *counts,
            self.where,
            shipped,
            self.kept or "yes",
        )


def _rows(folder: Path, keep_days: float | None) -> Iterator[_Row]:
    """Yield every segment that the log knows, oldest first; one that stays keeps all later ones."""
    holdings, paths = Holdings.read(folder), segments(folder)
    hold = holds.held(folder)
    confirmed = max((one.size for one in anchored(folder)), default=None)
    older_stays, newest = False, paths[-1].name
    for held in holdings.all():
        raw = folder / held.segment
        where = "raw" if raw.exists() else "compressed"
        if where == "compressed" and not compressed_path(raw).exists():
            yield _Row(held, "elsewhere", None, "deleted here")
            continue
        kept = "open" if raw.name == newest else None
        kept = kept or ("a legal hold is in place" if hold else None)
        kept = kept or why_kept(
            held,
            now_ns=SystemClock().wall_ns(),
            keep_days=keep_days,
            store=None,
            confirmed=confirmed,
        )
        kept = kept or ("an older segment stays" if older_stays else None)
        older_stays = kept is not None
        yield _Row(held, where, raw.stat().st_size if where == "raw" else None, kept)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # Containers run as users that have no name.
        return str(os.getuid())


def _show(found: holds.Hold | None) -> None:
    if found is None:
        output.say("no legal hold is in place")
        return
    since = f" since {found.since}" if found.since else ""
    by = f", placed by {found.by}" if found.by else ""
    output.say(f"a legal hold is in place{since}{by}: {found.reason}")
