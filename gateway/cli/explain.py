"""`bailiwick explain`: what happened to one call, in words."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gateway.cli import output
from gateway.cli.evidence import Folder, folder_of
from gateway.cli.options import DEFAULT_SETTINGS, Json, SettingsPath
from gateway.core.errors import SettingsError
from gateway.evidence import find


def explain(
    call_id: Annotated[str, typer.Argument(help="The call id, or its last group.")],
    settings: SettingsPath = DEFAULT_SETTINGS,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Say what became of one call, and why.

    Exit status 1 if the log does not know the call.
    """
    where = folder_of(settings, folder)
    try:
        records = find.of_call(where, call_id)
    except OSError as exc:
        raise SettingsError(f"{where}: cannot be read ({exc.strerror})") from exc
    if not records:
        output.note(f"no record names call {call_id}")
        raise typer.Exit(1)
    if json:
        output.as_json([dict(record.fields) for record in records])
        return
    for record in records:
        for line in _sentences(record.kind, record.fields):
            output.OUT.print(line, markup=False)
        output.OUT.print(f"  evidence: record {record.seq}, {record.leaf_hash}", style="dim")


def _sentences(kind: str, fields: Any) -> Iterator[str]:
    if kind == "outcome":
        yield f"{fields['time']}  outcome: {fields['status']}"
        if fields.get("http_status"):
            yield (
                f"  the upstream answered HTTP {fields['http_status']} with "
                f"{fields['body_bytes']} bytes, {fields['body_digest']}"
            )
        return
    identity, call, decision = fields["identity"], fields["call"], fields["decision"]
    who = identity["sub"] if identity else "an unauthenticated caller"
    what = (
        " ".join(filter(None, (call["action"], call["name"]))) if call else "something unreadable"
    )
    system = fields["request"]["system"] or "no system"
    yield f"{fields['time']}  {who} asked for {what} at {system}"
    yield f"  decision: {decision['effect']}"
    for reason in decision["reasons"]:
        yield f"    {reason['code']} ({reason['rule']})"
    if decision["class"]:
        labels = decision["class"]
        impacts = ", ".join(labels["impacts"]) or "no impact"
        yield f"  class: {labels['effect']}, {impacts}, {labels['domain']}, {labels['environment']}"
    if decision["engine"]:
        yield f"  policy: {decision['policy_revision']} by {decision['engine']}"
        yield f"  charter: {decision['charter'] or 'none'}; bundle {decision['bundle_digest']}"
    if fields["approval"]:
        yield f"  approval: {fields['approval']['id']} is {fields['approval']['state']}"
    if fields["input"]:
        yield f"  arguments: {fields['input']['resource']['arguments']}"
