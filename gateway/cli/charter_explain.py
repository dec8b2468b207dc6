"""`bailiwick charter explain`: what one call would get, why, and what would be needed.

The answer is the engine's; the words point at the clauses of the charter behind it. Nothing is
called or recorded. Does not decide.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from gateway.cli import bundles, charter_clauses, output
from gateway.cli import charter_words as say
from gateway.cli.charter_clauses import Clause, Question
from gateway.cli.charter_probe import DEADLINE_SECONDS, OUT_OF_BOUNDS, broken_bounds
from gateway.cli.charter_show import DEFAULT_BUNDLE, Agent, BundlePath, charter_of, touches_of
from gateway.cli.options import Json
from gateway.core.canonical import dumps, parse_object
from gateway.core.charter_warnings import instant_ns
from gateway.core.checks_of_values import is_instant
from gateway.core.decision import Decision, Deny, Hold, Permit
from gateway.core.document import INPUT_VERSION
from gateway.core.errors import MalformedMessage, PolicyAnswerInvalid, SettingsError
from gateway.core.facts import decision_fields
from gateway.core.reach import Touch
from gateway.core.session_facts import SessionFacts
from gateway.policy.bundle import Bundle
from gateway.policy.embedded import EmbeddedDecisionPoint
from gateway.wiring import SystemClock


def explain(
    agent: Agent,
    tool: Annotated[
        str, typer.Argument(help="SYSTEM/TOOL, or the tool's name where only one has it.")
    ],
    arguments: Annotated[
        str, typer.Argument(metavar="[ARGS]", help="The arguments: a JSON object, or @FILE.")
    ] = "{}",
    bundle: BundlePath = DEFAULT_BUNDLE,
    time: Annotated[
        str | None, typer.Option(help="When, such as 2027-01-31T09:00:00Z; now if left out.")
    ] = None,
    after_reading: Annotated[
        list[str] | None, typer.Option(metavar="DOMAIN", help="Data that the session has read.")
    ] = None,
    untrusted_input: Annotated[
        bool, typer.Option("--untrusted-input", help="The session has the words of strangers.")
    ] = False,
    calls: Annotated[
        int, typer.Option(min=1, help="Calls of the session and its last minute, with this one.")
    ] = 1,
    task: Annotated[str | None, typer.Option(help="The task that the call belongs to.")] = None,
    json: Json = False,
) -> None:
    """Explain what one call would get, and why.

    The decision, the clauses behind it, and what would be needed. The engine decides as it would on
    the line, from the bundle alone; nothing is called or recorded. Try the same call --after-
    reading hr or with --untrusted-input to see a flow at work. Exit status 0 for permit, 1 for deny
    and hold.

    Example: bailiwick charter explain billing-agent refund_payment '{"amount": 900}'
    """
    loaded = bundles.load(bundle)
    name = charter_of(loaded, agent)
    session = SessionFacts(
        calls=calls,
        calls_in_minute=calls,
        domains_read=frozenset(after_reading or ()),
        untrusted_input=untrusted_input,
    )
    asked = _question(loaded, name, tool, _arguments(arguments), _time_ns(time), session, task)
    decision, asked = anyio.run(_answer, asked)
    if json:
        output.as_json(_document(decision, asked))
    else:
        _print(bundle, decision, asked)
    if not isinstance(decision, Permit):
        raise typer.Exit(1)


def _arguments(text: str) -> dict[str, Any]:
    try:
        return parse_object(Path(text[1:]).read_bytes() if text[:1] == "@" else text.encode())
    except OSError as exc:
        raise SettingsError(f"{text[1:]}: cannot be read ({exc.strerror})") from exc
    except MalformedMessage as exc:
        what = exc.message.removeprefix("the body ")
        raise SettingsError(f"ARGS must be a JSON object, and {what}: {text[:80]}") from exc


def _time_ns(text: str | None) -> int:
    if text is None:
        return SystemClock().wall_ns()
    if not is_instant(text):
        raise SettingsError(f"{text}: must be an instant such as 2027-01-31T09:00:00Z")
    return instant_ns(text)


def _question(
    loaded: Bundle,
    name: str,
    tool: str,
    arguments: Mapping[str, Any],
    time_ns: int,
    session: SessionFacts,
    task: str | None,
) -> Question:
    system, plain = _tool_of(loaded, name, tool)
    protocol = loaded.systems.get(system, {}).get("protocol", "mcp")
    document = {
        "version": INPUT_VERSION,
        "subject": _subject(loaded.charters[name].get("subject")),
        "action": {"name": "tools/call", "protocol": protocol},
        "resource": {"type": "tool", "system": system, "name": plain, "arguments": arguments},
        "context": {
            "time": time_ns,
            "call_id": "explained",
            "task": task,
            "grant": None,
            "approval": None,
            "transaction": None,
            "session": session.as_context(),
            "source": "",
        },
    }
    rows = [] if loaded.faults[name] else touches_of(loaded, name)
    touch = next((row for row in rows if (row.system, row.tool) == (system, plain)), None)
    return Question(loaded, name, system, plain, document, touch)


def _subject(identity: Any) -> dict[str, Any]:
    return {
        "id": identity if isinstance(identity, str) and identity else "nobody",
        "type": "workload",
        "issuer": "explained",
        "tenant": None,
        "instance": None,
        "on_behalf_of": None,
        "actors": [],
        "scopes": [],
        "proof": "x509-svid",
        "flags": [],
        "lifetime_seconds": 300,
        "claims": {},
    }


def _tool_of(loaded: Bundle, name: str, tool: str) -> tuple[str, str]:
    """Return the system and the tool that are meant.

    Raises:
        SettingsError: no system has the tool, or several have.
    """
    system, slash, plain = tool.partition("/")
    if slash and system in loaded.systems:
        return system, plain
    having = [one for one, said in loaded.systems.items() if tool in said["tools"]]
    named = loaded.charters[name].get("systems")
    chosen = [one for one in having if isinstance(named, Mapping) and one in named] or having
    if len(chosen) == 1:
        return chosen[0], tool
    if chosen:
        raise SettingsError(f"{tool}: {', '.join(chosen)} have it; write SYSTEM/{tool}")
    known = ", ".join(loaded.systems)
    raise SettingsError(f"{tool}: no system has this tool; write SYSTEM/TOOL, of {known}")


async def _answer(asked: Question) -> tuple[Decision, Question]:
    decision = await _decide(asked)
    if asked.touch and _bounds_matter(decision, asked.touch):
        broken = await broken_bounds(asked.bundle, asked.charter, asked.touch, asked.document)
        asked = replace(asked, broken=tuple(broken))
    return decision, asked


def _bounds_matter(decision: Decision, touch: Touch) -> bool:
    """Say whether the words need to know which bounds are broken."""
    if any(reason.code == OUT_OF_BOUNDS for reason in decision.reasons):
        return True
    # Of several allow entries the one that permits is named.
    return len(touch.allowed_by) > 1 and not isinstance(decision, Deny)


async def _decide(asked: Question) -> Decision:
    # Without the self-tests: they may need the very charter whose faults are to be explained.
    untested = replace(asked.bundle, self_tests=())
    point = EmbeddedDecisionPoint(untested, SystemClock(), DEADLINE_SECONDS, processes=1)
    await point.start()
    try:
        return await point.decide(dumps(asked.document))
    except PolicyAnswerInvalid as failure:
        # As on the line: an answer that cannot be carried out is a denial.
        return Deny.because(failure, "decide")
    finally:
        await point.aclose()


def _print(bundle: Path, decision: Decision, asked: Question) -> None:
    effect = decision_fields(decision)["effect"]
    output.say(output.coloured(effect), f"  {asked.name}: {asked.system}/{asked.tool}")
    if decision.observed:
        output.say(f"  {output.observed(effect, decision.observed)}", style="yellow")
    for reason in decision.reasons:
        output.say(f"  {_meaning(reason.code)} ({reason.code})")
        for clause in charter_clauses.clauses(reason.code, asked):
            output.say(f"    {_place(bundle, clause)}: {clause.words}", style="dim")
    for sentence in _needed(decision):
        output.say(f"  needs {sentence}")


def _meaning(code: str) -> str:
    return charter_clauses.MEANINGS.get(code, code)


def _place(bundle: Path, clause: Clause) -> str:
    file = bundle / clause.file if bundle.is_dir() else Path(clause.file)
    return f"{file}:{clause.line}"


def _needed(decision: Decision) -> Iterator[str]:
    if isinstance(decision, Hold):
        need = decision.approval
        within = say.span(need.expires_seconds)
        yield f"the word of {need.count} of {need.approvers} within {within}"
    if isinstance(decision, Deny) or decision.observed == "deny":
        codes = (reason.code for reason in decision.reasons)
        yield from dict.fromkeys(filter(None, map(charter_clauses.NEEDED.get, codes)))


def _document(decision: Decision, asked: Question) -> dict[str, Any]:
    fields = decision_fields(decision)
    return {
        "effect": fields["effect"],
        "observed": decision.observed,
        "charter": asked.name,
        "system": asked.system,
        "tool": asked.tool,
        "class": fields["class"],
        "reasons": [
            {
                "code": reason.code,
                "rule": reason.rule,
                "meaning": _meaning(reason.code),
                "clauses": [
                    {"file": clause.file, "line": clause.line, "words": clause.words}
                    for clause in charter_clauses.clauses(reason.code, asked)
                ],
            }
            for reason in decision.reasons
        ],
        "needed": list(_needed(decision)),
        "input": asked.document,
        "policy_revision": asked.bundle.revision,
        "bundle_digest": asked.bundle.digest,
    }
