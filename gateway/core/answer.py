"""What came back from an upstream: counted, digested and kept, whole or in parts.

The tally sees the upstream's very bytes, before the gateway's receipt is put into them. What is
relayed as it comes is kept in parts, so that a long answer does not wait for its end to be on disk
and is not held in memory; the outcome then has the rest. Where the charter leaves results out of
evidence, only lengths and digests are kept. Does not change, redact or judge it.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Literal

KEPT_BYTES: Final = 32 * 1024
"""Longest body that a record holds in line; the recorder moves longer ones out of it."""
MAX_KEPT: Final = 8 * 1024 * 1024
"""Longest body, or part of one, that is kept; of a longer one only length and digest are."""
PART_BYTES: Final = 1024 * 1024
"""Bytes since the last part of an answer at which the next one is due."""
PART_NS: Final = 5_000_000_000
"""Age of the oldest byte since the last part at which the next one is due."""

Status = Literal["completed", "upstream_failed", "abandoned"]


class Kept:
    """Bytes with their length and digest; past `MAX_KEPT`, or when omitted, only those two."""

    def __init__(self, omitted: bool = False) -> None:
        self._omitted = omitted
        self._digest = hashlib.sha256()
        self._bytes = bytearray()
        self.length = 0

    def add(self, piece: bytes) -> None:
        """Take some more bytes."""
        self._digest.update(piece)
        self.length += len(piece)
        if self._omitted:
            return
        if self.truncated:
            self._bytes.clear()
        else:
            self._bytes += piece

    @property
    def truncated(self) -> bool:
        """Whether the bytes were too many to be kept; half a body would look like a whole one."""
        return self.length > MAX_KEPT and not self._omitted

    @property
    def digest(self) -> str:
        """SHA-256 of all of them, as `sha256:<hex>`."""
        return "sha256:" + self._digest.hexdigest()

    def body(self) -> dict[str, Any]:
        """Return the members that hold the bytes as text.

        A record is JSON, so what is not UTF-8 is spelled with escapes; the digest is the bytes'.
        """
        body, exact = None, True
        if not (self.truncated or self._omitted):
            try:
                body = self._bytes.decode("utf-8")
            except UnicodeDecodeError:
                body, exact = self._bytes.decode("utf-8", "backslashreplace"), False
        return {
            "body": body,
            "body_exact": exact,
            "blob": None,
            "truncated": self.truncated,
            "omitted": self._omitted,
        }


class Tally:
    """A running account of one answer. Owned by the pipeline, for one call.

    Args:
        omitted: whether the charter leaves what comes back out of evidence.
    """

    def __init__(self, omitted: bool = False) -> None:
        self._omitted = omitted
        self._whole = hashlib.sha256()
        self._length = 0
        self._rest = Kept(omitted)
        self._rest_began_ns = 0
        self._parts = 0
        self._http_status: int | None = None
        self._headers: dict[str, str] = {}
        self.relayed = 0
        """Bytes of the body that the caller has been given."""

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head of the answer."""
        self._http_status, self._headers = status, dict(headers)

    def add(self, piece: bytes, now_monotonic_ns: int) -> None:
        """Count a piece of the body."""
        if not self._rest.length:
            self._rest_began_ns = now_monotonic_ns
        self._whole.update(piece)
        self._length += len(piece)
        self._rest.add(piece)

    def part_due_in(self, now_monotonic_ns: int) -> int | None:
        """Return the nanoseconds until what came since the last part is one; None: nothing came."""
        if not self._rest.length:
            return None
        if self._rest.length >= PART_BYTES:
            return 0
        return max(0, self._rest_began_ns + PART_NS - now_monotonic_ns)

    def part(self) -> dict[str, Any]:
        """Return the fields of a `stream-part` with what came since the last one."""
        return {
            "index": self._parts,
            "offset": self._length - self._rest.length,
            "bytes": self._rest.length,
            "digest": self._rest.digest,
            **self._rest.body(),
        }

    def part_kept(self) -> None:
        """Begin the next part: the one before is durable."""
        self._parts += 1
        self._rest = Kept(self._omitted)

    def outcome(self, status: Status, error: str | None) -> dict[str, Any]:
        """Return what the `outcome` record says about the answer.

        `relayed_bytes` is null for a completed one, whose last piece goes out after the record.
        """
        return {
            "status": status,
            "error": error,
            "http_status": self._http_status,
            "headers": self._headers,
            "body_bytes": self._length,
            "body_digest": "sha256:" + self._whole.hexdigest(),
            **self._rest.body(),
            "parts": self._parts,
            "relayed_bytes": None if status == "completed" else self.relayed,
            "checks": [],
        }
