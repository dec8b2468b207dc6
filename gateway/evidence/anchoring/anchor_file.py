"""An anchor that is a file, on another volume or host: the checkpoints of one log, a line each.

The file remembers only if it lies where whoever can rewrite the log cannot rewrite it too. Before a
checkpoint is appended, the newest one there must be that of our own tree at its size. A folder that
is missing is not made: a volume that is not mounted must not look like an empty anchor. Does not
sign, and does not read older lines.
"""

import threading
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from anyio import to_thread

from gateway.core.canonical import dumps, parse_object
from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import GatewayError
from gateway.core.merkle import Nodes, root_at
from gateway.core.note import Note
from gateway.evidence.anchoring.anchor import AnchorError, checked, conflict, continuing
from gateway.evidence.anchoring.durable import append_line, last_line

DEADLINE_SECONDS: Final = 5.0
"""A volume that does not answer by then has failed; network mounts may hang for hours."""


class FileAnchor:
    """A file on another volume.

    Args:
        name: what settings call it.
        path: the file; made if missing, with mode 0600.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._busy = threading.Lock()

    async def deliver(self, note: str, size: int, nodes: Nodes) -> str:
        """See `Anchor.deliver`; returns the note itself."""
        work = partial(self._deliver, note, size, nodes)
        try:
            with anyio.fail_after(DEADLINE_SECONDS):
                return await to_thread.run_sync(work, abandon_on_cancel=True)
        except TimeoutError as exc:
            raise AnchorError(f"anchor {self.name}: the file does not answer") from exc

    def _deliver(self, note: str, size: int, nodes: Nodes) -> str:
        # A write that hangs still goes on after it was given up; no other may run beside it.
        if not self._busy.acquire(blocking=False):
            raise AnchorError(f"anchor {self.name}: the file still does not answer")
        try:
            if not self._path.parent.is_dir():
                raise AnchorError(
                    f"anchor {self.name}: the folder {self._path.parent} is missing; is its volume "
                    "mounted?"
                )
            ours = checked(note, size, nodes)
            if not self._remembers(ours, nodes):
                append_line(self._path, dumps({"size": size, "note": note}))
            return note
        except OSError as exc:
            raise AnchorError(f"anchor {self.name}: {exc.strerror}") from exc
        finally:
            self._busy.release()

    def _remembers(self, ours: Checkpoint, nodes: Nodes) -> bool:
        """Say whether our checkpoint is the newest there; False if it may follow that one."""
        newest = self._newest()
        if newest is None:
            return False
        if newest.origin != ours.origin:
            raise conflict(self.name, f"the file holds another log, {newest.origin}")
        if newest.size > ours.size:
            raise conflict(self.name, f"it remembers {newest.size} records, we have {ours.size}")
        continuing(ours, newest.size, nodes)
        if newest.root != root_at(nodes, newest.size):
            raise conflict(self.name, f"it remembers another log of {newest.size} records")
        return newest.size == ours.size

    def _newest(self) -> Checkpoint | None:
        raw = last_line(self._path)
        if raw is None:
            return None
        try:
            return Checkpoint.parse(Note.parse(str(parse_object(raw).get("note"))).text)
        except GatewayError as exc:
            raise AnchorError(f"anchor {self.name}: the last line is no checkpoint") from exc
