"""The command line: one file a command group, each command calls one function.

Exit status: 0 ok · 1 the answer is no · 2 usage or settings · 3 could not find out. Results go to
stdout, everything else to stderr. A failure is one sentence, never a traceback.
"""

import sys
from collections.abc import Sequence
from typing import Final

import typer

from gateway import __version__
from gateway.cli import (
    charter,
    compile,
    decide,
    demo,
    evidence,
    explain,
    identity,
    init,
    keys,
    output,
    policy,
    prove,
    retention,
    sealed,
    serve,
    systems,
    token,
    witness,
)
from gateway.core.errors import BundleError, GatewayError, SettingsError

app: Final = typer.Typer(
    name="bailiwick",
    help=(
        "Keep every AI agent inside its own bailiwick: authenticate, decide, record, and only then "
        "forward each tool call.\n\n"
        "Start with `bailiwick demo` to see it work, or `bailiwick init` to set up a gateway."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("init")(init.init)
app.command("serve")(serve.serve)
app.add_typer(token.app, name="token")
app.add_typer(identity.app, name="identity")
app.add_typer(policy.app, name="policy")
app.add_typer(charter.app, name="charter")
app.add_typer(systems.app, name="systems")
app.command("decide")(decide.decide)
app.add_typer(evidence.app, name="evidence")
app.command("explain")(explain.explain)
app.add_typer(witness.app, name="witness")
charter.app.command("compile")(compile.compile_charters)
evidence.app.command("prove")(prove.prove)
evidence.app.command("check-proof")(prove.check_proof)
evidence.app.command("open")(sealed.open_sealed)
evidence.app.command("schema")(sealed.schema)
evidence.app.command("keygen")(keys.keygen)
evidence.app.command("rotate-key")(keys.rotate_key)
evidence.app.command("vkey")(keys.vkey)
evidence.app.command("responder-key")(keys.responder_key)
evidence.app.command("hold")(retention.hold)
evidence.app.command("archive-status")(retention.archive_status)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.say(f"bailiwick {__version__}")
        raise typer.Exit


@app.callback()
def bailiwick(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", callback=_print_version, is_eager=True
    ),
) -> None:
    """Hold the options that come before a command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, on the arguments of the process if none are given."""
    try:
        app(arguments)
    except GatewayError as failure:
        output.note(failure.message)
        sys.exit(_exit_status(failure))


def _exit_status(failure: GatewayError) -> int:
    # Never 1: "the answer is no" is an answer, which a command gives itself.
    return 2 if isinstance(failure, SettingsError | BundleError) else 3
