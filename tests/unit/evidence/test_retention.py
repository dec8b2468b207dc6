import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.canonical import dumps
from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import EvidenceUnavailable
from gateway.core.note import SigningKey
from gateway.evidence import disposal
from gateway.evidence.anchoring.durable import append_line
from gateway.evidence.blobs import blob_path
from gateway.evidence.heads import newest_size
from gateway.evidence.retention.hold import HOLD_NAME, Hold, place, release
from gateway.evidence.retention.keeper import Keeper
from gateway.evidence.retention.shipping import blob_name
from gateway.evidence.retention.stores import FolderStore
from gateway.evidence.segments import lines, records, segments
from tests.fakes_store import FakeStore
from tests.unit.evidence.shelf import Kept, LaterClock, anchor, archived, blob_log, sealed_log

REPOSITORY = Path(__file__).parents[3]


def actions(kept: Kept, action: str) -> list[str]:
    """Return the segments that a record says this of."""
    return [segment for segment, done in kept.archived() if done == action]


async def keep_twice(folder: Path, store: Any, confirmed: int) -> Kept:
    """Do a pass in each of two runs; the first signs a checkpoint of its records at its end."""
    for _ in range(2):
        async with Kept(folder, store) as kept:
            await kept.keeper.run_once(confirmed)
    return kept


async def test_a_segment_goes_once_it_is_shipped_anchored_and_old(tmp_path: Path) -> None:
    """house: the whole way in two passes, and everything recorded in its order."""
    sealed = await sealed_log(tmp_path)
    kept = await keep_twice(tmp_path, FakeStore(), anchor(tmp_path))
    assert kept.keeper.failures == {}
    for path in sealed:
        done = [action for segment, action in kept.archived() if segment == path.name]
        assert done == ["compressed", "shipped", "deleted"]
        assert f"{path.name}.zst" in kept.store.objects
        assert not path.exists() and not path.with_name(path.name + ".zst").exists()


async def test_a_segment_waits_for_a_checkpoint_of_the_record_of_its_deletion(
    tmp_path: Path,
) -> None:
    """house: without one nobody believes the record, and the segment would be missing."""
    sealed = await sealed_log(tmp_path)
    async with Kept(tmp_path) as kept:
        size = anchor(tmp_path)
        for _ in range(3):
            await kept.keeper.run_once(size)
        assert kept.keeper.failures == {}
        assert actions(kept, "deleted") == [path.name for path in sealed]
        assert all(path.with_name(path.name + ".zst").exists() for path in sealed)


async def test_the_checkpoint_must_cover_that_very_record(tmp_path: Path) -> None:
    """house: seq n lies in checkpoints of more than n records; the records go one by one."""
    sealed = await sealed_log(tmp_path)
    async with Kept(tmp_path) as kept:
        size = anchor(tmp_path)
        await kept.keeper.run_once(size)
        first = next(r.seq for r in records(tmp_path) if r.fields.get("action") == "deleted")
        files = [path.with_name(path.name + ".zst") for path in sealed]
        for signed, left in ((first, len(sealed)), (first + 1, len(sealed) - 1)):
            note = SigningKey("log", bytes(32)).sign_note(
                Checkpoint("log", signed, bytes(32)).text()
            )
            append_line(tmp_path / "checkpoints.jsonl", dumps({"size": signed, "note": note}))
            await kept.keeper.run_once(size)
            assert sum(path.exists() for path in files) == left


async def test_the_record_of_a_deletion_names_what_covers_it(tmp_path: Path) -> None:
    """docs/evidence.md: store and covered_by."""
    sealed = await sealed_log(tmp_path)
    async with Kept(tmp_path) as kept:
        size = anchor(tmp_path)
        await kept.keeper.run_once(size)
        deleted = [r.fields for r in records(tmp_path) if r.fields.get("action") == "deleted"]
    assert [fields["segment"] for fields in deleted] == [path.name for path in sealed]
    assert {(fields["store"], fields["covered_by"]) for fields in deleted} == {("fake", size)}


async def test_a_pass_after_a_pass_does_nothing_more(tmp_path: Path) -> None:
    """house: one record a step, also for a keeper that starts afresh."""
    await sealed_log(tmp_path)
    async with Kept(tmp_path, keep_days=None) as kept:
        for _ in range(2):
            await kept.keeper.run_once(anchor(tmp_path))
        again = Keeper(tmp_path, kept.log.append, LaterClock(), store=kept.store, keep_days=None)
        before = kept.archived()
        await again.run_once(newest_size(tmp_path))
        assert kept.archived() == before
        assert len(before) == len(set(before))


