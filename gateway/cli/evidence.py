"""`bailiwick evidence`: verify the log, and look at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress
from rich.text import Text

from gateway.cli import output
from gateway.cli.members import elements, words
from gateway.cli.options import DEFAULT_SETTINGS, Json, SettingsPath
from gateway.core.errors import EvidenceUnavailable, VerificationError
from gateway.core.record import Record
from gateway.evidence import find
from gateway.evidence import verify as verifier
from gateway.evidence.report import Report
from gateway.evidence.segments import segments
from gateway.settings import load

app = typer.Typer(help="Verify the evidence log, and look at it.", no_args_is_help=True)

Folder = Annotated[
    Path | None, typer.Option("--folder", help="An evidence folder instead of the settings'.")
]


@app.callback()
def evidence() -> None:
    """Group the commands about evidence."""


@app.command()
def verify(
    settings: SettingsPath = DEFAULT_SETTINGS, folder: Folder = None, json: Json = False
) -> None:
    """Check the log; name the first damaged record.

    A record that was changed, dropped or reordered is found. Needs nothing but the folder. Exit
    status 0 if the log is sound, 1 if it is not, 3 if it cannot be read. A sound log may still have
    lost its newest records: keep the head elsewhere.
    """
    where = log_of(settings, folder)
    quiet = not output.ERR.is_terminal
    with reading(where), Progress(console=output.ERR, transient=True, disable=quiet) as progress:
        task = progress.add_task("verifying", total=None)
        report = verifier.verify(where, lambda count: progress.update(task, completed=count))
    if json:
        output.as_json(_document(report))
    else:
        _print(report)
    if not report.sound:
        raise typer.Exit(1)


@app.command()
def tail(
    count: Annotated[int, typer.Option("-n", min=1, help="How many records.")] = 20,
    settings: SettingsPath = DEFAULT_SETTINGS,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Show the newest records, oldest first.

    What cannot be read is left out and said on stderr; then the exit status is 3.
    """
    where = log_of(settings, folder)
    with reading(where):
        found = find.newest(where, count)
    if json:
        for record in found.records:
            output.as_json(dict(record.fields))
    elif found.records:
        columns = ("seq", "time", "kind", "agent", "tool", "result", "call id")
        output.table(columns, map(_row, found.records))
    if found.unreadable:
        raise EvidenceUnavailable(
            f"{where}: not every line here can be read; `bailiwick evidence verify` names the first"
        )


@app.command()
def show(
    seq: Annotated[int, typer.Argument(help="The record's seq.")],
    decision_input: Annotated[
        bool, typer.Option("--input", help="Only the decision input, as `decide` takes it.")
    ] = False,
    settings: SettingsPath = DEFAULT_SETTINGS,
    folder: Folder = None,
) -> None:
    """Print one record as JSON."""
    where = log_of(settings, folder)
    with reading(where):
        record = find.by_seq(where, seq)
    if record is None:
        output.note(f"there is no record {seq}")
        raise typer.Exit(1)
    if decision_input and not record.fields.get("input"):
        output.note(f"record {seq} holds no decision input")
        raise typer.Exit(1)
    output.as_indented_json(record.fields["input"] if decision_input else dict(record.fields))


def log_of(settings: Path, folder: Path | None) -> Path:
    """Return the evidence folder that the options name, once it is known to hold a log.

    Raises:
        SettingsError: the settings cannot be read.
        EvidenceUnavailable: there is no log in the folder.
    """
    where = folder or load(settings).evidence.folder
    with reading(where):
        found = segments(where) if where.exists() else []
    if not found:
        raise EvidenceUnavailable(f"there is no evidence log in {where}")
    return where


@contextmanager
def reading(where: Path) -> Iterator[None]:
    """Say in one sentence why a log cannot be read; damage is an answer of `verify` only.

    Raises:
        EvidenceUnavailable: the log cannot be read, or not to where the answer is.
    """
    try:
        yield
    except OSError as exc:
        raise EvidenceUnavailable(f"{where}: cannot be read ({exc.strerror})") from exc
    except VerificationError as exc:
        raise EvidenceUnavailable(
            f"{where}: the log is damaged; `bailiwick evidence verify` names the record"
        ) from exc


def _print(report: Report) -> None:
    counted = output.counted
    if report.fault:
        fault = report.fault
        output.say(output.coloured("damaged"), f": {fault.sentence}")
        output.say(f"  {fault.segment}, line {fault.line} ({fault.code})")
        output.say(f"  sound before it: {counted(report.records, 'record')}")
        return
    output.say(
        output.coloured("sound"), f": {counted(report.records, 'record')} ({report.verdict})"
    )
    output.say(
        f"  {counted(report.calls, 'call')} sent, {report.refusals} refused, "
        f"{report.orphaned} orphaned, {report.open_intents} open, "
        f"in {counted(report.segments, 'segment')}"
    )
    if report.head:
        output.say(f"  head: record {report.head.seq}, {report.head.leaf_hash}")


def _document(report: Report) -> dict[str, Any]:
    head, fault = report.head, report.fault
    return {
        "sound": report.sound,
        "verdict": report.verdict,
        "records": report.records,
        "calls": report.calls,
        "outcomes": report.outcomes,
        "refusals": report.refusals,
        "orphaned": report.orphaned,
        "open_intents": report.open_intents,
        "segments": report.segments,
        "head": {"seq": head.seq, "leaf_hash": head.leaf_hash} if head else None,
        "fault": {
            "code": fault.code,
            "seq": fault.seq,
            "segment": fault.segment,
            "line": fault.line,
            "sentence": fault.sentence,
        }
        if fault
        else None,
    }


def _row(record: Record) -> tuple[str | Text, ...]:
    """Return one line of the table, short enough for 80 columns; ids and dates are cut."""
    fields = record.fields
    effect = words(fields, "decision", "effect")
    result = words(fields, "status") or effect
    reasons = elements(fields, "decision", "reasons")
    if reasons and record.kind == "refusal":
        result = words(reasons[0], "code")
    return (
        str(record.seq),
        words(fields, "time")[11:19],
        output.coloured(record.kind),
        words(fields, "identity", "sub").rpartition("/")[2],
        words(fields, "call", "name") or words(fields, "call", "action"),
        output.coloured(result, effect or None),
        words(fields, "call_id").rpartition("-")[2],
    )
