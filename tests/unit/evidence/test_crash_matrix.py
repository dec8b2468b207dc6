"""kill -9 between any two steps of the writer, and everything that must then be true."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from gateway.evidence.blobs import blob_path
from gateway.evidence.signer import KeyRing, add_epoch, create_keys
from tests.unit.evidence.logs import (
    check_log,
    checkpoints,
    leaves_of,
    open_calls_of,
    open_log,
)

REPOSITORY = Path(__file__).parents[3]
SHARDS = 2


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: nothing here depends on what a sync costs."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=memory) as made:
        yield Path(made)


async def template(folder: Path) -> Path:
    """Make a log that leaves its next start everything to do that a start can have to do."""
    keys = create_keys(folder / "log.keys")
    log = open_log(folder / "log", segment_bytes=2600, keys=KeyRing(keys))
    for number in range(9):
        await log.append("intent", {"call_id": f"old-{number}"})
        if number % 4:
            await log.append("outcome", {"call_id": f"old-{number}", "status": "done"})
    await log.close()
    add_epoch(keys)
    *_, last = sorted((folder / "log").glob("seg-*.jsonl"))
    for path, tail in ((last, b'{"v":1,"se'), (folder / "log" / "checkpoints.jsonl", b'{"size')):
        with path.open("ab") as file:
            file.write(tail)
    (folder / "log" / "nodes.bin").unlink()
    return folder


def crash(room: Path, start: Path, **options: Any) -> list[Path]:
    """Return one crashed copy a step."""
    top = room / "steps"
    top.mkdir()
    asked = json.dumps({"top": str(top), "template": str(start), "shards": SHARDS, **options})
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.evidence.crashing", asked],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return sorted(top.iterdir())


def told(copy: Path, what: str) -> list[Any]:
    """Return what the child told of before it died."""
    if not (copy / "told").exists():
        return []
    said = [json.loads(line) for line in (copy / "told").read_text().splitlines()]
    return [value for name, value in said if name == what]


async def check_crashed(copy: Path, power: bool) -> list[dict[str, Any]]:
    """Open the log after its crash, and check what must be true; return its records."""
    folder = copy / "log"
    keys = KeyRing(copy / "log.keys")
    before = leaves_of(folder) if folder.exists() else []
    await open_log(folder, keys=keys).close()
    records, leaves = check_log(folder), leaves_of(folder)
    assert leaves[: len(before)] == before
    assert open_calls_of(folder) == []
    known = {record["call_id"] for record in records if record["kind"] == "intent"}
    for seq, leaf, effect in told(copy, "receipt"):
        # A read may be acknowledged before its sync, and a power cut then takes it.
        if effect != "read" or not power:
            assert leaf == f"sha256:{leaves[seq].hex()}"
    for call_id, effect in told(copy, "effect"):
        if effect != "read" or not power:
            assert call_id in known
    for record in records:
        if "blob" in record:
            assert blob_path(folder, record["blob"]).exists()
    gaps = {record["file"]: record["bytes"] for record in records if record["kind"] == "gap"}
    cuts = {
        path.name: path.stat().st_size
        for path in folder.glob("torn-[0-9]*")
        if path.suffix != ".part"
    }
    assert gaps == cuts
    assert checkpoints(folder)[-1][0] == len(records)
    assert keys.epochs == [keys.epochs[-1]]
    return records


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
async def test_a_log_survives_a_crash_at_every_step(room: Path, shard: int, power: bool) -> None:
    """evidence.md §5: from the recovery of an earlier crash to the end of the run."""
    start = await template(room / "template")
    copies = crash(room, start, power=power, shard=shard, twice=False)
    unheard = done = 0
    for copy in copies:
        records = await check_crashed(copy, power)
        receipts = {seq for seq, *_ in told(copy, "receipt")}
        effects = {call_id for call_id, _ in told(copy, "effect")}
        for call_id in (r["call_id"] for r in records if r.get("status") == "orphaned"):
            done += call_id in effects
            unheard += call_id in {
                r["call_id"] for r in records if r["kind"] == "intent" and r["seq"] not in receipts
            } and not call_id.startswith("old")
    # Some died between the sync and the answer, some between the deed and its record.
    assert len(copies) > 80
    assert (unheard > 0, done > 0) == (True, True)


async def test_a_log_survives_a_crash_of_its_first_start(room: Path) -> None:
    """house: from the making of the folder on."""
    start = room / "template"
    create_keys(start / "log.keys")
    copies = crash(room, start, power=True, shard=0, twice=False)
    for copy in copies:
        await check_crashed(copy, True)
    assert len(copies) > 50


async def test_a_log_survives_a_crash_within_the_recovery_from_a_crash(room: Path) -> None:
    """house: each start may be the next to fail."""
    start = await template(room / "template")
    copies = crash(room, start, power=False, shard=1, shards=5, twice=True)
    for copy in copies:
        await check_crashed(copy, False)
    assert len(copies) > 40
