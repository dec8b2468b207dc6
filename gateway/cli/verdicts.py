"""How a verification is told: its progress, its steps with a tick each, and the JSON for machines.

Also keeps the checkpoint that `--remember` names (https://c2sp.org/tlog-checkpoint). Does not
verify.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task
from rich.text import Text

from gateway.cli import output
from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import EvidenceUnavailable, VerificationError
from gateway.core.note import Note
from gateway.evidence.disk import sync_folder, write_new
from gateway.evidence.report import Report
from gateway.evidence.verify import Trust

SHOWN_NOTES: Final = 20
"""Most notices shown to people; machines get all."""


class _Pace(ProgressColumn):
    """Records so far, and how many a second."""

    def render(self, task: Task) -> Text:
        """Return the text of the column."""
        return Text(f"{task.completed:,.0f} records, {task.speed or 0:,.0f} a second")


@contextmanager
def progress() -> Iterator[Callable[[int], None]]:
    """Show records and records a second on a terminal, on stderr."""
    quiet = not output.ERR.is_terminal
    with Progress(
        SpinnerColumn(), _Pace(), console=output.ERR, transient=True, disable=quiet
    ) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda count: bar.update(task, completed=count)


def remembered(path: Path) -> str | None:
    """Return the checkpoint kept in a file; None if there is no such file yet.

    Raises:
        EvidenceUnavailable: it cannot be read, or holds something else.
    """
    try:
        note = path.read_text("utf-8")
        Checkpoint.parse(Note.parse(note).text)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise EvidenceUnavailable(
            f"{path}: the remembered checkpoint cannot be read ({exc.strerror})"
        ) from exc
    except (UnicodeDecodeError, VerificationError) as exc:
        raise EvidenceUnavailable(f"{path}: holds no checkpoint to remember") from exc
    return note


def remember(path: Path, note: str) -> None:
    """Keep a checkpoint in a file for its owner only, whole or not at all.

    Raises:
        EvidenceUnavailable: it cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.unlink(missing_ok=True)
        write_new(part, note.encode())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as exc:
        raise EvidenceUnavailable(f"{path}: cannot be written ({exc.strerror})") from exc


def show(report: Report, trust: Trust) -> None:
    """Tell people what was found."""
    counted = output.counted
    if fault := report.fault:
        output.say(output.coloured("damaged"), f": {fault.sentence}")
        line = f", line {fault.line}" if fault.line else ""
        output.say(f"  {fault.segment}{line} ({fault.code})")
        output.say(f"  sound before it: {counted(min(report.records, fault.seq), 'record')}")
    else:
        records = counted(report.records, "record")
        output.say(output.coloured("sound"), f": {records} ({report.verdict})")
        for step in _steps(report, trust):
            output.say("  ", output.coloured("\u2713", "sound"), f" {step}")
    output.say(
        f"  {counted(report.calls, 'call')} sent, {report.refusals} refused, "
        f"{report.orphaned} orphaned, {report.open_intents} open, "
        f"in {counted(report.segments, 'segment')}"
    )
    if report.head and not report.fault:
        output.say(f"  head: record {report.head.seq}, {report.head.leaf_hash}")
    for notice in report.notes[:SHOWN_NOTES]:
        output.say("  ", output.coloured("note", "hold"), f": {notice.sentence} ({notice.code})")
    if len(report.notes) > SHOWN_NOTES:
        output.say(f"  and {len(report.notes) - SHOWN_NOTES} more notes (--json has all)")


def document(report: Report) -> dict[str, Any]:
    """Return the report for machines; members are those of `Report`."""
    return {
        "sound": report.sound,
        "verdict": report.verdict,
        **asdict(report),
    }


def _steps(report: Report, trust: Trust) -> Iterator[str]:
    counted = output.counted
    many = report.segments != 1
    agree = "follow one another and agree with what they name" if many else "agrees with its name"
    yield f"{counted(report.segments, 'segment')} {agree}"
    yield "every line reads as one record, seq has no gap, each names the one before it"
    yield "intents and outcomes pair up"
    yield "blobs and compressed segments that records name are what they were"
    if report.checkpoints:
        held = counted(report.checkpoints, "checkpoint")
        agree = "is signed and agrees" if report.checkpoints == 1 else "are signed and agree"
        yield f"{held} {agree}, up to record {report.checkpoint_size - 1}"
    if report.anchored_size:
        yield f"up to record {report.anchored_size - 1}, what was kept elsewhere vouches for it"
    if trust.remembered:
        yield "nothing that the last verification saw is gone or changed"
    if report.trusted:
        yield "signed by a key that you pinned"
