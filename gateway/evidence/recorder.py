"""What stands before the writer: nothing reaches the disk that has not passed redaction.

Implements `gateway.ports.EvidenceLog`. Marked values and what looks like a secret are replaced;
with a responder's key the originals are sealed to it, so that the gateway writes what it cannot
read; long bodies become blobs, durable before the record that names them. A record that cannot be
redacted is not written, and its call is refused. Does not write lines (`writer.py`), does not find
secrets (`core.redaction`).
"""

import base64
import errno
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread

from gateway.core.answer import KEPT_BYTES
from gateway.core.canonical import dumps
from gateway.core.errors import EvidenceError, EvidenceUnavailable
from gateway.core.marks import Catalogue
from gateway.core.record import Receipt
from gateway.core.redaction import Redacted, Redactor
from gateway.evidence import blobs
from gateway.evidence.plan import Plan
from gateway.evidence.sealing import Sealer
from gateway.evidence.writer import SegmentWriter

BODY: Final = "/body"
T = TypeVar("T")
FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_LOG = logging.getLogger(__name__)


def record_info(origin: str, call_id: str, kind: str) -> bytes:
    """Return what binds sealed data to its record (docs/evidence.md)."""
    return f"bailiwick/record\n{origin}\n{call_id}\n{kind}".encode()


