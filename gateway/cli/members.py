"""Reading members of foreign documents, whatever their shape.

A record or a charter may come from another version or from an unsteady hand: a member that is not
there, or is something else than expected, reads as nothing and never stops a command. Does not
print: see `output.py`.
"""

from collections.abc import Mapping
from typing import Any

from gateway.core.canonical import dumps


def member(document: Any, *path: str) -> Any:
    """Return the member at this path, None if there is none."""
    for name in path:
        if not isinstance(document, Mapping):
            return None
        document = document.get(name)
    return document


def words(document: Any, *path: str) -> str:
    """Return the member at this path as text: itself, or its JSON; empty if there is none."""
    value = member(document, *path)
    if value is None or isinstance(value, str):
        return value or ""
    return dumps(value).decode("utf-8")


def elements(document: Any, *path: str) -> list[Any]:
    """Return the elements of the list at this path; none if it is no list."""
    value = member(document, *path)
    return value if isinstance(value, list) else []
