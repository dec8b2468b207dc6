"""`bailiwick evidence`: verify the log, and look at it."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from gateway.cli import output
from gateway.cli.options import DEFAULT_SETTINGS, Json, SettingsPath
from gateway.core.errors import SettingsError
from gateway.core.record import Record
from gateway.evidence import find
from gateway.evidence import verify as verifier
from gateway.evidence.report import Report
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
    where = folder_of(settings, folder)
    with Progress(console=output.ERR, transient=True) as progress:
        task = progress.add_task("verifying", total=None)
        report = _readable(
            where,
            lambda: verifier.verify(where, lambda count: progress.update(task, completed=count)),
        )
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
    """Show the newest records, oldest first."""
    where = folder_of(settings, folder)
    records = _readable(where, lambda: find.newest(where, count))
    if json:
        for record in records:
            output.as_json(dict(record.fields))
        return
    shown = output.table("seq", "time", "kind", "agent", "tool", "result", "call id")
    for record in records:
        shown.add_row(*_row(record))
    output.OUT.print(shown)


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
    where = folder_of(settings, folder)
    record = _readable(where, lambda: find.by_seq(where, seq))
    if record is None:
        output.note(f"there is no record {seq}")
        raise typer.Exit(1)
    if decision_input and not record.fields.get("input"):
        output.note(f"record {seq} holds no decision input")
        raise typer.Exit(1)
    output.OUT.print_json(data=record.fields["input"] if decision_input else dict(record.fields))


def folder_of(settings: Path, folder: Path | None) -> Path:
    """Return the evidence folder that the options name."""
    return folder or load(settings).evidence.folder


def _readable(where: Path, work: Any) -> Any:
    try:
        return work()
    except OSError as exc:
        raise SettingsError(f"{where}: cannot be read ({exc.strerror})") from exc


def _print(report: Report) -> None:
    if report.fault:
        fault = report.fault
        output.OUT.print(f"[red]damaged[/red]: {fault.sentence}")
        output.OUT.print(f"  {fault.segment}, line {fault.line} ({fault.code})")
        output.OUT.print(f"  the {report.records} records before it are sound")
        return
    output.OUT.print(f"[green]sound[/green]: {report.records} records ({report.verdict})")
    output.OUT.print(
        f"  {report.calls} calls sent, {report.refusals} refused, {report.orphaned} orphaned, "
        f"{report.open_intents} open, in {report.segments} segments"
    )
    if report.head:
        output.OUT.print(f"  head: record {report.head.seq}, {report.head.leaf_hash}")


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


def _row(record: Record) -> tuple[Any, ...]:
    """Return one line of the table, short enough for 80 columns; ids and dates are cut."""
    fields = record.fields
    identity, call = fields.get("identity") or {}, fields.get("call") or {}
    decision = fields.get("decision") or {}
    result = fields.get("status") or decision.get("effect") or ""
    reasons = decision.get("reasons") or []
    if reasons and record.kind == "refusal":
        result = reasons[0]["code"]
    return (
        str(record.seq),
        str(fields.get("time", ""))[11:19],
        output.coloured(record.kind),
        str(identity.get("sub", "")).rpartition("/")[2],
        call.get("name") or call.get("action", ""),
        output.coloured(result, decision.get("effect")),
        str(fields.get("call_id", "")).rpartition("-")[2],
    )
