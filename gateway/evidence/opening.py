"""Opening a log: lock, keys, recovery, and the records that say that a run begins.

Nothing is served before a `start` record is durable, with it whatever a crash left to be said, and,
if there is a newer signing key, the hand-over to it. A key that is not the log's own is refused:
nobody could tell such a log from a forged one. Does not append calls (`writer.py`).
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gateway.core.errors import EvidenceUnavailable, SettingsError
from gateway.core.instant import iso
from gateway.evidence.appender import Appender
from gateway.evidence.disk import Disk, hold_lock, make_folder
from gateway.evidence.draft import Entry, NotWritten
from gateway.evidence.heads import Heads
from gateway.evidence.plan import Plan
from gateway.evidence.recovery import Recovered, recover, told
from gateway.evidence.signer import KeyRing, Signer
from gateway.evidence.space import Space
from gateway.evidence.tree import NodeFile
from gateway.ports import Clock


class Anchoring(Protocol):
    """What checkpoints are offered to (`anchors.py`)."""

    def offer(self, note: str, size: int) -> None:
        """Take a checkpoint to deliver; does not block."""
        ...

    def confirmed(self) -> Mapping[str, int]:
        """Return the size of the newest checkpoint that each anchor confirmed."""
        ...


class NoAnchors:
    """The log is anchored nowhere."""

    def offer(self, note: str, size: int) -> None:
        """Let the checkpoint go."""

    def confirmed(self) -> Mapping[str, int]:
        """Return nothing."""
        return {}


@dataclass(frozen=True, slots=True)
class Log:
    """The parts of an open log; used by the writer's thread."""

    appender: Appender
    heads: Heads
    space: Space
    anchors: Anchoring
    clock: Clock

    def times(self) -> dict[str, Any]:
        """Return the times of a record of the log's own."""
        return {"time": iso(self.clock.wall_ns()), "monotonic_ns": self.clock.monotonic_ns()}


def open_log(
    folder: Path,
    clock: Clock,
    keys: KeyRing,
    plan: Plan,
    about: Mapping[str, Any],
    anchors: Anchoring,
    disk: Disk,
    stack: ExitStack,
) -> Log:
    """Open a log for writing; what must be closed is on the stack. See `SegmentWriter.open`."""
    try:
        make_folder(folder)
        stack.callback(os.close, hold_lock(folder))
        space = Space(folder, plan.watermarks, clock)
        space.reserve()
        tree = NodeFile(folder, disk)
        stack.callback(tree.close)
        end = recover(folder, tree)
        signer = _signer(keys, plan.origin, end)
        appender = Appender(folder, clock, disk, signer, space, tree, end, plan)
        stack.callback(appender.close)
        heads = Heads(folder, disk, signer, plan, anchors.offer, clock.monotonic_ns())
        stack.callback(heads.close)
        log = Log(appender, heads, space, anchors, clock)
        _begin(log, end, {**about, "heartbeat_seconds": plan.heartbeat_seconds})
        told(folder, end.gaps)
        _take_over(log, keys, signer)
    except OSError as exc:
        raise EvidenceUnavailable(f"{folder}: {exc.strerror}") from exc
    return log


def _signer(keys: KeyRing, origin: str, end: Recovered) -> Signer:
    """Return the signer of the epoch in force.

    Raises:
        SettingsError: the log has another name, or another key than the folder of keys.
    """
    if end.origin is None:
        return keys.signer(origin, keys.epochs[-1])
    if end.origin != origin:
        raise SettingsError(
            f"evidence.origin is {origin}, but the log in the folder is that of {end.origin}; "
            "a log keeps its name: choose another folder"
        )
    if end.epoch not in keys.epochs:
        raise SettingsError(
            f"the signing key of epoch {end.epoch} is missing; the log goes on only with it"
        )
    signer = keys.signer(origin, end.epoch)
    if str(signer.verifier) != end.key:
        raise SettingsError(
            f"the signing key of epoch {end.epoch} is not the one that the log names"
        )
    return signer


def _begin(log: Log, end: Recovered, about: Mapping[str, Any]) -> None:
    """Record the start of this run, and what is left of the run before it."""
    times = log.times()
    entries: list[Entry] = [("start", {**times, **about, "adopted": end.adopted})]
    entries += [("gap", {**times, **gap}) for gap in end.gaps]
    entries += [("outcome", _orphaned(times, call_id)) for call_id in end.open_calls]
    _write(log, entries)


def _orphaned(times: Mapping[str, Any], call_id: str) -> dict[str, Any]:
    return {**times, "call_id": call_id, "status": "orphaned"}


def _take_over(log: Log, keys: KeyRing, old: Signer) -> None:
    """Hand over to the newest key, if it is not the one in force, and destroy the old ones."""
    newest = keys.signer(old.origin, keys.epochs[-1])
    if newest.epoch != old.epoch:
        handed = {
            "epoch": newest.epoch,
            "key": str(newest.verifier),
            "previous_key": str(old.verifier),
            "signature": old.hand_over(newest.epoch, newest.verifier),
        }
        # The old key's last word: everything up to the record that hands over.
        log.appender.sync()
        log.heads.sign(log.appender.frontier, log.clock.monotonic_ns())
        _write(log, [("key-rotate", {**log.times(), **handed})])
        # A crash here leaves the old key beside the new: the next start destroys it.
        log.appender.signer = log.heads.signer = newest
    for epoch in [epoch for epoch in keys.epochs if epoch < newest.epoch]:
        keys.destroy(epoch)


def _write(log: Log, entries: list[Entry]) -> None:
    for answer in log.appender.append(entries):
        if isinstance(answer, NotWritten):
            raise EvidenceUnavailable(answer.why)
