from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import EvidenceUnavailable, SettingsError
from gateway.evidence.signer import add_epoch, create_keys
from tests.unit.evidence.logs import (
    ScriptedDisk,
    check_log,
    forget_checkpoints,
    keys_of,
    kinds,
    objects,
    open_log,
    write_log,
)


class SyncFails(ScriptedDisk):
    """Fails the n-th sync of a run."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.left = number

    def fdatasync(self, fd: int) -> None:
        """Count down."""
        self.left -= 1
        if self.left == 0:
            raise OSError(5, "Input/output error")
        super().fdatasync(fd)


async def refused(folder: Path, why: str, **options: Any) -> None:
    """Open a log that settings do not fit; nothing may be written, and our reason is `why`."""
    before = objects(folder)
    with pytest.raises(SettingsError, match=why):
        open_log(folder, **options)
    assert objects(folder) == before


async def test_a_log_keeps_its_name(tmp_path: Path) -> None:
    """house: the log of another gateway is not gone on with."""
    await open_log(tmp_path, origin="a.example/0").close()
    await refused(tmp_path, "a log keeps its name", origin="b.example/0")
    await open_log(tmp_path, origin="a.example/0").close()
    check_log(tmp_path)


async def test_a_log_goes_on_only_with_its_own_key(tmp_path: Path) -> None:
    """house: a new key would make of the log one that anybody could have forged."""
    log = tmp_path / "log"
    await open_log(log).close()
    own = keys_of(log)
    create_keys(tmp_path / "other")
    (tmp_path / "log.keys").rename(tmp_path / "own")
    (tmp_path / "other").rename(tmp_path / "log.keys")
    await refused(log, "not the one that the log names")
    assert own.epochs == [1]


async def test_a_log_whose_key_is_gone_does_not_start(tmp_path: Path) -> None:
    """house: also if there is a key of a later epoch: nobody handed over to it."""
    log = tmp_path / "log"
    await open_log(log).close()
    add_epoch(tmp_path / "log.keys")
    (tmp_path / "log.keys" / "epoch-0001.key").unlink()
    await refused(log, "epoch 1 is missing")


async def test_a_log_does_not_go_back_to_an_epoch_that_is_over(tmp_path: Path) -> None:
    """house: a rolled-back folder of keys."""
    log = tmp_path / "log"
    await open_log(log).close()
    kept = {path: path.read_bytes() for path in (tmp_path / "log.keys").iterdir()}
    add_epoch(tmp_path / "log.keys")
    await open_log(log).close()
    for path in (tmp_path / "log.keys").iterdir():
        path.unlink()
    for path, data in kept.items():
        path.touch(0o600)
        path.write_bytes(data)
    await refused(log, "epoch 2 is missing")


async def test_what_a_crash_left_is_told_before_anything_else(tmp_path: Path) -> None:
    """house: start, then the cut, then every call without an outcome, in one write."""
    log = open_log(tmp_path)
    await log.append("intent", {"call_id": "a"})
    await log.append("intent", {"call_id": "b"})
    await log.close()
    with (tmp_path / "seg-000000000000.jsonl").open("ab") as file:
        file.write(b"torn")
    disk = ScriptedDisk()
    log = open_log(tmp_path, disk=disk)
    assert disk.calls == ["write", "fdatasync"]
    assert kinds(tmp_path)[-4:] == ["start", "gap", "outcome", "outcome"]
    await log.close()
    check_log(tmp_path)


async def test_a_start_says_how_it_runs(tmp_path: Path) -> None:
    """docs/evidence.md: so that a silence can be told from a gateway that does not beat."""
    await open_log(tmp_path, heartbeat_seconds=77.0).close()
    start = objects(tmp_path)[1]
    assert (start["version"], start["heartbeat_seconds"]) == ("test", 77.0)


@pytest.mark.parametrize("number", [1, 2, 3], ids=["start", "old key's checkpoint", "key-rotate"])
async def test_a_disk_that_cannot_sync_refuses_to_start(tmp_path: Path, number: int) -> None:
    """house: whatever a start makes durable; the folder is free again, and nothing is lost."""
    log = tmp_path / "log"
    await write_log(log, 2)
    forget_checkpoints(log)
    add_epoch(tmp_path / "log.keys")
    with pytest.raises(EvidenceUnavailable):
        open_log(log, disk=SyncFails(number))
    assert keys_of(log).epochs == [1, 2]
    await open_log(log).close()
    check_log(log)
    assert keys_of(log).epochs == [2]


async def test_keys_that_cannot_be_destroyed_refuse_to_start(tmp_path: Path) -> None:
    """house: a start without it would leave a key that could sign the past."""
    log = tmp_path / "log"
    await open_log(log).close()
    add_epoch(tmp_path / "log.keys")
    keys = keys_of(log)

    def fails(epoch: int) -> None:
        raise OSError(30, "Read-only file system")

    keys.destroy = fails  # type: ignore[method-assign]
    with pytest.raises(EvidenceUnavailable):
        open_log(log, keys=keys)
    await open_log(log).close()
    check_log(log)