async def stays(kept: Kept, confirmed: int | None) -> bool:
    """Do a pass; say whether every segment is still here and nothing is recorded as deleted."""
    before = len(segments(kept.folder))
    await kept.keeper.run_once(confirmed)
    return len(segments(kept.folder)) >= before and not actions(kept, "deleted")


async def test_without_an_anchor_nothing_goes(tmp_path: Path) -> None:
    """house: what nobody else has seen could be forged after the deletion."""
    await sealed_log(tmp_path)
    async with Kept(tmp_path) as kept:
        anchor(tmp_path)
        assert await stays(kept, None)


async def test_an_anchor_that_covers_less_keeps_the_segment(tmp_path: Path) -> None:
    """house: the anchored size must lie beyond the last seq, which is the seal's."""
    sealed = await sealed_log(tmp_path)
    end = int(sealed[1].name[4:16])
    async with Kept(tmp_path) as kept:
        anchor(tmp_path)
        assert await stays(kept, end - 1)
        await kept.keeper.run_once(end)
        assert actions(kept, "deleted") == [sealed[0].name]


async def test_a_confirmation_that_is_not_written_down_does_not_count(tmp_path: Path) -> None:
    """house: `anchored.jsonl` is the proof that goes into the store."""
    await sealed_log(tmp_path)
    async with Kept(tmp_path) as kept:
        assert await stays(kept, 10**6)


async def test_a_young_segment_stays(tmp_path: Path) -> None:
    """house: age counts from the seal."""
    await sealed_log(tmp_path)
    async with Kept(tmp_path, keep_days=1) as kept:
        assert await stays(kept, anchor(tmp_path))


async def test_without_keep_days_nothing_goes(tmp_path: Path) -> None:
    """house: deleting is asked for, never assumed."""
    await sealed_log(tmp_path)
    async with Kept(tmp_path, keep_days=None) as kept:
        assert await stays(kept, anchor(tmp_path))


async def test_under_a_legal_hold_nothing_goes(tmp_path: Path) -> None:
    """house: and what was held goes once the hold is lifted."""
    sealed = await sealed_log(tmp_path)
    place(tmp_path, Hold("case", "now", "ada"))
    async with Kept(tmp_path) as kept:
        size = anchor(tmp_path)
        assert await stays(kept, size)
        release(tmp_path)
        await kept.keeper.run_once(size)
        assert actions(kept, "deleted") == [path.name for path in sealed]


async def test_a_hold_that_comes_while_the_store_is_read_still_counts(tmp_path: Path) -> None:
    """house: reading back takes its time."""

    class Slow(FakeStore):
        def digest(self, name: str) -> str | None:
            if archived(tmp_path)[-1:] == [(last, "shipped")]:
                (tmp_path / HOLD_NAME).touch()
            return super().digest(name)

    last = (await sealed_log(tmp_path))[-1].name
    async with Kept(tmp_path, Slow()) as kept:
        assert await stays(kept, anchor(tmp_path))
        assert (tmp_path / HOLD_NAME).exists()


async def test_an_unreadable_hold_holds(tmp_path: Path) -> None:
    """house: fail closed."""
    await sealed_log(tmp_path)
    (tmp_path / HOLD_NAME).write_bytes(b"\x00")
    async with Kept(tmp_path) as kept:
        assert await stays(kept, anchor(tmp_path))


async def test_a_store_that_lost_a_segment_keeps_it_here(tmp_path: Path) -> None:
    """house: shipped once is not enough; it is read back in the pass that deletes."""
    sealed = await sealed_log(tmp_path)
    async with Kept(tmp_path) as kept:
        await kept.keeper.run_once(None)
        del kept.store.objects[f"{sealed[0].name}.zst"]
        assert await stays(kept, anchor(tmp_path))
        assert kept.keeper.failures[f"{sealed[0].name}.zst"].startswith("store_lost")


async def test_a_store_that_changed_a_segment_keeps_it_here(tmp_path: Path) -> None:
    """house: the digest in the log decides, not the name in the store."""
    sealed = await sealed_log(tmp_path)
    async with Kept(tmp_path) as kept:
        await kept.keeper.run_once(None)
        kept.store.objects[f"{sealed[0].name}.zst"] = b"other"
        assert await stays(kept, anchor(tmp_path))


