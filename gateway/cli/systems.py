"""`bailiwick systems`: the catalogue of what agents may touch."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import anyio
import typer

from gateway.cli import bundles, drafting, output
from gateway.cli.drafting import NO_FILE, Found
from gateway.cli.members import words
from gateway.cli.options import DEFAULT_SETTINGS, Json, SettingsPath
from gateway.core.errors import SettingsError
from gateway.policy import catalogue, documents, draft, openapi
from gateway.policy.catalogue import CheckedSystem, Finding
from gateway.policy.draft import Entry, Head
from gateway.policy.offer import of_tools
from gateway.settings import System, load
from gateway.settings.urls import check_url
from gateway.upstream.inventory import inventory

app = typer.Typer(help="Draft and check the catalogue of systems.", no_args_is_help=True)

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@app.callback()
def systems() -> None:
    """Group the commands about systems."""


@app.command("import")
def draft_system(
    name: Annotated[str, typer.Argument(help="The system, as settings and charters name it.")],
    url: Annotated[
        str | None,
        typer.Option("--url", help="Ask this MCP server instead, without any credential."),
    ] = None,
    openapi_file: Annotated[
        Path | None,
        typer.Option("--openapi", metavar="FILE", help="Read an OpenAPI 3 file instead."),
    ] = None,
    owner: Annotated[str, typer.Option("--owner", help="Who owns the system.")] = "",
    domain: Annotated[str, typer.Option("--domain", help="The domain of its data.")] = "",
    environment: Annotated[str, typer.Option("--environment", help="Where it runs.")] = "",
    update: Annotated[
        bool, typer.Option("--update", help="Add what is new to the file that is there.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where to write; - for standard output."),
    ] = None,
    settings: SettingsPath = DEFAULT_SETTINGS,
    json: Json = False,
) -> None:
    """Draft the catalogue of one system.

    Asks the MCP server that settings name for its tools, and calls none. Every tool in the draft is
    unclassified, and so denied to everyone, until a person writes its effect and impacts; what the
    server says of it stands in comments. A new file needs --owner, --domain and --environment; it
    is systems/NAME.yaml of the settings' bundle unless --out says otherwise. With --update, tools
    that are new are added to the file and those that are gone get a mark; every other byte stays.

    Exit status 1 if there is nothing to draft, 2 if a file or an option is wrong, 3 if the server
    cannot be asked.
    """
    _check_options(name, url, openapi_file, out, json=json)
    before, file = _place(name, out, settings, (owner, domain, environment), update=update)
    found = _find(name, url, openapi_file, settings)
    head = Head(owner, domain, environment, found.protocol)
    text, entries = _new(head, found) if before is None else _added(file, before, found)
    drafting.warn(entries, found.left_out)
    if out == NO_FILE:
        drafting.to_stdout(text)
        return
    if text != before:
        drafting.write(file, text)
    if json:
        output.as_json(drafting.document(name, file, entries, found))
    else:
        drafting.table(entries)
        output.note(f"{file}: {'written' if text != before else 'nothing to add'}")


@app.command()
def check(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")] = Path("policy"),
    json: Json = False,
) -> None:
    """Say what is wrong with the catalogue, by file and line.

    And what nobody has classified. A bundle with a faulty system is refused; a tool that is
    unclassified is denied. Exit status 1 if there is a fault, 2 if the catalogue cannot be read.
    """
    if bundle.is_file():
        raise SettingsError(
            f"{bundle}: is no folder; `bailiwick policy check` checks the catalogue of an archive"
        )
    with bundles.naming(bundle):
        checked = catalogue.check(bundle)
    if json:
        output.as_json({"systems": {one.name: _fields(one) for one in checked}})
    else:
        for one in checked:
            _show(one)
    for sentence in bundles.unread(bundle):
        output.note(sentence)
    if not checked:
        output.note("the catalogue holds no system, so every call is denied")
    if any(one.findings for one in checked):
        raise typer.Exit(1)


def _show(one: CheckedSystem) -> None:
    if not one.findings:
        tools = output.counted(len(one.value["tools"]), "tool")
        unclassified = f", {len(one.unclassified)} unclassified" if one.unclassified else ""
        output.say(f"{one.name}: sound, owner {words(one.value, 'owner')}, {tools}{unclassified}")
    for finding in sorted(one.findings, key=_line):
        output.say(f"{finding.place}: {finding.sentence} ({finding.code})")


def _line(finding: Finding) -> int:
    """Return the line of a finding; 0 if only its file is known."""
    line = finding.place.rpartition(":")[2]
    return int(line) if line.isdecimal() else 0


def _fields(one: CheckedSystem) -> dict[str, object]:
    return {
        "faults": [
            {"place": finding.place, "code": finding.code, "sentence": finding.sentence}
            for finding in sorted(one.findings, key=_line)
        ],
        "unclassified": one.unclassified,
    }


def _check_options(
    name: str, url: str | None, openapi_file: Path | None, out: Path | None, *, json: bool
) -> None:
    if not _NAME.fullmatch(name):
        raise typer.BadParameter("a system is named by a-z, 0-9 and hyphens, at most 63 of them")
    if url is not None and openapi_file is not None:
        raise typer.BadParameter("--url and --openapi are two sources; choose one")
    if json and out == NO_FILE:
        raise typer.BadParameter("--json and --out - both want standard output")


def _place(
    name: str, out: Path | None, settings: Path, about: Sequence[str], *, update: bool
) -> tuple[str | None, Path]:
    """Return the text to add to, None for a new file, and the file; before anybody is asked."""
    if update and any(about):
        raise typer.BadParameter("--owner, --domain and --environment stand in the file already")
    if out == NO_FILE and not update:
        file = NO_FILE
    else:
        file = drafting.place(settings, name) if out is None or out == NO_FILE else out
    if update:
        return drafting.to_update(file), file
    if file != NO_FILE and file.exists():
        raise SettingsError(f"{file}: is there already; --update adds to it what is new")
    if not all(text.strip() for text in about):
        raise typer.BadParameter("a new draft needs --owner, --domain and --environment")
    return None, file


def _find(name: str, url: str | None, openapi_file: Path | None, settings: Path) -> Found:
    if openapi_file is not None:
        data = drafting.contents(openapi_file)
        return Found("http", *openapi.operations(str(openapi_file), data))
    listed = anyio.run(inventory, name, _system(name, url, settings))
    return Found("mcp", *of_tools(listed.tools))


def _system(name: str, url: str | None, settings: Path) -> System:
    if url is not None:
        check_url(url, "--url")
        return System(url)
    named = load(settings).systems
    if name not in named:
        raise SettingsError(f"{settings}: names no system {name}; add it there, or give --url")
    return named[name]


def _new(head: Head, found: Found) -> tuple[str, list[Entry]]:
    if not found.offers:
        drafting.warn((), found.left_out)
        output.note("nothing is offered that could be drafted, so nothing is written")
        raise typer.Exit(1)
    return draft.fresh(head, found.offers, found.left_out), draft.all_new(found.offers)


def _added(file: Path, before: str, found: Found) -> tuple[str, list[Entry]]:
    value, about = documents.read(str(file), before).value, (found.offers, found.left_out)
    entries = draft.compare(str(file), value, found.protocol, *about)
    return draft.updated(str(file), before, found.protocol, *about), entries
