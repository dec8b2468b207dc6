"""The self-tests of a bundle: what an engine must answer before it is trusted with a call."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.decision import Decision, Deny, Reason
from gateway.core.errors import BundleError
from gateway.policy.bundle import Bundle, load, shipped_bundle
from gateway.policy.cedar.point import CedarDecisionPoint
from gateway.policy.embedded import EmbeddedDecisionPoint
from gateway.policy.engines import Engine
from gateway.policy.selftest import SelfTest
from tests.fakes_policy import PERMIT, TickingClock

DENIAL = Deny((Reason("no", "r"), Reason("never", "r")))
HOSTILE = SelfTest("hostile", b"{}", "deny", ("no", "never"))


def test_the_answer_expected_passes() -> None:
    """Policy §7.3."""
    HOSTILE.check(DENIAL)


@pytest.mark.parametrize(
    "decision",
    [
        PERMIT,
        replace(PERMIT, reasons=DENIAL.reasons),
        replace(DENIAL, reasons=DENIAL.reasons[:1]),
        replace(DENIAL, reasons=DENIAL.reasons[::-1]),
        replace(PERMIT, reasons=DENIAL.reasons, observed="permit"),
        replace(PERMIT, reasons=DENIAL.reasons, observed="hold"),
        replace(PERMIT, observed="deny"),
    ],
)
def test_another_answer_keeps_the_engine_from_serving(decision: Decision) -> None:
    """Policy §7.2 rule 10: effect and codes, in their order."""
    with pytest.raises(BundleError) as caught:
        HOSTILE.check(decision)
    assert caught.value.message.startswith("self-test hostile: not deny (no, never), but ")


def test_in_observe_mode_the_answer_outside_it_counts() -> None:
    """House: the example charters may be observed without a change to their self-tests."""
    replace(HOSTILE, observed=True).check(replace(PERMIT, reasons=DENIAL.reasons, observed="deny"))


@pytest.mark.parametrize(
    "decision",
    [
        replace(PERMIT, reasons=DENIAL.reasons, observed="deny"),
        replace(DENIAL, observed="deny"),
    ],
)
def test_an_engine_that_observes_of_itself_is_not_served(decision: Decision) -> None:
    """House: it would let through what is denied, by charters that do not say so."""
    with pytest.raises(BundleError, match="self-test hostile: observed, though no charter says so"):
        HOSTILE.check(decision)


@pytest.mark.parametrize(
    ("until", "observed"), [("2027-01-31T00:00:00Z", True), ("2020-01-31T00:00:00Z", False)]
)
def test_only_while_its_charter_observes_may_an_answer_say_so(
    tmp_path: Path, until: str, observed: bool
) -> None:
    """Issue: observe mode is for one agent, and for some time."""
    folder = tmp_path / "policy"
    shutil.copytree(shipped_bundle(), folder)
    with (folder / "charters" / "billing-agent.yaml").open("a") as charter:
        charter.write(f"observe: {{until: {until}}}\n")
    before, after = load(shipped_bundle()).self_tests, load(folder).self_tests
    assert not any(test.observed for test in before)
    assert any(test.observed for test in after) == observed


@pytest.mark.parametrize(
    "engine",
    [
        lambda bundle: EmbeddedDecisionPoint(bundle, TickingClock(), 5, processes=1),
        lambda bundle: CedarDecisionPoint(bundle, TickingClock()),
    ],
    ids=["embedded", "cedar"],
)
async def test_a_bundle_whose_agents_are_observed_is_served(
    engine: Callable[[Bundle], Engine], tmp_path: Path
) -> None:
    """Issue: observe mode, by one line in one charter."""
    folder = tmp_path / "policy"
    shutil.copytree(shipped_bundle(), folder)
    with (folder / "charters" / "billing-agent.yaml").open("a") as charter:
        charter.write("observe: {until: 2027-01-31T00:00:00Z}\n")
    point = engine(load(folder))
    await point.start()
    try:
        assert point.healthy()
    finally:
        await point.aclose()
