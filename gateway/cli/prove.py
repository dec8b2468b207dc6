"""`bailiwick evidence prove` and `check-proof`: one record, shown to somebody who has only a key.

The proof format is https://c2sp.org/tlog-proof. Does not verify the log.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import output
from gateway.cli.evidence import Folder, log_of, reading
from gateway.cli.options import DEFAULT_SETTINGS, Json, SettingsPath
from gateway.core.canonical import parse_object
from gateway.core.errors import (
    EvidenceUnavailable,
    MalformedMessage,
    SettingsError,
    VerificationError,
)
from gateway.core.note import VerifierKey
from gateway.evidence import prove as prover


def prove(
    seq: Annotated[int, typer.Argument(min=0, help="The record's seq.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="A new file for the proof; else stdout."),
    ] = None,
    settings: SettingsPath = DEFAULT_SETTINGS,
    folder: Folder = None,
) -> None:
    """Prove that the log holds a record.

    The proof carries the record itself, and holds for whoever knows the log's key. Exit status 1 if
    there is no such record, or no checkpoint covers it yet.
    """
    where = log_of(settings, folder)
    with reading(where):
        try:
            proof = prover.prove(where, seq).encode()
        except VerificationError as exc:
            if exc.reason_code not in ("record_missing", "not_covered"):
                raise
            output.note(exc.message)
            raise typer.Exit(1) from exc
    if out is None:
        sys.stdout.buffer.write(proof)
        return
    try:
        with out.open("xb") as file:
            file.write(proof)
    except FileExistsError as exc:
        raise SettingsError(f"{out} is there already; name another file, or remove it") from exc
    except OSError as exc:
        raise EvidenceUnavailable(f"{out}: cannot be written ({exc.strerror})") from exc
    output.note(f"{out}: the proof of record {seq}")


def check_proof(
    file: Annotated[Path, typer.Argument(help="The proof.")],
    key: Annotated[
        str,
        typer.Option("--key", metavar="VKEY", help="The log's verifier key, known from elsewhere."),
    ],
    receipt: Annotated[
        str | None,
        typer.Option("--receipt", metavar="JSON", help="A receipt that it must be about."),
    ] = None,
    json: Json = False,
) -> None:
    """Check a proof with nothing but the log's key.

    Prints the record. Exit status 0 if it holds, 1 if it does not, 3 if it, the key or the receipt
    cannot be read.
    """
    trusted, promised = VerifierKey.parse(key), _receipt(receipt)
    try:
        proven = prover.check_proof(file.read_bytes(), trusted)
        if promised is not None:
            prover.check_receipt(proven, promised)
    except OSError as exc:
        raise EvidenceUnavailable(f"{file}: cannot be read ({exc.strerror})") from exc
    except VerificationError as exc:
        output.say(output.coloured("refused", "deny"), f": {exc.message} ({exc.reason_code})")
        raise typer.Exit(1) from exc
    if json:
        record = parse_object(proven.line, max_integer=2**63 - 1, max_depth=128)
        output.as_json({"receipt": proven.receipt, "record": record})
        return
    head = proven.checkpoint
    output.say(output.coloured("proven", "sound"), f": record {proven.seq} of {head.origin}")
    output.say(
        f"  {proven.receipt['leaf_hash']}, in a log of {output.counted(head.size, 'record')}"
    )
    output.say("  ", proven.line.decode("utf-8"))


def _receipt(text: str | None) -> dict[str, object] | None:
    try:
        return None if text is None else parse_object(os.fsencode(text))
    except MalformedMessage as exc:
        raise EvidenceUnavailable(f"the receipt cannot be read: {exc.message}") from exc
