import hashlib
import json
import sys
import tracemalloc
from pathlib import Path

import anyio
import pytest
from backports import zstd

from gateway.core.errors import VerificationError
from gateway.evidence.retention.archive import Files, compressed_path, make
from gateway.evidence.retention.keeper import Keeper
from gateway.evidence.segments import lines, segments
from tests.unit.evidence.logs import TickingClock
from tests.unit.evidence.shelf import Kept, archived, sealed_log

REPOSITORY = Path(__file__).parents[3]


def raw_bytes(folder: Path) -> dict[str, bytes]:
    """Return the raw bytes of every segment by its raw name, whatever form it has."""
    return {p.name.removesuffix(".zst"): b"".join(lines(p)) for p in segments(folder)}


async def test_a_compressed_segment_holds_the_raw_bytes(tmp_path: Path) -> None:
    """house: RFC 8878 by an independent call, compared byte by byte."""
    sealed = await sealed_log(tmp_path)
    before = {path.name: path.read_bytes() for path in sealed}
    async with Kept(tmp_path) as kept:
        await kept.keeper.run_once(None)
    for name, data in before.items():
        assert zstd.decompress((tmp_path / f"{name}.zst").read_bytes()) == data
        assert not (tmp_path / name).exists()


async def test_the_record_names_the_compressed_bytes(tmp_path: Path) -> None:
    """docs/evidence.md: `digest` is the SHA-256 of the .zst file, `bytes` its length."""
    sealed = await sealed_log(tmp_path)
    async with Kept(tmp_path) as kept:
        await kept.keeper.run_once(None)
        found = [json.loads(line) for p in segments(tmp_path)[-2:] for line in lines(p)]
    record = next(r for r in found if r["kind"] == "archive" and r["segment"] == sealed[0].name)
    data = compressed_path(sealed[0]).read_bytes()
    assert record["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert record["bytes"] == len(data)
    assert (record["store"], record["covered_by"]) == (None, None)


async def test_what_does_not_read_back_is_refused(tmp_path: Path) -> None:
    """house: a disk that lies costs a try, not a segment."""

    class Lying(Files):
        def compress(self, raw: Path, part: Path) -> str:
            digest = super().compress(raw, part)
            part.write_bytes(zstd.compress(b"something else"))
            return digest

    sealed = await sealed_log(tmp_path)
    with pytest.raises(VerificationError, match="read back") as caught:
        make(sealed[0], Lying())
    assert caught.value.reason_code == "archive_damaged"
    assert not compressed_path(sealed[0]).exists()


@pytest.mark.parametrize("left", [b"", b"no zstd at all", zstd.compress(b"other")])
async def test_a_bad_compressed_form_beside_a_raw_one_is_made_again(
    tmp_path: Path, left: bytes
) -> None:
    """house: while both are there, the raw one counts."""
    sealed = await sealed_log(tmp_path)
    data = sealed[0].read_bytes()
    compressed_path(sealed[0]).write_bytes(left)
    async with Kept(tmp_path) as kept:
        await kept.keeper.run_once(None)
    assert zstd.decompress(compressed_path(sealed[0]).read_bytes()) == data


def test_memory_stays_flat(tmp_path: Path) -> None:
    """house: a segment of any length is compressed in a few megabytes."""
    raw = tmp_path / "seg-000000000000.jsonl"
    with raw.open("wb") as file:
        for number in range(32):
            file.write(hashlib.sha256(bytes([number])).digest() * 32_768)
    tracemalloc.start()
    make(raw, Files())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024 < raw.stat().st_size


STEPS = [
    "compress:half",
    "compress:after",
    "rename:before",
    "rename:after",
    "append:before",
    "append:after",
    "unlink:before",
    "unlink:after",
]

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from gateway.evidence.retention.archive import Files
from gateway.evidence.retention.keeper import Keeper
from tests.unit.evidence.logs import TickingClock, open_log

folder, (step, when) = Path(sys.argv[1]), sys.argv[2].split(":")

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def deadly(name, call):
    def called(*arguments):
        if name == step and when == "before":
            die()
        answer = call(*arguments)
        if name == step:
            die()
        return answer
    return called

class Deadly(Files):
    def __init__(self):
        self.rename = deadly("rename", super().rename)
        self.unlink = deadly("unlink", super().unlink)

    def compress(self, raw, part):
        if (step, when) == ("compress", "half"):
            part.write_bytes(b"half")
            die()
        digest = super().compress(raw, part)
        if step == "compress":
            die()
        return digest

async def main():
    log = open_log(folder)
    async def append(kind, fields):
        if (step, when) == ("append", "before"):
            die()
        receipt = await log.append(kind, fields)
        if step == "append":
            die()
        return receipt
    await Keeper(folder, append, TickingClock(), files=Deadly()).run_once(None)

asyncio.run(main())
"""


@pytest.mark.parametrize("step", STEPS)
async def test_a_kill_at_any_step_loses_nothing_and_is_finished_later(
    tmp_path: Path, step: str
) -> None:
    """house: kill -9 between any two steps; the same bytes, and one record a segment."""
    sealed = await sealed_log(tmp_path)
    before = {path.name: path.read_bytes() for path in sealed}
    with anyio.fail_after(60):
        child = await anyio.run_process(
            [sys.executable, "-c", KILLED, str(tmp_path), step], cwd=REPOSITORY, check=False
        )
    assert child.returncode == -9
    after_the_kill = raw_bytes(tmp_path)
    assert all(after_the_kill[name] == data for name, data in before.items())
    async with Kept(tmp_path) as kept:
        await kept.keeper.run_once(None)
    await _all_settled(tmp_path, before)


async def _all_settled(folder: Path, before: dict[str, bytes]) -> None:
    found = raw_bytes(folder)
    assert all(found[name] == data for name, data in before.items())
    for name in before:
        assert not (folder / name).exists()
        assert archived(folder).count((name, "compressed")) == 1
    seqs = [record["seq"] for record in map(json.loads, _all_lines(folder))]
    assert seqs == list(range(len(seqs)))


def _all_lines(folder: Path) -> list[bytes]:
    return [line for path in segments(folder) for line in lines(path)]


async def test_a_segment_that_is_not_sealed_stays_raw(tmp_path: Path) -> None:
    """house: only a segment whose last record is its seal is complete."""
    sealed = await sealed_log(tmp_path)
    lines_before = sealed[0].read_bytes().splitlines(keepends=True)
    sealed[0].write_bytes(b"".join(lines_before[:-1]))
    async with Kept(tmp_path) as kept:
        await kept.keeper.run_once(None)
        assert sealed[0].exists()
        assert kept.keeper.failures[sealed[0].name].startswith("segment_unsealed")
    assert not sealed[1].exists()


async def test_the_newest_segment_stays_raw_even_if_it_is_sealed(tmp_path: Path) -> None:
    """house: the next start reads the newest one, and goes on from it."""
    sealed = await sealed_log(tmp_path)
    for path in segments(tmp_path)[1:]:
        path.unlink()

    async def never(*_: object) -> None:
        raise AssertionError

    await Keeper(tmp_path, never, TickingClock()).run_once(None)  # type: ignore[arg-type]
    assert sealed[0].exists() and not compressed_path(sealed[0]).exists()
