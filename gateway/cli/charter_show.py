"""`bailiwick charter show`: what one agent may touch, as a table.

The table is the charter read against the catalogue; what a single call gets is the engine's word
(`charter explain`). Does not evaluate policy.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from gateway.cli import bundles, output
from gateway.cli import charter_words as say
from gateway.cli.members import words
from gateway.cli.options import Json
from gateway.core.charter import EXPIRED, warnings
from gateway.core.errors import SettingsError
from gateway.core.fault import dotted
from gateway.core.reach import Touch, touches
from gateway.core.standing import Standing, at, standing
from gateway.policy.bundle import Bundle
from gateway.wiring import SystemClock

Agent = Annotated[str, typer.Argument(help="A charter's name, or the subject it is for.")]
BundlePath = Annotated[Path, typer.Option("--bundle", help="The bundle: a folder, or an archive.")]
DEFAULT_BUNDLE: Final = Path("policy")

_WIDE: Final = 110
_WHY: Final = {
    "tool_denied": "a deny entry names it",
    "domain_denied": "a deny entry names its domain",
    "effect_denied": "a deny entry names its effect",
    "impact_denied": "a deny entry names its impact",
    "system_denied": "the whole system is denied",
    "tool_unclassified": "the catalogue has not classified it",
    "tool_not_allowed": "no allow entry",
    "approval_ambiguous": "its approvals differ",
    "pdp_obligation_unknown": "its output checks cannot be carried out",
}


def show(
    agent: Agent,
    bundle: BundlePath = DEFAULT_BUNDLE,
    everything: Annotated[
        bool, typer.Option("--all", help="Also the tools that are denied.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what an agent may touch, as a table.

    Each tool, within which bounds, and what happens. What is not listed is denied. `held` calls
    wait for people. Exit status 1 if the charter has faults or has expired, and so denies
    everything.
    """
    loaded, now_ns = bundles.load(bundle), SystemClock().wall_ns()
    name = charter_of(loaded, agent)
    charter, faults = loaded.charters[name], loaded.faults[name]
    found = warnings(charter, loaded.systems, now_ns)
    stands = not faults and all(one.code != EXPIRED for one in found)
    rows = [] if faults else [(row, standing(charter, row)) for row in touches_of(loaded, name)]
    if json:
        output.as_json(_document(loaded, name, rows, stands=stands))
    else:
        _header(name, charter, now_ns, faulty=bool(faults), observing=[
            one.sentence for one in found if one.code == "observing"
        ])  # fmt: skip
        if not faults:
            _table(charter, [row for row in rows if everything or row[1].effect != "deny"])
            for line in _rest(charter, 0 if everything else _denied(rows)):
                output.say(line)
    if not stands:
        raise typer.Exit(1)


def charter_of(loaded: Bundle, agent: str) -> str:
    """Return the name of the charter that this names, itself or by its subject.

    Raises:
        SettingsError: no charter does.
    """
    if agent in loaded.charters:
        return agent
    for name, charter in loaded.charters.items():
        if charter.get("subject") == agent:
            return name
    known = ", ".join(loaded.charters) or "none"
    raise SettingsError(f"{agent}: no charter has this name or subject; there are {known}")


def touches_of(loaded: Bundle, name: str) -> list[Touch]:
    """Return the rows of one charter without faults."""
    return touches(loaded.charters[name], loaded.systems)


def _header(
    name: str, charter: Mapping[str, Any], now_ns: int, *, faulty: bool, observing: Sequence[str]
) -> None:
    output.say(name, f"  {words(charter, 'subject')}", style="bold")
    output.say(f"  {words(charter, 'purpose')}")
    if faulty:
        output.say("  INCOMPLETE: it denies everything; `charter check` says why", style="bold red")
        return
    stands = say.remaining(charter["expires"], now_ns)
    output.say(f"  owner {charter['owner']}, environment {charter['environment']}, {stands}")
    if stands.startswith("EXPIRED"):
        output.say("  EXPIRED: it denies everything; what it said is below", style="bold red")
    for sentence in observing:
        output.say(f"  OBSERVED: {sentence}", style="bold yellow")


def _table(charter: Mapping[str, Any], rows: Sequence[tuple[Touch, Standing]]) -> None:
    output.say()
    if output.OUT.width >= _WIDE or not output.OUT.is_terminal:
        columns = ("system", "tool", "effect", "impacts", "domain", "bounds", "what happens")
        output.table(columns, [_wide(charter, touch, stand) for touch, stand in rows])
    else:
        output.table(("tool", "class and bounds", "what happens"), _narrow(charter, rows))


