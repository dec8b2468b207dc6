"""Obligations: what a permit or a hold is bound to, or it is void.

An obligation that this gateway does not know, cannot read or gets twice voids the answer that
carries it (policy rules 4 and 5 of the design). Does not carry them out: approvals are the
ledger's, what is noted of a session too, and what evidence leaves out is the recorder's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.errors import PolicyAnswerInvalid

MAX_COUNT: Final = 366 * 24 * 3600
"""Largest count or span in an obligation: no approval request outlives a year."""
OBSERVABLE: Final = ("permit", "deny", "hold")


@dataclass(frozen=True, slots=True)
class ApprovalNeeded:
    """The `approval` obligation of a hold: whose answer, how many, for how long."""

    approvers: str
    count: int
    expires_seconds: int


@dataclass(frozen=True, slots=True)
class Obligations:
    """All obligations of one decision."""

    approval: ApprovalNeeded | None = None
    observed: str | None = None
    """`{"type": "observe", "effect": …}`: the charter observes; what would be answered else."""
    untrusted_input: bool = False
    """`{"type": "untrusted_input"}`: what comes back may hold the words of strangers."""
    results_omitted: bool = False
    """`{"type": "omit_results"}`: evidence keeps size and digest of what comes back, no more."""


def read_obligations(value: Any) -> Obligations:
    """Read the `obligations` of a decision document.

    Raises:
        PolicyAnswerInvalid: `pdp_obligation_unknown` for one that is not known or comes twice;
            otherwise one of them is not what its type must be.
    """
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise PolicyAnswerInvalid("obligations are not a list of objects")
    read: dict[str, Any] = {}
    for item in value:
        kind = item.get("type")
        reader = _READERS.get(kind) if isinstance(kind, str) else None
        if reader is None:
            raise _unknown("the answer has an obligation that this gateway cannot carry out")
        name, meaning = reader(item)
        if name in read:
            raise _unknown("the answer has the same obligation twice")
        read[name] = meaning
    return Obligations(**read)


def _unknown(what: str) -> PolicyAnswerInvalid:
    return PolicyAnswerInvalid(what, code="pdp_obligation_unknown")


def _approval(item: Mapping[str, Any]) -> tuple[str, ApprovalNeeded]:
    if item.keys() != {"type", "approvers", "count", "expires_seconds"}:
        raise PolicyAnswerInvalid("an approval is {type, approvers, count, expires_seconds}")
    approvers = item["approvers"]
    if not isinstance(approvers, str) or not approvers:
        raise PolicyAnswerInvalid("approvers must be a text that is not empty")
    needed = ApprovalNeeded(approvers, _positive(item["count"]), _positive(item["expires_seconds"]))
    return "approval", needed


def _observe(item: Mapping[str, Any]) -> tuple[str, str]:
    if item.keys() != {"type", "effect"} or item["effect"] not in OBSERVABLE:
        raise PolicyAnswerInvalid("an observation is {type, effect}, the effect being known")
    return "observed", item["effect"]


def _plain(name: str) -> Callable[[Mapping[str, Any]], tuple[str, bool]]:
    def read(item: Mapping[str, Any]) -> tuple[str, bool]:
        if item.keys() != {"type"}:
            raise PolicyAnswerInvalid(f"the obligation {item['type']} has no other members")
        return name, True

    return read


def _positive(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_COUNT:
        raise PolicyAnswerInvalid("a count or a span is not a sane positive integer")
    return value


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], tuple[str, Any]]]] = {
    "approval": _approval,
    "observe": _observe,
    "untrusted_input": _plain("untrusted_input"),
    "omit_results": _plain("results_omitted"),
}
