"""A decision input as a Cedar request.

What is no policy is found out here and handed over as a fact: that the input is whole, of a known
version, which kind of call it is. A member of another kind than it must be is left out, and the
policies deny for want of it. Of the arguments only those go to Cedar that some charter bounds.
Does not decide: whatever an input says or lacks, there is a request.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.document import INPUT_VERSION
from gateway.policy.cedar import names, views
from gateway.policy.cedar.catalogue import Catalogue, Tool

PROTOCOL_METHODS: Final = frozenset(
    {
        "initialize",
        "ping",
        "server/discover",
        "logging/setLevel",
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/roots/list_changed",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "prompts/list",
        "stream/open",
        "session/end",
        "response",
    }
)
"""What the protocol needs to run at all, as the bundle's rules say it (`bailiwick.call`)."""

_LARGEST: Final = 2**63 - 1
_MINUTE_NS: Final = 60 * 1_000_000_000
_WEEK_MINUTES: Final = 7 * 24 * 60
_EPOCH_MINUTES: Final = 3 * 24 * 60
"""Minutes of the week at the Unix epoch, a Thursday."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of Cedar, and what the gateway must know to read the answer."""

    subject: str
    """Empty when the input names none."""
    request: dict[str, Any]
    time_ns: int | None
    tool: Tool | None
    """The classified tool that is called, if it is one."""
    classification: dict[str, Any] | None


def question(
    document: Mapping[str, Any], catalogue: Catalogue, bounded: Mapping[str, Iterable[str]]
) -> Question:
    """Return what is asked about this decision input."""
    sections = ("subject", "action", "resource", "context")
    subject, action, resource, context = (_section(document, name) for name in sections)
    subject_id = _text(subject.get("id"))
    system, name = _text(resource.get("system")), _text(resource.get("name"))
    is_tool = _is_tool_call(action, resource)
    tool = catalogue.find(system, name) if is_tool else None
    is_protocol = _is_protocol_call(action)
    request = {
        "principal": {"type": "Agent", "id": subject_id},
        "action": {"type": "Action", "id": _action(tool, is_tool, is_protocol)},
        "resource": {"type": "System", "id": system},
        "context": {
            "facts": _facts(document, context, catalogue.systems.get(system)),
            "session": _session(context.get("session")),
            **({"tool": name} if is_tool else {}),
            **({"arguments": _arguments(resource, bounded.get(tool.action, ()))} if tool else {}),
        },
    }
    classification = catalogue.protocol_class(system) if is_protocol else None
    return Question(
        subject_id,
        request,
        _instant(context.get("time")),
        tool,
        tool.as_class() if tool else classification,
    )


def complete(document: Mapping[str, Any]) -> bool:
    """Say whether every member that is not optional is there and of its kind."""
    sections = ("subject", "action", "resource", "context")
    subject, action, resource, context = (_section(document, name) for name in sections)
    session = _section(context, "session")
    texts = (
        *(subject.get(name) for name in ("id", "type", "issuer", "proof")),
        *(action.get(name) for name in ("name", "protocol")),
        *(resource.get(name) for name in ("type", "system")),
        context.get("call_id"),
    )
    lists = (
        *(subject.get(name) for name in ("flags", "scopes")),
        *(session.get(name) for name in ("systems", "domains_read")),
    )
    return (
        all(isinstance(text, str) and text for text in texts)
        and all(isinstance(item, list) for item in lists)
        and isinstance(resource.get("name"), str)
        and isinstance(resource.get("arguments"), dict)
        and _is_number(context.get("time"))
        and all(_is_count(session.get(name)) for name in ("calls", "calls_in_minute"))
        and isinstance(session.get("untrusted_input"), bool)
    )


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _integer(value: Any) -> int | None:
    return value if type(value) is int and -_LARGEST <= value <= _LARGEST else None


def _instant(value: Any) -> int | None:
    """Return a time cut to whole nanoseconds, which is before the same whole instants."""
    return _integer(math.floor(value) if isinstance(value, float) else value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_tool_call(action: Mapping[str, Any], resource: Mapping[str, Any]) -> bool:
    asked = (action.get("protocol"), action.get("name"), resource.get("type"))
    return asked == ("mcp", "tools/call", "tool")


def _is_protocol_call(action: Mapping[str, Any]) -> bool:
    return action.get("protocol") == "mcp" and _text(action.get("name")) in PROTOCOL_METHODS


def _action(tool: Tool | None, is_tool: bool, is_protocol: bool) -> str:
    if tool is not None:
        return tool.action
    if is_tool:
        return names.UNCLASSIFIED_TOOL
    return names.PROTOCOL if is_protocol else names.OTHER


def _facts(
    document: Mapping[str, Any], context: Mapping[str, Any], system: Mapping[str, Any] | None
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "complete": complete(document),
        "version_known": document.get("version") == INPUT_VERSION,
        "has_task": bool(_text(context.get("task"))),
    }
    if (time := _instant(context.get("time"))) is not None:
        facts["time"] = time
        # Hours are read from whole nanoseconds only.
        if time >= 0 and type(context["time"]) is int:
            facts["minute_of_week"] = (time // _MINUTE_NS + _EPOCH_MINUTES) % _WEEK_MINUTES
    if system is not None:
        facts["environment"] = system["environment"]
    return facts


def _session(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    facts: dict[str, Any] = {}
    for name in ("calls", "calls_in_minute"):
        if (count := _integer(value.get(name))) is not None:
            facts[name] = count
    domains = value.get("domains_read")
    if isinstance(domains, list) and all(isinstance(domain, str) for domain in domains):
        facts["domains_read"] = domains
    if isinstance(untrusted := value.get("untrusted_input"), bool):
        facts["untrusted_input"] = untrusted
    return facts


def _arguments(resource: Mapping[str, Any], bounded: Iterable[str]) -> dict[str, Any]:
    given = resource.get("arguments")
    if not isinstance(given, dict):
        return {}
    return {name: views.view(given[name]) for name in bounded if name in given}
