import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.core.errors import EvidenceError, EvidenceUnavailable
from gateway.core.note import Note, SigningKey
from gateway.witness.conflicts import Conflicts
from gateway.witness.history import HISTORY_NAME
from gateway.witness.memory import HELD_FOLDER, Memory
from gateway.witness.state import Witness
from tests.fakes_clock import FakeClock
from tests.unit.witness.logs import ORIGIN, MemoryLog

KEY = SigningKey("witness.example/w1", bytes([9]) * 32)
LOG = MemoryLog("a", "b", "c", "d", "e", "f", "g", "h")


def witness(folder: Path, memory: Memory) -> Witness:
    """Return a witness with this memory."""
    return Witness(KEY, [LOG.key.verifier], memory, Conflicts(folder), FakeClock())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of a witness that held 3 and then 5 records, and has ended."""
    memory = Memory(tmp_path)
    one = witness(tmp_path, memory)
    assert [one.add(LOG.body(0, 3)).status, one.add(LOG.body(3, 5)).status] == [200, 200]
    memory.close()
    yield tmp_path


def size_held(folder: Path) -> int:
    """Return what a witness that starts on the folder holds."""
    memory = Memory(folder)
    memory.close()
    return memory.held[ORIGIN].checkpoint.size


def held_file(folder: Path) -> Path:
    """Return the file of the one log."""
    (path,) = (folder / HELD_FOLDER).glob("*.json")
    return path


def test_a_restart_remembers(folder: Path) -> None:
    """C2SP tlog-witness: the witness MUST persist the new checkpoint before responding."""
    assert size_held(folder) == 5


def test_either_file_is_enough_to_remember(folder: Path) -> None:
    """House: a lost file must not make a witness forget."""
    held_file(folder).rename(folder / "aside")
    assert size_held(folder) == 5
    (folder / "aside").rename(folder / HELD_FOLDER / "restored.json")
    (folder / HISTORY_NAME).unlink()
    assert size_held(folder) == 5


def test_an_older_file_put_back_rolls_nothing_back(tmp_path: Path) -> None:
    """House: the newer of the two files counts."""
    memory = Memory(tmp_path)
    one = witness(tmp_path, memory)
    one.add(LOG.body(0, 3))
    older = held_file(tmp_path).read_bytes()
    one.add(LOG.body(3, 5))
    memory.close()
    held_file(tmp_path).write_bytes(older)
    assert size_held(tmp_path) == 5


def test_an_older_history_put_back_rolls_nothing_back(folder: Path) -> None:
    """House: the newer of the two files counts."""
    path = folder / HISTORY_NAME
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert size_held(folder) == 5


@pytest.mark.parametrize(
    ("old", "new"), [(b'"note"', b'"nope"'), (b"\\n5\\n", b"\\n6\\n"), (b"{", b""), (b'"key"', b"")]
)
@pytest.mark.parametrize("history", [True, False])
def test_a_state_that_was_altered_stops_the_start(
    folder: Path, old: bytes, new: bytes, history: bool
) -> None:
    """House: a witness that forgets is worse than none."""
    path = folder / HISTORY_NAME if history else held_file(folder)
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(EvidenceError) as refused:
        Memory(folder)
    assert refused.value.reason_code == "witness_state_unreadable"


def test_a_history_that_a_crash_tore_is_cut_and_goes_on(folder: Path) -> None:
    """House: what has no newline was never answered."""
    path = folder / HISTORY_NAME
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "log')
    memory = Memory(folder)
    assert path.read_bytes() == whole
    assert witness(folder, memory).add(LOG.body(5, 6)).status == 200
    memory.close()
    assert size_held(folder) == 6


GARBAGE = [bytes(700) + b"\n", b'ote":"x"}\n', b"{}\n", b'{"note":"x"}\n', b"\xff\n"]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_a_power_cut_left_of_the_last_line_is_moved_aside(
    folder: Path, garbage: bytes
) -> None:
    """House: nobody was answered for it, `held` shows that nothing else is missing."""
    path = folder / HISTORY_NAME
    whole = path.read_bytes()
    path.write_bytes(whole + garbage)
    memory = Memory(folder)
    assert path.read_bytes() == whole
    (aside,) = folder.glob("*.damaged")
    assert aside.read_bytes() == garbage
    assert witness(folder, memory).add(LOG.body(5, 6)).status == 200
    memory.close()
    assert size_held(folder) == 6


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_at_the_end_stops_the_start_if_held_knows_less(
    folder: Path, garbage: bytes
) -> None:
    """House: the damaged line may then be the only one that knew."""
    path = folder / HISTORY_NAME
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second + garbage)
    held_file(folder).write_bytes(first)
    unreadable(folder)
    held_file(folder).unlink()
    unreadable(folder)
    path.write_bytes(garbage)
    unreadable(folder)


def test_garbage_before_the_last_line_stops_the_start(folder: Path) -> None:
    """House: no power cut leaves that."""
    path = folder / HISTORY_NAME
    first, second = path.read_bytes().splitlines(keepends=True)
    for damaged in (bytes(9) + b"\n" + first + second, first + b"\n" + second, first + b"\n\n"):
        path.write_bytes(damaged)
        unreadable(folder)
        assert path.read_bytes() == damaged


def unreadable(folder: Path) -> None:
    """Assert that a witness does not start on the folder."""
    with pytest.raises(EvidenceError) as refused:
        Memory(folder)
    assert refused.value.reason_code == "witness_state_unreadable"


def test_only_the_newest_line_of_a_log_is_verified_at_a_start(folder: Path) -> None:
    """House: a history of years must not take hours; the auditor verifies the others."""
    path = folder / HISTORY_NAME
    first, second = path.read_bytes().splitlines(keepends=True)
    forged = first.replace(b"\\n3\\n", b"\\n4\\n")
    assert forged != first
    path.write_bytes(first + forged + second)
    assert size_held(folder) == 5
    path.write_bytes(second + forged)
    assert size_held(folder) == 5
    path.write_bytes(first + second.replace(b"\\n5\\n", b"\\n7\\n"))
    unreadable(folder)


def test_the_newest_line_of_each_log_counts(tmp_path: Path) -> None:
    """House: a witness of several logs forgets none of them, if it lost `held`."""
    other = MemoryLog("x", "y", origin="other.example/0")
    memory, keys = Memory(tmp_path), [LOG.key.verifier, other.key.verifier]
    one = Witness(KEY, keys, memory, Conflicts(tmp_path), FakeClock())
    for log, old, size in ((LOG, 0, 2), (other, 0, 1), (other, 1, 2), (LOG, 2, 8)):
        assert one.add(log.body(old, size)).status == 200
    memory.close()
    for path in (tmp_path / HELD_FOLDER).glob("*.json"):
        path.unlink()
    again = Memory(tmp_path)
    again.close()
    sizes = {origin: held.checkpoint.size for origin, held in again.held.items()}
    assert sizes == {ORIGIN: 8, "other.example/0": 2}


def test_the_history_holds_every_accepted_note_signed_and_cosigned(folder: Path) -> None:
    """House: the auditor of a witness needs nothing else."""
    notes = [json.loads(line)["note"] for line in (folder / HISTORY_NAME).read_bytes().splitlines()]
    read = [Note.parse(note) for note in notes]
    assert [note.text for note in read] == [Note.parse(LOG.note(n)).text for n in (3, 5)]
    assert all(note.signed_by(LOG.key.verifier) for note in read)
    assert all(note.cosigned_at(KEY.witness) for note in read)


def test_files_are_for_the_owner_only(folder: Path) -> None:
    """House: 0600, folders 0700."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}
    assert len(found) == 3


