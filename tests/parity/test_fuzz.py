"""The same generated inputs through every engine; and a proof that a changed rule would be seen."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from gateway.policy.bundle import Bundle
from tests.opa_binary import opa_binary
from tests.parity.engines import Engines, Tally, running
from tests.parity.inputs import documents
from tests.parity.worlds import World, world

INPUTS: Final = 1100
"""For each of the two worlds, in equal parts by what they are aimed at."""
MOST_ROUNDS: Final = 3
"""One is enough almost always; the others are for the rarest reason code."""
MOST_REFUSED: Final = 0.02
MOST_STRICTER: Final = 0.3
"""Share of what Rego decides that Cedar may deny because it cannot hold a bound."""
LEAST_SHARE: Final = {"permit": 0.1, "hold": 0.04, "deny": 0.2}
UNREACHABLE: Final = {
    "charter_missing",  # no bundle that was loaded names a charter that is not in it
    "approver_missing",  # a tool that is reached and has no approver is a fault of its charter
}
MUTANTS: Final = {
    "a bound does not hold its limit": ("any", "[name] <= limit", "[name] < limit"),
    "an hour holds its end": ("hours", "moment < ", "moment <= "),
    "a limit lets through a call more": ("any", "session[calls] <= ", "session[calls] - 1 <= "),
    "no domain is denied": ("denied domains", '"domains" in fitting', '"nothing" in fitting'),
}
"""Each aims at something, and says which text of the rules becomes which."""

SETTINGS = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate],  # shrinking over servers takes minutes and little off
    suppress_health_check=list(HealthCheck),
)


def codes(bundle: Bundle) -> set[str]:
    """Return every reason code that the rules can give."""
    return {
        code for _, source in bundle.policies for code in re.findall(r"#\s+code: (\w+)", source)
    }


def fuzz(made: World, engines: Engines, tally: Tally, *aims: str) -> None:
    """Ask generated inputs, of these aims or of all in equal parts, and judge the answers."""
    strategies = documents(made)
    aims = aims or tuple(strategies)
    for aim in aims:

        @settings(SETTINGS, max_examples=INPUTS // len(aims) + 1)
        @given(strategies[aim])
        def agree(document: Any) -> None:
            tally.judge(document, engines.ask(document))

        agree()


def test_every_engine_decides_generated_inputs_alike(
    engines: Engines, made: World, record_property: Any
) -> None:
    """Issue: equal decisions or a refusal, never a permit where another denies."""
    tally, reachable = Tally(made.bundle), codes(made.bundle) - UNREACHABLE
    for _ in range(MOST_ROUNDS):
        fuzz(made, engines, tally)
        if reachable <= set(tally.codes):
            break
    record_property("tally", tally.said())
    assert tally.asked >= INPUTS
    assert reachable <= set(tally.codes), tally.said()
    for effect, share in LEAST_SHARE.items():
        assert tally.effects[effect] >= share * tally.asked, tally.said()
    assert tally.lone_refusals.total() <= MOST_REFUSED * tally.asked, tally.said()
    assert tally.stricter.total() <= MOST_STRICTER * tally.asked, tally.said()


def test_the_sidecar_takes_part() -> None:
    """House: where there is no OPA binary its share of parity is skipped, and that is said."""
    assert opa_binary()


@pytest.mark.parametrize("name", MUTANTS)
def test_one_changed_rule_in_one_engine_is_noticed(name: str, tmp_path: Path) -> None:
    """House: a comparison that cannot fail shows nothing."""
    aim, old, new = MUTANTS[name]
    made = world(1, tmp_path / "world")
    changed = [(path, source.replace(old, new)) for path, source in made.bundle.policies]
    assert changed != list(made.bundle.policies), f"no rule says {old}"
    bundles = {"embedded": made.bundle, "golib": replace(made.bundle, policies=tuple(changed))}
    with (
        running(bundles, tmp_path) as engines,
        pytest.raises((AssertionError, ExceptionGroup), match="embedded: "),
    ):
        fuzz(made, engines, Tally(made.bundle), aim)
