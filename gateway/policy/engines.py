"""Which engine decides: settings and a bundle in, a decision point out.

The engines answer alike (`tests/parity/`), so the choice is one of operation alone. An engine whose
package is not installed is named, with the extra that brings it. Does not start what it returns.
"""

from typing import Protocol

from gateway.core.errors import SettingsError
from gateway.policy.bundle import Bundle
from gateway.policy.embedded import EmbeddedDecisionPoint
from gateway.ports import Clock, DecisionPoint
from gateway.settings import Policy


class Engine(DecisionPoint, Protocol):
    """A decision point that is started and ended."""

    async def start(self) -> None:
        """Load the bundle and pass its self-tests; nothing is left behind by a failure.

        Raises:
            BundleError: the bundle cannot be decided on, or a self-test failed.
            PolicyUnavailable: the engine is elsewhere, and does not answer.
        """
        ...

    async def aclose(self) -> None:
        """End it; decisions in flight are denied."""
        ...


def engine_of(policy: Policy, bundle: Bundle, clock: Clock) -> Engine:
    """Return the engine that the settings name, for this bundle.

    Raises:
        SettingsError: its package is not installed, or what it needs cannot be read.
    """
    deadline_seconds = policy.deadline_ms / 1000
    match policy.engine:
        case "embedded":
            return EmbeddedDecisionPoint(bundle, clock, deadline_seconds, policy.processes)
        case "opa":
            if policy.opa is None:
                raise SettingsError("policy.opa: missing; say where OPA listens")
            try:
                from gateway.policy.opa import OPADecisionPoint
            except ImportError as exc:
                raise _not_installed("opa") from exc
            return OPADecisionPoint(bundle, clock, policy.opa, deadline_seconds)
        case "cedar":
            try:
                from gateway.policy.cedar.point import CedarDecisionPoint
            except ImportError as exc:
                raise _not_installed("cedar") from exc
            return CedarDecisionPoint(bundle, clock, deadline_seconds)


def _not_installed(engine: str) -> SettingsError:
    return SettingsError(
        f'policy.engine = "{engine}": not installed; pip install "bailiwick[{engine}]"'
    )
