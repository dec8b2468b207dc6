"""The decision input, version 1 (design §5; schema in `rego/schemas/input.json`).

Everything that policy may decide on is in this one document, time included, so that a recorded
decision can be reproduced. Does not hold tokens, and does not decide.
"""

from typing import Any, Final

from gateway.core.approval import Situation
from gateway.core.call import ToolCall
from gateway.core.claims import Claims

INPUT_VERSION: Final = "1"


def decision_input(
    call: ToolCall, claims: Claims, situation: Situation, call_id: str, now_ns: int
) -> dict[str, Any]:
    """Return the document that the decision point is asked about."""
    approval, transaction = situation.approval, claims.transaction
    return {
        "version": INPUT_VERSION,
        "subject": claims.as_subject(now_ns // 1_000_000_000),
        "action": call.as_action(),
        "resource": call.as_resource(),
        "context": {
            "time": now_ns,
            "call_id": call_id,
            "task": None,
            "grant": None,
            "approval": {"id": approval.id, "state": approval.state} if approval else None,
            "transaction": transaction.as_context() if transaction else None,
            "session": situation.session.as_context(),
            "source": call.request.source,
        },
    }
