"""An OPA sidecar as decision point: every answer that is not certainly a decision denies.

An answer counts only if it came whole and in time as a 200, is one strict JSON object, says by
provenance that a bundle of our revision is active, and holds exactly a decision document. While
OPA does not answer at all, a circuit breaker denies at once. No decision is asked twice, and no
answer is kept.
Does not start OPA, does not give it a bundle and does not watch it between calls.
"""

import asyncio
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

import aiohttp

from gateway.core.canonical import digest, dumps, parse_object
from gateway.core.decision import Decision, PolicyStamp, read_decision
from gateway.core.errors import (
    BundleError,
    MalformedMessage,
    PolicyAnswerInvalid,
    PolicyError,
    PolicyUnavailable,
)
from gateway.policy.breaker import Breaker
from gateway.policy.bundle import Bundle
from gateway.policy.limits import MAX_DOCUMENT_BYTES
from gateway.policy.opa_client import SidecarClient, door
from gateway.policy.selftest import SelfTest
from gateway.ports import Clock
from gateway.settings.policy import OPA

_BOOT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1
_BOOTING: Final = {"pdp_unavailable", "pdp_timeout", "pdp_undefined", "pdp_revision"}
"""What an OPA says, or does not, that has yet to start or to activate its bundle."""
_MAX_COMMAS: Final = 10_000
"""Bounds what is in an answer, and so the time to read it strictly: 1 MiB of `[],` takes 0.6 s."""
_OTHER_REVISION_SECONDS: Final = 5.0
"""How long an answer by another revision counts as not healthy, if no better one comes."""


