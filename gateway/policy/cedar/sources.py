"""A bundle as Cedar files for people and for other Cedar engines: one a charter, and one schema.

The same bundle gives the same bytes. A file decides alone what its charter permits and denies;
that a permit waits for people, and what it is bound to, stands in annotations, which whoever runs
it must obey. Does not write files.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.policy.bundle import Bundle
from gateway.policy.cedar import policies
from gateway.policy.cedar.compile import Compiled
from gateway.policy.cedar.library import Library
from gateway.policy.cedar.names import literal

SCHEMA_FILE: Final = "schema.cedarschema"

_HOW_TO_READ: Final = (
    "What no policy permits is denied, and a forbid wins over every permit.",
    'A permit with @effect("hold") waits for the approval that its annotations name. A call that',
    "it fits is not permitted without one. Every other annotation of a permit binds it, too.",
    "The request is as schema.cedarschema says; the gateway finds out what is in its context.",
)


def sources(bundle: Bundle) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the files by name, and notes on what Cedar cannot say, which is refused.

    Raises:
        BundleError: a charter cannot be said in Cedar.
    """
    library = Library(bundle)
    stamp = f"// Bundle revision {literal(bundle.revision)}, {bundle.digest}.\n"
    files, notes = {SCHEMA_FILE: f"{stamp}\n{library.schema_source}"}, []
    for charter in library:
        compiled = library.compile(charter)
        notes += [f"charters/{charter}.yaml: {note}" for note in compiled.notes]
        head = "\n".join(_head(charter, bundle.charters[charter], compiled))
        files[f"{charter}.cedar"] = f"{head}\n{stamp}\n{policies.written(compiled.policies)}"
    return files, tuple(notes)


def _head(name: str, charter: Mapping[str, Any], compiled: Compiled) -> Iterator[str]:
    """Say what the file is; texts are quoted, as a line break would end the comment."""
    yield f"// Charter {literal(name)}, owner {_said(charter, 'owner')}."
    yield f"// Purpose: {_said(charter, 'purpose')}."
    yield "//"
    yield from (f"// {line}" for line in _HOW_TO_READ)
    if compiled.observation is not None:
        yield "//"
        yield "// The charter observes until the time it says: the gateway then lets through what"
        yield "// is denied here for want of a permission. No policy says that."
    if compiled.notes:
        yield "//"
        yield "// Not said in Cedar, and refused:"
        yield from (f"//   {literal(note)}" for note in compiled.notes)
    yield "//"


def _said(charter: Mapping[str, Any], member: str) -> str:
    value = charter.get(member)
    return literal(value) if isinstance(value, str) else "missing"
