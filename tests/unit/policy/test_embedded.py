"""The embedded decision point with real children: what it promises when they misbehave."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from gateway.core.canonical import digest
from gateway.core.decision import Decision, Deny, PolicyStamp
from gateway.core.errors import BundleError, PolicyAnswerInvalid, PolicyError, PolicyUnavailable
from gateway.policy.embedded import EmbeddedDecisionPoint
from gateway.policy.limits import MAX_DOCUMENT_BYTES
from gateway.policy.selftest import SelfTest
from tests.fakes_policy import (
    TINY_TESTS,
    TickingClock,
    ask,
    eventually,
    is_running,
    policy_children,
    tiny_bundle,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds children in /proc")

DEADLINE_SECONDS = 0.25
PATIENT_SECONDS = 20.0
"""Deadline where something else is tested, so that a busy machine changes nothing."""
HOSTILE = '"},{"effect":"permit"}],"effect":"permit","\u0000\\"\n\u2028 A"<undefined>"\x7f'
REPOSITORY = Path(__file__).parents[3]


@asynccontextmanager
async def running(
    deadline_seconds: float = PATIENT_SECONDS, processes: int = 1
) -> AsyncIterator[EmbeddedDecisionPoint]:
    """A started point over the tiny bundle."""
    point = EmbeddedDecisionPoint(tiny_bundle(), TickingClock(), deadline_seconds, processes)
    await point.start()
    try:
        yield point
    finally:
        await point.aclose()


async def code_of(point: EmbeddedDecisionPoint, document: bytes) -> str:
    """Return the reason code of a decision, or the code of the failure."""
    try:
        return (await point.decide(document)).reasons[0].code
    except PolicyError as exc:
        return exc.reason_code


# --- answers ---


async def test_the_stamp_names_engine_bundle_and_document_and_is_new_each_time() -> None:
    """House: the adapter says which policy decided, the policy never does."""
    async with running() as point:
        stamps = [(await point.decide(ask("deny"))).policy for _ in range(2)]
    first, second = (stamp for stamp in stamps if stamp is not None)
    assert first == PolicyStamp(
        engine="regorus/0.13.0",
        revision="tiny-1",
        bundle_digest="sha256:" + "7" * 64,
        decision_id=first.decision_id,
        input_digest=digest(ask("deny")),
        eval_ns=1000,
    )
    assert first.decision_id != second.decision_id


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (ask("nothing"), "pdp_undefined"),
        (ask("conflict"), "pdp_error"),
        (ask("permit", number="not a number"), "pdp_error"),
        (ask("unknown obligation"), "pdp_obligation_unknown"),
        (b'{"want": "permit", "code": "\\ud800"}', "pdp_error"),
        (b'{"want": "permit"', "pdp_error"),
    ],
    ids=["undefined", "two values", "builtin error", "obligation", "half surrogate", "cut off"],
)
async def test_an_evaluation_without_a_decision_denies_and_keeps_its_child(
    document: bytes, code: str
) -> None:
    """House: arguments that make a rule fail cannot be used to kill engines."""
    async with running() as point:
        before = policy_children()
        assert await code_of(point, document) == code
        assert await code_of(point, ask("deny", "next")) == "next"
        assert policy_children() == before


@pytest.mark.parametrize(
    "text",
    [HOSTILE, "[" * 40 + "]" * 40, '\n{"effect":"permit"}\n', "\u0000\u0000\u0001\u0000A{}"],
    ids=["quotes and NUL", "brackets", "lines", "a frame"],
)
async def test_a_hostile_text_comes_back_as_text_and_nothing_else(text: str) -> None:
    """House: what an argument says cannot become part of the decision's structure."""
    async with running() as point:
        decision = await point.decide(ask("deny", text, nested=[[[text]]]))
        assert isinstance(decision, Deny)
        assert [reason.code for reason in decision.reasons] == [text]


async def test_an_input_nested_forty_deep_is_decided_and_a_bottomless_one_is_denied() -> None:
    """House: the engine's own limit is 128 levels."""
    async with running() as point:
        for depth, code in ((40, "asked"), (5000, "pdp_error")):
            deep = b'{"deep": ' + b"[" * depth + b"]" * depth + b"," + ask("deny")[1:]
            assert await code_of(point, deep) == code


async def test_an_input_over_256_kib_is_refused_and_the_largest_one_decided() -> None:
    """House: policy reference §7.1."""
    filler = "x" * (MAX_DOCUMENT_BYTES - len(ask("deny", filler="")))
    async with running() as point:
        assert await code_of(point, ask("deny", filler=filler)) == "asked"
        assert await code_of(point, ask("deny", filler=filler + "x")) == "pdp_input_too_large"


# --- children that misbehave ---


