import re
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.canonical import MAX_DEPTH
from gateway.core.errors import EvidenceUnavailable
from gateway.core.record import Receipt
from gateway.evidence.segments import name, records
from tests.unit.evidence.logs import (
    PLAN,
    ScriptedDisk,
    check_log,
    keys_of,
    kinds,
    objects,
    open_calls_of,
    open_log,
)


async def append_many(log: Any, count: int) -> list[Receipt]:
    """Append `count` intents at the same time and return their receipts."""
    receipts: list[Receipt] = []

    async def one(number: int) -> None:
        receipts.append(await log.append("intent", {"call_id": f"c{number}"}))

    async with anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(one, number)
    return receipts


async def sync_began(disk: ScriptedDisk) -> None:
    """Wait, within bounds, until the writer's thread is inside a sync."""
    assert await anyio.to_thread.run_sync(disk.syncing.wait, 4)


async def test_a_run_is_framed_by_start_and_stop(tmp_path: Path) -> None:
    """house: the first record of a run is `start`, the last `stop`, in a segment that says so."""
    log = open_log(tmp_path)
    await log.append("refusal", {"call_id": "a", "time": "t"})
    await log.close()
    told = [
        {k: v for k, v in record.items() if k not in ("prev", "v")} for record in objects(tmp_path)
    ]
    for record in (told[0], told[1], told[3]):
        assert re.fullmatch(r"2026-11-24T09:00:[0-9]{2}\.000000Z", record.pop("time"))
        assert record.pop("monotonic_ns") > 0
    key = str(keys_of(tmp_path).signer(PLAN.origin, 1).verifier)
    assert told == [
        {
            "seq": 0,
            "kind": "segment",
            "format": "gw-1",
            "origin": PLAN.origin,
            "first_seq": 0,
            "previous": None,
            "frontier": [],
            "open_calls": [],
            "epoch": 1,
            "key": key,
        },
        {
            "seq": 1,
            "kind": "start",
            "version": "test",
            "heartbeat_seconds": PLAN.heartbeat_seconds,
            "adopted": None,
        },
        {"seq": 2, "kind": "refusal", "call_id": "a", "time": "t"},
        {"seq": 3, "kind": "stop"},
    ]


async def test_only_the_owner_may_read_the_log(tmp_path: Path) -> None:
    """house: folder 0700, files 0600."""
    folder = tmp_path / "new" / "log"
    await open_log(folder).close()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


async def test_concurrent_appends_form_one_chain_and_share_syncs(tmp_path: Path) -> None:
    """house: group commit, one write and one sync a batch."""
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk)
    disk.gate = threading.Event()
    disk.calls.clear()
    disk.syncing.clear()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(log.append, "intent", {"call_id": "first"})
            await sync_began(disk)
            for number in range(100):
                group.start_soon(log.append, "intent", {"call_id": f"c{number}"})
            await anyio.wait_all_tasks_blocked()
            disk.gate.set()
    assert disk.calls == ["write", "fdatasync"] * 2
    await log.close()
    check_log(tmp_path)
    assert kinds(tmp_path).count("intent") == 101


async def test_nothing_is_acknowledged_before_the_sync_returned(tmp_path: Path) -> None:
    """house: the waiter waits as long as the sync does."""
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk)
    disk.gate = threading.Event()
    disk.syncing.clear()
    acknowledged: list[Receipt] = []

    async def one() -> None:
        acknowledged.append(await log.append("intent", {"call_id": "a"}))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(one)
            await sync_began(disk)
            await anyio.wait_all_tasks_blocked()
            assert kinds(tmp_path)[-1] == "intent"
            assert acknowledged == []
            disk.gate.set()
    assert [receipt.seq for receipt in acknowledged] == [2]
    await log.close()


async def test_a_receipt_is_that_of_the_record_on_disk(tmp_path: Path) -> None:
    """house: seq and leaf hash are those that a verifier computes; it names its log."""
    log = open_log(tmp_path)
    receipts = await append_many(log, 20)
    await log.close()
    on_disk = {Receipt(record.seq, record.leaf_hash, PLAN.origin) for record in records(tmp_path)}
    assert set(receipts) <= on_disk


