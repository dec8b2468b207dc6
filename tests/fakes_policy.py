"""The fake decision point, and a tiny bundle whose answers an input can ask for.

`FakeDecisionPoint` passes the contract suite that the real ones pass (`tests/contract/`).
Does not evaluate Rego: `tiny_bundle` is for the real engine.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from gateway.core.canonical import digest
from gateway.core.decision import Classification, Decision, Permit, PolicyStamp, Reason
from gateway.core.errors import BundleError
from gateway.policy.bundle import Bundle
from gateway.policy.selftest import SelfTest

STAMP = PolicyStamp("fake/1", "revision-1", "sha256:00", "decision-0", "sha256:00", 1000)
PERMIT = Permit(
    reasons=(Reason("permitted", "fake"),),
    classification=Classification("read", (), "crm", "test"),
    charter="tester",
    grant=None,
    policy=STAMP,
)


class FakeDecisionPoint:
    """Answers as scripted, in order; the last answer is given again and again.

    Each answer is a decision, whose stamp is made to fit the document, or an exception to raise.
    """

    def __init__(
        self, *answers: Decision | Exception, tape: list[str] | None = None, up: bool = True
    ) -> None:
        self.answers = list(answers) or [PERMIT]
        self.tape = tape if tape is not None else []
        """Shared with other fakes: the order in which the ports were used."""
        self.up = up
        self.documents: list[bytes] = []
        """Every document that was asked about."""

    async def decide(self, document: bytes) -> Decision:
        """Give the next scripted answer."""
        self.tape.append("decide")
        self.documents.append(document)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        name = f"decision-{len(self.documents)}"
        stamp = replace(STAMP, decision_id=name, input_digest=digest(document))
        return replace(answer, policy=stamp)

    def healthy(self) -> bool:
        """Say what the test wants to be said."""
        return self.up


class TickingClock:
    """A clock that goes on by one microsecond whenever it is read."""

    def __init__(self) -> None:
        self.now_ns = 0

    def wall_ns(self) -> int:
        """Return the next microsecond."""
        return self.monotonic_ns()

    def monotonic_ns(self) -> int:
        """Return the next microsecond."""
        self.now_ns += 1000
        return self.now_ns


TINY_POLICY = """
package bailiwick

import rego.v1

answer(effect, obligations) := {
    "effect": effect,
    "reasons": [{"code": input.code, "rule": "tiny"}],
    "obligations": obligations,
    "class": {"effect": "read", "impacts": [], "domain": "crm", "environment": data.environment},
    "charter": "tester",
    "grant": null,
}

approval := {"type": "approval", "approvers": "leads", "count": 1, "expires_seconds": 60}

forbidden contains "number" if to_number(input.number) > 3

pairs(n) := [1 | some a in numbers.range(1, n); some b in numbers.range(1, n); a * b == -1]

dive(n) := dive(n + 1)

decision := answer("permit", []) if { input.want == "permit"; count(forbidden) == 0 }
decision := answer("deny", []) if input.want == "deny"
decision := answer("hold", [approval]) if input.want == "hold"
decision := answer("permit", [{"type": "redact"}]) if input.want == "unknown obligation"
decision := answer("permit", []) if input.want == "conflict"
decision := answer("deny", []) if input.want == "conflict"
decision := answer("permit", []) if { input.want == "slow"; pairs(400) == [] }
decision := answer("permit", []) if { input.want == "loop"; pairs(20000) == [] }
decision := answer("permit", []) if { input.want == "crash"; dive(0) }
decision := numbers.range(1, 200000) if input.want == "flood"
"""


def ask(want: str, code: str = "asked", **members: Any) -> bytes:
    """Return a document that makes the tiny policy answer `want`, with `code` as its reason."""
    return json.dumps({"want": want, "code": code, **members}).encode()


TINY_TESTS = (
    SelfTest("permit", ask("permit", "permitted"), "permit", ("permitted",)),
    SelfTest("deny", ask("deny", "refused"), "deny", ("refused",)),
)


def tiny_bundle(policy: str = TINY_POLICY, tests: tuple[SelfTest, ...] = TINY_TESTS) -> Bundle:
    """Return a bundle of one policy, as if it had been read from a folder."""
    return Bundle(
        path=Path("tiny"),
        revision="tiny-1",
        digest="sha256:" + "7" * 64,
        policies=(("bailiwick/tiny.rego", policy),),
        data=b'{"environment": "test"}',
        charters={},
        systems={},
        self_tests=tests,
        faults={},
        documents={},
    )


class FakeKey:
    """Signs and verifies without cryptography: a token is its name and the payload as JSON."""

    def __init__(self, name: str = "key") -> None:
        self.name = name
        self.asked: list[str] = []
        """Every token that was to be verified."""

    def sign(self, payload: Mapping[str, Any]) -> str:
        """Return a token for the payload."""
        return json.dumps([self.name, payload])

    def verify(self, token: str) -> Mapping[str, Any]:
        """Return the payload of a token of this key's own."""
        self.asked.append(token)
        name, payload = json.loads(token)
        if name != self.name:
            raise BundleError("the signature is by another key", code="bundle_signature_invalid")
        return {**payload, "keyid": self.name}


async def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until the condition holds, at most so long."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110  what is waited for is another process
            await anyio.sleep(0.005)


def policy_children(parent: int | None = None) -> set[int]:
    """Return the pids of the live policy children of a process, this one by default (Linux)."""
    assert sys.platform == "linux"
    wanted = os.getpid() if parent is None else parent
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _parent(int(entry.name)) == wanted:
            try:
                if b"gateway.policy.child" in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
            except OSError:
                continue  # ended while we looked
    return found


def is_running(pid: int) -> bool:
    """Say whether the process runs; one that only waits to be reaped does not."""
    return _parent(pid) is not None


def _parent(pid: int) -> int | None:
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state in "ZX" else int(parent)
