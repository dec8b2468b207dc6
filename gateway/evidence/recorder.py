"""What stands before the writer: nothing reaches the disk that has not passed redaction.

Implements `gateway.ports.EvidenceLog`. Marked values and what looks like a secret are replaced;
with a responder's key the originals are sealed to it, so that the gateway writes what it cannot
read; long bodies become blobs, durable before the record that names them. A record that cannot be
redacted is not written, and its call is refused. Does not write lines (`writer.py`), does not find
secrets (`core.redaction`).
"""

import base64
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from gateway.core.answer import KEPT_BYTES
from gateway.core.canonical import dumps
from gateway.core.errors import EvidenceError, EvidenceUnavailable
from gateway.core.record import Receipt
from gateway.core.redaction import Redacted, Redactor
from gateway.evidence import blobs
from gateway.evidence.plan import Plan
from gateway.evidence.sealing import Sealer
from gateway.evidence.writer import SegmentWriter

BODY: Final = "/body"
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
    ) -> None:
        self._writer, self._folder = writer, folder
        self._redactor, self._sealer, self._origin = redactor, sealer, plan.origin
        self._deadline = plan.deadline_seconds
        self._secrets: dict[str, tuple[str, ...]] = {}
        """What was redacted of each open call so far: its answer may echo it."""

    async def append(
        self, kind: str, fields: Mapping[str, Any], *, effect: str | None = None
    ) -> Receipt:
        """See `EvidenceLog.append`."""
        call_id = str(fields.get("call_id"))
        try:
            prepared = await self._prepare(kind, call_id, fields)
        except EvidenceError:
            raise
        except Exception as exc:
            # Whatever went wrong: a record that may hold a secret in clear is not written.
            _LOG.exception("a record could not be redacted")
            raise EvidenceUnavailable("the record could not be redacted") from exc
        finally:
            if kind == "outcome":
                self._secrets.pop(call_id, None)
        return await self._writer.append(kind, prepared, effect=effect)

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
        redacted = await self._redact(kind, fields, self._secrets.get(call_id, ()))
        if kind in ("intent", "stream-part") and redacted.secrets:
            known = (*self._secrets.get(call_id, ()), *redacted.secrets)
            self._secrets[call_id] = tuple(dict.fromkeys(known))
        kept, originals = dict(redacted.fields), dict(redacted.originals)
        body = fields.get("body")
        if isinstance(body, str) and len(body) > KEPT_BYTES // 4:
            await self._move_body(kept, body, originals, record_info(self._origin, call_id, kind))
        if self._sealer and originals:
            kept["sealed"] = self._sealer.seal(
                dumps(originals), record_info(self._origin, call_id, kind)
            )
        return kept

    async def _redact(self, kind: str, fields: Mapping[str, Any], also: Sequence[str]) -> Redacted:
        """Redact; a long record in a thread, so that other calls' deadlines do not wait."""
        request, body = fields.get("request"), fields.get("body")
        asked = request.get("body_bytes", 0) if isinstance(request, Mapping) else 0
        redact = partial(self._redactor.redact, kind, fields, also=also)
        if asked + (len(body) if isinstance(body, str) else 0) <= KEPT_BYTES:
            return redact()
        return await anyio.to_thread.run_sync(redact)

    async def _move_body(
        self, kept: dict[str, Any], body: str, originals: dict[str, Any], info: bytes
    ) -> None:
        """Move a long body into a blob: sealed if there is a key for it, else as redacted."""
        raw = body.encode("utf-8")
        if len(raw) <= KEPT_BYTES:
            return
        stored = str(kept["body"]).encode("utf-8")
        if self._sealer:
            stored = base64.b64decode(self._sealer.seal(raw, info)["data"])
            for pointer in [pointer for pointer in originals if _within_body(pointer)]:
                del originals[pointer]
        name = await self._put(stored)
        kept["body"] = None
        kept["blob"] = {
            "digest": name,
            "bytes": len(stored),
            "sealed": self._sealer.key_id if self._sealer else None,
            "hmac": self._redactor.hmac(raw),
        }

    async def _put(self, data: bytes) -> str:
        try:
            with anyio.fail_after(self._deadline):
                put = partial(blobs.put, self._folder, data)
                return await anyio.to_thread.run_sync(put, abandon_on_cancel=True)
        except TimeoutError as exc:
            self._writer.latch("a body was not durable in time")
            raise EvidenceUnavailable("a body was not durable in time") from exc
        except OSError as exc:
            raise EvidenceUnavailable(f"the disk takes no body: {exc.strerror}") from exc


def _within_body(pointer: str) -> bool:
    return pointer == BODY or pointer.startswith(BODY + "/")
