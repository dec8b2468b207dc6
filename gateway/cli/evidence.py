"""`bailiwick evidence`: verify the log, and look at it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gateway.cli import output, verdicts
from gateway.cli.members import elements, words
from gateway.cli.options import DEFAULT_SETTINGS, Json, SettingsPath
from gateway.core.errors import EvidenceUnavailable, VerificationError
from gateway.core.note import VerifierKey
from gateway.core.record import Record
from gateway.evidence import find
from gateway.evidence import verify as verifier
from gateway.evidence.segments import segments
from gateway.evidence.verify import Trust
from gateway.settings import load

app = typer.Typer(help="Verify the evidence log, and look at it.", no_args_is_help=True)

Folder = Annotated[
    Path | None,
    typer.Option("--folder", metavar="FOLDER", help="An evidence folder instead of the settings'."),
]


@app.callback()
def evidence() -> None:
    """Group the commands about evidence."""


@app.command()
def verify(
    settings: SettingsPath = DEFAULT_SETTINGS,
    folder: Folder = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key", metavar="VKEY", help="A verifier key of the log, known from elsewhere."
        ),
    ] = None,
    anchor: Annotated[
        list[Path] | None,
        typer.Option(
            "--anchor", metavar="FILE", help="A file of checkpoints that were kept elsewhere."
        ),
    ] = None,
    witness_key: Annotated[
        list[str] | None,
        typer.Option("--witness-key", metavar="VKEY", help="A verifier key of a witness."),
    ] = None,
    remember: Annotated[
        Path | None,
        typer.Option(
            "--remember",
            metavar="FILE",
            help="Where the newest checkpoint is kept between runs; made by the first.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Check the log; name the first record that is wrong.

    Needs nothing but the folder, and believes little more without a key and an anchor: whoever
    holds the log's key can write another log. --key, --anchor and --witness-key can be given more
    than once. What --remember names is replaced only if the log is sound.

    Exit status 0 if the log is sound, 1 if it is not, 3 if something cannot be read.
    """
    where = log_of(settings, folder)
    trust = Trust(
        keys=tuple(map(VerifierKey.parse, key or ())),
        anchors=tuple(anchor or ()),
        witness_keys=tuple(map(VerifierKey.parse, witness_key or ())),
        remembered=verdicts.remembered(remember) if remember else None,
    )
    with reading(where), verdicts.progress() as told:
        report = verifier.verify(where, told, trust=trust)
    if json:
        output.as_json(verdicts.document(report))
    else:
        verdicts.show(report, trust)
    if not report.sound:
        raise typer.Exit(1)
    if remember and report.newest:
        verdicts.remember(remember, report.newest)


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
    print_record(record_at(where, seq).fields, decision_input)


def record_at(where: Path, seq: int) -> Record:
    """Return a record of the log, or say that there is none: exit status 1."""
    with reading(where):
        record = find.by_seq(where, seq)
    if record is None:
        output.note(f"there is no record {seq}")
        raise typer.Exit(1)
    return record


def print_record(fields: Mapping[str, Any], decision_input: bool) -> None:
    """Print a record, or only the decision input in it; exit status 1 if it holds none."""
    if decision_input and not fields.get("input"):
        output.note(f"record {fields['seq']} holds no decision input")
        raise typer.Exit(1)
    output.as_indented_json(fields["input"] if decision_input else dict(fields))


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
        named = exc.filename or where
        raise EvidenceUnavailable(f"{named}: cannot be read ({exc.strerror or exc})") from exc
    except VerificationError as exc:
        raise EvidenceUnavailable(
            f"{where}: the log is damaged; `bailiwick evidence verify` names the record"
        ) from exc


def _row(record: Record) -> tuple[str | Text, ...]:
    """Return one line of the table, short enough for 80 columns; ids and dates are cut."""
    fields = record.fields
    effect = words(fields, "decision", "effect")
    result = words(fields, "status") or effect or words(fields, "revision")
    reasons = elements(fields, "decision", "reasons")
    if reasons and record.kind == "refusal":
        result = words(reasons[0], "code")
    if words(fields, "decision", "observed") or words(fields, "observed"):
        result += " (observed)"
    return (
        str(record.seq),
        words(fields, "time")[11:19],
        output.coloured(record.kind),
        words(fields, "identity", "sub").rpartition("/")[2],
        words(fields, "call", "name") or words(fields, "call", "action"),
        output.coloured(result, effect or None),
        words(fields, "call_id").rpartition("-")[2],
    )
