"""What a verification found: the values of the verifier.

A log is called whole only as far as something held elsewhere vouches for it; of what comes after,
and of a log that only its own folder vouches for, nobody can know that nothing is missing
(checkpoints: https://c2sp.org/tlog-checkpoint). Imports core only, as the verifier does. Does not
check anything.
"""

from dataclasses import dataclass

from gateway.core.record import Receipt


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong, and where."""

    code: str
    """Stable. Of the lines: `segment_missing`, `segment_mismatch`, `torn_tail`, `record_damaged`,
    `seq_broken`. Of what records say: `outcome_without_intent`, `intent_repeated`,
    `call_id_missing`, `rotation_forged`, `archive_malformed`, `gap_malformed`, `start_malformed`,
    `start_missing`, `record_after_stop`. Of checkpoints:
    `checkpoint_malformed`, `checkpoint_order`, `checkpoint_origin`, `checkpoint_signature`,
    `checkpoint_mismatch`, `cosignature_invalid`, `forked`, `records_missing`, `rolled_back`,
    `frontier_unproven`, `key_unknown`; of a witness' times: `time_after_witness`,
    `backdated`. Of other files: `blob_missing`, `blob_damaged`,
    `blob_malformed`, `archive_damaged`, `gap_file_damaged`. Of the memory:
    `remembered_unchecked`."""
    seq: int
    """The record that is wrong or missing; of checkpoints, the first that no sound one covers."""
    segment: str
    """Name of the file."""
    line: int
    """From 1; 0 when it is the file as a whole."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that is not wrong, and that an auditor should know."""

    code: str
    """Stable: `clock_step`, `silence`, `time_unreadable`, `open_intents`, `key_unproven`,
    `checkpoints_missing`, `checkpoints_unchecked`, `checkpoint_torn`, `records_uncovered`,
    `records_unanchored`, `records_adopted`, `segments_deleted`, `blobs_deleted`, `gap`,
    `gap_file_missing`, `still_written`, `foreign_checkpoints` or `notices_left_off`."""
    seq: int
    """The record it is about."""
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
    checkpoints: int = 0
    """Checkpoints, wherever they are kept, that were checked and agree."""
    checkpoint_size: int = 0
    """Records that the largest of them covers."""
    anchored_size: int = 0
    """Records that a checkpoint covers which was kept elsewhere or cosigned by a known witness."""
    newest: str | None = None
    """The largest checkpoint that agrees, as it was signed: what to remember for the next time."""
    origin: str = ""
    """Name of the log; empty when it does not come to say it."""
    key: str = ""
    """Verifier key in force at the end, as the log says."""
    trusted: bool = False
    """Whether a key that the caller pinned signed one of these checkpoints."""
    closed_in_order: bool = False
    """Whether the last record is a `stop`."""
    first: int = 0
    """Seq of the first record here; larger than 0 when older segments were deleted."""
    gaps: int = 0
    """Times that a crash tore the end off, as the log tells."""
    notes: tuple[Notice, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether no fault was found."""
        return self.fault is None

    @property
    def verdict(self) -> str:
        """What may be said of the log: no more than what covers it allows."""
        if not self.sound:
            return "faulty"
        if self.anchored_size:
            last = self.anchored_size - 1
            if self.first:
                return f"records {self.first} to {last} (anchored)"
            return f"whole up to record {last} (anchored)"
        end = self.head.seq + 1 if self.head else 0
        if self.closed_in_order and self.checkpoint_size == end:
            return "closed"
        return "valid prefix, end unproven"
