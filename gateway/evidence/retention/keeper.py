"""Retention: seal, compress, ship, read back, and only then delete here what is proven elsewhere.

A segment is deleted here only if all of this holds in the same pass: its compressed form was read
back from the store and is what the log says, so were its blobs; a checkpoint that covers it is
anchored, and the confirmation lies in the store; it is old enough; there is no legal hold; and
everything older is gone, so that what stays is one unbroken end of the log. The record comes before
the deed, which waits for a later pass and a checkpoint that covers the record: without one, nobody
would believe it, and the segment would be missing. A pass that fails is tried again at the next one
and never stops a call. State is what the log and the folder say (`holdings.py`). Does not delete
anything in a store.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.to_thread import run_sync

from gateway.core.errors import EvidenceError, GatewayError
from gateway.core.instant import iso
from gateway.core.record import Receipt
from gateway.evidence import disposal
from gateway.evidence.blobs import blob_path
from gateway.evidence.disk import sync_folder
from gateway.evidence.heads import newest_size
from gateway.evidence.retention.archive import (
    Append,
    Compressed,
    Files,
    archive_fields,
    describe,
    make,
    seal_of,
    settle,
)
from gateway.evidence.retention.hold import held as hold_on
from gateway.evidence.retention.holdings import Held, Holdings, blobs_of
from gateway.evidence.retention.shipping import blob_name, ship, ship_confirmation, verify
from gateway.evidence.retention.stores import Store
from gateway.evidence.segments import is_compressed, segments
from gateway.ports import Clock

DAY_NS: Final = 24 * 3600 * 10**9
_GRACE_NS: Final = 2 * 3600 * 10**9
"""Longer than a record may take to be durable: a blob put since then may still be named."""
_LOG = logging.getLogger(__name__)


def why_kept(
    held: Held, *, now_ns: int, keep_days: float | None, store: str | None, confirmed: int | None
) -> str | None:
    """Return why a segment stays here, for people; None if, by itself, it may go.

    Whether there is a legal hold, whether an older one stays, and whether the store still has it
    is for the caller to ask.
    """
    if held.compressed is None:
        return "not compressed"
    if not held.is_shipped(store):
        return "not shipped"
    if keep_days is None:
        return "no keep_days is set"
    if held.next_seq is None or held.sealed_ns is None:
        return "not known when it was sealed"
    if now_ns - held.sealed_ns < keep_days * DAY_NS:
        return f"younger than {keep_days:g} days"
    if confirmed is None or confirmed < held.next_seq:
        return "not anchored"
    return None


class Keeper:
    """Does what is due to the sealed segments of one log; used from one task, in the gateway.

    Args:
        folder: the log's folder.
        append: how the log takes a record.
        clock: for ages, and the times of records.
        store: where segments are shipped to; None: they are compressed and stay.
        keep_days: age, since the seal, at which a segment may go; None: never.
        files: the steps on disk, for tests that break them off.
    """

    def __init__(
        self,
        folder: Path,
        append: Append,
        clock: Clock,
        *,
        store: Store | None = None,
        keep_days: float | None = None,
        files: Files | None = None,
    ) -> None:
        self._folder, self._log, self._clock = folder, append, clock
        self._store, self._keep_days = store, keep_days
        self._files = files or Files()
        self._holdings: Holdings | None = None
        self._failures: dict[str, str] = {}
        self._said: dict[str, str] = {}

    @property
    def failures(self) -> Mapping[str, str]:
        """What could not be done in the last pass: code by segment, empty if all was done."""
        return dict(self._said)

    async def run(
        self,
        interval: float,
        confirmed: Callable[[], int | None],
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """Do a pass every `interval` seconds until cancelled.

        Args:
            interval: seconds between passes.
            confirmed: returns the size of the largest anchored checkpoint; None: no anchor.
            sleep: how to wait.
        """
        while True:
            try:
                await self.run_once(confirmed())
            except Exception:
                # Whatever it is: retention waits, calls do not.
                _LOG.exception("a pass of retention broke off")
            await sleep(interval)

    async def run_once(self, confirmed: int | None) -> None:
        """Compress, ship and delete what may be; failures are logged, once until they change."""
        self._failures = {}
        await self._attempt("the log", self._pass(confirmed))
        for what in self._failures.items() - self._said.items():
            _LOG.warning("retention of %s failed: %s", *what)
        for name in self._said.keys() - self._failures.keys():
            _LOG.info("retention of %s goes on", name)
        self._said = self._failures

    async def _pass(self, confirmed: int | None) -> None:
        if self._holdings is None:
            self._holdings = await run_sync(Holdings.read, self._folder)
        holdings = self._holdings
        for path in await self._complete():
            await self._attempt(path.name, self._compress(path, holdings))
        store = self._store
        if store is None:
            return
        for path in filter(is_compressed, await self._complete()):
            code = await self._attempt(path.name, self._ship(path, holdings.of(path), store))
            if code == "store_failed":
                break  # It would fail for the others too, each after its own patience.
        await self._delete_oldest(holdings, store, confirmed)

    async def _complete(self) -> list[Path]:
        """Return the segments that are not written to any more: never the newest."""
        return (await run_sync(segments, self._folder))[:-1]

    async def _compress(self, path: Path, holdings: Holdings) -> None:
        held = holdings.of(path)
        if not is_compressed(path) and await run_sync(seal_of, path) is None:
            raise EvidenceError(f"{path.name} is not sealed", code="segment_unsealed")
        if held.next_seq is None:
            await run_sync(holdings.take, path)
        if not is_compressed(path):
            made = await run_sync(make, path, self._files)
            append = None if held.compressed == made else self._append
            await settle(path, made, append, self._times(), self._files)
        elif held.compressed is None:
            made = await run_sync(describe, path)
            await self._record(held, "compressed", made)

    async def _ship(self, path: Path, held: Held, store: Store) -> None:
        if held.compressed is None or held.next_seq is None or held.is_shipped(store.name):
            return
        blobs = await run_sync(blobs_of, path)
        await run_sync(ship, self._folder, store, path, held.compressed, held.next_seq, blobs)
        # A crash here leaves it shipped and not recorded: it is compared and recorded next time.
        await self._record(held, "shipped", held.compressed, store=store.name)

    async def _delete_oldest(self, holdings: Holdings, store: Store, confirmed: int | None) -> None:
        if await run_sync(hold_on, self._folder):
            return  # Not a failure: somebody wants it so.
        # Read once: a checkpoint that comes meanwhile must not let a later segment go first.
        signed = await run_sync(newest_size, self._folder)
        for path in await self._complete():
            held = holdings.of(path)
            reason = why_kept(
                held,
                now_ns=self._clock.wall_ns(),
                keep_days=self._keep_days,
                store=store.name,
                confirmed=confirmed,
            )
            if reason or not is_compressed(path):
                return
            if held.deleted_seq is not None and signed <= held.deleted_seq:
                continue  # So do all later ones: their records come later.
            if await self._attempt(path.name, self._delete(path, held, holdings, store)):
                return

    async def _delete(self, path: Path, held: Held, holdings: Holdings, store: Store) -> None:
        made, next_seq = held.compressed, held.next_seq
        if made is None or next_seq is None:
            raise EvidenceError(f"{path.name} is not known", code="segment_unknown")
        await run_sync(_verify_all, store, path, made, held.blobs)
        covered_by = await run_sync(ship_confirmation, self._folder, store, next_seq)
        if covered_by is None:
            raise EvidenceError("no confirmation covers the segment", code="anchor_missing")
        # Once more, and last of all: reading back takes its time.
        if await run_sync(hold_on, self._folder):
            raise EvidenceError("a legal hold is in place", code="legal_hold")
        if held.deleted_seq is None:
            await self._record(held, "deleted", made, store=store.name, covered_by=covered_by)
            # A crash here leaves the record and the files, as meant: a later pass checks again.
            return
        await run_sync(self._remove, path, held, holdings)

    def _remove(self, path: Path, held: Held, holdings: Holdings) -> None:
        """Remove the blobs that only this segment names, then the segment, which names them."""
        before_ns = self._clock.wall_ns() - _GRACE_NS
        # Segments that are not complete are not in the holdings yet.
        later = [other for other in segments(self._folder) if holdings.of(other).next_seq is None]
        named = {digest for other in later for digest in blobs_of(other)}
        gone = [blob_path(self._folder, digest) for digest in held.blobs - named]
        for blob in gone:
            disposal.remove(blob, before_ns)
        for parent in {blob.parent for blob in gone if blob.parent.exists()}:
            sync_folder(parent)
        # A crash here leaves the segment, from which the next pass learns its blobs again.
        self._files.unlink(path)
        holdings.forget_blobs(held)

    async def _attempt(self, what: str, step: Awaitable[None]) -> str | None:
        """Wait for a step; return the code of its failure, None if it did not fail."""
        try:
            await step
        except GatewayError as exc:
            code, why = exc.reason_code, exc.message
        except OSError as exc:
            code, why = "disk_failed", str(exc.strerror)
        else:
            return None
        self._failures[what] = f"{code}: {why}"
        return code

    async def _record(
        self,
        held: Held,
        action: str,
        made: Compressed,
        *,
        store: str | None = None,
        covered_by: int | None = None,
    ) -> None:
        fields = archive_fields(held.segment, action, made, store=store, covered_by=covered_by)
        await self._append("archive", {**self._times(), **fields})

    async def _append(self, kind: str, fields: Mapping[str, Any]) -> Receipt:
        receipt = await self._log(kind, fields)
        if self._holdings is not None:
            self._holdings.note(fields, receipt.seq)
        return receipt

    def _times(self) -> dict[str, Any]:
        now = self._clock
        return {"time": iso(now.wall_ns()), "monotonic_ns": now.monotonic_ns()}


def _verify_all(store: Store, path: Path, made: Compressed, blobs: set[str]) -> None:
    verify(store, path.name, made.digest)
    for digest in sorted(blobs):
        verify(store, blob_name(digest), digest)
