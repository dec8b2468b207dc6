"""What a charter reaches: its systems' tools, and what the charter says of each.

A row says which entries of the charter allow, deny or hold one tool, so that a fault, a table and
an explanation all stand on the same reading. It reads charters as the rules do (`rego/bailiwick/`).
Does not decide a call: arguments, time and session are not looked at. Takes charters and systems
whose shape is sound.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.core.decision import HIGH_EFFECTS
from gateway.core.fault import Path
from gateway.core.system_shape import UNCLASSIFIED

Document = Mapping[str, Any]
Systems = Mapping[str, Document]


@dataclass(frozen=True, slots=True)
class Touch:
    """One tool of a system that a charter names."""

    system: str
    tool: str
    effect: str
    impacts: tuple[str, ...]
    domain: str
    outward: bool
    untrusted: bool
    """What it returns may hold the words of strangers."""
    checks: tuple[str, ...]
    """Names of the checks of what it returns."""
    allowed_by: tuple[Path, ...] = ()
    """Allow entries that cover the tool and its effect."""
    denied_by: tuple[Path, ...] = ()
    """Deny entries that fit it."""
    approvals: tuple[Path, ...] = ()
    """Entries of `approvals` that fit it."""

    @property
    def classified(self) -> bool:
        """Whether the catalogue gives it a class; else it is denied to everyone."""
        return self.effect != UNCLASSIFIED

    @property
    def reachable(self) -> bool:
        """Whether some call to it is not denied by the charter's own words."""
        return self.classified and bool(self.allowed_by) and not self.denied_by

    @property
    def grave(self) -> bool:
        """Whether it is of high impact."""
        return bool(self.impacts) or self.effect in HIGH_EFFECTS


def covers(pattern: str, tool: str) -> bool:
    """Say whether a tool pattern (a name, or a beginning and `*`) covers a tool."""
    return tool.startswith(pattern[:-1]) if pattern.endswith("*") else pattern == tool


def covering(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that says whether one of these patterns covers a tool."""
    names = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
    beginnings = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
    return lambda tool: tool in names or tool.startswith(beginnings)


def touches(charter: Document, systems: Systems) -> list[Touch]:
    """Return a row for every tool of every system that the charter names, in the files' order."""
    # What an entry covers is made ready once: catalogues have hundreds of tools.
    everywhere = [(("deny", str(at)), entry) for at, entry in enumerate(charter.get("deny", ()))]
    approvals = [
        (("approvals", str(at)), covering(entry.get("tools", ())), set(entry.get("impacts", ())))
        for at, entry in enumerate(charter["approvals"])
    ]
    rows = []
    for name, bounds in charter["systems"].items():
        if name not in systems:
            continue
        allowing, denying = _allowing(name, bounds), [*_denying(name, bounds), *everywhere]
        for tool in systems[name]["tools"]:
            row = _classified(name, systems[name], tool)
            allowed = (at for at, effects, fits in allowing if row.effect in effects and fits(tool))
            denied = (at for at, entry in denying if entry == "all" or denies(entry, row))
            asking = (
                at for at, fits, risks in approvals if fits(tool) or risks.intersection(row.impacts)
            )
            rows.append(
                replace(
                    row,
                    allowed_by=tuple(allowed),
                    denied_by=tuple(denied),
                    approvals=tuple(asking),
                )
            )
    return rows


def _classified(name: str, system: Document, tool: str) -> Touch:
    """Return what the catalogue says of a tool."""
    said = system["tools"][tool]
    return Touch(
        system=name,
        tool=tool,
        effect=said["effect"],
        impacts=tuple(said["impacts"]),
        domain=said.get("domain", system["domain"]),
        outward=said.get("outward", False),
        untrusted=said.get("untrusted", system.get("untrusted", False)),
        checks=tuple(said.get("checks", ())),
    )


def _allowing(
    name: str, bounds: Document
) -> list[tuple[Path, Sequence[str], Callable[[str], bool]]]:
    return [
        (("systems", name, "allow", str(at)), entry["effects"], covering(entry["tools"]))
        for at, entry in enumerate(bounds.get("allow", ()))
    ]


def _denying(name: str, bounds: Document) -> list[tuple[Path, Any]]:
    here = ("systems", name, "deny")
    if bounds.get("deny") == "all":
        return [(here, "all")]
    return [((*here, str(at)), entry) for at, entry in enumerate(bounds.get("deny", ()))]


def denies(entry: Document, touch: Touch) -> bool:
    """Say whether a deny entry fits a tool; but by name it takes a tool that has a class."""
    if "tools" in entry:
        return covering(entry["tools"])(touch.tool)
    return touch.classified and (
        touch.domain in entry.get("domains", ())
        or touch.effect in entry.get("effects", ())
        or bool(set(touch.impacts) & set(entry.get("impacts", ())))
    )


def flows_to(flow: Document, touch: Touch) -> bool:
    """Say whether a flow is about calls to this tool."""
    to = flow["to"]
    return touch.classified and (
        touch.effect in to.get("effects", ())
        or ("outward" in to and touch.outward)
        or covering(to.get("tools", ()))(touch.tool)
        or touch.domain in to.get("domains", ())
    )


def set_off(flow: Document, domains_read: Sequence[str], *, untrusted_input: bool) -> bool:
    """Say whether what a session knows so far sets a flow off."""
    after = flow["after"]
    return bool(set(after.get("domains", ())) & set(domains_read)) or (
        "untrusted_input" in after and untrusted_input
    )


def domains_of(systems: Systems) -> set[str]:
    """Return every domain that the catalogue knows."""
    return {system["domain"] for system in systems.values()} | {
        tool["domain"]
        for system in systems.values()
        for tool in system["tools"].values()
        if "domain" in tool
    }
