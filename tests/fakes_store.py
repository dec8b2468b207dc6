"""A store in memory, held to the same contract as the real ones, and how a test breaks it."""

import hashlib
from pathlib import Path

from gateway.evidence.retention.stores import StoreError


class FakeStore:
    """A `Store` that keeps bytes in a dictionary."""

    def __init__(self, name: str = "fake") -> None:
        self.name = name
        self.objects: dict[str, bytes] = {}
        self.down = False
        """While true, every call fails."""
        self.reads: list[str] = []
        """Names whose digest was asked for, in order."""

    def put(self, name: str, path: Path, digest: str) -> None:
        """Keep a file's bytes."""
        self._refuse_if_down()
        data = path.read_bytes()
        if _digest(data) != digest:
            raise StoreError("other bytes than announced", code="store_mismatch")
        if self.objects.setdefault(name, data) != data:
            raise StoreError("other bytes are there", code="store_conflict")

    def digest(self, name: str) -> str | None:
        """Hash what is kept."""
        self._refuse_if_down()
        self.reads.append(name)
        return _digest(self.objects[name]) if name in self.objects else None

    def _refuse_if_down(self) -> None:
        if self.down:
            raise StoreError("down")


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
