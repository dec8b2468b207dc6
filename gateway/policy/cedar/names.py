"""Text of others as Cedar source: string literals, patterns, references to actions and entities.

Whatever a charter or the catalogue says ends up between two quotes and cannot leave them, so that
no name, path or comment becomes policy. https://docs.cedarpolicy.com/policies/syntax-grammar.html
Does not know charters.
"""

from collections.abc import Iterable
from typing import Final

CALL_TOOL: Final = "call_tool"
"""Parent of every action that is a tool call."""
CLASSIFIED_TOOL: Final = "classified_tool"
"""Parent of every action that is a call of a tool with a class."""
OUTWARD: Final = "outward"
"""Parent of the tools whose arguments leave the house."""
UNCLASSIFIED_TOOL: Final = "unclassified_tool"
"""The action of every tool call that the catalogue says nothing about."""
PROTOCOL: Final = "protocol"
"""The action of what the protocol needs to run at all."""
OTHER: Final = "other"
"""The action of everything else."""

_ESCAPED: Final = {'"': '\\"', "\\": "\\\\"}


def literal(value: str) -> str:
    """Return a Cedar string literal of this text."""
    return f'"{_inside(value)}"'


def escaped_pattern(value: str) -> str:
    """Return the part of a `like` pattern that matches this text and no other."""
    return _inside(value).replace("*", "\\*")


def tool_action(system: str, tool: str) -> str:
    """Return the name of a tool's action. No system's name holds `/`: it is that of a file."""
    return f"{system}/{tool}"


def group(kind: str, name: str) -> str:
    """Return the name of the action that is the parent of every tool of one kind."""
    return f"{kind}:{name}"


def action(name: str) -> str:
    """Return the reference to an action."""
    return f"Action::{literal(name)}"


def agent(subject: str) -> str:
    """Return the reference to an agent."""
    return f"Agent::{literal(subject)}"


def system(name: str) -> str:
    """Return the reference to a system."""
    return f"System::{literal(name)}"


def listed(items: Iterable[str]) -> str:
    """Return a Cedar list."""
    return f"[{', '.join(items)}]"


def _inside(value: str) -> str:
    return "".join(map(_character, value))


def _character(character: str) -> str:
    if character in _ESCAPED:
        return _ESCAPED[character]
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"