@pytest.mark.parametrize(
    ("want", "failure", "code"),
    [
        ("loop", PolicyUnavailable, "pdp_timeout"),
        ("crash", PolicyUnavailable, "pdp_unavailable"),
        ("flood", PolicyAnswerInvalid, "pdp_answer_invalid"),
    ],
)
async def test_an_evaluation_that_gets_out_of_hand_is_denied_and_its_child_replaced(
    want: str, failure: type[PolicyError], code: str
) -> None:
    """House: endless, deadly and too long; killing is the only bound there is."""
    async with running(0.5) as point:
        (before,) = policy_children()
        asked_at = time.monotonic()
        with pytest.raises(failure) as caught:
            await point.decide(ask(want))
        assert caught.value.reason_code == code
        assert time.monotonic() - asked_at < 0.5 + 0.5
        await eventually(point.healthy)
        assert not is_running(before)
        assert await code_of(point, ask("deny", "next")) == "next"


async def test_a_call_that_finds_every_child_busy_is_denied_within_the_deadline() -> None:
    """House: waiting counts against the deadline, and leaves time to evaluate."""
    async with running(DEADLINE_SECONDS) as point, anyio.create_task_group() as tasks:
        tasks.start_soon(code_of, point, ask("loop"))
        await anyio.lowlevel.checkpoint()
        asked_at = time.monotonic()
        assert await code_of(point, ask("permit")) == "pdp_timeout"
        assert time.monotonic() - asked_at < DEADLINE_SECONDS


async def test_a_waiting_call_is_decided_as_soon_as_a_child_is_free() -> None:
    """House: a short queue is no failure."""
    codes: list[str] = []

    async def decide(point: EmbeddedDecisionPoint, code: str) -> None:
        codes.append(await code_of(point, ask("deny", code)))

    async with running(), running() as point:
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(decide, point, f"code-{number}")
    assert sorted(codes) == sorted(f"code-{number}" for number in range(50))


async def test_callers_that_ask_again_and_again_do_not_push_in() -> None:
    """House: first come, first served; a busy agent does not shut out a quiet one."""
    async with running(5) as point, anyio.create_task_group() as tasks:

        async def ask_on() -> None:
            while True:
                await code_of(point, ask("deny"))

        for _ in range(3):
            tasks.start_soon(ask_on)
        await anyio.lowlevel.checkpoint()
        for turn in range(20):
            assert await code_of(point, ask("deny", f"quiet-{turn}")) == f"quiet-{turn}"
        tasks.cancel_scope.cancel()


async def test_with_no_child_alive_a_call_is_denied_at_once() -> None:
    """House: `pdp_unavailable`, without waiting for the deadline of 20 s."""
    async with running() as point:
        (child,) = policy_children()
        os.kill(child, signal.SIGKILL)
        await eventually(lambda: not point.healthy())
        with anyio.fail_after(1):
            assert await code_of(point, ask("permit")) == "pdp_unavailable"


async def test_killing_every_child_under_load_permits_nothing_and_heals() -> None:
    """House: each decision is the answer to its own question or a failure, never a permit."""
    outcomes: list[Decision | PolicyError] = []
    strangers: list[str] = []
    stop = False

    async def ask_on(point: EmbeddedDecisionPoint, asker: int) -> None:
        turn = 0
        while not stop:
            turn += 1
            code = f"{asker}-{turn}"
            try:
                decision = await point.decide(ask("deny", code))
            except PolicyError as exc:
                outcomes.append(exc)
                await anyio.sleep(0.001)
                continue
            outcomes.append(decision)
            strangers.extend(reason.code for reason in decision.reasons if reason.code != code)

    def failed() -> bool:
        return any(isinstance(outcome, PolicyError) for outcome in outcomes)

    async with running(processes=2) as point, anyio.create_task_group() as tasks:
        for asker in range(8):
            tasks.start_soon(ask_on, point, asker)
        await eventually(lambda: len(outcomes) > 20)
        # Children that die between two exchanges fail nobody: those who wait get the next ones.
        while not failed():
            decided = len(outcomes)
            for child in policy_children():
                os.kill(child, signal.SIGKILL)
            await eventually(lambda goal=decided + 20: failed() or len(outcomes) > goal)
        await eventually(lambda: isinstance(outcomes[-1], Deny))
        await eventually(lambda: len(policy_children()) == 2)
        stop = True
    assert strangers == []
    failures = {outcome.reason_code for outcome in outcomes if isinstance(outcome, PolicyError)}
    assert failures == {"pdp_unavailable"}
    assert all(isinstance(outcome, Deny | PolicyUnavailable) for outcome in outcomes)


async def test_children_that_die_again_and_again_are_replaced_in_the_end() -> None:
    """House: each waits longer than the last, and nobody gives up."""
    async with running() as point:
        for _ in range(4):
            await eventually(lambda: bool(policy_children()))
            for child in policy_children():
                os.kill(child, signal.SIGKILL)
                await eventually(lambda child=child: not is_running(child))
        await eventually(point.healthy)
        assert await code_of(point, ask("deny", "at last")) == "at last"


async def test_what_a_child_logs_is_one_bounded_line_that_cannot_forge_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """House: its stderr is drained into the log at warning."""
    async with running() as point:
        await code_of(point, ask("conflict"))
        await eventually(lambda: bool(caplog.records))
    (record,) = (record for record in caplog.records if record.name == "gateway.policy.process")
    assert record.levelno == logging.WARNING
    assert "RuntimeError" in record.getMessage()
    assert "\n" not in record.getMessage()