async def test_what_does_not_read_back_is_not_called_shipped(tmp_path: Path) -> None:
    """house: an acknowledged upload proves nothing."""

    class Forgetful(FakeStore):
        def put(self, name: str, path: Path, digest: str) -> None:
            if not name.startswith("seg-"):
                super().put(name, path, digest)

    await sealed_log(tmp_path)
    async with Kept(tmp_path, Forgetful()) as kept:
        await kept.keeper.run_once(anchor(tmp_path))
        assert actions(kept, "shipped") == []


async def test_nothing_goes_past_one_that_stays(tmp_path: Path) -> None:
    """house: what is here is one unbroken end of the log."""
    sealed = await sealed_log(tmp_path)
    async with Kept(tmp_path) as kept:
        await kept.keeper.run_once(None)
        kept.store.objects[f"{sealed[1].name}.zst"] = b"other"
    await keep_twice(tmp_path, kept.store, anchor(tmp_path))
    assert actions(kept, "deleted") == [sealed[0].name]
    assert segments(tmp_path)[0].name == f"{sealed[1].name}.zst"


async def test_the_checkpoints_that_cover_a_segment_are_shipped_with_it(tmp_path: Path) -> None:
    """house: a store alone must be enough to check what lies in it."""
    sealed = await sealed_log(tmp_path)
    async with Kept(tmp_path) as kept:
        await kept.keeper.run_once(anchor(tmp_path))
        end = int(sealed[1].name[4:16])
        shipped = kept.store.objects[f"checkpoints-{end}.jsonl"]
        confirmed = [data for name, data in kept.store.objects.items() if name[:8] == "anchored"]
    assert (tmp_path / "checkpoints.jsonl").read_bytes().startswith(shipped)
    assert confirmed == [(tmp_path / "anchored.jsonl").read_bytes()]


async def test_a_segment_waits_for_a_checkpoint_that_covers_it(tmp_path: Path) -> None:
    """house: otherwise the name of its checkpoints would stand for other bytes later."""
    await sealed_log(tmp_path)
    async with Kept(tmp_path) as kept:
        (tmp_path / "checkpoints.jsonl").write_bytes(b"")
        await kept.keeper.run_once(None)
        assert actions(kept, "shipped") == []


async def test_blobs_are_shipped_before_their_segment(tmp_path: Path) -> None:
    """house: shipped means that everything a record names is there."""
    (digest,) = await blob_log(tmp_path, [b"body"])
    async with Kept(tmp_path, keep_days=None) as kept:
        await kept.keeper.run_once(None)
        assert kept.store.objects[blob_name(digest)] == b"body"
        assert kept.store.reads.index(blob_name(digest)) < kept.store.reads.index(
            "seg-000000000000.jsonl.zst"
        )


async def test_a_segment_whose_blob_is_missing_is_not_shipped(tmp_path: Path) -> None:
    """house: a loss is seen, not shipped around."""
    (digest,) = await blob_log(tmp_path, [b"body"])
    blob_path(tmp_path, digest).unlink()
    async with Kept(tmp_path) as kept:
        await kept.keeper.run_once(anchor(tmp_path))
        assert "seg-000000000000.jsonl" not in actions(kept, "shipped")
        assert kept.keeper.failures["seg-000000000000.jsonl.zst"].startswith("store_lost")


async def test_a_blob_goes_with_the_last_segment_that_names_it(tmp_path: Path) -> None:
    """house: the same bytes are kept once, for every record that names them."""
    only, shared, _, last = await blob_log(tmp_path, [b"a", b"b"], [b"b", b"c"])
    second = next(
        int(p.name[4:16]) for p in segments(tmp_path)[1:] if b'"blob":{' in p.read_bytes()
    )
    store = FakeStore()
    anchor(tmp_path)
    await keep_twice(tmp_path, store, second)
    assert not blob_path(tmp_path, only).exists()
    assert blob_path(tmp_path, shared).exists() and blob_path(tmp_path, last).exists()
    await keep_twice(tmp_path, store, anchor(tmp_path))
    assert not blob_path(tmp_path, shared).exists()
    assert not blob_path(tmp_path, last).exists()


async def test_a_blob_that_the_open_segment_names_stays(tmp_path: Path) -> None:
    """house: the newest segment counts too."""
    (digest,) = await blob_log(tmp_path, [b"a"])
    async with Kept(tmp_path) as kept:
        # After the log was scanned: what is known from then does not hold this record.
        await kept.keeper.run_once(None)
        await kept.log.append("outcome", {"call_id": "z", "blob": {"digest": digest}})
        await kept.keeper.run_once(anchor(tmp_path))
    await keep_twice(tmp_path, kept.store, anchor(tmp_path))
    assert not (tmp_path / "seg-000000000000.jsonl.zst").exists()
    assert blob_path(tmp_path, digest).exists()


