"""`bailiwick decide`: ask the policy about one input, without any call."""

import sys
from pathlib import Path
from typing import Annotated

import anyio
import typer

from gateway.cli import bundles, output
from gateway.cli.options import DEFAULT_SETTINGS, Json, SettingsPath
from gateway.core.canonical import dumps, parse_object
from gateway.core.decision import Decision, Hold, Permit
from gateway.core.errors import MalformedMessage, SettingsError
from gateway.core.facts import decision_fields
from gateway.policy.embedded import EmbeddedDecisionPoint
from gateway.settings import load
from gateway.wiring import SystemClock


def decide(
    file: Annotated[Path, typer.Argument(help="A decision input (JSON); - for standard input.")],
    settings: SettingsPath = DEFAULT_SETTINGS,
    bundle_folder: Annotated[
        Path | None, typer.Option("--bundle", help="A bundle to ask instead of the settings'.")
    ] = None,
    json: Json = False,
) -> None:
    """Ask the policy what it would decide, and why.

    Nothing is called or recorded. The file is a decision input as evidence records keep it
    (`bailiwick evidence show --input`). Exit status 0 for permit, 1 for deny and hold.
    """
    document = _read(file)
    folder = bundle_folder or load(settings).policy.bundle
    decision = anyio.run(_ask, folder, document)
    if json:
        output.as_json(decision_fields(decision))
    else:
        _print(decision)
    if not isinstance(decision, Permit):
        raise typer.Exit(1)


async def _ask(folder: Path, document: bytes) -> Decision:
    point = EmbeddedDecisionPoint(bundles.load(folder), SystemClock(), processes=1)
    await point.start()
    try:
        return await point.decide(document)
    finally:
        await point.aclose()


def _read(file: Path) -> bytes:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return dumps(parse_object(data, max_integer=2**63 - 1))
    except OSError as exc:
        raise SettingsError(f"{file}: cannot be read ({exc.strerror})") from exc
    except MalformedMessage as exc:
        raise SettingsError(f"{file}: {exc.message.removeprefix('the body ')}") from exc


def _print(decision: Decision) -> None:
    fields = decision_fields(decision)
    output.say(output.coloured(fields["effect"]))
    if decision.observed is not None:
        output.say(f"  {output.observed(fields['effect'], decision.observed)}")
    for reason in decision.reasons:
        output.say(f"  {reason.code} ({reason.rule})")
    if isinstance(decision, Hold):
        needed = decision.approval
        output.say(
            f"  needs {needed.count} of {needed.approvers} within {needed.expires_seconds} s"
        )
    output.say(f"  charter {decision.charter or 'none'}, policy {fields['policy_revision']}")
