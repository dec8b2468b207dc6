"""What a verification found: the values of `verify.py`.

A report never says that a log is whole: without a checkpoint held elsewhere nobody can know that
(checkpoints: https://c2sp.org/tlog-checkpoint). Imports core only, as the verifier does. Does not
check anything.
"""

from dataclasses import dataclass

from gateway.core.record import Receipt


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong, and where."""

    code: str
    """Stable: `segment_missing`, `segment_mismatch`, `torn_tail`, `record_damaged`, `seq_broken`,
    `outcome_without_intent`, `intent_repeated` or `call_id_missing`."""
    seq: int
    """The record that is wrong or missing."""
    segment: str
    line: int
    """From 1; 0 when it is the segment as a whole."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a log holds, up to its end or its first fault."""

    records: int
    calls: int
    """Intents."""
    outcomes: int
    """Orphaned ones included."""
    refusals: int
    orphaned: int
    """Outcomes written at a start for calls whose end nobody saw."""
    open_intents: int
    segments: int
    """Segments that were read, the one with the fault included."""
    head: Receipt | None
    """The last valid record."""
    fault: Fault | None

    @property
    def sound(self) -> bool:
        """Whether no fault was found."""
        return self.fault is None

    @property
    def verdict(self) -> str:
        """What may be said of the log; without a checkpoint, never that it is whole."""
        return "valid prefix, end unproven" if self.sound else "faulty"
