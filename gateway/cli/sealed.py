"""`bailiwick evidence open|schema`: a record as it was before redaction; what records hold."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import output
from gateway.cli.evidence import Folder, log_of, print_record, record_at
from gateway.cli.options import DEFAULT_SETTINGS, SettingsPath
from gateway.core.errors import EvidenceUnavailable, SettingsError
from gateway.evidence.opened import open_record
from gateway.evidence.schema import record_schema


def open_sealed(
    seq: Annotated[int, typer.Argument(help="The record's seq.")],
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="The responder's private key.")
    ],
    decision_input: Annotated[
        bool, typer.Option("--input", help="Only the decision input, as `decide` takes it.")
    ] = False,
    settings: SettingsPath = DEFAULT_SETTINGS,
    folder: Folder = None,
) -> None:
    """Print a record with what was redacted put back.

    Only the responder's private key opens it; nothing is written anywhere. Exit status 1 if there
    is no such record (with --input: no decision input in it), 3 if the key does not open it.
    """
    where = log_of(settings, folder)
    try:
        private = key.read_text("ascii")
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{key}: the key cannot be read") from exc
    record = record_at(where, seq)
    # Not while `reading`: a key that does not fit is no damage.
    try:
        fields = open_record(where, record, private)
    except OSError as exc:
        raise EvidenceUnavailable(f"{exc.filename}: cannot be read ({exc.strerror})") from exc
    print_record(fields, decision_input)


def schema() -> None:
    """Print the JSON Schema of a record.

    Every kind, every member, and what it means (draft 2020-12).
    """
    output.as_indented_json(record_schema())
