"""How a log is kept: lengths, spans and watermarks, as settings say.

Does not keep anything.
"""

from dataclasses import dataclass, field

from gateway.evidence.space import Watermarks


@dataclass(frozen=True, slots=True)
class Plan:
    """How a log is kept; the defaults are those of settings."""

    origin: str = "bailiwick.invalid/gateway/0"
    """The log's name: gateway and worker (https://c2sp.org/tlog-checkpoint)."""
    segment_bytes: int = 64 * 1024 * 1024
    segment_seconds: float = 24 * 3600
    """Length and age at which a segment is sealed."""
    deadline_seconds: float = 5.0
    """Longest wait for one record to be durable."""
    checkpoint_records: int = 1000
    checkpoint_seconds: float = 1.0
    heartbeat_seconds: float = 60.0
    read_interval_seconds: float = 0.0
    """How long records of calls that only read may wait for their sync; 0: not at all."""
    watermarks: Watermarks = field(default_factory=Watermarks)
