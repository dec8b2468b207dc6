"""`bailiwick charter`: is the boundary of each agent written down?"""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import output
from gateway.cli.members import words
from gateway.cli.options import Json
from gateway.policy.bundle import Bundle, load

app = typer.Typer(help="Check the charters of a policy bundle.", no_args_is_help=True)


@app.callback()
def charter() -> None:
    """Group the commands about charters."""


@app.command()
def check(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")] = Path("policy"),
    json: Json = False,
) -> None:
    """Say what each charter lacks.

    An incomplete charter denies everything. Exit status 1 if one is incomplete, 2 if the bundle
    cannot be read.
    """
    loaded = load(bundle)
    if json:
        output.as_json(_document(loaded))
    else:
        _print(loaded)
    if any(loaded.faults.values()):
        raise typer.Exit(1)


def _print(loaded: Bundle) -> None:
    if not loaded.charters:
        output.note("the bundle holds no charter, so every call is denied")
    for name, document in loaded.charters.items():
        faults = loaded.faults.get(name, ())
        state = "incomplete" if faults else "complete"
        output.say(f"{name}: {state}, owner {words(document, 'owner') or 'missing'}")
        for fault in faults:
            where = f"{fault.where}: " if fault.where else ""
            output.say(f"  {where}{fault.sentence} ({fault.code})")


def _document(loaded: Bundle) -> dict[str, object]:
    return {
        "revision": loaded.revision,
        "digest": loaded.digest,
        "charters": {
            name: [
                {"code": fault.code, "where": fault.where, "sentence": fault.sentence}
                for fault in loaded.faults.get(name, ())
            ]
            for name in loaded.charters
        },
    }