async def test_a_blob_that_somebody_just_relied_on_stays(tmp_path: Path) -> None:
    """house: its record may not be durable yet."""
    (digest,) = await blob_log(tmp_path, [b"a"])
    assert disposal.rely(blob_path(tmp_path, digest))
    await keep_twice(tmp_path, FakeStore(), anchor(tmp_path))
    assert not (tmp_path / "seg-000000000000.jsonl.zst").exists()
    assert blob_path(tmp_path, digest).exists()


def test_nobody_can_rely_on_a_blob_that_is_gone(tmp_path: Path) -> None:
    """house: it is written anew then."""
    (tmp_path / "b").touch()
    assert disposal.remove(tmp_path / "b", 2**63 - 1)
    assert not disposal.rely(tmp_path / "b")


async def test_a_blob_that_the_store_lost_keeps_the_segment_here(tmp_path: Path) -> None:
    """house: what is deleted is read back first, blobs included."""
    (digest,) = await blob_log(tmp_path, [b"a"])
    async with Kept(tmp_path) as kept:
        await kept.keeper.run_once(None)
        del kept.store.objects[blob_name(digest)]
        assert await stays(kept, anchor(tmp_path))
        assert blob_path(tmp_path, digest).exists()


async def test_an_argument_that_looks_like_a_blob_is_none(tmp_path: Path) -> None:
    """house: an agent must not stop retention by naming what is not there."""
    claimed = {"blob": {"digest": "sha256:" + "1" * 64}}
    (_,) = await blob_log(tmp_path, [b"a"])
    async with Kept(tmp_path) as kept:
        await kept.log.append("intent", {"call_id": "z", "call": {"arguments": claimed}})
    await sealed_log(tmp_path)
    async with Kept(tmp_path, keep_days=None) as kept:
        await kept.keeper.run_once(None)
        assert kept.keeper.failures == {}


async def test_a_deletion_that_a_crash_broke_off_is_finished(tmp_path: Path) -> None:
    """house: the record is there, the file too; no second record, and no file."""
    (digest,) = await blob_log(tmp_path, [b"a"])
    size = anchor(tmp_path)
    store = FakeStore()

    async def dying(kind: str, fields: Mapping[str, Any]) -> Any:
        receipt = await kept.log.append(kind, fields)
        if fields["action"] == "deleted":
            raise KeyboardInterrupt
        return receipt

    async with Kept(tmp_path, store) as kept:
        dead = Keeper(tmp_path, dying, LaterClock(), store=store, keep_days=0)
        with pytest.raises(KeyboardInterrupt):
            await dead.run_once(size)
        assert blob_path(tmp_path, digest).exists()
    await keep_twice(tmp_path, store, size)
    assert actions(kept, "deleted").count("seg-000000000000.jsonl") == 1
    assert not (tmp_path / "seg-000000000000.jsonl.zst").exists()
    assert not blob_path(tmp_path, digest).exists()


async def test_a_record_that_cannot_be_written_keeps_the_file(tmp_path: Path) -> None:
    """house: nothing is deleted that no durable record tells of."""
    await sealed_log(tmp_path)
    size = anchor(tmp_path)

    async def refusing(kind: str, fields: Mapping[str, Any]) -> Any:
        if fields["action"] == "deleted":
            raise EvidenceUnavailable("full")
        return await kept.log.append(kind, fields)

    async with Kept(tmp_path) as kept:
        keeper = Keeper(tmp_path, refusing, LaterClock(), store=FakeStore(), keep_days=0)
        before = len(segments(tmp_path))
        await keeper.run_once(size)
        assert len(segments(tmp_path)) == before


async def test_a_store_that_is_down_is_logged_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """house: a line a change, not a line a pass; and the others are not tried in vain."""
    sealed = await sealed_log(tmp_path)
    caplog.set_level(logging.INFO, "gateway.evidence.retention.keeper")
    async with Kept(tmp_path) as kept:
        kept.store.down = True
        for _ in range(3):
            await kept.keeper.run_once(None)
        assert len(caplog.records) == 1
        kept.store.down = False
        await kept.keeper.run_once(None)
        assert len(caplog.records) == 2
        assert actions(kept, "shipped") == [path.name for path in sealed]


