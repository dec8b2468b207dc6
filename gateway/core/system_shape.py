"""The shape of one system of the catalogue: what its operator says of it and of each tool.

A call is classified by this alone, so that everything is said, and said once; whatever cannot be
read refuses the bundle. `rego/schemas/system.json` says the same for editors. Does not know
charters, and does not know what a server says of its own tools.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.core.checks_of_values import (
    FLAG,
    TEXT,
    also,
    each,
    holds,
    members,
    named,
    one_of,
)
from gateway.core.decision import EFFECTS, IMPACTS
from gateway.core.fault import Fault, Path, dotted
from gateway.core.pointer import is_pointer

PROTOCOLS: Final = ("mcp", "http")
UNCLASSIFIED: Final = "unclassified"
"""The effect of a tool that nobody has judged yet: it has no class, and is denied to everyone."""
NEEDED_IMPACTS: Final = {"delete": "deletion", "escalate": "access"}
"""An effect that is a high impact by its nature; the catalogue must say so."""
OUTPUT_CHECKS: Final = ("secrets", "injection", "schema", "size")
CHECK_ACTIONS: Final = ("record", "redact", "block", "hold")

_OPERATION: Final = re.compile(r"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /\S*")
_MEANINGS: Final = {
    "owner": "who answers for the system",
    "domain": "which kind of data it holds, such as finance",
    "environment": "in which environment it runs",
    "protocol": f"{' or '.join(PROTOCOLS)}",
    "tools": "what it can do, tool by tool",
    "effect": f"what the tool does, or {UNCLASSIFIED}",
    "impacts": "what it risks, or []",
}


def system_shape_faults(system: Any) -> Iterator[Fault]:
    """Find everything that is wrong with one system of the catalogue."""
    return _SYSTEM((), system)


def _impacts(path: Path, tool: Mapping[str, Any]) -> Iterator[Fault]:
    effect, impacts = tool.get("effect"), tool.get("impacts")
    if not isinstance(effect, str) or not isinstance(impacts, list):
        return
    needed = NEEDED_IMPACTS.get(effect)
    if needed and needed not in impacts:
        must = f"`{path[-1]}` can {effect}, so its impacts must hold {needed}."
        yield Fault("impact_missing", (*path, "impacts"), must)
    if effect == UNCLASSIFIED and impacts:
        must = f"`{path[-1]}` is {UNCLASSIFIED}, so its impacts must be [] until it has an effect."
        yield Fault("unclassified_impact", (*path, "impacts"), must)


def _operations(path: Path, system: Mapping[str, Any]) -> Iterator[Fault]:
    tools = system.get("tools")
    seen: dict[str, str] = {}
    for name, tool in tools.items() if isinstance(tools, Mapping) else ():
        if not isinstance(tool, Mapping):
            continue
        where = (*path, "tools", str(name), "operation")
        operation = tool.get("operation")
        if system.get("protocol") == "http" and "operation" not in tool:
            must = f"`{dotted(where)}` is missing; say which request it is, such as GET /orders."
            yield Fault("member_missing", where, must)
        if system.get("protocol") == "mcp" and "operation" in tool:
            must = f"`{dotted(where)}` has no place in a system of protocol mcp; leave it out."
            yield Fault("operation_unexpected", where, must)
        if isinstance(operation, str) and seen.setdefault(operation, name) != name:
            must = f"`{dotted(where)}` is also the operation of `{seen[operation]}`; keep one."
            yield Fault("operation_twice", where, must)


_MARKS = named(
    one_of(("secret", "pii"), "redaction_class_unknown"),
    holds(is_pointer, "a JSON pointer such as /card/number", "pointer_invalid"),
)
_ACTION = one_of(CHECK_ACTIONS, "check_action_unknown")
_TOOL = also(
    members(
        {
            "effect": one_of((*EFFECTS, UNCLASSIFIED), "effect_unknown"),
            "impacts": each(one_of(IMPACTS, "impact_unknown"), empty=True),
        },
        {
            "domain": TEXT,
            "outward": FLAG,
            "untrusted": FLAG,
            "observable": FLAG,
            "operation": holds(
                lambda value: isinstance(value, str) and bool(_OPERATION.fullmatch(value)),
                "a method and a path, such as GET /orders/{id}",
                "operation_invalid",
            ),
            "redact": members({}, {"arguments": _MARKS, "result": _MARKS}),
            "checks": members({}, dict.fromkeys(OUTPUT_CHECKS, _ACTION), unknown="check_unknown"),
        },
        meanings=_MEANINGS,
    ),
    _impacts,
)
_SYSTEM = also(
    members(
        {
            "owner": TEXT,
            "domain": TEXT,
            "environment": TEXT,
            "protocol": one_of(PROTOCOLS, "protocol_unknown"),
            "tools": named(_TOOL),
        },
        {"untrusted": FLAG, "annotations_trusted": FLAG},
        meanings=_MEANINGS,
    ),
    _operations,
)
