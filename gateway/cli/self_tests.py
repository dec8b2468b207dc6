"""The self-tests of a bundle, asked before a gateway does: which hold, and what the others got.

Asked of the embedded engine; every engine asks them again before it serves. Does not say what a
self-test is: see `gateway.policy.selftest`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import anyio

from gateway.cli import output
from gateway.cli.charter_probe import DEADLINE_SECONDS
from gateway.core.errors import BundleError, PolicyError
from gateway.policy.bundle import Bundle
from gateway.policy.embedded import EmbeddedDecisionPoint
from gateway.wiring import SystemClock

NO_SERVICE: Final = (
    "no gateway serves this bundle; if a charter was meant to change so, change what selftest/ "
    "expects of it"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """How one self-test ended."""

    name: str
    passed: bool
    says: str = ""
    """What is wrong with the answer."""


def ask(bundle: Bundle) -> Sequence[Asked]:
    """Ask every self-test of a bundle.

    Raises:
        BundleError: the engine does not start with these rules.
    """
    return anyio.run(_ask, bundle)


def show(asked: Sequence[Asked]) -> None:
    """Write those that fail, and how many there are."""
    for one in asked:
        if not one.passed:
            output.say(f"selftest/: {one.says}", style="red")
    failed = sum(not one.passed for one in asked)
    output.say(f"{output.counted(len(asked), 'self-test')}, {failed} failed")
    if failed:
        output.note(NO_SERVICE)


async def _ask(bundle: Bundle) -> Sequence[Asked]:
    untested = replace(bundle, self_tests=())
    point = EmbeddedDecisionPoint(untested, SystemClock(), DEADLINE_SECONDS, processes=1)
    await point.start()
    asked = []
    try:
        for test in bundle.self_tests:
            try:
                test.check(await point.decide(test.document))
                asked.append(Asked(test.name, passed=True))
            except (BundleError, PolicyError) as failure:
                asked.append(Asked(test.name, passed=False, says=failure.message))
    finally:
        await point.aclose()
    return tuple(asked)
