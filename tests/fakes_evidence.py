"""The fake evidence log: what was appended, in memory, with failures to order.

Held to the same contract suite as the real writer. Does not hash or link anything.
"""

from collections.abc import Mapping
from typing import Any

from gateway.core.errors import EvidenceUnavailable
from gateway.core.record import KINDS, Receipt

ORIGIN = "fake.example/bailiwick/0"
"""Name of the log, as its receipts carry it."""


class FakeEvidenceLog:
    """An `EvidenceLog` in memory; `tape` may be shared with other fakes to see the order of things.

    Each attempt to append puts ("append", kind) on the tape, whether it then fails or not.
    """

    def __init__(self, tape: list[tuple[str, str]] | None = None) -> None:
        self.tape: list[tuple[str, str]] = [] if tape is None else tape
        self.records: list[tuple[str, dict[str, Any]]] = []
        """Kind and fields of every record that is durable."""
        self.receipts: list[Receipt] = []
        """Where each of them stands."""
        self.effects: list[tuple[str, str | None]] = []
        """Kind and effect of every attempt."""
        self.synced = True
        """Whether a record is durable at once, as all receipts say."""
        self.latched: str | None = None
        self._failures: list[tuple[str | None, bool]] = []
        self._writing = True

    def fail_next(self, kind: str | None = None, *, after: bool = False) -> None:
        """Fail the next append (of this kind); with `after`, only once the record is stored."""
        self._failures.append((kind, after))

    async def append(
        self, kind: str, fields: Mapping[str, Any], *, effect: str | None = None
    ) -> Receipt:
        """See `EvidenceLog.append`."""
        self.effects.append((kind, effect))
        self.tape.append(("append", kind))
        if self.latched is not None:
            raise EvidenceUnavailable(f"the evidence log has stopped: {self.latched}")
        if kind not in KINDS or not {"v", "seq", "prev", "kind"}.isdisjoint(fields):
            raise EvidenceUnavailable("this cannot be a record")
        failure = self._next_failure(kind)
        self._writing = failure is None
        if failure is not None and not failure[1]:
            raise EvidenceUnavailable("the fake was told to fail")
        seq = len(self.records)
        self.records.append((kind, dict(fields)))
        self.receipts.append(Receipt(seq, f"sha256:{seq:064x}", ORIGIN, self.synced))
        if failure is not None:
            raise EvidenceUnavailable("the fake was told to lose the answer")
        return self.receipts[-1]

    def latch(self, why: str) -> None:
        """See `EvidenceLog.latch`."""
        self.latched = self.latched or why

    def healthy(self) -> bool:
        """See `EvidenceLog.healthy`."""
        return self.latched is None and self._writing

    def _next_failure(self, kind: str) -> tuple[str | None, bool] | None:
        for failure in self._failures:
            if failure[0] in (None, kind):
                self._failures.remove(failure)
                return failure
        return None
