"""One suite for every decision point, the fake included."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest

from gateway.core.canonical import digest
from gateway.core.decision import Deny, Hold, Permit, Reason
from gateway.core.errors import PolicyAnswerInvalid, PolicyError
from gateway.core.obligation import ApprovalNeeded
from gateway.policy.embedded import EmbeddedDecisionPoint
from gateway.ports import DecisionPoint
from tests.fakes_policy import PERMIT, FakeDecisionPoint, TickingClock, ask, tiny_bundle
from tests.opa_server import opa_point, opa_tiny_bundle

DENY = Deny((Reason("asked", "tiny"),), PERMIT.classification, "tester", None, PERMIT.policy)
HOLD = Hold(
    DENY.reasons,
    PERMIT.classification,
    "tester",
    None,
    PERMIT.policy,
    ApprovalNeeded("leads", 1, 60),
)
EXPECTED = {"permit": replace(PERMIT, reasons=DENY.reasons), "deny": DENY, "hold": HOLD}


@dataclass(frozen=True)
class Adapter:
    """A decision point, and a way to have it answer as wanted."""

    point: DecisionPoint
    fake: FakeDecisionPoint | None = None

    def will(self, *wants: str) -> list[bytes]:
        """Return documents to which the point will answer so, asked in order."""
        if self.fake is not None:
            invalid = PolicyAnswerInvalid("scripted")
            self.fake.answers = [EXPECTED.get(want, invalid) for want in wants]
        return [ask(want, place=place) for place, want in enumerate(wants)]


@pytest.fixture(params=["embedded", "fake", "opa"])
async def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Adapter]:
    """Give each decision point in turn, ready to decide."""
    if request.param == "fake":
        fake = FakeDecisionPoint()
        yield Adapter(fake, fake)
        return
    if request.param == "opa":
        async with opa_point(tmp_path / "bundle", opa_tiny_bundle()) as opa:
            yield Adapter(opa)
        return
    point = EmbeddedDecisionPoint(tiny_bundle(), TickingClock(), deadline_seconds=10)
    await point.start()
    yield Adapter(point)
    await point.aclose()


@pytest.mark.parametrize("want", EXPECTED)
async def test_each_effect_is_read_back_whole(adapter: Adapter, want: str) -> None:
    """House: permit, deny and hold, stamp aside, are the same from every decision point."""
    (document,) = adapter.will(want)
    decision = await adapter.point.decide(document)
    assert replace(decision, policy=PERMIT.policy) == EXPECTED[want]


async def test_a_decision_says_which_policy_decided_on_what(adapter: Adapter) -> None:
    """House: the stamp names engine, revision, bundle and this very document."""
    (document,) = adapter.will("permit")
    stamp = (await adapter.point.decide(document)).policy
    assert stamp is not None
    assert "/" in stamp.engine
    assert stamp.revision
    assert stamp.bundle_digest.startswith("sha256:")
    assert stamp.input_digest == digest(document)
    assert stamp.eval_ns > 0


async def test_every_decision_has_its_own_id(adapter: Adapter) -> None:
    """House: the same document decided twice is two decisions."""
    (document,) = adapter.will("permit")
    stamps = [(await adapter.point.decide(document)).policy for _ in range(3)]
    assert len({stamp.decision_id for stamp in stamps if stamp is not None}) == 3


async def test_no_decision_is_a_policy_error_and_the_next_call_is_decided(
    adapter: Adapter,
) -> None:
    """House: a failure is an exception with a `pdp_` code, and harms no other call."""
    broken, sound = adapter.will("nothing", "deny")
    with pytest.raises(PolicyError) as caught:
        await adapter.point.decide(broken)
    assert caught.value.reason_code.startswith("pdp_")
    assert isinstance(await adapter.point.decide(sound), Deny)


async def test_concurrent_calls_each_get_an_answer(adapter: Adapter) -> None:
    """House: `decide` may be called concurrently."""
    answers: list[object] = []

    async def decide(document: bytes) -> None:
        answers.append(await adapter.point.decide(document))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for document in adapter.will(*["permit"] * 20):
                tasks.start_soon(decide, document)
    assert [type(answer) for answer in answers] == [Permit] * 20


async def test_a_point_that_decides_says_so(adapter: Adapter) -> None:
    """House: `healthy` means a decision could be had now."""
    assert adapter.point.healthy()


async def test_the_fake_keeps_the_documents_and_the_order_of_use() -> None:
    """House: pipeline tests read both from the fake."""
    tape = ["append"]
    fake = FakeDecisionPoint(tape=tape)
    await fake.decide(b"{}")
    assert (fake.documents, tape) == ([b"{}"], ["append", "decide"])
