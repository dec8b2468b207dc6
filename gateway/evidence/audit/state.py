"""What the records of a segment so far amount to.

Rules (`kinds.py`, `runs.py`) change it, in the order of the log. It may travel between processes,
and holds nothing that grows with more than one segment. Roots: RFC 6962 §2.1,
https://www.rfc-editor.org/rfc/rfc6962#section-2.1. Does not judge.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.core.merkle import Frontier
from gateway.core.note import VerifierKey
from gateway.evidence.audit.fault import Faulty, faulty
from gateway.evidence.report import Fault, Notice

MAX_NOTICES: Final = 1000
"""Most notices of a report; the rest are counted."""
UNKNOWN: Final = "unknown"
"""Whether a run is on is not known where a segment begins: only the one before it tells."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a record says of a segment that was deleted."""

    first: int
    """First seq of the segment."""
    seq: int
    """Of the record."""
    covered_by: Any
    """Size of the anchored checkpoint that proved the segment, if it is what it should be."""


class State:
    """What the records so far amount to, within one segment."""

    def __init__(self, folder: Path, path: Path, seq: int) -> None:
        self.folder, self.path = folder, path
        self.first, self.seq, self.line = seq, seq, 0
        """Seq of the segment's first record and of the next; number of the line being checked."""
        self.origin = ""
        self.epoch = 0
        self.verifier: VerifierKey
        """The key in force."""
        self.keys: list[tuple[int, str]] = []
        """Each key in force within this segment, with the seq from which it is."""
        self.peaks: list[bytes] = []
        """Roots of the perfect subtrees of the tree over the records so far, largest first."""
        self.open_calls: set[str] = set()
        self.sealed = False
        self.orphaned = 0
        self.kind = "segment"
        """Of the last record."""
        self.archives: dict[int, str] = {}
        """Digest of each compressed segment that records tell of, by the segment's first seq."""
        self.deleted: list[Deletion] = []
        """What records say was deleted; believed only if they are covered (`sum.py`)."""
        self.missing: Fault | None = None
        """The first blob that is missing; in order if the log says that it deleted the segment, and
        a crash came between its blobs and the segment itself."""
        self.lost = 0
        """Records whose blob is missing."""
        self.blobs: set[str] = set()
        """Digests of the blobs that were checked."""

        self.awaited = UNKNOWN if seq else "start_missing"
        """Code of the fault if another record than a `start` follows; empty within a run."""
        self.opening: tuple[str, int, int] | None = None
        """Kind, seq and line of the first record that tells whether the segment began in a run."""
        self.notices: list[Notice] = []
        self.left_off = 0

    def tell(self, code: str, sentence: str) -> None:
        """Note something about the record being checked; what is too much is counted."""
        if len(self.notices) < MAX_NOTICES:
            self.notices.append(Notice(code, self.seq, sentence))
        else:
            self.left_off += 1

    def root(self) -> bytes:
        """Return the root over the records so far."""
        return Frontier.of(self.seq, self.peaks).root()

    def fault(self, code: str, sentence: str) -> Faulty:
        """Return what to raise for the record being checked."""
        return faulty(code, self.seq, self.path, max(self.line, 1), sentence)
