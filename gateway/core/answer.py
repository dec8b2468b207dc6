"""What came back from an upstream: counted, digested and, while small, kept.

The tally sees the very bytes that the caller gets. Does not change or judge what it sees.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Literal

from gateway.core.instant import iso

KEPT_BYTES: Final = 32 * 1024
"""Longest body that a record holds in line."""

Status = Literal["completed", "upstream_failed", "abandoned"]


class Tally:
    """A running account of one answer. Owned by the pipeline, for one call."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._kept = bytearray()
        self._length = 0
        self._http_status: int | None = None
        self._headers: dict[str, str] = {}

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head of the answer."""
        self._http_status, self._headers = status, dict(headers)

    def add(self, piece: bytes) -> None:
        """Count a piece of the body."""
        self._digest.update(piece)
        self._length += len(piece)
        if self._length <= KEPT_BYTES:
            self._kept += piece

    def outcome(
        self, call_id: str, status: Status, error: str | None, now_ns: int, took_ns: int
    ) -> dict[str, Any]:
        """Return the fields of the `outcome` record."""
        body = self._text() if self._length <= KEPT_BYTES else None
        return {
            "time": iso(now_ns),
            "call_id": call_id,
            "status": status,
            "error": error,
            "http_status": self._http_status,
            "headers": self._headers,
            "body_bytes": self._length,
            "body_digest": "sha256:" + self._digest.hexdigest(),
            "body": body,
            "timings": {"total_ns": took_ns},
        }

    def _text(self) -> str | None:
        try:
            return self._kept.decode("utf-8")
        except UnicodeDecodeError:
            return None
