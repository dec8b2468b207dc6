"""`bailiwick demo`: see it work, from start to verified evidence."""

import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from gateway.cli import output
from gateway.core.errors import SettingsError

if TYPE_CHECKING:
    from gateway.demo.walkthrough import Demo


def demo(
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where to work; a new temporary folder if not.")
    ] = None,
) -> None:
    """See it work: a small company, a gateway, an agent.

    The agent tries four things: one read is permitted, one deletion and one unknown tool are
    denied, one refund is held for a person. Then the evidence is verified, and a flipped byte is
    found. Takes a few seconds.
    """
    try:
        from gateway.demo import walkthrough
    except ModuleNotFoundError as exc:
        raise SettingsError(
            f"the demo needs {exc.name}, which is not installed: pip install 'bailiwick[demo]'"
        ) from exc
    where = folder or Path(tempfile.mkdtemp(prefix="bailiwick-demo-"))
    played = anyio.run(walkthrough.run, where)
    _print(played)
    if played.tampered.sound or not played.report.sound:
        raise typer.Exit(1)


def _print(played: "Demo") -> None:
    words = {"permitted": "permit", "held": "hold", "denied": "deny"}
    output.table(
        ("the agent asked for", "the gateway", "why", "ran at the company"),
        (
            (step.tool, output.coloured(words[step.answer]), step.why, f"{step.executed}×")
            for step in played.steps
        ),
    )
    report, fault = played.report, played.tampered.fault
    output.say()
    output.say(
        f"evidence: {report.records} records, verified ({report.verdict}); "
        f"{report.calls} calls sent, {report.refusals} refused"
    )
    if fault:
        output.say(f"one byte flipped in a copy: found, {fault.sentence}")
    _print_next(played)


def _print_next(played: "Demo") -> None:
    settings, program = shlex.quote(str(played.folder / "bailiwick.toml")), _program()
    call = next((step.call_id for step in reversed(played.steps) if step.call_id), "CALL_ID")
    for line in (
        "",
        "Look at what was recorded:",
        f"  {program} evidence tail -s {settings}",
        f"  {program} explain {call.rpartition('-')[2]} -s {settings}",
        "",
        "Point your own agent at a gateway of your own:",
        f"  {program} init my-gateway --url http://127.0.0.1:9000/mcp   (your MCP server)",
        f"  {program} serve -s my-gateway/bailiwick.toml",
        f"  {program} token mint spiffe://bailiwick.example/agent/billing "
        "-s my-gateway/bailiwick.toml",
        "  MCP URL http://127.0.0.1:8080/company/mcp, header Authorization: Bearer TOKEN",
    ):
        output.say(line)


def _program() -> str:
    """Return how this program was called, so that what is shown can be typed."""
    called = Path(sys.argv[0])
    if called.name != "bailiwick":
        return "bailiwick"
    if called.is_absolute() and called.is_relative_to(Path.cwd()):
        return shlex.quote(str(called.relative_to(Path.cwd())))
    return shlex.quote(str(called))