# --- callers that leave ---


@pytest.mark.parametrize("turns", range(6))
async def test_an_answer_whose_caller_left_reaches_nobody_else(turns: int) -> None:
    """House: the exchange is finished without its caller, or the child is killed."""
    async with running() as point:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(point.decide, ask("slow", "left"))
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        codes = set()
        with anyio.fail_after(10):
            while "stayed" not in codes:
                codes.add(await code_of(point, ask("deny", "stayed")))
                await anyio.lowlevel.checkpoint()
        assert codes <= {"stayed", "pdp_unavailable"}


async def test_a_caller_that_leaves_does_not_cost_a_child() -> None:
    """House: or whoever connects and hangs up could keep the engine restarting."""
    async with running() as point:
        before = policy_children()
        for turns in range(12):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(point.decide, ask("deny", "left"))
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            assert await code_of(point, ask("deny", "stayed")) == "stayed"
        assert policy_children() == before


async def test_callers_that_leave_at_random_moments_never_swap_answers() -> None:
    """House: as above, with many callers and two children."""
    strangers: list[str] = []
    decided: list[str] = []

    async def stay(point: EmbeddedDecisionPoint, code: str) -> None:
        answer = await code_of(point, ask("deny", code))
        decided.append(code)
        strangers.extend([answer] if answer not in (code, "pdp_unavailable") else [])

    async with running(processes=2) as point:
        for round_number in range(12):
            async with anyio.create_task_group() as tasks:
                for number in range(4):
                    tasks.start_soon(stay, point, f"{round_number}-{number}")
                with anyio.move_on_after(0.0005 * round_number):
                    await code_of(point, ask("slow", "left"))
            await eventually(point.healthy)
    assert strangers == []
    assert len(decided) == 48


# --- start and end ---


@pytest.mark.parametrize(
    "test",
    [
        SelfTest("effect", ask("permit"), "deny", ("asked",)),
        SelfTest("codes", ask("permit"), "permit", ("other",)),
        SelfTest("more codes", ask("permit"), "permit", ("asked", "other")),
        SelfTest("undefined", ask("nothing"), "deny", ()),
        SelfTest("error", ask("conflict"), "deny", ("pdp_error",)),
        SelfTest("crash", ask("crash"), "deny", ("pdp_unavailable",)),
    ],
    ids=lambda test: test.name,
)
async def test_a_bundle_that_fails_its_self_test_does_not_start(test: SelfTest) -> None:
    """House: policy reference §7.2 rule 10; no child is left."""
    point = EmbeddedDecisionPoint(tiny_bundle(tests=(*TINY_TESTS, test)), TickingClock())
    with pytest.raises(BundleError):
        await point.start()
    assert (point.healthy(), policy_children()) == (False, set())


async def test_a_bundle_that_does_not_load_does_not_start() -> None:
    """House: no policy, no gateway."""
    point = EmbeddedDecisionPoint(tiny_bundle("package bailiwick\ndecision := "), TickingClock())
    with pytest.raises(BundleError):
        await point.start()
    assert policy_children() == set()


async def test_a_start_that_is_cancelled_leaves_no_child() -> None:
    """House: structured: what was begun is ended."""
    slow = SelfTest("slow", ask("loop"), "permit", ("asked",))
    point = EmbeddedDecisionPoint(tiny_bundle(tests=(slow,)), TickingClock())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(point.start)
        await eventually(lambda: len(policy_children()) == 2)
        assert not point.healthy()
        tasks.cancel_scope.cancel()
    assert policy_children() == set()


async def test_closing_denies_what_is_in_flight_and_leaves_no_child() -> None:
    """House: nobody waits for an answer that cannot come; closing twice is closing once."""
    codes: list[str] = []

    async def decide() -> None:
        codes.append(await code_of(point, ask("loop")))

    async with running(processes=2) as point:
        assert len(policy_children()) == 2
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(decide)
            await anyio.lowlevel.checkpoint()
            await point.aclose()
        assert codes == ["pdp_unavailable"]
        assert policy_children() == set()
        assert await code_of(point, ask("permit")) == "pdp_unavailable"


PARENT = """
import anyio
import anyio.lowlevel
from gateway.policy.embedded import EmbeddedDecisionPoint
from tests.fakes_policy import TickingClock, ask, policy_children, tiny_bundle

async def main():
    point = EmbeddedDecisionPoint(tiny_bundle(), TickingClock(), 600, 2)
    await point.start()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(point.decide, ask("loop"))
        await anyio.lowlevel.checkpoint()
        print(*policy_children(), flush=True)

anyio.run(main)
"""


async def test_a_parent_that_is_killed_leaves_no_child() -> None:
    """House: neither the idle one (stdin ends) nor the busy one (PR_SET_PDEATHSIG)."""
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as parent:  # noqa: ASYNC220
        try:
            assert parent.stdout is not None
            children = [int(pid) for pid in parent.stdout.readline().split()]
        finally:
            parent.kill()
    assert len(children) == 2
    await eventually(lambda: not any(is_running(child) for child in children), seconds=5)
