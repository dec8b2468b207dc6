from dataclasses import replace

import anyio
import pytest

from gateway.core.answer import MAX_KEPT, PART_BYTES, PART_NS
from gateway.core.canonical import digest
from gateway.core.errors import UpstreamError
from tests.fakes import PERMIT, FakeClock, Gate
from tests.pipeline.line import ANSWER, EVENT, MARK, PROGRESS, Line, request, resources_read


def event(size: int) -> bytes:
    """Return an event of this many bytes that is no answer."""
    frame = b"data: \n\n"
    return frame[:6] + b"x" * (size - len(frame)) + frame[6:]


MIB = event(PART_BYTES)


def stream(*body: bytes | Exception | Gate) -> Line:
    """Return a line whose upstream streams."""
    return Line(shape="an event stream", body=body)


async def test_a_long_stream_is_recorded_in_parts_and_the_outcome_has_the_rest() -> None:
    """House, evidence: one part a MiB; together they are the upstream's bytes."""
    line = stream(MIB, PROGRESS, MIB, EVENT)
    await line.walk()
    first, second = line.evidence.of("stream-part")
    (outcome,) = line.evidence.of("outcome")
    assert line.kinds() == ["intent", "stream-part", "stream-part", "outcome"]
    assert [(part["index"], part["offset"], part["bytes"]) for part in (first, second)] == [
        (0, 0, PART_BYTES),
        (1, PART_BYTES, PART_BYTES + len(PROGRESS)),
    ]
    assert first["digest"] == digest(MIB)
    assert (outcome["parts"], outcome["body"]) == (2, EVENT.decode())
    whole = first["body"] + second["body"] + outcome["body"]
    assert whole.encode() == MIB + PROGRESS + MIB + EVENT
    assert outcome["body_digest"] == digest(whole.encode())
    assert outcome["body_bytes"] == len(whole)


async def test_a_part_is_durable_before_its_last_piece_goes_on() -> None:
    """House: what the caller has is on disk, but for the part that is not full yet."""
    line = stream(MIB, EVENT)
    await line.walk()
    durable = line.tape.index(("durable", "stream-part"))
    assert line.tape[durable + 1] == ("write", MIB)


async def test_a_slow_stream_is_recorded_when_a_piece_comes_five_seconds_later() -> None:
    """House, evidence: one part a MiB or 5 s."""
    gates = [Gate(), Gate()]
    line = stream(PROGRESS, gates[0], PROGRESS, gates[1], PROGRESS, EVENT)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.walk)
            for gate, seconds in zip(gates, (4.9, 0.1), strict=True):
                await gate.reached.wait()
                assert "stream-part" not in line.kinds()
                line.clock.advance(seconds)
                gate.opened.set()
    (part,) = line.evidence.of("stream-part")
    assert part["body"] == (PROGRESS * 3).decode()
    assert part["monotonic_ns"] == 5_000_000_000


async def test_the_age_of_a_part_begins_with_its_own_first_byte() -> None:
    """House: silence before a part is not its age."""
    gate = Gate()
    line = stream(gate, PROGRESS, PROGRESS, EVENT)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.walk)
            await gate.reached.wait()
            line.clock.advance(60)
            gate.opened.set()
    assert line.evidence.of("stream-part") == []


async def test_whatever_is_relayed_as_it_comes_is_recorded_in_parts() -> None:
    """House: also a plain body, whose caller would else have what no record has."""
    line = Line(body=[MIB, MIB, b"end"])
    await line.walk(request(resources_read()))
    assert line.kinds() == ["intent", "stream-part", "stream-part", "outcome"]
    assert line.evidence.of("outcome")[0]["body"] == "end"


async def test_an_answer_that_is_held_whole_has_no_parts() -> None:
    """House: its caller has nothing of it before the outcome."""
    whole = ANSWER.replace(b"[]", b'["' + b"x" * PART_BYTES + b'"]')
    line = Line(body=[whole[:9], whole[9:]])
    line.clock = Leaping()
    await line.walk()
    assert line.kinds() == ["intent", "outcome"]
    assert line.evidence.of("outcome")[0]["body"] == whole.decode()


class Leaping(FakeClock):
    """A clock that goes on by almost the age of a part whenever somebody looks at it."""

    def monotonic_ns(self) -> int:
        """Return the time, later than the last one."""
        self.advance((PART_NS - 1_000_000) / 1e9)
        return super().monotonic_ns()


async def silent(line: Line, gate: Gate, until: anyio.Event) -> None:
    """Walk until this happens in the silence of the gate; then let the upstream go on."""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.walk)
            await gate.reached.wait()
            await until.wait()
            # Nobody looks again and again while there is nothing to record.
            await anyio.wait_all_tasks_blocked()
            gate.opened.set()


async def test_a_part_is_recorded_once_it_is_old_although_nothing_comes_after_it() -> None:
    """House, evidence: an event that the caller has is on disk after 5 s, also in silence."""
    gate, due = Gate(), Gate()
    line = stream(PROGRESS, gate, EVENT)
    line.clock = Leaping()
    line.evidence.gates["stream-part"] = due
    due.opened.set()
    await silent(line, gate, due.reached)
    assert line.kinds() == ["intent", "stream-part", "outcome"]
    assert line.evidence.of("stream-part")[0]["body"] == PROGRESS.decode()
    assert line.outcomes() == ["completed"]
    assert MARK in line.caller.body


