"""What becomes of a call to one tool by the charter's own words, before anything else is known.

The answer of the rules for arguments within bounds, inside the hours, in a session that nothing has
happened in. Does not decide a call: engines do.
"""

from dataclasses import dataclass
from typing import Any

from gateway.core.charter_reach import asked
from gateway.core.fault import Path
from gateway.core.reach import Document, Touch


@dataclass(frozen=True, slots=True)
class Standing:
    """What becomes of calls to one tool."""

    effect: str
    """`permit`, `hold` or `deny`."""
    code: str
    """The reason code that the rules give for it."""
    because: Path | None = None
    """The entry of the charter that says so."""
    approval: Document | None = None
    """Whose word a hold waits for."""


def standing(charter: Document, touch: Touch) -> Standing:
    """Return what becomes of calls to one tool of a complete charter that has not expired."""
    if touch.denied_by:
        return Standing("deny", _denial_code(charter, touch.denied_by[0]), touch.denied_by[0])
    if not touch.classified:
        return Standing("deny", "tool_unclassified")
    if not touch.allowed_by:
        return Standing("deny", "tool_not_allowed")
    entries = [charter["approvals"][int(index)] for _, index in touch.approvals]
    if len(asked(entries)) > 1:
        return Standing("deny", "approval_ambiguous", touch.approvals[0])
    if entries:
        return Standing("hold", "approval_required", touch.approvals[0], entries[0])
    if touch.checks:
        # The permit would carry an obligation that this gateway cannot carry out.
        return Standing("deny", "pdp_obligation_unknown")
    return Standing("permit", "charter_allows", touch.allowed_by[0])


def _denial_code(charter: Document, path: Path) -> str:
    entry = at(charter, path)
    if entry == "all":
        return "system_denied"
    kind = next(iter(entry))
    return f"{kind.removesuffix('s')}_denied"


def at(document: Any, path: Path) -> Any:
    """Return what stands at a path.

    Raises:
        LookupError: nothing does.
    """
    for name in path:
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document
