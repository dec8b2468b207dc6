"""The catalogue as Cedar sees it: one action a classified tool, with what the operator says of it.

The class of a tool is static, so everything that follows from it is worked out once and not at
every call. Does not decide, and knows no charter.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.core.charter import covers
from gateway.core.decision import EFFECTS, HIGH_EFFECTS
from gateway.policy.cedar import names

Obligation = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """One classified tool of the catalogue."""

    system: str
    name: str
    effect: str
    impacts: tuple[str, ...]
    domain: str
    environment: str
    outward: bool
    observable: bool
    obligations: tuple[Obligation, ...] = field(compare=False)
    """What every permit of it is bound to."""

    @property
    def action(self) -> str:
        """The name of its action."""
        return names.tool_action(self.system, self.name)

    @property
    def high_impact(self) -> bool:
        """Whether observing alone does not let it through."""
        return bool(self.impacts) or self.effect in HIGH_EFFECTS

    @property
    def groups(self) -> list[str]:
        """Names of the actions that are its parents."""
        impacts = [names.group("impact", impact) for impact in sorted(set(self.impacts))]
        own = [names.group("effect", self.effect), names.group("domain", self.domain), *impacts]
        return [names.CLASSIFIED_TOOL, *own, *([names.OUTWARD] if self.outward else ())]

    def as_class(self) -> dict[str, Any]:
        """Return the `class` of a decision about it."""
        return _class(self.effect, sorted(self.impacts), self.domain, self.environment)


class Catalogue:
    """The systems of a bundle and their classified tools."""

    def __init__(self, systems: Mapping[str, Mapping[str, Any]]) -> None:
        self.systems = systems
        self._tools = {(tool.system, tool.name): tool for tool in _tools(systems)}
        self.domains = frozenset(tool.domain for tool in self._tools.values())

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def find(self, system: str, name: str) -> Tool | None:
        """Return the tool of this name, if it has a class."""
        return self._tools.get((system, name))

    def of(self, system: str) -> list[Tool]:
        """Return the classified tools of one system."""
        listed = self.systems.get(system, {}).get("tools", {})
        return [tool for name in listed if (tool := self.find(system, name))]

    def covered(self, system: str, entry: Mapping[str, Any]) -> list[Tool]:
        """Return the tools of a system that an allow entry covers, by name and by effect."""
        patterns: Sequence[str] = entry["tools"]
        if any(pattern.endswith("*") for pattern in patterns):
            found = [tool for tool in self.of(system) if fits(patterns, tool.name)]
        else:
            named = dict.fromkeys(patterns)
            found = [tool for name in named if (tool := self.find(system, name))]
        return [tool for tool in found if tool.effect in entry["effects"]]

    def protocol_class(self, system: str) -> dict[str, Any] | None:
        """Return the `class` of a protocol method on this system; None if it is not known."""
        if (known := self.systems.get(system)) is None:
            return None
        return _class("read", [], known["domain"], known["environment"])


def fits(patterns: Sequence[str], tool: str) -> bool:
    """Say whether one of the tool patterns covers the tool."""
    return any(covers(pattern, tool) for pattern in patterns)


def _tools(systems: Mapping[str, Mapping[str, Any]]) -> Iterator[Tool]:
    for system, said in systems.items():
        for name, tool in said["tools"].items():
            if tool["effect"] in EFFECTS:
                yield Tool(
                    system,
                    name,
                    tool["effect"],
                    tuple(tool["impacts"]),
                    tool.get("domain", said["domain"]),
                    said["environment"],
                    tool.get("outward", False) is not False,
                    tool.get("observable") is True,
                    _obligations(said, tool),
                )


def _obligations(system: Mapping[str, Any], tool: Mapping[str, Any]) -> tuple[Obligation, ...]:
    checks = [
        {"type": "check", "name": name, "action": action}
        for name, action in tool.get("checks", {}).items()
    ]
    untrusted = tool.get("untrusted", system.get("untrusted", False)) is not False
    return (*checks, *([{"type": "untrusted_input"}] if untrusted else ()))


def _class(effect: str, impacts: list[str], domain: str, environment: str) -> dict[str, Any]:
    return {"effect": effect, "impacts": impacts, "domain": domain, "environment": environment}