@pytest.mark.parametrize("room", [0, 1, 150, 400])
async def test_a_full_disk_leaves_no_torn_byte_and_a_later_append_succeeds(
    tmp_path: Path, room: int
) -> None:
    """house: short write or ENOSPC → cut back to the last good newline."""
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk)
    before = (tmp_path / name(0)).read_bytes()
    disk.room = room
    with anyio.fail_after(5):
        with pytest.raises(EvidenceUnavailable):
            await log.append("intent", {"call_id": "lost", "note": "x" * 400})
        assert (tmp_path / name(0)).read_bytes() == before
        assert not log.healthy()
        disk.room = None
        receipt = await log.append("intent", {"call_id": "kept"})
    assert log.healthy()
    assert receipt.seq == 2
    await log.close()
    assert [record.get("call_id") for record in objects(tmp_path)] == [None, None, "kept", None]
    check_log(tmp_path)


async def test_a_full_disk_fails_every_waiter_of_the_batch(tmp_path: Path) -> None:
    """house: no record of a batch is acknowledged if the batch is not whole."""
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk)
    disk.room = 700
    refused: list[int] = []

    async def one(number: int) -> None:
        try:
            await log.append("intent", {"call_id": f"c{number}", "note": "x" * 500})
        except EvidenceUnavailable:
            refused.append(number)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(one, number)
    disk.room = None
    await log.close()
    check_log(tmp_path)
    assert kinds(tmp_path).count("intent") == 20 - len(refused)
    assert len(refused) >= 19


async def test_a_cut_that_fails_latches(tmp_path: Path) -> None:
    """house: when the torn bytes stay, nothing may be written after them."""
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk)
    disk.room, disk.cut_error = 10, OSError(5, "Input/output error")
    with anyio.fail_after(5):
        for _ in range(2):
            with pytest.raises(EvidenceUnavailable):
                await log.append("intent", {"call_id": "a"})
            disk.room = None
    assert not log.healthy()
    await log.close()
    assert not (tmp_path / name(0)).read_bytes().endswith(b"\n")
    await open_log(tmp_path).close()
    assert [record["bytes"] for record in check_log(tmp_path) if record["kind"] == "gap"] == [10]


async def test_a_failed_sync_latches_and_is_never_retried(tmp_path: Path) -> None:
    """house: EIO from fdatasync is final; the kernel may have dropped the pages."""
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk)
    disk.sync_error = OSError(5, "Input/output error")
    disk.calls.clear()
    with anyio.fail_after(5):
        with pytest.raises(EvidenceUnavailable):
            await log.append("intent", {"call_id": "a"})
        disk.sync_error = None
        with pytest.raises(EvidenceUnavailable):
            await log.append("intent", {"call_id": "b"})
    assert not log.healthy()
    await log.close()
    assert disk.calls == ["write", "fdatasync"]


async def test_a_hung_disk_counts_as_failed(tmp_path: Path) -> None:
    """house: the deadline latches, and a sync that comes late changes nothing."""
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk, deadline_seconds=0.05)
    disk.gate = threading.Event()
    with anyio.fail_after(5):
        with pytest.raises(EvidenceUnavailable):
            await log.append("intent", {"call_id": "a"})
        assert not log.healthy()
        with pytest.raises(EvidenceUnavailable):
            await log.append("intent", {"call_id": "b"})
        await log.close()
        disk.gate.set()
        await log.close()
    assert kinds(tmp_path)[-1] == "intent"


async def test_what_waits_behind_a_hung_disk_is_not_written_after_the_latch(tmp_path: Path) -> None:
    """house: refused means refused, even if the disk comes back."""
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk)
    disk.gate = threading.Event()
    disk.syncing.clear()
    refused: list[str] = []

    async def one(call_id: str) -> None:
        try:
            await log.append("intent", {"call_id": call_id})
        except EvidenceUnavailable:
            refused.append(call_id)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(one, "in flight")
            await sync_began(disk)
            group.start_soon(one, "behind")
            await anyio.wait_all_tasks_blocked()
            log.latch("an outcome was lost")
            disk.gate.set()
    await log.close()
    assert refused == ["behind"]
    assert objects(tmp_path)[-1]["call_id"] == "in flight"


async def test_a_cancelled_waiter_disturbs_nobody(tmp_path: Path) -> None:
    """house: its record is kept, and the writer goes on."""
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk)
    disk.gate = threading.Event()
    disk.syncing.clear()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(log.append, "intent", {"call_id": "left"})
            await sync_began(disk)
            group.cancel_scope.cancel()
        disk.gate.set()
        await log.append("intent", {"call_id": "stayed"})
    await log.close()
    assert [r["call_id"] for r in objects(tmp_path) if "call_id" in r] == ["left", "stayed"]
    check_log(tmp_path)