def _wide(charter: Mapping[str, Any], touch: Touch, stand: Standing) -> list[str | Text]:
    cells = (
        touch.system,
        touch.tool,
        touch.effect,
        ", ".join(touch.impacts),
        touch.domain,
        _within(charter, touch, stand) or ("" if stand.effect == "deny" else "any arguments"),
    )
    return [*(output.foreign(cell, _style(stand)) for cell in cells), _happens(stand)]


def _narrow(
    charter: Mapping[str, Any], rows: Sequence[tuple[Touch, Standing]]
) -> Iterator[list[str | Text]]:
    """Yield rows for a small terminal: a system on a line, and bounds below the class."""
    system = ""
    for touch, stand in rows:
        if touch.system != system:
            system = touch.system
            yield [output.foreign(system, "bold"), "", ""]
        said = ", ".join((touch.effect, *touch.impacts, touch.domain))
        within = _within(charter, touch, stand)
        cell = Text("\n").join(map(output.foreign, filter(None, (said, within))))
        cell.stylize(_style(stand))
        yield [output.foreign(f"  {touch.tool}", _style(stand)), cell, _happens(stand)]


def _within(charter: Mapping[str, Any], touch: Touch, stand: Standing) -> str:
    """Return the bounds of a tool; empty when there are none, or when they do not matter."""
    if stand.effect == "deny":
        return ""
    return say.any_bounds([at(charter, path) for path in touch.allowed_by])


def _style(stand: Standing) -> str:
    return "dim" if stand.effect == "deny" else ""


def _happens(stand: Standing) -> Text:
    if stand.approval:
        return output.coloured(f"held: {say.asked(stand.approval)}", "hold")
    if stand.effect == "deny":
        return output.foreign(f"denied: {_WHY.get(stand.code, stand.code)}", "dim red")
    return output.coloured("permitted", "permit")


def _denied(rows: Sequence[tuple[Touch, Standing]]) -> int:
    return sum(stand.effect == "deny" for _, stand in rows)


def _rest(charter: Mapping[str, Any], denied: int) -> Iterator[str]:
    if denied:
        yield f"and {output.counted(denied, 'tool')} denied (--all lists them)"
    yield ""
    yield f"limits    {say.limits(charter['limits'])}"
    hours = "; ".join(map(say.window, charter.get("hours", ()))) or "at any time"
    yield f"hours     {hours}"
    yield f"evidence  {' and '.join(charter['evidence']['capture'])}"
    yield f"task      {'every call belongs to one' if charter['task_required'] else 'not needed'}"
    for entry in charter.get("deny", ()):
        yield f"denied    everywhere: {say.denial(entry)}"
    for entry in charter.get("flows", ()):
        yield f"flow      {say.flow(entry)}"


def _document(
    loaded: Bundle, name: str, rows: Sequence[tuple[Touch, Standing]], *, stands: bool
) -> dict[str, Any]:
    charter, file = loaded.charters[name], loaded.documents[f"charters/{name}.yaml"]
    return {
        "charter": name,
        "file": file.path,
        "in_force": stands,
        "faults": [fault.as_data() for fault in loaded.faults[name]],
        **{key: charter.get(key) for key in _TOLD},
        "tools": [
            {
                "system": touch.system,
                "tool": touch.tool,
                "effect": touch.effect,
                "impacts": list(touch.impacts),
                "domain": touch.domain,
                "outward": touch.outward,
                "untrusted": touch.untrusted,
                "bounds": [at(charter, p).get("arguments", {}) for p in touch.allowed_by],
                "decision": stand.effect,
                "code": stand.code,
                "approval": _asked(stand),
                "because": dotted(stand.because) if stand.because else None,
                "line": file.line(stand.because) if stand.because else None,
            }
            for touch, stand in rows
        ],
    }


_TOLD: Final = (
    "subject", "owner", "purpose", "environment", "expires", "deny", "flows", "hours",
    "evidence", "limits", "task_required", "observe",
)  # fmt: skip


def _asked(stand: Standing) -> dict[str, Any] | None:
    if stand.approval is None:
        return None
    return {key: stand.approval[key] for key in ("approvers", "count", "expires_seconds")}