async def test_what_comes_while_a_part_is_written_is_in_the_next_one() -> None:
    """House: nothing is counted to a part that is being written."""
    gate, due = Gate(), Gate()
    line = stream(PROGRESS, gate, EVENT)
    line.clock = Leaping()
    line.evidence.gates["stream-part"] = due
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.walk)
            await due.reached.wait()
            gate.opened.set()
            await anyio.wait_all_tasks_blocked()
            due.opened.set()
    (part,), (outcome,) = line.evidence.of("stream-part"), line.evidence.of("outcome")
    assert (part["body"], outcome["body"]) == (PROGRESS.decode(), EVENT.decode())
    assert outcome["body_bytes"] == len(PROGRESS + EVENT)


async def test_an_old_part_that_cannot_be_recorded_ends_the_silence() -> None:
    """House: as if the outcome could not be recorded."""
    line = stream(PROGRESS, Gate(), EVENT)
    line.clock = Leaping()
    line.evidence.fail_next("stream-part")
    with anyio.fail_after(5):
        await line.walk()
    assert b"executed_unrecorded" in line.caller.body
    assert MARK not in line.caller.body
    assert line.evidence.latched is not None
    assert line.tape.count(("append", "outcome")) == 0
    assert line.tape.count("hang up") == 1


async def test_a_caller_that_leaves_while_an_old_part_is_written_leaves_both_records() -> None:
    """Design §2: a queued record cannot be taken back."""
    due = Gate()
    line = stream(PROGRESS, Gate(), EVENT)
    line.clock = Leaping()
    line.evidence.gates["stream-part"] = due
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.walk)
            await due.reached.wait()
            tasks.cancel_scope.cancel()
            due.opened.set()
    (outcome,) = line.evidence.of("outcome")
    assert line.kinds() == ["intent", "stream-part", "outcome"]
    assert (outcome["status"], outcome["parts"], outcome["body"]) == ("abandoned", 1, "")


async def test_a_part_that_cannot_be_recorded_ends_the_call_as_executed_unrecorded() -> None:
    """House: as if the outcome could not be recorded; the piece is withheld."""
    line = stream(PROGRESS, MIB, EVENT)
    line.evidence.fail_next("stream-part")
    await line.walk()
    assert line.caller.steps == ["start", "write", "finish"]
    assert b"executed_unrecorded" in line.caller.body
    assert MARK not in line.caller.body and MIB not in line.caller.body
    assert line.evidence.latched is not None
    assert line.tape.count(("append", "outcome")) == 0, "the next start calls it orphaned"


async def test_a_caller_that_leaves_a_long_stream_is_recorded_with_what_it_got() -> None:
    """House, evidence: a client that leaves is recorded with the bytes it got."""
    gate = Gate()
    line = stream(MIB, PROGRESS, gate)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.walk)
            await gate.reached.wait()
            tasks.cancel_scope.cancel()
    (outcome,) = line.evidence.of("outcome")
    assert (outcome["status"], outcome["parts"]) == ("abandoned", 1)
    assert outcome["relayed_bytes"] == len(line.caller.body) == PART_BYTES + len(PROGRESS)
    assert outcome["body"] == PROGRESS.decode()


async def test_a_caller_that_leaves_while_a_part_is_written_leaves_part_and_outcome() -> None:
    """Design §2: a queued record cannot be taken back; its bytes were not given."""
    gate = Gate()
    line = stream(PROGRESS, MIB, EVENT)
    line.evidence.gates["stream-part"] = gate
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.walk)
            await gate.reached.wait()
            tasks.cancel_scope.cancel()
            gate.opened.set()
    (outcome,) = line.evidence.of("outcome")
    assert line.kinds() == ["intent", "stream-part", "outcome"]
    assert (outcome["status"], outcome["parts"], outcome["body"]) == ("abandoned", 1, "")
    assert (outcome["relayed_bytes"], outcome["body_bytes"]) == (
        len(PROGRESS),
        len(PROGRESS) + PART_BYTES,
    )


async def test_a_stream_that_breaks_after_a_part_has_an_outcome_with_its_parts() -> None:
    """Design §7."""
    line = stream(MIB, UpstreamError("x", code="upstream_broke_off"))
    await line.walk()
    (outcome,) = line.evidence.of("outcome")
    assert (outcome["status"], outcome["parts"]) == ("upstream_failed", 1)
    assert outcome["relayed_bytes"] == PART_BYTES


async def test_a_piece_too_long_to_be_kept_is_a_part_with_its_digest_only() -> None:
    """core/answer: MAX_KEPT; memory is bounded, the digest is not given up."""
    long = event(MAX_KEPT + 1)
    line = Line(body=[long, EVENT])
    await line.walk(request(resources_read()))
    (part,) = line.evidence.of("stream-part")
    assert (part["body"], part["truncated"], part["digest"]) == (None, True, digest(long))
    assert line.evidence.of("outcome")[0]["truncated"] is False


@pytest.mark.parametrize("effect", ["read", "delete"])
async def test_the_log_is_told_what_the_call_does_with_each_record_of_a_permit(effect: str) -> None:
    """ports.EvidenceLog.append: durability and a nearly full disk depend on it."""
    permit = replace(PERMIT, classification=replace(PERMIT.classification, effect=effect))
    line = Line(permit, shape="an event stream", body=[MIB, EVENT])
    await line.walk()
    assert line.evidence.effects == [
        ("intent", effect),
        ("stream-part", effect),
        ("outcome", effect),
    ]
