"""One log and everything that goes on around it, as settings say: redaction, anchors, retention.

Opening blocks until the log is recovered; leaving closes the log first, so that its last checkpoint
is anchored too. Does not serve calls.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio

from gateway.background import background
from gateway.core.errors import SettingsError
from gateway.core.redaction import Redactor
from gateway.evidence.anchoring.anchors import connected
from gateway.evidence.plan import Plan
from gateway.evidence.recorder import Recorder
from gateway.evidence.retention.keeper import Keeper
from gateway.evidence.retention.stores import FolderStore, S3Store, Store
from gateway.evidence.sealing import Sealer
from gateway.evidence.signer import KeyRing
from gateway.evidence.space import Watermarks
from gateway.evidence.writer import SegmentWriter
from gateway.ports import Clock
from gateway.settings import Evidence, Retention

SHARD: Final = "0"
"""Names the one worker that there is so far: each has a log, an origin and a place of its own."""


@asynccontextmanager
async def kept_log(
    settings: Evidence,
    systems: Mapping[str, Mapping[str, Any]],
    clock: Clock,
    about: Mapping[str, Any],
) -> AsyncIterator[Recorder]:
    """Open the log of these settings.

    Args:
        settings: of the evidence.
        systems: the catalogue, which says what is redacted.
        clock: for the times of the log's own records.
        about: what the `start` record says about this run.

    Raises:
        EvidenceError, SettingsError: it cannot be opened.
    """
    keys, plan = KeyRing(settings.keys), _plan(settings)
    async with connected(settings, clock) as anchors, background() as tasks:
        writer = SegmentWriter.open(
            settings.folder, clock, keys, plan, about=about, anchors=anchors
        )
        redactor = Redactor(keys.redaction, systems)
        recorder = Recorder(writer, settings.folder, redactor, _sealer(settings), plan)
        tasks.start_soon(anchors.run)
        tasks.start_soon(
            _keeper(settings, recorder, clock).run,
            (settings.retention or Retention()).interval_seconds,
            lambda: max(anchors.confirmed().values(), default=None),
        )
        try:
            yield recorder
        finally:
            with anyio.CancelScope(shield=True):
                await recorder.close()
                await anchors.flush(settings.deadline_seconds)


def store_of(retention: Retention | None) -> Store | None:
    """Return where settings say that sealed segments are shipped to, None if nowhere.

    Raises:
        SettingsError: it cannot be a store.
    """
    if retention is None:
        return None
    if retention.folder is not None:
        return FolderStore(retention.folder / SHARD)
    return S3Store(
        f"{(retention.bucket or '').rstrip('/')}/{SHARD}",
        region=retention.region,
        endpoint=retention.endpoint,
        credentials=retention.credentials_file,
    )


def _keeper(settings: Evidence, recorder: Recorder, clock: Clock) -> Keeper:
    retention = settings.retention
    return Keeper(
        settings.folder,
        recorder.append,
        clock,
        store=store_of(retention),
        keep_days=retention.keep_days if retention else None,
    )


def origin_of(settings: Evidence) -> str:
    """Return the name of this worker's log."""
    return f"{settings.origin}/{SHARD}"


def _plan(settings: Evidence) -> Plan:
    space = settings.space
    return Plan(
        origin=origin_of(settings),
        segment_bytes=settings.segment_bytes,
        segment_seconds=settings.segment_seconds,
        deadline_seconds=settings.deadline_seconds,
        checkpoint_records=settings.checkpoint_records,
        checkpoint_seconds=settings.checkpoint_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        read_interval_seconds=settings.read_interval_seconds,
        watermarks=Watermarks(
            space.warn_percent,
            space.reads_only_percent,
            space.stop_percent,
            space.reserve_bytes,
        ),
    )


def _sealer(settings: Evidence) -> Sealer | None:
    path = settings.responder_key
    if path is None:
        return None
    try:
        return Sealer(path.read_text("ascii"))
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path}: the responder's key cannot be read") from exc
