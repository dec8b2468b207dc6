"""`bailiwick explain`: what happened to one call, in words."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gateway.cli import output
from gateway.cli.evidence import Folder, log_of, reading
from gateway.cli.members import elements, member, words
from gateway.cli.options import DEFAULT_SETTINGS, Json, SettingsPath
from gateway.evidence import find


def explain(
    call_id: Annotated[str, typer.Argument(help="The call id, or its last group.")],
    settings: SettingsPath = DEFAULT_SETTINGS,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Say what became of one call, and why.

    Exit status 1 if the log does not know the call, 3 if it cannot be read.
    """
    where = log_of(settings, folder)
    with reading(where):
        records = find.of_call(where, call_id)
    if not records:
        output.note(f"no record names call {call_id}")
        raise typer.Exit(1)
    if json:
        output.as_json([dict(record.fields) for record in records])
        return
    for record in records:
        for line in _outcome(record.fields) if record.kind == "outcome" else _call(record.fields):
            output.say(line)
        output.say(f"  evidence: record {record.seq}, {record.leaf_hash}", style="dim")


def _outcome(fields: Any) -> Iterator[str]:
    yield f"{words(fields, 'time')}  outcome: {words(fields, 'status')}"
    if words(fields, "http_status"):
        yield (
            f"  the upstream answered HTTP {words(fields, 'http_status')} with "
            f"{words(fields, 'body_bytes')} bytes, {words(fields, 'body_digest')}"
        )


def _call(fields: Any) -> Iterator[str]:
    who = words(fields, "identity", "sub") or "an unauthenticated caller"
    asked = (words(fields, "call", "action"), words(fields, "call", "name"))
    what = " ".join(filter(None, asked)) or "something unreadable"
    system = words(fields, "request", "system") or "no system"
    yield f"{words(fields, 'time')}  {who} asked for {what} at {system}"
    decision = member(fields, "decision")
    yield f"  decision: {words(decision, 'effect') or 'none'}"
    if member(decision, "observed"):
        yield f"  {output.observed(words(decision, 'effect'), words(decision, 'observed'))}"
    for reason in elements(decision, "reasons"):
        yield f"    {words(reason, 'code')} ({words(reason, 'rule')})"
    yield from _grounds(decision)
    approval = member(fields, "approval")
    if approval:
        yield f"  approval: {words(approval, 'id')} is {words(approval, 'state')}"
    if member(fields, "input"):
        yield f"  arguments: {words(fields, 'input', 'resource', 'arguments') or 'none'}"


def _grounds(decision: Any) -> Iterator[str]:
    labels = member(decision, "class")
    if labels:
        impacts = ", ".join(map(words, elements(labels, "impacts"))) or "no impact"
        said = [words(labels, name) for name in ("effect", "domain", "environment")]
        yield f"  class: {said[0]}, {impacts}, {said[1]}, {said[2]}"
    if member(decision, "engine"):
        yield f"  policy: {words(decision, 'policy_revision')} by {words(decision, 'engine')}"
        charter = words(decision, "charter") or "none"
        yield f"  charter: {charter}; bundle {words(decision, 'bundle_digest')}"
