"""A fault: one thing that is missing or wrong in a document that people write.

Told in one sentence that says what to do, with a place that a person can find and a code that a
machine can count. Does not find faults.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Path = tuple[str, ...]
"""Names of members and numbers of list entries, from the outside in; empty for the whole."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is missing or wrong, in one sentence for the person who can mend it."""

    code: str
    """Stable, for machines."""
    path: Path
    """Of the member, or of where it should be."""
    sentence: str

    @property
    def where(self) -> str:
        """The path with dots, for people; empty for the whole document."""
        return dotted(self.path)

    def as_data(self) -> dict[str, str]:
        """Return what the policy's data, and `--json`, say of it."""
        return {"code": self.code, "where": self.where, "sentence": self.sentence}


def dotted(path: Sequence[str]) -> str:
    """Return a path for people, `systems.shop.allow.0`."""
    return ".".join(map(str, path))
