from pathlib import Path

import pytest

from gateway.core.errors import EvidenceError
from gateway.evidence.retention.hold import HOLD_NAME, Hold, held, place, release

HOLD = Hold("case 17", "2026-11-24T09:00:00.000000Z", "ada")


def test_without_a_file_there_is_no_hold(tmp_path: Path) -> None:
    """House."""
    assert held(tmp_path) is None


def test_a_placed_hold_says_why_since_when_and_by_whom(tmp_path: Path) -> None:
    """docs/evidence.md: `legal-hold.json`."""
    place(tmp_path, HOLD)
    assert held(tmp_path) == HOLD
    assert [path.name for path in tmp_path.iterdir()] == [HOLD_NAME]


@pytest.mark.parametrize("text", [b"", b"not json", b"{}", b"[]", b"\xff"])
def test_a_hold_that_cannot_be_read_is_a_hold(tmp_path: Path, text: bytes) -> None:
    """house: fail closed."""
    (tmp_path / HOLD_NAME).write_bytes(text)
    assert held(tmp_path) is not None


def test_whatever_has_that_name_is_a_hold(tmp_path: Path) -> None:
    """house: fail closed, also for a folder and a link that leads nowhere."""
    (tmp_path / HOLD_NAME).mkdir()
    assert held(tmp_path) is not None
    (tmp_path / HOLD_NAME).rmdir()
    (tmp_path / HOLD_NAME).symlink_to(tmp_path / "nowhere")
    assert held(tmp_path) is not None


def test_a_second_hold_does_not_overwrite_the_first(tmp_path: Path) -> None:
    """house: the reason of a hold is evidence itself."""
    place(tmp_path, HOLD)
    with pytest.raises(EvidenceError) as caught:
        place(tmp_path, Hold("case 18", "later", "bob"))
    assert caught.value.reason_code == "hold_in_place"
    assert held(tmp_path) == HOLD


def test_a_released_hold_is_gone(tmp_path: Path) -> None:
    """House."""
    place(tmp_path, HOLD)
    assert release(tmp_path) == HOLD
    assert held(tmp_path) is None
    assert release(tmp_path) is None
