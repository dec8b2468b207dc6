"""What the tests of this folder share: a line of fakes on one tape, and a request to walk it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.call import Request
from gateway.core.claims import NOTHING, Credential, UnverifiedToken
from gateway.core.decision import Decision, Deny, Hold, Reason
from gateway.core.errors import WireError
from gateway.core.obligation import ApprovalNeeded
from gateway.core.session import session_of
from gateway.pipeline import Ports, walk
from tests.fakes import (
    CLAIMS,
    ORIGIN,
    PERMIT,
    FakeAuthenticator,
    FakeCaller,
    FakeClock,
    FakeLedger,
    FakeUpstream,
    Gate,
    GatedDecisionPoint,
    GatedEvidenceLog,
)

SESSION = "s-1"
"""A session that the caller opened before."""
CANARY = "canary-1b9f-token-of-the-agent"
DENY = Deny((Reason("tool_not_allowed", "tool_allowed"),), PERMIT.classification, "tester")
HOLD = Hold(
    reasons=(Reason("approval_required", "approval_required"),),
    classification=PERMIT.classification,
    charter="tester",
    grant=None,
    policy=PERMIT.policy,
    approval=ApprovalNeeded("leads", 1, 600),
)
MARK = b'"content":[]'
"""What only the upstream's answer holds, with or without a receipt."""
ANSWER = b'{"jsonrpc":"2.0","id":7,"result":{' + MARK + b"}}"
PROGRESS = b'data: {"jsonrpc":"2.0","method":"notifications/progress"}\n\n'
EVENT = b"data: " + ANSWER + b"\n\n"
RECEIPT = {"origin": ORIGIN, "seq": 1, "leaf_hash": "sha256:" + "0" * 63 + "1"}
"""Of the outcome of the first call on a line, as a caller gets it."""
_OURS = (
    b'"_meta":{"bailiwick/receipt":' + json.dumps(RECEIPT, separators=(",", ":")).encode() + b"}"
)
RECEIPTED = ANSWER.replace(MARK, _OURS + b"," + MARK)
"""The answer as the caller gets it, when it is a tool's and the first of its line."""
INTENT_RECEIPT = f'origin="{ORIGIN}", seq=0, leaf="sha256:{0:064x}"'
"""The header of every answer to the first call on a line."""
SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}

SHAPES: dict[str, tuple[int, Mapping[str, str], list[bytes]]] = {
    "JSON in one chunk": (200, JSON, [ANSWER]),
    "JSON in many chunks": (200, JSON, [ANSWER[:10], ANSWER[10:20], ANSWER[20:]]),
    "an event stream": (200, SSE, [PROGRESS, PROGRESS + EVENT]),
    "an event stream cut anywhere": (200, SSE, [PROGRESS[:9], PROGRESS[9:] + EVENT[:5], EVENT[5:]]),
    "an event stream without an answer": (200, SSE, [PROGRESS, b": half an ev"]),
    "202 without a body": (202, {}, []),
    "an empty event stream": (200, SSE, []),
    "an error of the upstream": (503, JSON, [b'{"error":"no"}']),
}
"""Status, headers and chunks of an upstream's answer, by name."""


def tools_call(**params: Any) -> bytes:
    """Return the body of a `tools/call`, id 7."""
    members = {"name": "crm.read", "arguments": {"customer": "c-1"}, **params}
    message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": members}
    return json.dumps(message).encode()


def resources_read() -> bytes:
    """Return the body of a request whose answer is relayed as it comes, also if it is JSON."""
    return b'{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"r:1"}}'


def request(body: bytes | None = None, token: str | None = CANARY, **changed: Any) -> Request:
    """Return an admitted request with the canary as its credential."""
    members: dict[str, Any] = {
        "method": "POST",
        "target": "/crm/mcp",
        "system": "crm",
        "headers": {
            "content-type": "application/json",
            "mcp-session-id": SESSION,
        },
        "body": tools_call() if body is None else body,
        "source": "192.0.2.7",
        "credential": Credential(UnverifiedToken(token)) if token else NOTHING,
    }
    return Request(**members | changed)


class Line:
    """The straight line between fakes."""

    def __init__(
        self,
        *decisions: Decision | Exception,
        shape: str = "JSON in one chunk",
        body: Sequence[bytes | Exception | Gate] | None = None,
    ) -> None:
        self.tape: list[Any] = []
        self.clock = FakeClock()
        self.authenticator = FakeAuthenticator(tape=self.tape)
        self.ledger = FakeLedger(tape=self.tape)
        self.ledger.sessions[session_of("crm", SESSION, CLAIMS)] = self.clock.wall_ns()
        self.decision_point = GatedDecisionPoint(*decisions, tape=self.tape)
        self.evidence = GatedEvidenceLog(tape=self.tape)
        status, headers, chunks = SHAPES[shape]
        self.upstream = FakeUpstream(
            chunks if body is None else body, headers, status, tape=self.tape
        )
        self.caller = FakeCaller(tape=self.tape)

    @property
    def ports(self) -> Ports:
        """The fakes, as the pipeline knows them."""
        return Ports(
            self.clock,
            self.authenticator,
            self.ledger,
            self.decision_point,
            self.evidence,
            self.upstream,
        )

    async def walk(self, asked: Request | None = None, refused: WireError | None = None) -> None:
        """Walk the line once with a caller of its own."""
        self.caller = self.caller if not self.caller.steps else FakeCaller(tape=self.tape)
        await walk(asked or request(), self.caller, self.ports, refused)

    def kinds(self) -> list[str]:
        """Return the kinds of the durable records."""
        return [kind for kind, _ in self.evidence.records]

    def outcomes(self) -> list[str]:
        """Return the status of every durable outcome."""
        return [fields["status"] for fields in self.evidence.of("outcome")]

    def answer(self) -> dict[str, Any]:
        """Return the caller's answer, which is one JSON object."""
        document: dict[str, Any] = json.loads(self.caller.body)
        return document

    def code(self) -> str:
        """Return the gateway's code in the answer, whatever its shape."""
        return str(self.facts()["code"])

    def facts(self) -> dict[str, Any]:
        """Return the machine-readable members of a refusal, whatever its shape."""
        document = self.answer()
        if "result" in document:
            found: dict[str, Any] = document["result"]["_meta"]["bailiwick/refusal"]
            return found
        error: dict[str, Any] = document["error"]
        return error.get("data", error)


def last_piece_after_outcome(tape: list[Any]) -> bool:
    """Say whether nothing that ends an answer of the upstream came before a durable outcome."""
    marks = [mark[0] if isinstance(mark, tuple) and mark[0] == "finish" else mark for mark in tape]
    return "finish" not in marks or ("durable", "outcome") in marks[: marks.index("finish")]


def send_after_intent(tape: list[Any]) -> bool:
    """Say whether every send came after a durable intent of its own."""
    intents = 0
    for mark in tape:
        intents += mark == ("durable", "intent")
        if mark == "send":
            intents -= 1
            if intents < 0:
                return False
    return True
