"""Worlds to decide in: the shipped bundle, and beside it systems and charters made at random.

A world is written to a folder and read as any bundle is, so that its charters are judged as a real
one's are: all are complete but those that are damaged on purpose. One seed, one world.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from gateway.core.charter import system_faults
from gateway.core.decision import EFFECTS, IMPACTS
from gateway.policy.bundle import Bundle, load, shipped_bundle
from tests.parity.bounds import MISSING, Bound
from tests.parity.charters import DOMAINS, Bounds, complete

CHARTERS: Final = 40
DAMAGED: Final = 2
NEEDED: Final = {"delete": "deletion", "escalate": "access"}

Values = dict[str, Any]
Key = tuple[str, str, str]
"""Charter, system and tool."""


@dataclass(repr=False)  # it would be part of every strategy's name
class World:
    """A bundle, and for each charter what a call under it can be built from."""

    bundle: Bundle
    subjects: dict[str, str]
    """Charter id by subject."""
    samples: dict[Key, list[dict[str, Bound]]] = field(default_factory=dict)
    """By (charter, system, tool): for each allow entry that names the tool, its bounds."""

    def aims(self) -> dict[str, list[Key]]:
        """Return what to call, by the rare thing in the charter that the call may meet."""
        found: dict[str, list[Key]] = {}
        for key in sorted(self.samples):
            for aim in self._aims(*key):
                found.setdefault(aim, []).append(key)
        return found

    def _aims(self, charter: str, system: str, tool: str) -> Iterator[str]:
        said = self.bundle.charters[charter]
        own = said["systems"][system].get("deny", [])
        yield "any"
        for denial in (*said.get("deny", ()), *(own if own != "all" else ())):
            yield f"denied {next(iter(denial))}"
        for flow in said.get("flows", ()):
            if _goes_to(flow["to"], self.bundle.systems[system], tool):
                yield f"flow {'deny' if 'deny' in flow else 'approval'}"
        for member in ("hours", "observe"):
            if member in said:
                yield member


def _goes_to(to: Values, system: Mapping[str, Any], tool: str) -> bool:
    said = system["tools"].get(tool, {})
    domain = said.get("domain", system["domain"])
    named = tool in to.get("tools", ()) or domain in to.get("domains", ())
    return named or said.get("effect") in to.get("effects", ())


def world(seed: int, folder: Path) -> World:
    """Return the world of a seed, whose bundle lies in `folder`."""
    rng = Random(seed)
    shutil.copytree(shipped_bundle(), folder, dirs_exist_ok=True)
    shipped = load(folder)
    systems = {name: _system(rng, name) for name in ("crm", "people", "site", "lab", "rest")}
    made: World = World(shipped, {c["subject"]: n for n, c in shipped.charters.items()})
    known = {**shipped.systems, **systems}
    for name, charter in shipped.charters.items():
        _note(made, name, charter, {})
    for number in range(CHARTERS):
        name = f"agent-{number:02}"
        charter, bounds = complete(rng, name, known)
        if number >= CHARTERS - DAMAGED:
            del charter["owner"]
        _write(folder / "charters" / f"{name}.yaml", charter)
        made.subjects[charter["subject"]] = name
        _note(made, name, charter, bounds)
    for name, system in systems.items():
        _write(folder / "systems" / f"{name}.yaml", system)
    made.bundle = load(folder)
    assert sum(bool(found) for found in made.bundle.faults.values()) == DAMAGED
    return made


def _write(path: Path, value: Values) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), "utf-8")  # JSON is YAML


def _note(made: World, name: str, charter: Mapping[str, Any], bounds: Bounds) -> None:
    for system, said in charter["systems"].items():
        for entry in said.get("allow", ()):
            limits = entry.get("arguments", {})
            known: dict[str, Bound] = {
                argument: bounds.get(id(limit), Bound(limit, _any_kept(limit), ("x", 0, MISSING)))
                for argument, limit in limits.items()
            }
            for tool in entry["tools"]:
                made.samples.setdefault((name, system, tool), []).append(known)


def _any_kept(limit: Values) -> tuple[Any, ...]:
    """Return values that may keep what a shipped charter says of an argument."""
    exact = [limit[name] for name in ("eq", "gte", "lte") if name in limit]
    begun = [limit["prefix"] + "x"] if "prefix" in limit else []
    globs = [limit["glob"].replace("*", stars) for stars in ("x", "") if "glob" in limit]
    return (*exact, *begun, *globs, *limit.get("in", ())) or ("x", MISSING)


# --- the catalogue ---


def _system(rng: Random, name: str) -> Values:
    """Return a system with a dozen tools of every effect."""
    http = name == "rest"
    tools = {f"{effect}_{n}": _tool(rng, effect, http) for effect in EFFECTS for n in range(3)}
    tools["open"] = {"effect": "unclassified", "impacts": []}
    if http:
        tools["open"]["operation"] = "GET /open"
    system = {
        "owner": "owners",
        "domain": {"crm": "sales", "people": "hr", "site": "web"}.get(name, "finance"),
        "environment": "staging" if name == "lab" else "production",
        "protocol": "http" if http else "mcp",
        "untrusted": name == "site",
        "tools": tools,
    }
    assert not (found := system_faults(system)), found
    return system


def _tool(rng: Random, effect: str, http: bool) -> Values:
    needed = {NEEDED[effect]} if effect in NEEDED else set()
    risky = rng.random() < (0.1 if effect == "read" else 0.4)
    tool: Values = {
        "effect": effect,
        "impacts": sorted(needed | ({rng.choice(IMPACTS)} if risky else set())),
    }
    if rng.random() < 0.3:
        tool["domain"] = rng.choice(DOMAINS)
    for name, odds in {"outward": 0.3, "untrusted": 0.2, "observable": 0.5}.items():
        if rng.random() < odds:
            tool[name] = rng.random() < 0.7
    if rng.random() < 0.05:
        tool["checks"] = {"secrets": "record"}
    if http:
        tool["operation"] = f"POST /{effect}/{rng.randrange(10**9)}"
    return tool
