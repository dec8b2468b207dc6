"""The numbered steps of a verification, noted as they are taken.

Verifiers say each step before they take it, so the last step said is the one that failed. The same
code that verifies thereby explains (`bailiwick identity check`). What is noted is never a token or
a proof, only what a person may read aloud. Does not verify.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Steps:
    """What a verification has come to. Owned by one verification."""

    taken: list[tuple[str, str]] = field(default_factory=list)
    """Title and finding of each step, in order; the finding is empty until there is one."""

    def at(self, title: str, finding: str = "") -> None:
        """Say that the next step begins, and what it looks at."""
        self.taken.append((title, finding))
