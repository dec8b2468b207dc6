"""What a charter says against the catalogue: does it exist, does it fit, has it an approver?

Complete means that every high impact that the charter can reach has an approver (design §5), and
that no entry is about something that is not there: a misspelt denial denies nothing. Takes charters
of which the members that it reads have a sound shape. Does not know the time.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gateway.core.fault import Fault, Path, dotted
from gateway.core.reach import Document, Systems, Touch, covering, covers, domains_of, touches
from gateway.core.system_shape import UNCLASSIFIED


def reach_faults(charter: Document, systems: Systems, broken: Collection[str]) -> Iterator[Fault]:
    """Find what does not go together.

    Args:
        charter: the charter.
        systems: the catalogue.
        broken: members of the charter that have a fault of shape; "" for the whole.
    """
    if "" in broken:
        return
    if not {"observe", "expires"} & set(broken):
        yield from _observe_faults(charter)
    if "systems" in broken:
        return
    domains = domains_of(systems)
    for name, bounds in charter["systems"].items():
        yield from _system_faults(charter, name, bounds, systems, domains)
    named = [systems[name] for name in charter["systems"] if name in systems]
    tools = {tool for system in named for tool in system["tools"]}
    for path, entry in _entries(charter, broken):
        yield from _unknown(path, entry, tools, domains)
    if not {"deny", "approvals"} & set(broken):
        for touch in touches(charter, systems):
            if touch.reachable:
                yield from _approver_faults(charter, touch)


def _entries(charter: Document, broken: Collection[str]) -> Iterator[tuple[Path, Document]]:
    """Return every entry that may name tools or domains of any system."""
    for member in ("deny", "approvals"):
        for index, entry in enumerate(charter.get(member, ()) if member not in broken else ()):
            yield (member, str(index)), entry
    for index, flow in enumerate(charter.get("flows", ()) if "flows" not in broken else ()):
        for part in ("after", "to"):
            yield ("flows", str(index), part), flow[part]


def _observe_faults(charter: Document) -> Iterator[Fault]:
    until = charter.get("observe", {}).get("until", "")
    # Both are RFC 3339 in UTC to the second, so they compare as texts.
    if until > charter["expires"]:
        must = "`observe.until` must not lie after `expires`; observing ends with the charter."
        yield Fault("observe_outlives", ("observe", "until"), must)


def _system_faults(
    charter: Document, name: str, bounds: Document, systems: Systems, domains: set[str]
) -> Iterator[Fault]:
    here = ("systems", name)
    if name not in systems:
        unknown = f"`{name}` is not in the systems catalogue; add systems/{name}.yaml or mend it."
        yield Fault("system_unknown", here, unknown)
        return
    system = systems[name]
    environment = charter.get("environment")
    if isinstance(environment, str) and system["environment"] != environment:
        differs = (
            f"`{name}` is in {system['environment']}, and the charter is for {environment}; "
            "a charter reaches one environment."
        )
        yield Fault("environment_mismatch", here, differs)
    for index, entry in enumerate(bounds.get("allow", ())):
        yield from _allow_faults((*here, "allow", str(index)), entry, name, system["tools"])
    if bounds.get("deny") != "all":
        for index, entry in enumerate(bounds.get("deny", ())):
            yield from _unknown((*here, "deny", str(index)), entry, system["tools"], domains)


def _unknown(
    path: Path, entry: Document, tools: Collection[str], domains: Collection[str]
) -> Iterator[Fault]:
    for pattern in entry.get("tools", ()):
        if pattern not in tools and not any(covers(pattern, tool) for tool in tools):
            unknown = f"`{pattern}` is no tool of the systems catalogue; mend it or leave it out."
            yield Fault("tool_unknown", (*path, "tools"), unknown)
    for domain in entry.get("domains", ()):
        if domain not in domains:
            unknown = f"`{domain}` is no domain of the systems catalogue; mend it or leave it out."
            yield Fault("domain_unknown", (*path, "domains"), unknown)


def _allow_faults(
    path: Path, entry: Document, name: str, tools: Mapping[str, Any]
) -> Iterator[Fault]:
    found = [*_unknown(path, entry, tools, ())]
    for pattern in entry["tools"]:
        effect = tools.get(pattern, {}).get("effect")
        if pattern.endswith("*") and set(entry["effects"]) != {"read"}:
            named = f"`{pattern}` may cover only reads; name each tool that does more."
            found.append(Fault("wildcard_effect", (*path, "tools"), named))
        elif effect == UNCLASSIFIED:
            never = f"`{pattern}` is unclassified, so it is denied; classify it for `{name}` first."
            found.append(Fault("tool_unclassified", (*path, "tools"), never))
        elif effect and effect not in entry["effects"]:
            never = f"`{pattern}` has the effect {effect}, which the entry does not allow."
            found.append(Fault("effect_mismatch", (*path, "effects"), never))
    yield from found or _unused_effects(path, entry, tools)


def _unused_effects(path: Path, entry: Document, tools: Mapping[str, Any]) -> Iterator[Fault]:
    covered = {tools[tool]["effect"] for tool in filter(covering(entry["tools"]), tools)}
    for effect in entry["effects"]:
        if effect not in covered:
            must = f"no tool of `{dotted(path)}` has the effect {effect}; leave it out."
            yield Fault("effect_unused", (*path, "effects"), must)


def _approver_faults(charter: Document, touch: Touch) -> Iterator[Fault]:
    here = touch.allowed_by[0]
    fitting = [charter["approvals"][int(index)] for _, index in touch.approvals]
    by_tool = any(
        covers(pattern, touch.tool) for entry in fitting for pattern in entry.get("tools", ())
    )
    for impact in touch.impacts:
        if not by_tool and not any(impact in entry.get("impacts", ()) for entry in fitting):
            nobody = (
                f"`{touch.tool}` has the impact {impact}, and no approval says whose word it "
                "needs; add one to `approvals`, or deny the tool."
            )
            yield Fault("approver_missing", here, nobody)
    if len(asked(fitting)) > 1:
        both = (
            f"`{touch.tool}` falls under approvals that differ, so it is never held for any; "
            "make them one."
        )
        yield Fault("approval_ambiguous", here, both)


def asked(entries: Sequence[Document]) -> set[tuple[Any, ...]]:
    """Return the different answers that these approvals ask for."""
    return {(entry["approvers"], entry["count"], entry["expires_seconds"]) for entry in entries}
