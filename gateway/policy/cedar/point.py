"""Cedar in process: the decision point that evaluates charters compiled to Cedar.

It evaluates no Rego, so it takes no bundle whose rules are not those that its compiler stands in
for: a denial that somebody added there would not apply. Cedar has no loops, so an evaluation ends
by itself and needs no process of its own; what a policy costs is bounded by the size of the input.
A policy that Cedar could not evaluate is one that it skips, so an answer with errors is no answer,
and neither is anything that is raised on the way.
Does not compile (`library.py`), and does not say what the policies amount to (`answer.py`).
"""

import asyncio
import logging
import uuid
from functools import partial
from typing import Final

from gateway.core.canonical import digest, dumps, loads_exact, parse_object
from gateway.core.decision import Decision, PolicyStamp, read_decision
from gateway.core.errors import BundleError, PolicyAnswerInvalid, PolicyError, PolicyUnavailable
from gateway.policy.bundle import Bundle, read_files, shipped_bundle
from gateway.policy.cedar.answer import decision
from gateway.policy.cedar.handles import ENGINE
from gateway.policy.cedar.library import Library
from gateway.policy.cedar.request import question
from gateway.policy.limits import MAX_DOCUMENT_BYTES
from gateway.policy.panic import ends_the_task
from gateway.policy.rego import Source, text_of
from gateway.ports import Clock

_INLINE_BYTES: Final = 32 * 1024
"""Longest input that is decided in the event loop; reading 256 KiB of it can take 0.1 s."""
_NANOSECONDS: Final = 2**63 - 1

_log = logging.getLogger(__name__)


class CedarDecisionPoint:
    """Decides with Cedar, from the moment that `start` returns until `aclose`."""

    def __init__(self, bundle: Bundle, clock: Clock, deadline_seconds: float = 0.25) -> None:
        self._bundle, self._clock = bundle, clock
        self._deadline_seconds = deadline_seconds
        self._stamp = partial(PolicyStamp, ENGINE, bundle.revision, bundle.digest)
        self._library: Library | None = None

    async def start(self) -> None:
        """Compile the bundle; when this returns it has passed its self-tests.

        Raises:
            BundleError: its rules are not the shipped ones, it cannot be said in Cedar, or a
                self-test failed.
        """
        await asyncio.to_thread(_refuse_other_rules, self._bundle)
        library = await asyncio.to_thread(Library, self._bundle)
        for test in self._bundle.self_tests:
            try:
                found = self._decide(library, test.document)
            except PolicyError as exc:
                raise BundleError(f"self-test {test.name}: {exc.message}") from exc
            test.check(found)
        self._library = library

    async def aclose(self) -> None:
        """Decide no more."""
        self._library = None

    def healthy(self) -> bool:
        """Say whether it has started and not been closed."""
        return self._library is not None

    async def decide(self, document: bytes) -> Decision:
        """Decide; what takes long in a thread, so that other calls' deadlines do not wait.

        Raises:
            PolicyUnavailable: not started, or closed; `pdp_timeout`. What was being compiled then
                is compiled to its end, for the next call.
            PolicyAnswerInvalid: `pdp_error`: Cedar could not evaluate the input.
            PolicyError: `pdp_input_too_large`; Cedar was not asked.
        """
        if self._library is None:
            raise PolicyUnavailable("the Cedar engine is not running")
        if len(document) > MAX_DOCUMENT_BYTES:
            raise PolicyError("the decision input is too large", code="pdp_input_too_large")
        if _is_quick(self._library, document):
            return self._decide(self._library, document)
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await asyncio.to_thread(self._decide, self._library, document)
        except TimeoutError as exc:
            raise PolicyUnavailable("no decision in time", code="pdp_timeout") from exc

    def _decide(self, library: Library, document: bytes) -> Decision:
        before = self._clock.monotonic_ns()
        try:
            answer = decision_document(library, document)
        except PolicyError:
            raise
        except BaseException as exc:  # noqa: B036  a panic of the extension is no Exception
            if ends_the_task(exc):
                raise
            # The text may quote policy or arguments.
            _log.warning("Cedar failed: %s", type(exc).__name__)
            raise PolicyAnswerInvalid(
                "the policy could not be evaluated", code="pdp_error"
            ) from exc
        elapsed_ns = self._clock.monotonic_ns() - before
        return read_decision(answer, self._stamp(uuid.uuid4().hex, digest(document), elapsed_ns))


def _refuse_other_rules(bundle: Bundle) -> None:
    ours, theirs = _shipped_rules(), dict(bundle.policies)
    for path in sorted(ours.keys() | theirs.keys()):
        if ours.get(path) != theirs.get(path):
            raise BundleError(
                f"{path}: is not as this version ships it, and Cedar decides by charters alone; "
                "take the shipped rules, or policy.engine embedded or opa"
            )


def _shipped_rules() -> dict[str, str]:
    # Not loaded: the loader would remember its charters in place of those in force.
    files, _ = read_files(shipped_bundle(), everything=False)
    texts = {
        path: text_of(path, content) for path, content in files.items() if path.endswith(".rego")
    }
    return {path: text for path, text in texts.items() if Source(path, text, ()).is_rule}


def _is_quick(library: Library, document: bytes) -> bool:
    """Say whether the input is small and its subject's charter compiled (else 20 ms, and more)."""
    if len(document) > _INLINE_BYTES or (read := loads_exact(document)) is None:
        return False
    subject = read.get("subject")
    identity = subject.get("id") if isinstance(subject, dict) else None
    return not isinstance(identity, str) or library.has_read(identity)


def decision_document(library: Library, document: bytes) -> bytes:
    """Return the decision document for a decision input, both as JSON.

    Raises:
        MalformedMessage: the input is not one strict JSON object.
        PolicyAnswerInvalid: Cedar could not evaluate it.
        BundleError: the subject's charter cannot be said in Cedar.
    """
    read = loads_exact(document)
    if read is None:
        read = parse_object(document, max_integer=_NANOSECONDS)
    asked = question(read, library.catalogue, library.bounded)
    volume = library.of(asked.subject)
    answer = volume.rules.ask(asked.request)
    fitting = [volume.compiled.policies[name] for name in answer.policies]
    return dumps(decision(answer.allowed, fitting, volume.compiled, asked, volume.charter))
