"""Charters made at random, without faults, so that their denials and flows fit what they allow.

Does not make damaged ones, and does not decide what a charter permits.
"""

from collections.abc import Mapping
from random import Random
from typing import Any, Final

from gateway.core.charter import faults
from gateway.core.decision import EFFECTS, IMPACTS
from tests.parity.bounds import MAKERS, Bound

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DOMAINS: Final = ("sales", "hr", "finance", "web")
SUBJECT: Final = "spiffe://parity.example/agent/"
_TRIES: Final = 200

Values = dict[str, Any]
Bounds = dict[int, Bound]
"""By the identity of what a charter says of an argument: values for it."""


def complete(
    rng: Random, name: str, systems: Mapping[str, Mapping[str, Any]]
) -> tuple[Values, Bounds]:
    """Return a charter without faults, and the bounds it was made from."""
    seen: list[Any] = []
    for _ in range(_TRIES):
        bounds: Bounds = {}
        charter = _charter(rng, name, systems, bounds)
        found = faults(charter, systems)
        if not found:
            return charter, bounds
        seen.append(found[0].sentence)
    raise AssertionError(f"no complete charter in {_TRIES}: {sorted(set(seen))}")


def _charter(
    rng: Random, name: str, systems: Mapping[str, Mapping[str, Any]], bounds: Bounds
) -> Values:
    environment = "staging" if rng.random() < 0.1 else "production"
    here = [n for n, system in systems.items() if system["environment"] == environment]
    chosen = rng.sample(here, min(len(here), rng.randint(1, 2)))
    people = {"approvers": rng.choice(("leads", "board")), "count": 1, "expires_seconds": 900}
    charter: Values = {
        "subject": SUBJECT + name,
        "owner": "owners",
        "purpose": "Tests.",
        "environment": environment,
        "expires": rng.choice(["2027-11-30T00:00:00Z"] * 9 + ["2026-11-01T00:00:00Z"]),
        "systems": {n: _bounds(rng, systems[n]["tools"], bounds) for n in chosen},
        "approvals": [{"impacts": list(IMPACTS), **people}],
        "evidence": {"capture": rng.choice([["arguments"], ["arguments", "results"]])},
        "limits": {"calls_per_minute": rng.choice((3, 60))},
        "task_required": rng.random() < 0.15,
    }
    if rng.random() < 0.6:  # the others are plain, so that much is permitted
        _extras(rng, charter, {n: systems[n] for n in chosen}, people)
    return charter


def _extras(
    rng: Random, charter: Values, systems: Mapping[str, Mapping[str, Any]], people: Values
) -> None:
    """Add the members that a charter may have."""
    reached = [(name, tool) for name, said in charter["systems"].items() for tool in _named(said)]
    _denials(rng, charter, systems)
    if rng.random() < 0.5:
        charter["limits"]["calls_per_session"] = rng.choice((5, 100))
    if rng.random() < 0.3:
        charter["approvals"].append({"tools": [rng.choice(reached)[1]], **people})
    if rng.random() < 0.7:
        to = [rng.choice(reached) for _ in range(rng.randint(1, 3))]
        charter["flows"] = [_flow(rng, systems[name], tool) for name, tool in to]
    if rng.random() < 0.4:
        charter["hours"] = [
            {"days": sorted(rng.sample(DAYS, 5), key=DAYS.index), "from": "08:00", "to": to}
            for to in rng.sample(("12:30", "18:00", "24:00"), rng.randint(1, 2))
        ]
    if rng.random() < 0.6:
        charter["observe"] = {
            "until": rng.choice(["2026-12-01T00:00:00Z"] * 3 + ["2026-11-20T00:00:00Z"])
        }
        if rng.random() < 0.5:
            charter["observe"]["high_impact"] = True


def _denials(rng: Random, charter: Values, systems: Mapping[str, Mapping[str, Any]]) -> None:
    for name, said in charter["systems"].items():
        chance = rng.random()
        if chance < 0.1:
            said["deny"] = "all"
        elif chance < 0.6:
            said["deny"] = [_deny(rng, systems[name], rng.choice(_named(said)))]
        elif chance < 0.8:
            charter["deny"] = [_deny(rng, systems[name], rng.choice(_named(said)))]


def _named(said: Values) -> list[str]:
    return [tool for entry in said["allow"] for tool in entry["tools"] if "*" not in tool]


def _bounds(rng: Random, tools: Values, bounds: Bounds) -> Values:
    classed = [name for name, tool in tools.items() if tool["effect"] in EFFECTS]
    allow = []
    for name in rng.sample(classed, min(len(classed), rng.randint(4, 9))):
        entry: Values = {"tools": [name], "effects": [tools[name]["effect"]]}
        if rng.random() < 0.7:
            entry["arguments"] = _arguments(rng, bounds)
        allow.append(entry)
        if rng.random() < 0.2:
            allow.append({**entry, "arguments": _arguments(rng, bounds)})
    if rng.random() < 0.3 and any(name.startswith("read_") for name in tools):
        allow.append({"tools": ["read_*"], "effects": ["read"]})
    return {"allow": allow}


def _arguments(rng: Random, bounds: Bounds) -> Values:
    made = {}
    for position in range(rng.randint(1, 2)):
        bound = MAKERS[rng.choice(sorted(MAKERS))](rng)
        made[f"a{position}"] = bound.limits
        bounds[id(bound.limits)] = bound
    return made


def _deny(rng: Random, system: Mapping[str, Any], tool: str) -> Values:
    """Return a denial that fits a tool."""
    said = system["tools"][tool]
    return rng.choice(
        [
            {"tools": [tool]},
            {"tools": [tool[:-1] + "*"]},
            {"domains": [said.get("domain", system["domain"])]},
            {"domains": rng.sample(DOMAINS, 2)},
            {"effects": [said["effect"]]},
            {"impacts": said["impacts"] or [rng.choice(IMPACTS)]},
        ]
    )


def _flow(rng: Random, system: Mapping[str, Any], tool: str) -> Values:
    """Return a flow to a tool, and to others."""
    after: Values = {}
    if rng.random() < 0.6:
        after["domains"] = rng.sample(DOMAINS, rng.randint(1, 2))
    if not after or rng.random() < 0.5:
        after["untrusted_input"] = True
    said = system["tools"][tool]
    to = rng.choice(
        [
            {"effects": sorted({said["effect"], rng.choice(EFFECTS)})},
            {"outward": True},
            {"tools": [tool]},
            {"domains": [said.get("domain", system["domain"])]},
            {"outward": True, "effects": ["write"]},
        ]
    )
    people = {"approvers": rng.choice(("leads", "board")), "count": 1, "expires_seconds": 900}
    return {"after": after, "to": to, **rng.choice([{"deny": True}, {"approval": people}])}
