import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import EvidenceUnavailable
from gateway.core.redaction import Redactor
from gateway.evidence import blobs
from gateway.evidence.opened import open_record
from gateway.evidence.plan import Plan
from gateway.evidence.recorder import Recorder
from gateway.evidence.sealing import Sealer, generate
from gateway.evidence.segments import records
from gateway.evidence.writer import SegmentWriter
from tests.unit.evidence.logs import PLAN, RealClock, kinds, open_log

SYSTEMS = {
    "shop": {"tools": {"pay": {"effect": "write", "redact": {"arguments": {"/card": "secret"}}}}}
}
SECRET = "dull words"
LONG = "all is well " * 4000
"""Longer than a record holds in line."""

Put = Callable[[Path, bytes], str]


def recorder(
    folder: Path, put: Put = blobs.put, public: str | None = None, **plan: Any
) -> tuple[Recorder, SegmentWriter]:
    """Return a recorder over a real log, and the log."""
    log = open_log(folder, clock=RealClock(), **plan)
    seal = Sealer(public) if public else None
    kept = Plan(origin=PLAN.origin, deadline_seconds=plan.get("deadline_seconds", 5.0))
    return Recorder(log, folder, Redactor(bytes(32), SYSTEMS), seal, kept, put), log


def intent(call_id: str = "c") -> dict[str, Any]:
    """Return the fields of an intent with a marked argument."""
    return {
        "call_id": call_id,
        "request": {"system": "shop", "body_bytes": 10, "target": "/shop/mcp", "headers": {}},
        "call": {"action": "tools/call", "resource_type": "tool", "name": "pay"},
        "input": {"resource": {"system": "shop", "name": "pay", "arguments": {"card": SECRET}}},
    }


def outcome(body: str, call_id: str = "c") -> dict[str, Any]:
    """Return the fields of an outcome."""
    return {"call_id": call_id, "system": "shop", "tool": "pay", "headers": {}, "body": body}


