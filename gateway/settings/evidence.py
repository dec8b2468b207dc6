"""`[evidence]` and its tables: where evidence is kept, and how.

Does not open what it names.
"""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from gateway.settings.kinds import Name, Percent, Positive, Seconds


class Anchor(Struct, frozen=True, forbid_unknown_fields=True):
    """`[[evidence.anchors]]`: a second place that remembers our checkpoints: file or witness."""

    name: Name
    path: Path | None = None
    """File on another volume or host, which every checkpoint is appended to."""
    url: str | None = None
    """Submission prefix of a witness (https://c2sp.org/tlog-witness): https, http on loopback."""
    key: str | None = None
    """The witness' verifier key (vkey), as `bailiwick witness keygen` prints it."""


class Space(Struct, frozen=True, forbid_unknown_fields=True):
    """`[evidence.space]`: what a disk that fills up still takes, in percent that must be free."""

    warn_percent: Percent = 20.0
    reads_only_percent: Percent = 10.0
    stop_percent: Percent = 5.0
    reserve_bytes: Annotated[int, Meta(ge=0)] = 64 * 1024 * 1024
    """Room kept free so that records of what was begun still fit."""


class Retention(Struct, frozen=True, forbid_unknown_fields=True):
    """`[evidence.retention]`: where sealed segments go, and when they leave this disk."""

    folder: Path | None = None
    """A second folder that sealed segments are copied to."""
    bucket: str | None = None
    """`s3://BUCKET/PREFIX` instead."""
    credentials_file: Path | None = None
    """AWS credentials file; without it, the environment or the instance says who we are."""
    endpoint: str | None = None
    """URL of an S3-compatible server that is not AWS."""
    region: str = "us-east-1"
    keep_days: Annotated[float, Meta(ge=0)] | None = None
    """Age at which a shipped and anchored segment is deleted here; never, if not given."""
    interval_seconds: Seconds = 60.0


class Evidence(Struct, frozen=True, forbid_unknown_fields=True):
    """`[evidence]`: where evidence is kept, and how."""

    folder: Path
    keys: Path
    """Folder of the signing keys, outside the evidence; `bailiwick evidence keygen` makes it."""
    origin: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._/-]{1,200}\Z")] = (
        "bailiwick.invalid/gateway"
    )
    """Name of the log, like a URL without its scheme (https://c2sp.org/tlog-checkpoint)."""
    segment_bytes: Annotated[int, Meta(ge=64 * 1024)] = 64 * 1024 * 1024
    segment_seconds: Annotated[float, Meta(ge=1)] = 24 * 3600.0
    deadline_seconds: Seconds = 5.0
    """Longest wait for a record to be durable; a disk that hangs counts as failed."""
    checkpoint_records: Positive = 1000
    checkpoint_seconds: Seconds = 1.0
    heartbeat_seconds: Seconds = 60.0
    read_interval_seconds: Annotated[float, Meta(ge=0, le=10)] = 0.0
    """How long records of calls that only read may wait for their sync; 0: each is synced."""
    responder_key: Path | None = None
    """Public key that redacted values are sealed to; only its private half opens them."""
    anchors: tuple[Anchor, ...] = ()
    space: Space = Space()
    retention: Retention | None = None
