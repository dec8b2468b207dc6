"""The one place that chooses adapters: settings in, a running gateway out.

Order matters: the policy must have passed its self-test, and the evidence log must be open and
recovered, before anything can be served; whatever fails here, the gateway does not start. Does not
listen (`app`).
"""

import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway import __version__
from gateway.background import background
from gateway.core.identifier import ENTROPY_BYTES, uuid7
from gateway.evidence.keeping import kept_log
from gateway.identity import trusting
from gateway.identity.bundle_key import verifier
from gateway.ledger.sqlite import SQLiteLedger
from gateway.pipeline import Ports
from gateway.policy import bundle
from gateway.policy.bundle import Bundle
from gateway.policy.engines import engine_of
from gateway.policy.in_force import Means, PolicyInForce
from gateway.ports import Clock, Ledger
from gateway.settings import Policy, Settings
from gateway.upstream.http import HTTPUpstream

PROBE_SECONDS: Final = 5.0
"""How soon an idle gateway learns that its policy engine is gone."""
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """The `Clock` port on the machine's clocks."""

    def wall_ns(self) -> int:
        """Return the wall time."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return the monotonic time."""
        return time.monotonic_ns()


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway whose parts are connected and running."""

    settings: Settings
    ports: Ports
    policy: PolicyInForce

    def health(self) -> Mapping[str, bool]:
        """Say for each part whether a call could pass it now."""
        return {
            "policy": self.ports.decision_point.healthy(),
            "evidence": self.ports.evidence.healthy(),
            "ledger": self.ports.ledger.healthy(),
        }


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Gateway]:
    """Connect the adapters that the settings name; leaving ends them in reverse order.

    Raises:
        BundleError, EvidenceError, IssuerUnavailable, LedgerUnavailable, PolicyUnavailable,
            SettingsError: it cannot start.
    """
    clock = SystemClock()
    trusted = await trusting.trust(settings, clock)
    async with AsyncExitStack() as stack:
        ledger = SQLiteLedger(settings.ledger.path, settings.ledger.session_idle_seconds)
        stack.callback(ledger.close)
        policy = PolicyInForce(_means(settings.policy, ledger, clock))
        await policy.start()
        stack.push_async_callback(policy.aclose)
        upstream = HTTPUpstream(settings.systems)
        stack.push_async_callback(upstream.aclose)
        about = _about(settings, policy.bundle, clock)
        evidence = await stack.enter_async_context(
            kept_log(settings.evidence, policy.bundle.systems, clock, about)
        )
        await policy.told(evidence, evidence.adopt)
        await stack.enter_async_context(trusting.renewed(trusted))
        tasks = await stack.enter_async_context(background())
        tasks.start_soon(ledger.tended)
        tasks.start_soon(policy.probe, PROBE_SECONDS)
        if settings.policy.reload_seconds is not None:
            tasks.start_soon(policy.watch, settings.policy.reload_seconds)
        authenticator = trusting.authenticator(settings, trusted, clock)
        ports = Ports(clock, authenticator, ledger, policy, evidence, upstream)
        yield Gateway(settings, ports, policy)


def _means(policy: Policy, ledger: Ledger, clock: Clock) -> Means:
    verify = verifier(policy.signature) if policy.signature else None
    return Means(
        path=policy.bundle,
        read=lambda: bundle.load(policy.bundle, verify),
        engine=lambda loaded: engine_of(policy, loaded, clock),
        engine_name=policy.engine,
        signed=verify is not None,
        ledger=ledger,
        clock=clock,
    )


def _about(settings: Settings, policy: Bundle, clock: Clock) -> dict[str, Any]:
    """Return what the `start` record says of this run."""
    return {
        "run": uuid7(clock.wall_ns(), secrets.token_bytes(ENTROPY_BYTES)),
        "boot_id": _boot_id(),
        "version": __version__,
        "settings_digest": settings.digest(),
        "policy": {"revision": policy.revision, "bundle_digest": policy.digest},
    }


def _boot_id() -> str | None:
    """Return what the kernel calls this boot, within which monotonic times compare (Linux)."""
    try:
        return BOOT_ID.read_text("ascii").strip()
    except OSError:
        return None
