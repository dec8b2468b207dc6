"""The oracle: OPA itself, in this process, answering what the gateway's engines are asked.

It wraps the library that `make` installs beside the locked dependencies. Builtin errors raise, so
no rule is skipped unseen. Does not limit time or memory and does not forbid builtins: for tests.
"""

import importlib
import importlib.util
import json
import os
from collections.abc import Mapping
from typing import Any, Final

import pytest

from gateway.core.canonical import digest
from gateway.core.decision import Decision, PolicyStamp, read_decision
from gateway.core.errors import PolicyAnswerInvalid
from gateway.policy.bundle import Bundle

LIBRARY: Final = "opa_bindings"
DECISION: Final = "bailiwick.decision"
MISSING: Final = (
    "PARITY NOT TESTED: the oracle (opa-golib-python-bindings) is not installed; "
    "`make` installs it from requirements-oracle.lock where a wheel for the platform exists"
)


def need(environment: Mapping[str, str] = os.environ, library: str = LIBRARY) -> Any:
    """Return the library; without it skip, except where every check must have run."""
    if importlib.util.find_spec(library) is None:
        if environment.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return importlib.import_module(library)


class Oracle:
    """OPA with one bundle's rules and data; a decision point without supervision."""

    def __init__(self, bundle: Bundle) -> None:
        self._opa = need()
        self._tests = bundle.self_tests
        self._stamp = ("golib", bundle.revision, bundle.digest)
        self._engine = self._opa.OpaEngine()
        for path, source in bundle.policies:
            self._engine.add_policy(path, source)
        self._engine.add_data(json.loads(bundle.data))

    def answer(self, document: bytes) -> bytes:
        """Return the decision document.

        Raises:
            PolicyAnswerInvalid: `pdp_undefined`, or `pdp_error` when the evaluation raised.
        """
        try:
            return json.dumps(self._engine.eval_document(DECISION, json.loads(document))).encode()
        except self._opa.OpaUndefinedError as exc:
            raise PolicyAnswerInvalid("the policy has no decision", code="pdp_undefined") from exc
        except self._opa.OpaError as exc:
            raise PolicyAnswerInvalid(f"not evaluated: {exc}", code="pdp_error") from exc

    async def start(self) -> None:
        """Compile the rules, by the bundle's self-tests.

        Raises:
            BundleError: a self-test is answered otherwise.
        """
        for test in self._tests:
            test.check(await self.decide(test.document))

    async def decide(self, document: bytes) -> Decision:
        """Decide.

        Raises:
            PolicyAnswerInvalid: there was no answer, or it is no decision.
        """
        stamp = PolicyStamp(*self._stamp, "oracle", digest(document), 0)
        return read_decision(self.answer(document), stamp)

    def healthy(self) -> bool:
        """Say that it can decide: it ends only with this process."""
        return True

    async def aclose(self) -> None:
        """Free what the library holds."""
        self._engine.close()