async def test_passes_go_on_whatever_goes_wrong(tmp_path: Path) -> None:
    """house: retention never stops calls, so its loop ends only when it is cancelled."""
    passes: list[float] = []

    def confirmed() -> int | None:
        raise RuntimeError("unforeseen")

    async def sleep(seconds: float) -> None:
        passes.append(seconds)
        if len(passes) == 3:
            scope.cancel()
        await anyio.lowlevel.checkpoint()

    keeper = Keeper(tmp_path, FakeAppend(), LaterClock())
    with anyio.fail_after(5), anyio.CancelScope() as scope:
        await keeper.run(60, confirmed, sleep)
    assert passes == [60, 60, 60]


class FakeAppend:
    """An `append` that nobody should call."""

    async def __call__(self, kind: str, fields: Mapping[str, Any]) -> Any:
        """Fail."""
        raise AssertionError(kind)


async def test_without_a_store_segments_are_compressed_and_stay(tmp_path: Path) -> None:
    """House."""
    sealed = await sealed_log(tmp_path)
    async with Kept(tmp_path) as kept:
        keeper = Keeper(tmp_path, kept.log.append, LaterClock(), keep_days=0)
        await keeper.run_once(anchor(tmp_path))
    assert archived(tmp_path) == [(path.name, "compressed") for path in sealed]


STEPS = [
    "put-blobs:after",
    "put-checkpoints:after",
    "put-seg:before",
    "put-seg:after",
    "shipped:before",
    "shipped:after",
    "put-anchored:after",
    "deleted:before",
    "deleted:after",
    "unlink:before",
    "unlink:after",
]

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from gateway.evidence.retention.archive import Files
from gateway.evidence.retention.keeper import Keeper
from gateway.evidence.retention.stores import FolderStore
from tests.unit.evidence.logs import open_log
from tests.unit.evidence.shelf import LaterClock, newest_size

folder, (step, when) = Path(sys.argv[1]), sys.argv[2].split(":")

def die_if(name, now):
    if (name, now) == (step, when):
        os.kill(os.getpid(), signal.SIGKILL)

class DeadlyStore(FolderStore):
    def put(self, name, path, digest):
        what = "put-" + name.replace("/", "-").split("-")[0]
        die_if(what, "before")
        super().put(name, path, digest)
        die_if(what, "after")

class DeadlyFiles(Files):
    def unlink(self, path):
        what = "unlink" if path.suffix == ".zst" else "raw"
        die_if(what, "before")
        super().unlink(path)
        die_if(what, "after")

async def main():
    for _ in range(2):
        await run()

async def run():
    log = open_log(folder)
    async def append(kind, fields):
        die_if(fields["action"], "before")
        receipt = await log.append(kind, fields)
        die_if(fields["action"], "after")
        return receipt
    store = DeadlyStore(folder.parent / "store")
    keeper = Keeper(
        folder, append, LaterClock(), store=store, keep_days=0, files=DeadlyFiles()
    )
    await keeper.run_once(newest_size(folder))
    await log.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("step", STEPS)
async def test_a_kill_on_the_way_out_loses_nothing_and_is_finished_later(
    tmp_path: Path, step: str
) -> None:
    """house: kill -9 between any two steps; all bytes are somewhere, and one record a step."""
    folder, store = tmp_path / "log", FolderStore(tmp_path / "store")
    (digest,) = await blob_log(folder, [b"body"])
    before = {path.name: path.read_bytes() for path in segments(folder)[:-1]}
    size = anchor(folder)
    with anyio.fail_after(60):
        child = await anyio.run_process(
            [sys.executable, "-c", KILLED, str(folder), step], cwd=REPOSITORY, check=False
        )
    assert child.returncode == -9
    assert_all_there(tmp_path, before, digest)
    kept = await keep_twice(folder, store, size)
    assert kept.keeper.failures == {}
    assert_all_there(tmp_path, before, digest)
    for name in before:
        done = [action for segment, action in archived(folder) if segment == name]
        assert done == ["compressed", "shipped", "deleted"]
        assert not (folder / f"{name}.zst").exists()
    assert not blob_path(folder, digest).exists()


def assert_all_there(top: Path, before: Mapping[str, bytes], digest: str) -> None:
    """Assert that the raw bytes of each segment, and the blob, are in the log or in the store."""
    for name, data in before.items():
        found = [top / "log" / name, *(top / p / f"{name}.zst" for p in ("log", "store"))]
        assert data in [b"".join(lines(path)) for path in found if path.exists()]
    blob = [blob_path(top / "log", digest), top / "store" / blob_name(digest)]
    assert b"body" in [path.read_bytes() for path in blob if path.exists()]
