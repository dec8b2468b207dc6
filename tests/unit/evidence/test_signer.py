import base64
import os
from pathlib import Path

import pytest

from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import SettingsError
from gateway.core.note import Note, VerifierKey
from gateway.evidence.signer import KeyRing, add_epoch, create_keys
from tests.unit.evidence.logs import PLAN, check_log, checkpoints, keys_of, objects, open_log

SIZE, ROOT = 7, bytes(range(32))


def keys_folder(folder: Path) -> Path:
    """Return where `keys_of` keeps the keys of a log."""
    return folder.parent / f"{folder.name}.keys"


def test_keys_are_made_for_their_owner_only_and_all_differ(tmp_path: Path) -> None:
    """house: folder 0700, files 0600, 32 random bytes each in base64."""
    folder = create_keys(tmp_path / "new" / "keys")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in folder.iterdir()) == ["epoch-0001.key", "redaction.key"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    create_keys(tmp_path / "other")
    keys = {base64.b64decode(path.read_bytes()) for path in tmp_path.rglob("*.key")}
    assert [len(key) for key in keys] == [32] * 4


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    """house: a log whose key is gone cannot go on."""
    create_keys(tmp_path)
    before = (tmp_path / "epoch-0001.key").read_bytes()
    with pytest.raises(FileExistsError):
        create_keys(tmp_path)
    assert (tmp_path / "epoch-0001.key").read_bytes() == before


@pytest.mark.parametrize("name", ["epoch-0001.key", "redaction.key"])
@pytest.mark.parametrize(
    ("data", "mode"),
    [
        pytest.param(None, 0o600, id="missing"),
        pytest.param(base64.b64encode(b"k" * 31), 0o600, id="too short"),
        pytest.param(base64.b64encode(b"k" * 33), 0o600, id="too long"),
        pytest.param(b"", 0o600, id="empty"),
        pytest.param(b"!" * 44, 0o600, id="not base64"),
        pytest.param(base64.b64encode(b"k" * 32), 0o640, id="the group reads it"),
        pytest.param(base64.b64encode(b"k" * 32), 0o604, id="the world reads it"),
    ],
)
def test_a_key_that_is_none_or_that_others_can_read_is_refused(
    tmp_path: Path, name: str, data: bytes | None, mode: int
) -> None:
    """house: no gateway starts with a key that proves nothing."""
    create_keys(tmp_path)
    (tmp_path / name).unlink()
    if data is not None:
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(mode)
    with pytest.raises(SettingsError):
        KeyRing(tmp_path).signer("log.example", 1)


def test_a_good_key_is_taken(tmp_path: Path) -> None:
    """house: the counterpart of the refusals."""
    create_keys(tmp_path)
    for name, byte in (("epoch-0001.key", b"k"), ("redaction.key", b"r")):
        (tmp_path / name).write_bytes(base64.b64encode(byte * 32))
    keys = KeyRing(tmp_path)
    assert keys.redaction == b"r" * 32
    assert keys.signer("log.example", 1).key.verifier.public == keys.signer("x", 1).verifier.public


def test_a_folder_without_keys_is_refused(tmp_path: Path) -> None:
    """house: whether it is missing or empty."""
    for folder in (tmp_path / "missing", tmp_path):
        with pytest.raises(SettingsError):
            KeyRing(folder)


def test_a_checkpoint_is_a_note_signed_by_the_key_of_its_epoch(tmp_path: Path) -> None:
    """https://c2sp.org/tlog-checkpoint: origin, size, root; the key's name is the origin."""
    add_epoch(create_keys(tmp_path))
    one, two = (KeyRing(tmp_path).signer("log.example/0", epoch) for epoch in (1, 2))
    note = Note.parse(two.checkpoint(SIZE, ROOT))
    assert Checkpoint.parse(note.text) == Checkpoint("log.example/0", SIZE, ROOT)
    assert note.signed_by(two.verifier)
    assert not note.signed_by(one.verifier)
    assert (two.origin, two.epoch) == ("log.example/0", 2)


def test_a_hand_over_is_signed_by_the_key_that_hands_over(tmp_path: Path) -> None:
    """docs/evidence.md: over origin, epoch and the new key, and nothing else."""
    add_epoch(create_keys(tmp_path))
    one, two = (KeyRing(tmp_path).signer("log.example/0", epoch) for epoch in (1, 2))
    signature = base64.b64decode(one.hand_over(2, two.verifier))
    signed = f"bailiwick/key-rotate\nlog.example/0\n2\n{two.verifier}\n".encode()
    assert one.verifier.verify(signed, signature)
    assert not two.verifier.verify(signed, signature)


def test_epochs_are_counted_on(tmp_path: Path) -> None:
    """house: in the order of their numbers, beyond the padding too."""
    create_keys(tmp_path)
    (tmp_path / "epoch-0001.key").rename(tmp_path / "epoch-9999.key")
    assert [add_epoch(tmp_path), add_epoch(tmp_path)] == [10000, 10001]
    assert KeyRing(tmp_path).epochs == [9999, 10000, 10001]


def test_a_destroyed_key_is_gone_from_the_disk_and_the_ring(tmp_path: Path) -> None:
    """house: overwritten where it lay, then removed; the others stay."""
    add_epoch(create_keys(tmp_path))
    os.link(tmp_path / "epoch-0001.key", tmp_path / "what the disk holds")
    keys = KeyRing(tmp_path)
    keys.destroy(1)
    assert keys.epochs == KeyRing(tmp_path).epochs == [2]
    assert set((tmp_path / "what the disk holds").read_bytes()) == {0}
    assert len(keys.signer("log.example", 2).checkpoint(SIZE, ROOT)) > 0


async def test_a_new_epoch_takes_over_at_the_next_start(tmp_path: Path) -> None:
    """docs/evidence.md: the old key signs up to the seq of `key-rotate`, the new one from there."""
    log = tmp_path / "log"
    await open_log(log).close()
    old = keys_of(log).signer(PLAN.origin, 1)
    assert add_epoch(keys_folder(log)) == 2
    new = keys_of(log).signer(PLAN.origin, 2)
    await open_log(log).close()
    (rotated,) = (record for record in check_log(log) if record["kind"] == "key-rotate")
    assert (rotated["epoch"], rotated["key"], rotated["previous_key"]) == (
        2,
        str(new.verifier),
        str(old.verifier),
    )
    signed = f"bailiwick/key-rotate\n{PLAN.origin}\n2\n{new.verifier}\n".encode()
    assert VerifierKey.parse(rotated["previous_key"]).verify(
        signed, base64.b64decode(rotated["signature"])
    )
    covered = []
    for size, _, _, note in checkpoints(log):
        assert Note.parse(note).signed_by((old if size <= rotated["seq"] else new).verifier)
        covered.append(size)
    assert rotated["seq"] in covered
    assert covered[-1] == len(objects(log))
    assert keys_of(log).epochs == [2]


async def test_a_segment_names_the_key_in_force(tmp_path: Path) -> None:
    """docs/evidence.md: epoch and vkey in each `segment` record; the next run goes on with it."""
    log = tmp_path / "log"
    for epoch in (1, 2, 3):
        if epoch > 1:
            add_epoch(keys_folder(log))
        for number in range(3):
            writer = open_log(log, segment_bytes=2500)
            for call in range(5):
                await writer.append("refusal", {"call_id": f"{epoch}-{number}-{call}"})
            await writer.close()
        key = str(keys_of(log).signer(PLAN.origin, epoch).verifier)
        last = [record for record in check_log(log) if record["kind"] == "segment"][-1]
        assert (last["epoch"], last["key"]) == (epoch, key)


async def test_a_hand_over_that_a_crash_cut_short_is_done_at_the_next_start(tmp_path: Path) -> None:
    """house: the old key outlived its last record; it is not used again."""
    log = tmp_path / "log"
    await open_log(log).close()
    kept = (keys_folder(log) / "epoch-0001.key").read_bytes()
    add_epoch(keys_folder(log))
    await open_log(log).close()
    (keys_folder(log) / "epoch-0001.key").write_bytes(kept)
    (keys_folder(log) / "epoch-0001.key").chmod(0o600)
    await open_log(log).close()
    check_log(log)
    assert [r["epoch"] for r in objects(log) if r["kind"] == "key-rotate"] == [2]
    assert keys_of(log).epochs == [2]
