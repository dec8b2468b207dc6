"""The Cedar schema of a bundle: who may ask for what, and what is known when it is asked.

One action a classified tool, under the parents that say what it does; each action has exactly the
arguments that some charter bounds, as typed views. Policies and requests are both held against it.
Does not hold policies.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from gateway.core.decision import EFFECTS, IMPACTS
from gateway.policy.cedar import names
from gateway.policy.cedar.catalogue import Catalogue, Tool

Bounded = Mapping[str, tuple[str, ...]]
"""By the action of a tool, the names of the arguments that some charter bounds."""

_TYPES: Final = """\
// An agent, by the subject of its charter.
entity Agent;
// A system, by its name in the catalogue.
entity System;

// What the gateway found out about the call. A member that is not there could not be read.
type Facts = {
  // Every member of the decision input that is not optional is there and of its kind.
  complete: Bool,
  // The input is of the version that these policies are written for.
  version_known: Bool,
  // Nanoseconds since the Unix epoch, UTC.
  time?: Long,
  // Minutes since Monday 00:00, UTC.
  minute_of_week?: Long,
  // The environment of the system, if the catalogue has it.
  environment?: String,
  // The call names the task that it belongs to.
  has_task: Bool,
};

// What the agent did before; counts hold the call that is being decided.
type Session = {
  calls?: Long,
  calls_in_minute?: Long,
  domains_read?: Set<String>,
  untrusted_input?: Bool,
};

// An argument, by what it can be read as: nothing if Cedar has no type that holds it exactly.
type View = {
  text?: String,
  // The text, unless it holds `..`, a backslash or a NUL, or `.`, `/` or a backslash by percent:
  // as a path it stays below the beginning it has.
  path?: String,
  number?: decimal,
  truth?: Bool,
  address?: ipaddr,
};
"""


def bounded_arguments(
    charters: Iterable[Mapping[str, Any]], catalogue: Catalogue
) -> dict[str, tuple[str, ...]]:
    """Return by action the names of the arguments that one of these complete charters bounds."""
    found: dict[str, set[str]] = {}
    for charter in charters:
        for system, said in charter["systems"].items():
            for entry in said.get("allow", ()):
                if bounds := entry.get("arguments"):
                    for tool in catalogue.covered(system, entry):
                        found.setdefault(tool.action, set()).update(bounds)
    return {action: tuple(sorted(names)) for action, names in found.items()}


def needed(catalogue: Catalogue, bounded: Bounded, named: Collection[Tool]) -> list[Tool]:
    """Return the tools that policies naming only these must be validated against.

    Of the others, one stands for all that have the same parents and arguments: where no policy
    names them, they differ in nothing that a policy could see.
    """
    found = {(tuple(tool.groups), bounded.get(tool.action)): tool for tool in catalogue}
    return list(dict.fromkeys([*named, *found.values()]))


def written(catalogue: Catalogue, bounded: Bounded, tools: Iterable[Tool] | None = None) -> str:
    """Return the schema as Cedar source, with an action for each of these tools, or for all."""
    groups = [
        *(names.group("effect", effect) for effect in EFFECTS),
        *(names.group("impact", impact) for impact in IMPACTS),
        *(names.group("domain", domain) for domain in sorted(catalogue.domains)),
        names.OUTWARD,
    ]
    parts = [
        _TYPES,
        "// Parents of the actions below.",
        f"action {names.literal(names.CALL_TOOL)};",
        f"action {names.literal(names.CLASSIFIED_TOOL)} in {_references([names.CALL_TOOL])};",
        *(f"action {names.literal(group)};" for group in groups),
        "",
        "// What is no call of a classified tool.",
        _action(names.PROTOCOL, [], "{ facts: Facts, session: Session }"),
        _action(names.OTHER, [], "{ facts: Facts, session: Session }"),
        _action(
            names.UNCLASSIFIED_TOOL,
            [names.CALL_TOOL],
            "{ facts: Facts, session: Session, tool: String }",
        ),
        "",
        "// One action a tool of the catalogue.",
        *(
            _tool(tool, bounded.get(tool.action, ()))
            for tool in (catalogue if tools is None else tools)
        ),
    ]
    return "\n".join(parts) + "\n"


def _tool(tool: Tool, bounded: Iterable[str]) -> str:
    views = ", ".join(f"{names.literal(name)}?: View" for name in bounded)
    arguments = f"{{ {views} }}" if views else "{}"
    context = f"{{ facts: Facts, session: Session, tool: String, arguments: {arguments} }}"
    return _action(tool.action, tool.groups, context)


def _action(name: str, parents: list[str], context: str) -> str:
    above = f" in {_references(parents)}" if parents else ""
    return (
        f"action {names.literal(name)}{above} appliesTo {{\n"
        f"  principal: Agent,\n  resource: System,\n  context: {context}\n}};"
    )


def _references(actions: Iterable[str]) -> str:
    return names.listed(map(names.action, actions))