class Recorder:
    """The `EvidenceLog` port: redact, seal, keep bodies, then append."""

    def __init__(
        self,
        writer: SegmentWriter,
        folder: Path,
        redactor: Redactor,
        sealer: Sealer | None,
        plan: Plan,
        put: Callable[[Path, bytes], str] = blobs.put,
    ) -> None:
        self._writer, self._folder, self._put_blob = writer, folder, put
        self._redactor, self._sealer, self._origin = redactor, sealer, plan.origin
        self._deadline = plan.deadline_seconds
        # Of its own, so that much to redact keeps nobody else from a thread.
        self._heavy = anyio.CapacityLimiter(2)
        self._disk = anyio.CapacityLimiter(8)
        self._secrets: dict[str, tuple[str, ...]] = {}
        """What was redacted of each open call so far: its answer may echo it."""
        self._since: dict[str, Catalogue] = {}
        """What marked when each open call began: its answer may come two catalogues later."""

    async def append(
        self, kind: str, fields: Mapping[str, Any], *, effect: str | None = None
    ) -> Receipt:
        """See `EvidenceLog.append`."""
        call_id = str(fields.get("call_id"))
        if kind == "intent":
            self._since[call_id] = self._redactor.catalogue
        try:
            return await self._append(kind, call_id, fields, effect)
        except BaseException:
            if kind == "intent":
                # No outcome will come for it, to forget it by.
                self._forget(call_id)
            raise
        finally:
            if kind == "outcome":
                self._forget(call_id)

    async def _append(
        self, kind: str, call_id: str, fields: Mapping[str, Any], effect: str | None
    ) -> Receipt:
        try:
            prepared = await self._prepare(kind, call_id, fields)
        except EvidenceError:
            raise
        except Exception as exc:
            # Whatever went wrong: a record that may hold a secret in clear is not written.
            _LOG.exception("a record could not be redacted")
            raise EvidenceUnavailable("the record could not be redacted") from exc
        return await self._writer.append(kind, prepared, effect=effect)

    def _forget(self, call_id: str) -> None:
        self._secrets.pop(call_id, None)
        self._since.pop(call_id, None)

    def adopt(self, systems: Mapping[str, Mapping[str, Any]]) -> None:
        """Redact by another catalogue from now on; see `Redactor.adopt`."""
        self._redactor.adopt(systems)

    def latch(self, why: str) -> None:
        """See `EvidenceLog.latch`."""
        self._writer.latch(why)

    def healthy(self) -> bool:
        """See `EvidenceLog.healthy`."""
        return self._writer.healthy()

    async def close(self) -> None:
        """End the log in order; see `SegmentWriter.close`."""
        await self._writer.close()

    async def _prepare(
        self, kind: str, call_id: str, fields: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        redacted = await self._redact(kind, call_id, fields)
        if kind in ("intent", "stream-part") and redacted.secrets:
            known = (*self._secrets.get(call_id, ()), *redacted.secrets)
            self._secrets[call_id] = tuple(dict.fromkeys(known))
        kept, originals = dict(redacted.fields), dict(redacted.originals)
        info, body = record_info(self._origin, call_id, kind), fields.get("body")
        if isinstance(body, str) and len(body) > KEPT_BYTES // 4:
            await self._move_body(kept, body, originals, info)
        if self._sealer and originals:
            seal = partial(self._seal, self._sealer, originals, info)
            kept["sealed"] = await self._heavily(seal, len(body) if isinstance(body, str) else 0)
        return kept

    async def _heavily(self, work: Callable[[], T], size: int) -> T:
        """Do what takes long in a thread, so that other calls' deadlines do not wait."""
        if size <= KEPT_BYTES:
            return work()
        return await anyio.to_thread.run_sync(work, limiter=self._heavy)

    @staticmethod
    def _seal(sealer: Sealer, originals: Mapping[str, Any], info: bytes) -> dict[str, str]:
        return sealer.seal(dumps(originals), info)

    async def _redact(self, kind: str, call_id: str, fields: Mapping[str, Any]) -> Redacted:
        request, body = fields.get("request"), fields.get("body")
        asked = request.get("body_bytes", 0) if isinstance(request, Mapping) else 0
        size = asked + (len(body) if isinstance(body, str) else 0)
        also, since = self._secrets.get(call_id, ()), self._since.get(call_id)
        redact = partial(self._redactor.redact, kind, fields, also=also, since=since)
        return await self._heavily(redact, size)

    async def _move_body(
        self, kept: dict[str, Any], body: str, originals: dict[str, Any], info: bytes
    ) -> None:
        """Move a long body into a blob: sealed if there is a key for it, else as redacted."""
        # A long body is not encoded here just to see that it is long.
        if len(body) <= KEPT_BYTES and len(body.encode("utf-8")) <= KEPT_BYTES:
            return
        stored, mac = await self._heavily(
            partial(self._stored, body, str(kept["body"]), info), len(body)
        )
        if self._sealer:
            for pointer in [pointer for pointer in originals if _within_body(pointer)]:
                del originals[pointer]
        kept["body"] = None
        name = await self._put_or_leave(stored)
        if name is None:
            # The record itself must be written: it says how long the body was, and its digest.
            kept["truncated"] = True
            return
        kept["blob"] = {
            "digest": name,
            "bytes": len(stored),
            "sealed": self._sealer.key_id if self._sealer else None,
            "hmac": mac,
        }

    def _stored(self, body: str, redacted: str, info: bytes) -> tuple[bytes, str]:
        """Return the bytes of the blob, and the keyed digest of the body itself."""
        raw = body.encode("utf-8")
        mac = self._redactor.hmac(raw)
        if self._sealer is None:
            return redacted.encode("utf-8"), mac
        return base64.b64decode(self._sealer.seal(raw, info)["data"]), mac

    async def _put_or_leave(self, data: bytes) -> str | None:
        """Keep a body, on a full disk in the room of the reserve; None if that is too little.

        Raises:
            EvidenceUnavailable: the disk hangs or fails otherwise.
        """
        for _ in range(2):
            try:
                return await self._put(data)
            except OSError as exc:
                if exc.errno not in FULL:
                    raise EvidenceUnavailable(f"the disk takes no body: {exc.strerror}") from exc
                self._writer.make_room()
        return None

    async def _put(self, data: bytes) -> str:
        put = partial(self._put_blob, self._folder, data)
        # Waiting for a thread is not waiting for the disk.
        async with self._disk:
            try:
                with anyio.fail_after(self._deadline):
                    return await anyio.to_thread.run_sync(
                        put, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
                    )
            except TimeoutError as exc:
                self._writer.latch("a body was not durable in time")
                raise EvidenceUnavailable("a body was not durable in time") from exc


def _within_body(pointer: str) -> bool:
    return pointer == BODY or pointer.startswith(BODY + "/")