def test_two_witnesses_do_not_share_a_memory(folder: Path) -> None:
    """House: each would cosign what the other must refuse."""
    memory = Memory(folder)
    with pytest.raises(EvidenceUnavailable):
        Memory(folder)
    memory.close()


def test_nothing_is_cosigned_when_it_cannot_be_remembered(folder: Path) -> None:
    """C2SP tlog-witness: persisted before the answer; house: a failed write is not tried again."""
    memory = Memory(folder)
    one = witness(folder, memory)
    held = folder / HELD_FOLDER
    held.rename(folder / "gone")
    with pytest.raises(EvidenceUnavailable):
        one.add(LOG.body(5, 6))
    (folder / "gone").rename(held)
    with pytest.raises(EvidenceUnavailable):
        one.add(LOG.body(5, 7))
    memory.close()
    assert size_held(folder) == 6


def test_of_concurrent_continuations_exactly_one_is_cosigned(folder: Path) -> None:
    """C2SP tlog-witness: checking and persisting are atomic, or leaves are rolled back."""
    memory = Memory(folder)
    one, together = witness(folder, memory), threading.Barrier(3)

    def submit(size: int) -> int:
        together.wait(5)
        return one.add(LOG.body(5, size)).status

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(submit, (6, 7, 8))) == [200, 409, 409]
    memory.close()
