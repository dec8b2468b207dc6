"""What a monitoring system reads: the health of each part, and which policy is in force.

Text exposition of Prometheus, https://prometheus.io/docs/instrumenting/exposition_formats/. Values
are read when they are asked for. Names and numbers of this gateway only: nothing of calls, callers
or the policy's text. Does not listen and keeps no history.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.wiring import Gateway

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Parts(gateway))

    def text(self) -> bytes:
        """Return every metric as it is now."""
        return generate_latest(self._registry)


class _Parts(Collector):
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        healthy = GaugeMetricFamily(
            "bailiwick_healthy", "Whether a call could pass this part now.", labels=["part"]
        )
        for part, sound in self._gateway.health().items():
            healthy.add_metric([part], float(sound))
        yield healthy
        yield from self._policy()

    def _policy(self) -> Iterator[Metric]:
        status = self._gateway.policy.status()
        told = {"engine": status.engine, "revision": status.revision, "digest": status.digest}
        yield InfoMetricFamily("bailiwick_policy", "The policy in force.", value=told)
        yield GaugeMetricFamily(
            "bailiwick_policy_loaded_timestamp_seconds",
            "When the policy in force was loaded.",
            value=status.loaded_at / 1e9,
        )
        yield GaugeMetricFamily(
            "bailiwick_policy_refused",
            "1 while the bundle that lies there is refused, so that an older one is in force.",
            value=float(status.failure is not None),
        )