def stored(folder: Path) -> bytes:
    """Return every byte of the folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def held(kept: Recorder) -> str:
    """Return all that a recorder remembers of calls."""
    return repr([vars(kept)[name] for name in ("_secrets", "_since")])


async def test_a_marked_argument_and_its_echo_in_the_answer_stay_off_the_disk(
    tmp_path: Path,
) -> None:
    """Issue: before bytes reach the writer."""
    kept, _ = recorder(tmp_path / "log")
    await kept.append("intent", intent(), effect="write")
    await kept.append("outcome", outcome(f"paid with {SECRET}"))
    await kept.close()
    assert SECRET.encode() not in stored(tmp_path / "log")
    assert kinds(tmp_path / "log").count("outcome") == 1


async def test_what_was_redacted_is_forgotten_with_the_outcome(tmp_path: Path) -> None:
    """House: no secret outlives its call in memory."""
    kept, _ = recorder(tmp_path / "log")
    await kept.append("intent", intent(), effect="write")
    assert SECRET in held(kept)
    await kept.append("outcome", outcome("done"))
    assert SECRET not in held(kept)
    await kept.close()


async def test_an_answer_stays_covered_by_what_marked_when_its_call_began(tmp_path: Path) -> None:
    """Evidence: two reloads while a stream is open must not uncover what comes of it."""
    marked = {"pay": {"redact": {"result": {"/name": "pii"}}}}
    kept, _ = recorder(tmp_path / "log")
    kept.adopt({"shop": {"tools": marked}})
    await kept.append("intent", intent(), effect="write")
    kept.adopt({"shop": {"tools": {"pay": {}}}})
    kept.adopt({"shop": {"tools": {"pay": {}}, "other": {"tools": {}}}})
    body = '{"jsonrpc":"2.0","id":1,"result":{"name":"Anna"}}'
    await kept.append("stream-part", outcome(body))
    await kept.append("outcome", outcome(body))
    assert "Catalogue" not in held(kept)
    await kept.close()
    assert b"Anna" not in stored(tmp_path / "log")


async def test_an_intent_that_is_refused_leaves_no_secret_behind(tmp_path: Path) -> None:
    """House: agents that try again and again must not fill the memory."""
    kept, log = recorder(tmp_path / "log")
    log.latch("for the test")
    with pytest.raises(EvidenceUnavailable):
        await kept.append("intent", intent(), effect="write")
    assert SECRET not in held(kept)
    assert "Catalogue" not in held(kept)
    await kept.close()


async def test_a_record_that_cannot_be_redacted_is_not_written(tmp_path: Path) -> None:
    """House: fail closed; what may hold a secret in clear does not reach the disk."""
    kept, _ = recorder(tmp_path / "log")
    broken = intent()
    broken["request"]["headers"] = 7
    broken["input"]["resource"]["arguments"] = object()
    with pytest.raises(EvidenceUnavailable):
        await kept.append("intent", broken, effect="write")
    await kept.close()
    assert "intent" not in kinds(tmp_path / "log")


@pytest.mark.parametrize("sealed", [True, False])
async def test_a_long_body_is_a_blob_that_lies_there_before_its_record(
    tmp_path: Path, sealed: bool
) -> None:
    """docs/evidence.md: durable before the record that names it."""
    private, public = generate()
    kept, log = recorder(tmp_path / "log", public=public if sealed else None)
    log.latch("so that the record is not written")
    with pytest.raises(EvidenceUnavailable):
        await kept.append("outcome", outcome(LONG))
    assert len([path for path in (tmp_path / "log" / "blobs").rglob("*") if path.is_file()]) == 1
    await kept.close()
    kept, _ = recorder(tmp_path / "log", public=public if sealed else None)
    await kept.append("intent", intent(), effect="write")
    await kept.append("outcome", outcome(LONG))
    await kept.close()
    assert (LONG.encode() in stored(tmp_path / "log")) != sealed
    last = [record for record in records(tmp_path / "log") if record.kind == "outcome"][-1]
    assert last.fields["body"] is None
    assert open_record(tmp_path / "log", last, private)["body"] == LONG


async def test_a_full_disk_takes_a_long_body_into_the_room_of_the_reserve(tmp_path: Path) -> None:
    """Issue: closing records always fit."""
    rooms = [False, True]

    def put(folder: Path, data: bytes) -> str:
        if not rooms.pop(0):
            raise OSError(errno.ENOSPC, "No space left on device")
        return blobs.put(folder, data)

    kept, log = recorder(tmp_path / "log", put)
    await kept.append("intent", intent(), effect="write")
    await kept.append("outcome", outcome(LONG))
    assert not log.make_room()  # It was given already.
    await kept.close()
    last = [record for record in records(tmp_path / "log") if record.kind == "outcome"][-1]
    assert last.fields["blob"]["bytes"] == len(LONG)


async def test_a_body_that_finds_no_room_at_all_does_not_cost_its_outcome(tmp_path: Path) -> None:
    """House: the record says that the body is not whole; the gateway goes on."""

    def put(folder: Path, data: bytes) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    kept, _ = recorder(tmp_path / "log", put)
    await kept.append("intent", intent(), effect="write")
    await kept.append("outcome", outcome(LONG))
    await kept.close()
    last = [record for record in records(tmp_path / "log") if record.kind == "outcome"][-1]
    assert (last.fields["body"], last.fields["truncated"]) == (None, True)
    assert "blob" not in last.fields


async def test_a_disk_that_fails_otherwise_takes_no_record_either(tmp_path: Path) -> None:
    """House: fail closed."""

    def put(folder: Path, data: bytes) -> str:
        raise OSError(errno.EIO, "Input/output error")

    kept, _ = recorder(tmp_path / "log", put)
    await kept.append("intent", intent(), effect="write")
    with pytest.raises(EvidenceUnavailable):
        await kept.append("outcome", outcome(LONG))
    await kept.close()


async def test_a_disk_that_hangs_at_a_body_latches_the_log(tmp_path: Path) -> None:
    """House: a hang counts as failed."""
    gate = threading.Event()

    def put(folder: Path, data: bytes) -> str:
        gate.wait(10)
        return blobs.put(folder, data)

    kept, log = recorder(tmp_path / "log", put, deadline_seconds=0.1)
    await kept.append("intent", intent(), effect="write")
    with pytest.raises(EvidenceUnavailable):
        await kept.append("outcome", outcome(LONG))
    gate.set()
    assert not log.healthy()
    await kept.close()
