"""What every clause of one charter is compiled with: its agent, the catalogue, a place for notes.

Does not know any clause.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.policy.cedar import names
from gateway.policy.cedar.catalogue import Catalogue, Obligation, Tool
from gateway.policy.cedar.policies import Policy

Charter = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scope:
    """A complete charter while it is compiled."""

    charter: Charter
    catalogue: Catalogue
    notes: list[str] = field(default_factory=list)
    """What Cedar cannot say; grows while clauses are compiled."""

    @property
    def principal(self) -> str:
        """The part of a policy's scope that names the agent."""
        return f"principal == {names.agent(self.charter['subject'])}"

    @property
    def obligations(self) -> tuple[Obligation, ...]:
        """What every permit under the charter is bound to."""
        kept = "results" in self.charter["evidence"]["capture"]
        return () if kept else ({"type": "omit_results"},)

    def allows(self, system: str) -> bool:
        """Say whether the charter allows anything on a system of the catalogue."""
        said = self.charter["systems"][system]
        listed = system in self.catalogue.systems
        return listed and bool(said.get("allow")) and said.get("deny") != "all"

    def noted(self, clause: str) -> Callable[[str], None]:
        """Return what takes notes about one clause."""
        return lambda why: self.notes.append(f"{clause}: {why}")

    def forbid(
        self,
        code: str,
        rule: str,
        clause: str,
        *,
        action: str = "action",
        resource: str = "resource",
        when: str = "",
        unless: str = "",
    ) -> Policy:
        """Return a forbid for the charter's agent."""
        return Policy("deny", code, rule, clause, self.principal, action, resource, when, unless)


def under(parent: str) -> str:
    """Return the part of a policy's scope that names the children of an action."""
    return f"action in {names.action(parent)}"


def on(system: str) -> str:
    """Return the part of a policy's scope that names a system."""
    return f"resource == {names.system(system)}"


def one_of(tools: Iterable[Tool]) -> str:
    """Return the part of a policy's scope, or the condition, that names tools."""
    return f"action in {names.listed(names.action(tool.action) for tool in tools)}"
