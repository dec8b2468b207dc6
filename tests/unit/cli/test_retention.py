import json
from pathlib import Path

import anyio
import pytest

from gateway.evidence.retention.hold import HOLD_NAME, held
from tests.fakes_store import FakeStore
from tests.unit.cli.conftest import CommandLine
from tests.unit.evidence.shelf import Kept, anchor, sealed_log


async def kept_log(folder: Path) -> list[str]:
    """Make a log whose oldest segment is deleted and whose others are shipped; return its names."""
    sealed = await sealed_log(folder)
    anchor(folder)
    store = FakeStore()
    for _ in range(2):  # The record, then, once a checkpoint covers it, the deed.
        async with Kept(folder, store) as kept:
            await kept.keeper.run_once(int(sealed[1].name[4:16]))
    return [path.name for path in sealed]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log; made in a loop of its own, since commands run without one."""
    anyio.run(kept_log, tmp_path / "log")
    return tmp_path / "log"


def test_a_hold_is_placed_shown_and_lifted(bailiwick: CommandLine, log: Path) -> None:
    """House, style §4.8: 0 is done."""
    assert bailiwick("evidence", "hold", "--folder", log, "--reason", "case 17").status == 0
    found = held(log)
    assert found is not None and (found.reason, bool(found.since)) == ("case 17", True)
    assert "case 17" in bailiwick("evidence", "hold", "--folder", log).out
    assert bailiwick("evidence", "hold", "--folder", log, "--release").status == 0
    assert held(log) is None


def test_a_second_hold_is_refused_and_so_is_lifting_none(bailiwick: CommandLine, log: Path) -> None:
    """House, style §4.8: 1 is "no"."""
    assert bailiwick("evidence", "hold", "--folder", log, "--release").status == 1
    bailiwick("evidence", "hold", "--folder", log, "--reason", "first")
    done = bailiwick("evidence", "hold", "--folder", log, "--reason", "second")
    found = held(log)
    assert (done.status, found and found.reason) == (1, "first")


def test_a_hold_without_a_reason_is_a_mistake(bailiwick: CommandLine, log: Path) -> None:
    """House, style §4.8: 2 is usage."""
    assert bailiwick("evidence", "hold", "--folder", log, "--reason", " ").status == 2
    assert bailiwick("evidence", "hold", "--folder", log, "--reason", "a", "--release").status == 2
    assert held(log) is None


def rows(bailiwick: CommandLine, log: Path) -> list[dict[str, object]]:
    """Return what the status says, for machines."""
    done = bailiwick("evidence", "archive-status", "--folder", log, "--json")
    assert done.status == 0
    return [json.loads(line) for line in done.out.splitlines()]


def test_the_status_says_where_each_segment_is(bailiwick: CommandLine, log: Path) -> None:
    """House: deleted ones too, since the log tells of them."""
    first, *middle, last = rows(bailiwick, log)
    assert (first["where"], first["shipped"]) == ("elsewhere", ["fake"])
    assert {str(row["where"]) for row in middle} == {"compressed"}
    assert (last["where"], last["kept_because"]) == ("raw", "open")
    assert sum(row["deletable"] is True for row in [first, last]) == 0


def test_the_status_names_the_hold(bailiwick: CommandLine, log: Path) -> None:
    """House: why not, in words."""
    (log / HOLD_NAME).touch()
    assert rows(bailiwick, log)[1]["kept_because"] == "a legal hold is in place"


def test_the_status_is_a_table_for_people(bailiwick: CommandLine, log: Path) -> None:
    """House."""
    done = bailiwick("evidence", "archive-status", "--folder", log)
    assert (done.status, done.out.count("fake") > 2) == (0, True)
