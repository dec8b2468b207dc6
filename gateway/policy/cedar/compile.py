"""A charter and the catalogue as Cedar policies that decide as the bundle's own rules do.

Each rule under `rego/bailiwick/rules` has its counterpart, clause by clause: what it denies is a
`forbid`, what it permits a `permit`, what it holds a `permit` that says so. Denials are whole,
since Cedar tells of a denied call which forbids fit and nothing else.
Does not evaluate, and reads only charters that the loader found complete.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.policy.cedar import boundary, names, waiting
from gateway.policy.cedar.catalogue import Catalogue, Obligation, Tool
from gateway.policy.cedar.policies import Policy, named
from gateway.policy.cedar.scope import Charter, Scope


@dataclass(frozen=True, slots=True)
class Observation:
    """The observe mode of a charter, which is no policy: it lets through what policies deny."""

    until_ns: int
    """It ends here, and with the charter."""
    high_impact: bool


@dataclass(frozen=True, slots=True)
class Compiled:
    """A charter in Cedar."""

    policies: Mapping[str, Policy]
    """By `@id`, in the order in which they are written down."""
    obligations: tuple[Obligation, ...] = ()
    """What every permit under the charter is bound to."""
    observation: Observation | None = None
    notes: tuple[str, ...] = ()
    """What the charter says and Cedar cannot, each as one sentence; all of it is refused."""

    def bound_to(self, tool: Tool | None) -> tuple[Obligation, ...]:
        """Return what a permit of this tool, or of no tool, is bound to."""
        return (*self.obligations, *(tool.obligations if tool else ()))


COMMON: Final = (
    Policy("deny", "input_incomplete", "input_complete", "", unless="context.facts.complete"),
    Policy(
        "deny",
        "input_version_unknown",
        "subject_verified",
        "",
        unless="context.facts.version_known",
    ),
    Policy(
        "deny",
        "tool_unclassified",
        "tool_classified",
        "",
        action=f"action == {names.action(names.UNCLASSIFIED_TOOL)}",
    ),
    Policy(
        "deny",
        "method_not_allowed",
        "mcp_methods",
        "",
        action=f"action == {names.action(names.OTHER)}",
    ),
)
"""What holds for every charter, and for subjects who have none."""


def compiled_stranger() -> Compiled:
    """Return the policies of a subject that no charter names."""
    return Compiled(named([*COMMON, Policy("deny", "subject_unknown", "subject_verified", "")]))


def compiled_incomplete(charter: Charter) -> Compiled:
    """Return the policies of a charter with faults, of which nothing is read but its subject."""
    principal = f"principal == {names.agent(charter['subject'])}"
    denial = Policy("deny", "charter_incomplete", "charter_complete", "", principal)
    return Compiled(named([*COMMON, denial]))


def compiled(charter: Charter, catalogue: Catalogue) -> Compiled:
    """Return a complete charter in Cedar."""
    scope = Scope(charter, catalogue)
    expires_ns = nanoseconds(charter["expires"])
    policies = [
        *COMMON,
        *boundary.conditions(scope, expires_ns),
        *boundary.systems(scope),
        *boundary.denials(scope),
        *boundary.allowances(scope),
        *waiting.flows(scope),
        *waiting.approvals(scope),
    ]
    observation = _observation(charter, expires_ns)
    return Compiled(named(policies), scope.obligations, observation, tuple(scope.notes))


def _observation(charter: Charter, expires_ns: int) -> Observation | None:
    if (said := charter.get("observe")) is None:
        return None
    until_ns = min(nanoseconds(said["until"]), expires_ns)
    return Observation(until_ns, said.get("high_impact") is True)


def nanoseconds(instant: str) -> int:
    """Return an RFC 3339 instant in whole seconds as nanoseconds since the Unix epoch."""
    return int(datetime.fromisoformat(instant).timestamp()) * 1_000_000_000