def nested(depth: int) -> dict[str, Any]:
    """Return an object nested `depth` deep."""
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"note": object()}, id="no JSON type"),
        pytest.param({"note": "\ud800"}, id="half a surrogate pair"),
        pytest.param({"n": 2**64 - 1}, id="integer the reader refuses"),
        pytest.param({"n": [2**64 - 1, 2**63]}, id="integers in a list"),
        pytest.param({"n": [1, 2**63, 1]}, id="the smallest one refused"),
        pytest.param({"n": -(2**63)}, id="negative integer the reader refuses"),
        pytest.param({"n": 2**70}, id="integer the encoder refuses"),
        pytest.param({"a\x00b": 1}, id="NUL in a key"),
        pytest.param(nested(2 * MAX_DEPTH + 1), id="deeper than the reader goes"),
    ],
)
async def test_what_could_not_be_read_back_fails_alone(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    """house: a line that the strict reader refuses would end the log, so it is never written."""
    log = open_log(tmp_path)
    refused: list[bool] = []

    async def bad() -> None:
        with pytest.raises(EvidenceUnavailable):
            await log.append("intent", {"call_id": "bad", **fields})
        refused.append(True)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(log.append, "intent", {"call_id": "before"})
            group.start_soon(bad)
            group.start_soon(log.append, "intent", {"call_id": "after"})
    assert refused == [True]
    assert log.healthy()
    await log.close()
    check_log(tmp_path)
    assert len(open_calls_of(tmp_path)) == 2


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"n": 2**63 - 1}, id="largest integer"),
        pytest.param({"text": "\x00\\u0000 99999999999999999999"}, id="NUL and digits in a text"),
        pytest.param({"list": [{}] * 100}, id="many brackets, not deep"),
        pytest.param(nested(2 * MAX_DEPTH), id="as deep as the reader goes"),
        pytest.param(
            {"text": "a\u2028b\u2029c\u0085d\r\ne"}, id="what other readers take for a line end"
        ),
    ],
)
async def test_what_can_be_read_back_is_written(tmp_path: Path, fields: dict[str, Any]) -> None:
    """house: the doubtful are read back, not refused."""
    log = open_log(tmp_path)
    await log.append("intent", {"call_id": "a", **fields})
    await log.close()
    record = list(records(tmp_path))[2]
    assert {key: record.fields[key] for key in fields} == fields
    check_log(tmp_path)


async def test_a_closed_log_refuses_every_record(tmp_path: Path) -> None:
    """house: closing twice is closing once, and nothing follows `stop`."""
    log = open_log(tmp_path)
    await log.close()
    await log.close()
    assert not log.healthy()
    with pytest.raises(EvidenceUnavailable):
        await log.append("intent", {"call_id": "a"})
    assert kinds(tmp_path) == ["segment", "start", "stop"]


async def test_what_waits_when_the_log_closes_is_written(tmp_path: Path) -> None:
    """house: `stop` comes after every record that was accepted."""
    log = open_log(tmp_path)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(log.append, "intent", {"call_id": f"c{number}"})
            await anyio.wait_all_tasks_blocked()
            await log.close()
    assert kinds(tmp_path) == ["segment", "start", *["intent"] * 10, "stop"]


async def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    """house: a log has one writer; the folder is free again when it has closed."""
    log = open_log(tmp_path)
    before = objects(tmp_path)
    with pytest.raises(EvidenceUnavailable):
        open_log(tmp_path)
    assert objects(tmp_path) == before
    await log.close()
    await open_log(tmp_path).close()


async def test_a_folder_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    """house: no gateway starts without its log."""
    (tmp_path / "file").touch()
    with pytest.raises(EvidenceUnavailable):
        open_log(tmp_path / "file" / "log", keys=keys_of(tmp_path))


async def test_a_disk_that_is_full_at_the_start_refuses_to_start(tmp_path: Path) -> None:
    """house: without a durable `start` there is no run, and the folder is free again."""
    disk = ScriptedDisk()
    disk.room = 20
    with pytest.raises(EvidenceUnavailable):
        open_log(tmp_path, disk=disk)
    await open_log(tmp_path).close()
    assert kinds(tmp_path) == ["segment", "start", "stop"]
