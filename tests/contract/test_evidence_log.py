from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.errors import EvidenceUnavailable
from gateway.core.record import Receipt
from gateway.evidence.segments import records
from gateway.ports import EvidenceLog
from tests.fakes_evidence import FakeEvidenceLog
from tests.unit.evidence.logs import ScriptedDisk, open_log


@dataclass
class Subject:
    """A log, and the two things a suite must be able to do from outside."""

    log: EvidenceLog
    disk: ScriptedDisk | None
    folder: Path

    def break_once(self) -> None:
        """Make the next append fail."""
        if self.disk is not None:
            self.disk.room = 10
        else:
            assert isinstance(self.log, FakeEvidenceLog)
            self.log.fail_next()

    def repair(self) -> None:
        """Make appends succeed again."""
        if self.disk is not None:
            self.disk.room = None

    def appended(self) -> list[str]:
        """Return the call_id of every durable record of a caller."""
        if isinstance(self.log, FakeEvidenceLog):
            return [fields["call_id"] for _, fields in self.log.records]
        return [r.fields["call_id"] for r in records(self.folder) if "call_id" in r.fields]


@pytest.fixture(params=["SegmentWriter", "FakeEvidenceLog"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    """Each adapter of the port in turn."""
    if request.param == "FakeEvidenceLog":
        yield Subject(FakeEvidenceLog(), None, tmp_path)
        return
    disk = ScriptedDisk()
    log = open_log(tmp_path / "log", disk=disk)
    yield Subject(log, disk, tmp_path / "log")
    await log.close()


async def test_a_receipt_says_where_the_record_stands(subject: Subject) -> None:
    """house: seq grows by one a record and every leaf hash is another."""
    with anyio.fail_after(5):
        first = await subject.log.append("intent", {"call_id": "a"})
        second = await subject.log.append("outcome", {"call_id": "a"})
    assert second.seq == first.seq + 1
    assert first.leaf_hash != second.leaf_hash
    assert first.leaf_hash.startswith("sha256:") and len(first.leaf_hash) == 71
    assert first.origin == second.origin != ""


@pytest.mark.parametrize("effect", [None, "read", "write", "no such effect"])
async def test_a_record_is_taken_whatever_its_call_does(
    subject: Subject, effect: str | None
) -> None:
    """EvidenceLog.append: while there is room, the effect decides only how hard the log tries."""
    with anyio.fail_after(5):
        await subject.log.append("intent", {"call_id": "a"}, effect=effect)
    assert subject.appended() == ["a"]


async def test_appends_may_run_concurrently(subject: Subject) -> None:
    """EvidenceLog.append: each caller gets a place of its own and every record is kept."""
    receipts: list[Receipt] = []

    async def one(number: int) -> None:
        receipts.append(await subject.log.append("intent", {"call_id": str(number)}))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(one, number)
    seqs = sorted(receipt.seq for receipt in receipts)
    assert seqs == list(range(seqs[0], seqs[0] + 50))
    assert sorted(subject.appended(), key=int) == [str(number) for number in range(50)]


async def test_a_failed_append_says_so_and_a_later_one_may_succeed(subject: Subject) -> None:
    """EvidenceLog.append raises, healthy() turns false, and both recover with the disk."""
    subject.break_once()
    with anyio.fail_after(5):
        with pytest.raises(EvidenceUnavailable):
            await subject.log.append("intent", {"call_id": "lost"})
        assert not subject.log.healthy()
        subject.repair()
        await subject.log.append("intent", {"call_id": "kept"})
    assert subject.log.healthy()
    assert subject.appended() == ["kept"]


async def test_a_latched_log_refuses_every_record(subject: Subject) -> None:
    """EvidenceLog.latch: until restart, whatever the disk does."""
    assert subject.log.healthy()
    subject.log.latch("an outcome was lost")
    assert not subject.log.healthy()
    for _ in range(2):
        with anyio.fail_after(5), pytest.raises(EvidenceUnavailable):
            await subject.log.append("intent", {"call_id": "a"})
    assert subject.appended() == []


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        pytest.param("gossip", {"call_id": "a"}, id="unknown kind"),
        pytest.param("intent", {"call_id": "a", "seq": 7}, id="a member of the envelope"),
    ],
)
async def test_what_is_not_a_record_is_refused(
    subject: Subject, kind: str, fields: dict[str, Any]
) -> None:
    """house: a caller cannot write its own place in the chain."""
    with anyio.fail_after(5), pytest.raises(EvidenceUnavailable):
        await subject.log.append(kind, fields)
    assert subject.appended() == []
    assert subject.log.healthy()
