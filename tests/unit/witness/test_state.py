import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.core.errors import SettingsError
from gateway.core.note import Note, SigningKey, VerifierKey, encode64
from gateway.witness.conflicts import MOST, Conflicts
from gateway.witness.history import HISTORY_NAME
from gateway.witness.memory import Memory
from gateway.witness.protocol import SIZE_TYPE
from gateway.witness.state import Witness
from tests.fakes_clock import FakeClock
from tests.unit.witness.logs import ORIGIN, MemoryLog

KEY = SigningKey("witness.example/w1", bytes([9]) * 32)
Open = Callable[..., Witness]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Return a function that starts a witness on one folder, after ending the one before."""
    with ExitStack() as last:

        def start(*logs: VerifierKey) -> Witness:
            last.close()
            memory = Memory(tmp_path)
            last.callback(memory.close)
            known = logs or (MemoryLog().key.verifier,)
            return Witness(KEY, known, memory, Conflicts(tmp_path), FakeClock())

        yield start


def conflicts(folder: Path, kind: str = "*") -> list[dict[str, object]]:
    """Return what lies in the folder of conflicts."""
    return [json.loads(path.read_bytes()) for path in folder.glob(f"conflicts/{kind}-*.json")]


def history(folder: Path) -> list[bytes]:
    """Return the lines of the history."""
    return (folder / HISTORY_NAME).read_bytes().splitlines()


def test_a_first_checkpoint_is_cosigned(opened: Open) -> None:
    """C2SP tlog-cosignature, cosignature/v1: a line that verifies behind the checkpoint."""
    log = MemoryLog("a", "b")
    answer = opened().add(log.body(0))
    assert answer.status == 200
    assert Note.parse(log.note() + answer.body).cosigned_at(KEY.witness) == 1_800_000_000


def test_a_checkpoint_that_continues_the_one_held_is_cosigned(opened: Open) -> None:
    """C2SP tlog-witness: RFC 6962 §2.1.2 from the old size."""
    witness, log = opened(), MemoryLog("a", "b", "c", "d", "e")
    assert [witness.add(log.body(old, size)).status for old, size in [(0, 3), (3, 5)]] == [200, 200]


def test_the_same_checkpoint_once_more_is_cosigned_and_fills_no_disk(
    opened: Open, tmp_path: Path
) -> None:
    """House: anybody can send it again, as often as they like."""
    witness, log = opened(), MemoryLog("a")
    assert [witness.add(log.body(0)).status, witness.add(log.body(1)).status] == [200, 200]
    assert len(history(tmp_path)) == 1


def test_a_malformed_submission_is_answered_400(opened: Open) -> None:
    """C2SP tlog-witness."""
    assert opened().add(b"old 0\n").status == 400


def test_an_unknown_log_is_answered_404(opened: Open) -> None:
    """C2SP tlog-witness."""
    assert opened().add(MemoryLog("a", origin="other.example").body(0)).status == 404


def test_a_checkpoint_that_no_trusted_key_signed_is_answered_403(opened: Open) -> None:
    """C2SP tlog-witness: the origin is not enough."""
    assert opened().add(MemoryLog("a", seed=2).body(0)).status == 403


def test_an_old_size_beyond_the_checkpoint_is_answered_400(opened: Open) -> None:
    """C2SP tlog-witness: also when it is the size held."""
    witness, log = opened(), MemoryLog("a", "b", "c")
    witness.add(log.body(0))
    assert witness.add(log.body(0, 2, said=3)).status == 400


@pytest.mark.parametrize("said", [0, 1, 4])
def test_another_old_size_than_the_one_held_is_told_the_size(opened: Open, said: int) -> None:
    """C2SP tlog-witness: 409, text/x.tlog.size, decimal and newline."""
    witness, log = opened(), MemoryLog("a", "b", "c", "d")
    witness.add(log.body(0, 3))
    answer = witness.add(log.body(said))
    assert (answer.status, answer.body, answer.media_type) == (409, "3\n", SIZE_TYPE)


def test_a_log_that_was_cut_back_is_refused(opened: Open) -> None:
    """C2SP tlog-witness: never a smaller tree after a larger one."""
    witness, log = opened(), MemoryLog("a", "b", "c")
    witness.add(log.body(0))
    assert witness.add(log.body(2, 2)).status == 409
    assert witness.add(log.body(0, 2)).status == 409


def test_a_proof_that_does_not_hold_is_answered_422_and_the_checkpoint_kept(
    opened: Open, tmp_path: Path
) -> None:
    """C2SP tlog-witness; house: a rewritten log looks like this."""
    witness, log = opened(), MemoryLog("a", "b")
    witness.add(log.body(0))
    rewritten = MemoryLog("a", "x", "c")
    assert witness.add(rewritten.body(2)).status == 422
    assert [found["refused"] for found in conflicts(tmp_path, "suspect")] == [rewritten.note()]
    log.append("c")
    assert witness.add(log.body(2)).status == 200


@pytest.mark.parametrize("said", [0, 1, 2])
def test_another_root_of_the_size_held_is_proof_of_a_fork_and_kept(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture, said: int
) -> None:
    """C2SP tlog-witness: 409; house: two signed roots of one size are kept and told of."""
    witness, log, fork = opened(), MemoryLog("a", "b"), MemoryLog("a", "x")
    witness.add(log.body(0))
    with caplog.at_level(logging.WARNING):
        assert witness.add(fork.body(2, said=said)).status == 409
    (found,) = conflicts(tmp_path, "fork")
    assert found["refused"] == fork.note()
    assert Note.parse(str(found["held"])).signed_by(log.key.verifier)
    assert ORIGIN in caplog.text


def test_a_fork_is_kept_once(opened: Open, tmp_path: Path) -> None:
    """House: repeating oneself fills no disk."""
    witness = opened()
    witness.add(MemoryLog("a").body(0))
    for _ in range(3):
        witness.add(MemoryLog("x").body(1))
    assert len(conflicts(tmp_path)) == 1


def test_suspects_are_bounded_and_leave_room_for_proof(opened: Open, tmp_path: Path) -> None:
    """House: what anybody can cause does not crowd out what only the log can."""
    witness = opened()
    witness.add(MemoryLog("a").body(0))
    for number in range(MOST + 5):
        witness.add(MemoryLog("a", f"{number}").body(0, said=1))
    witness.add(MemoryLog("x").body(1))
    assert len(conflicts(tmp_path, "suspect")) == MOST
    assert len(conflicts(tmp_path, "fork")) == 1


def test_what_nobody_signed_is_not_kept(opened: Open, tmp_path: Path) -> None:
    """House: without a signature it proves nothing, and anybody can send it."""
    witness = opened()
    witness.add(MemoryLog("a").body(0))
    witness.add(MemoryLog("x", seed=2).body(1))
    assert conflicts(tmp_path) == []


def test_a_proof_for_the_empty_tree_is_empty(opened: Open) -> None:
    """C2SP tlog-witness: the proof MUST be empty if the old size is zero."""
    body = MemoryLog("a").body(0).replace(b"old 0\n", b"old 0\n%s\n" % encode64(bytes(32)).encode())
    assert opened().add(body).status == 422


def test_a_later_key_takes_over_and_the_earlier_one_signs_no_more(
    opened: Open, tmp_path: Path
) -> None:
    """House, docs/evidence.md, epochs; CVE-2023-31439 is what comes of not checking."""
    old, new = MemoryLog("a", "b", "c"), MemoryLog("a", "b", "c", seed=2)
    witness = opened(old.key.verifier, new.key.verifier)
    assert [witness.add(old.body(0, 1)).status, witness.add(new.body(1, 2)).status] == [200, 200]
    assert witness.add(old.body(2, 3)).status == 403
    assert [found["refused"] for found in conflicts(tmp_path, "retired")] == [old.note()]
    assert witness.add(new.body(2, 3)).status == 200


def test_a_retired_key_stays_retired_after_a_restart(opened: Open) -> None:
    """House: which key signed last is part of what is remembered."""
    old, new = MemoryLog("a", "b"), MemoryLog("a", "b", seed=2)
    keys = (old.key.verifier, new.key.verifier)
    opened(*keys).add(new.body(0, 1))
    assert opened(*keys).add(old.body(1, 2)).status == 403


def test_a_later_key_at_the_same_size_retires_the_earlier_one(opened: Open) -> None:
    """House: an accepted signature counts, whatever it says about the size."""
    old, new = MemoryLog("a", "b"), MemoryLog("a", "b", seed=2)
    keys = (old.key.verifier, new.key.verifier)
    witness = opened(*keys)
    witness.add(old.body(0, 1))
    witness.add(new.body(1, 1))
    assert opened(*keys).add(old.body(1, 2)).status == 403


def test_the_key_used_last_must_be_given(opened: Open) -> None:
    """House: without it nobody could tell which keys came before."""
    new = MemoryLog("a", seed=2)
    opened(new.key.verifier).add(new.body(0))
    with pytest.raises(SettingsError):
        opened(MemoryLog().key.verifier)


def test_a_witness_key_is_not_taken_for_a_log(opened: Open) -> None:
    """C2SP signed-note: type 4 signs cosignatures only."""
    with pytest.raises(SettingsError):
        opened(KEY.witness)


def test_a_key_given_twice_is_refused(opened: Open) -> None:
    """House: its place among the epochs would be unclear."""
    with pytest.raises(SettingsError):
        opened(MemoryLog().key.verifier, MemoryLog().key.verifier)


def test_logs_are_remembered_apart(opened: Open) -> None:
    """C2SP tlog-witness: the latest checkpoint for each origin."""
    one, other = MemoryLog("a", "b"), MemoryLog("x", origin="other.example")
    witness = opened(one.key.verifier, other.key.verifier)
    assert [witness.add(log.body(0)).status for log in (one, other)] == [200, 200]
    assert "log other.example size 1 at 2027-01-15T08:00:00" in witness.about()
    assert f"log {ORIGIN} size 2 at" in witness.about()
