"""What a monitoring system reads."""

from collections.abc import Mapping
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.app.metrics import Metrics
from gateway.core.errors import BundleError
from gateway.policy.in_force import Status
from gateway.wiring import Gateway


class FakeGateway:
    """As much of a gateway as can be measured."""

    def __init__(self, failure: BundleError | None) -> None:
        self.policy = self
        self._status = Status("cedar", 'r"1\n', "sha256:ab", 1_500_000_000, failure)

    def health(self) -> Mapping[str, bool]:
        """See `Gateway.health`."""
        return {"policy": True, "ledger": False}

    def status(self) -> Status:
        """See `PolicyInForce.status`."""
        return self._status


def read(failure: BundleError | None = None) -> dict[str, Any]:
    """Return every sample, by name and labels."""
    text = Metrics(cast(Gateway, FakeGateway(failure))).text().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_part_and_the_policy_in_force_are_told() -> None:
    """Prometheus text exposition; hostile revisions stay one label."""
    assert read() == {
        ("bailiwick_healthy", "policy"): 1.0,
        ("bailiwick_healthy", "ledger"): 0.0,
        ("bailiwick_policy_info", "sha256:ab", "cedar", 'r"1\n'): 1.0,
        ("bailiwick_policy_loaded_timestamp_seconds",): 1.5,
        ("bailiwick_policy_refused",): 0.0,
    }


@pytest.mark.parametrize("refused", [False, True], ids=["taken", "refused"])
def test_a_refused_bundle_turns_a_metric_red(refused: bool) -> None:
    """Issue: a bad bundle leaves the old one in force and turns a metric red."""
    failure = BundleError("bad") if refused else None
    assert read(failure)[("bailiwick_policy_refused",)] == float(refused)
