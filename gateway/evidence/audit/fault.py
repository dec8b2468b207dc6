"""How a check of the verifier ends: with the first fault.

Imports core and the report only. Does not check anything.
"""

from pathlib import Path

from gateway.evidence.report import Fault


class Faulty(Exception):
    """Ends a check; carries the fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.sentence)
        self.fault = fault


def faulty(code: str, seq: int, path: Path | str, line: int, sentence: str) -> Faulty:
    """Return what to raise for a fault in a file; see `Fault` for the members."""
    where = path if isinstance(path, str) else path.name
    return Faulty(Fault(code, seq, where, line, sentence))
