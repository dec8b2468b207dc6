"""`bailiwick charter`: the boundary of each agent, checked, shown and explained."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli import bundles, charter_explain, charter_show, output
from gateway.cli.members import words
from gateway.cli.options import Json
from gateway.core.charter import EXPIRED, Fault, warnings
from gateway.core.errors import BundleError
from gateway.policy.bundle import Bundle, shipped_bundle
from gateway.policy.documents import Document
from gateway.wiring import SystemClock

SCHEMAS: Final = ("charter", "system", "input")

app = typer.Typer(
    help="Check, show and explain the charters of a policy bundle.", no_args_is_help=True
)


@app.callback()
def charter() -> None:
    """Group the commands about charters."""


@app.command()
def check(
    bundle: Annotated[Path, typer.Argument(help="The bundle: a folder, or an archive.")] = Path(
        "policy"
    ),
    json: Json = False,
) -> None:
    """Say what each charter lacks, and what somebody should look at.

    A charter with faults, or one that has expired, denies everything. Warnings change nothing: an
    expiry that comes near, observe mode, an entry that is there for nothing. Exit status 1 if a
    charter has faults or has expired, 2 if the bundle cannot be read.
    """
    loaded = bundles.load(bundle)
    now_ns = SystemClock().wall_ns()
    found = {name: _state(loaded, name, now_ns) for name in loaded.charters}
    if json:
        output.as_json({"revision": loaded.revision, "digest": loaded.digest, "charters": found})
    else:
        _print(bundle, loaded, found)
    for sentence in bundles.unread(bundle):
        output.note(sentence)
    if any(state["state"] != "complete" for state in found.values()):
        raise typer.Exit(1)


app.command("show")(charter_show.show)
app.command("explain")(charter_explain.explain)


@app.command()
def schema(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(SCHEMAS)}.")] = "charter",
) -> None:
    """Print the JSON Schema of a charter, for editors.

    Also that of a system of the catalogue, and of a decision input. An editor that knows it
    completes and checks while you type: name the file in a first line `# yaml-language-server:
    $schema=../schemas/charter.json`.
    """
    if name not in SCHEMAS:
        raise typer.BadParameter(f"one of {', '.join(SCHEMAS)}")
    path = shipped_bundle() / "schemas" / f"{name}.json"
    try:
        output.OUT.out(path.read_text("utf-8").rstrip(), highlight=False)
    except OSError as exc:
        raise BundleError(f"{path}: cannot be read ({exc.strerror})") from exc


def _state(loaded: Bundle, name: str, now_ns: int) -> dict[str, Any]:
    document, faults = loaded.documents[f"charters/{name}.yaml"], loaded.faults[name]
    found = warnings(loaded.charters[name], loaded.systems, now_ns)
    expired = any(warning.code == EXPIRED for warning in found)
    state = "incomplete" if faults else "expired" if expired else "complete"
    return {
        "file": document.path,
        "state": state,
        "faults": _placed(document, faults),
        "warnings": _placed(document, found),
    }


def _placed(document: Document, found: Sequence[Fault]) -> list[dict[str, Any]]:
    """Return faults with the line of each, in the order of the file."""
    lines = [(document.line(fault.path), fault) for fault in found]
    lines.sort(key=lambda one: one[0])
    return [{**fault.as_data(), "line": line} for line, fault in lines]


def _print(bundle: Path, loaded: Bundle, found: dict[str, dict[str, Any]]) -> None:
    if not loaded.charters:
        output.note("the bundle holds no charter, so every call is denied")
    for name, state in found.items():
        said = state["state"]
        colour = {"complete": "permit"}.get(said, "deny")
        owner = words(loaded.charters[name], "owner") or "missing"
        denies = "" if said == "complete" else "; it denies everything"
        output.say(f"{name}: ", output.coloured(said, colour), f", owner {owner}{denies}")
        for line in _lines(bundle, state):
            output.say(f"  {line}")


def _lines(bundle: Path, state: dict[str, Any]) -> Iterator[str]:
    file = bundle / state["file"] if bundle.is_dir() else Path(state["file"])
    for kind, mark in (("faults", ""), ("warnings", "warning: ")):
        for one in state[kind]:
            yield f"{file}:{one['line']}: {mark}{one['sentence']} ({one['code']})"
