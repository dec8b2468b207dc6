"""`bailiwick init`: write a folder to start from."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from gateway import starter
from gateway.cli import output


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if missing.")] = Path(),
    url: Annotated[
        str, typer.Option(help="Your MCP server's endpoint.")
    ] = "http://127.0.0.1:9000/mcp",
    port: Annotated[int, typer.Option(help="Where the gateway will listen.")] = 8080,
) -> None:
    """Write a folder to start from: settings, policy, keys.

    Nothing that exists is overwritten. Then: edit policy/charters and policy/systems, check them
    with `bailiwick charter check`, and start with `bailiwick serve`.
    """
    settings, policy, *rest = starter.create(folder, url, port)
    for path in (settings, policy, *rest):
        output.say(f"wrote {path}")
    output.note(
        f"next: `bailiwick charter check {shlex.quote(str(policy))}`, "
        f"then `bailiwick serve -s {shlex.quote(str(settings))}`"
    )
