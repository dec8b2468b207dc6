"""`bailiwick demo`: see it work, from start to verified evidence."""

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
    shown = output.table("the agent asked for", "the gateway", "why", "ran at the company")
    words = {"permitted": "permit", "held": "hold", "denied": "deny"}
    for step in played.steps:
        answer = output.coloured(words[step.answer])
        shown.add_row(step.tool, answer, step.why, f"{step.executed}×")
    output.OUT.print(shown)
    report, fault = played.report, played.tampered.fault
    output.OUT.print(
        f"\nevidence: {report.records} records, verified ({report.verdict}); "
        f"{report.calls} calls sent, {report.refusals} refused"
    )
    if fault:
        output.OUT.print(f"one byte flipped in a copy: found, {fault.sentence} ({fault.segment})")
    _print_next(played.folder)


def _print_next(folder: Path) -> None:
    toml = folder / "bailiwick.toml"
    output.OUT.print(
        "\nLook at what was recorded:\n"
        f"  bailiwick evidence tail -s {toml}\n"
        "  bailiwick explain CALL_ID -s …\n"
        "\nPoint your own agent at a gateway of your own:\n"
        "  bailiwick init my-gateway --url http://127.0.0.1:9000/mcp   (your MCP server)\n"
        "  bailiwick serve -s my-gateway/bailiwick.toml\n"
        "  bailiwick token mint spiffe://bailiwick.example/agent/billing "
        "-s my-gateway/bailiwick.toml\n"
        "  MCP URL http://127.0.0.1:8080/company/mcp, header Authorization: Bearer TOKEN",
        markup=False,
    )