class OPADecisionPoint:
    """One OPA sidecar, asked over one pool of connections.

    Use from one event loop, between `start` and `aclose`.
    """

    def __init__(
        self,
        bundle: Bundle,
        clock: Clock,
        opa: OPA,
        deadline_seconds: float = 0.25,
        boot_seconds: float = _BOOT_SECONDS,
    ) -> None:
        self._tests = bundle.self_tests
        self._revision, self._digest = bundle.revision, bundle.digest
        self._clock, self._opa = clock, opa
        self._deadline_seconds, self._boot_seconds = deadline_seconds, boot_seconds
        self._breaker = Breaker(clock)
        self._client: SidecarClient | None = None
        self._serving = False
        self._foreign_until_ns: int | None = None

    async def start(self) -> None:
        """Ask OPA all self-tests; when this returns each was answered as the bundle says.

        An OPA that is not there yet, or has not yet activated the bundle, is waited for.

        Raises:
            BundleError: a self-test was answered otherwise, or by another revision.
            PolicyUnavailable: OPA did not answer within the wait.
            SettingsError: token, authorities or certificate cannot be used.
        """
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.aclose)
            client = SidecarClient(door(self._opa), self._deadline_seconds)
            self._client = await client.__aenter__()
            until = asyncio.get_running_loop().time() + self._boot_seconds
            for test in self._tests:
                await self._prove(client, test, until)
            self._serving = True
            undo.pop_all()

    async def aclose(self) -> None:
        """Close every connection; decisions in flight are denied."""
        self._serving = False
        if self._client is not None:
            await self._client.close_connection()

    def healthy(self) -> bool:
        """Say whether OPA would be asked now and was of our revision when it last answered.

        After each pause of the breaker (at most some seconds) this is true until the next question
        fails, so that a gateway that gets no calls while it is not ready gets one again.
        """
        foreign = self._foreign_until_ns
        if foreign is not None and self._clock.monotonic_ns() < foreign:
            return False
        return self._serving and self._breaker.lets_through()

    async def decide(self, document: bytes) -> Decision:
        """Decide within the deadline; may be called concurrently.

        Raises:
            PolicyUnavailable: `pdp_timeout` or `pdp_unavailable`, at once when the circuit is open.
            PolicyAnswerInvalid: `pdp_error` for any status but 200, `pdp_undefined`,
                `pdp_revision`, or an answer that is no decision.
            PolicyError: `pdp_input_too_large`; OPA was not asked.
        """
        if len(document) > MAX_DOCUMENT_BYTES:
            raise PolicyError("the decision input is too large", code="pdp_input_too_large")
        if self._client is None or not self._serving:
            raise PolicyUnavailable("OPA is not in use: not started yet, or closed")
        with self._breaker.call():
            return await self._ask(self._client, document)

    async def _prove(self, client: SidecarClient, test: SelfTest, until: float) -> None:
        while True:
            try:
                decision = await self._ask(client, test.document)
            except PolicyError as exc:
                late = asyncio.get_running_loop().time() >= until
                if late and isinstance(exc, PolicyUnavailable):
                    where = self._opa.socket or self._opa.url
                    raise PolicyUnavailable(f"{where}: {exc.message}; is OPA running?") from exc
                if late or exc.reason_code not in _BOOTING:
                    raise BundleError(f"self-test {test.name}: {exc.message}") from exc
                await asyncio.sleep(_POLL_SECONDS)
            else:
                test.check(decision)
                return

    async def _ask(self, client: SidecarClient, document: bytes) -> Decision:
        before = self._clock.monotonic_ns()
        try:
            async with asyncio.timeout(self._deadline_seconds):
                status, body = await client.ask(document)
        except TimeoutError as exc:
            raise PolicyUnavailable("OPA did not answer in time", code="pdp_timeout") from exc
        except asyncio.CancelledError as exc:
            # The library cancels calls that wait for a connection when it is closed; a call whose
            # own caller left is another matter.
            if _is_cancelled():
                raise
            raise PolicyUnavailable("OPA is not in use any more") from exc
        except aiohttp.ClientResponseError as exc:
            raise PolicyAnswerInvalid("what OPA answered is not HTTP") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise PolicyUnavailable("OPA cannot be reached, or broke off") from exc
        eval_ns = self._clock.monotonic_ns() - before
        if status != 200:
            raise PolicyAnswerInvalid(f"OPA answered {status}", code="pdp_error")
        return self._read(body, document, eval_ns)

    def _read(self, body: bytes, document: bytes, eval_ns: int) -> Decision:
        if body.count(b",") > _MAX_COMMAS:
            raise PolicyAnswerInvalid("the answer has more members than a decision can have")
        try:
            answer = parse_object(body)
        except MalformedMessage as exc:
            raise PolicyAnswerInvalid("OPA's answer is not one strict JSON object") from exc
        if "result" not in answer:
            raise PolicyAnswerInvalid("the policy has no decision", code="pdp_undefined")
        stamp = PolicyStamp(
            engine=f"opa/{self._version(answer)}",
            revision=self._revision,
            bundle_digest=self._digest,
            decision_id=_decision_id(answer),
            input_digest=digest(document),
            eval_ns=eval_ns,
        )
        if not isinstance(answer["result"], dict):
            raise PolicyAnswerInvalid("the decision is not an object")
        return read_decision(dumps(answer["result"]), stamp)

    def _version(self, answer: Mapping[str, Any]) -> str:
        """Return OPA's version, once provenance shows a bundle of our revision."""
        match answer.get("provenance"):
            case {"version": str(version), "bundles": dict(bundles)} if version:
                revisions = [
                    one.get("revision") for one in bundles.values() if isinstance(one, dict)
                ]
                if self._revision in revisions:
                    self._foreign_until_ns = None
                    return version
        span_ns = round(_OTHER_REVISION_SECONDS * 1e9)
        self._foreign_until_ns = self._clock.monotonic_ns() + span_ns
        raise PolicyAnswerInvalid(
            f"OPA does not say that it decides by revision {self._revision}", code="pdp_revision"
        )


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _decision_id(answer: Mapping[str, Any]) -> str:
    """Return the id under which OPA logs the decision, if it logs decisions, else one of ours."""
    given = answer.get("decision_id", uuid.uuid4().hex)
    if not isinstance(given, str) or not given:
        raise PolicyAnswerInvalid("the decision's id is not a text")
    return given
