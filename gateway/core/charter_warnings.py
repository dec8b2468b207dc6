"""What is no fault of a charter, and yet somebody should look at it.

A charter with warnings stands and decides; each names what to do about it. Takes the time, as an
expired charter is sound in every other way. Does not find faults (`charter.py`).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway.core.charter_reach import asked
from gateway.core.fault import Fault
from gateway.core.reach import Document, Systems, Touch, flows_to, touches
from gateway.core.standing import standing

EXPIRED: Final = "expired"
SOON_DAYS: Final = 30
DAY_NS: Final = 24 * 3600 * 1_000_000_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant_ns(text: str) -> int:
    """Return an instant of a charter in nanoseconds since the epoch."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(seconds=1) * 1_000_000_000


def time_warnings(charter: Document, now_ns: int) -> Iterator[Fault]:
    """Find what the calendar says of a charter whose instants are sound."""
    left_ns = instant_ns(charter["expires"]) - now_ns
    if left_ns <= 0:
        ended = f"the charter expired on {charter['expires']} and denies everything; renew it."
        yield Fault(EXPIRED, ("expires",), ended)
    elif left_ns <= SOON_DAYS * DAY_NS:
        days = left_ns // DAY_NS
        left = "less than a day" if not days else "one day" if days == 1 else f"{days} days"
        yield Fault("expires_soon", ("expires",), f"the charter expires in {left}; renew it.")
    observe = charter.get("observe")
    if observe and now_ns < instant_ns(observe["until"]):
        what = "even calls of high impact" if observe.get("high_impact") else "what it would deny"
        loud = f"the agent is observed until {observe['until']}: {what} may go through."
        yield Fault("observing", ("observe",), loud)


def reach_warnings(charter: Document, systems: Systems) -> Iterator[Fault]:
    """Find what a complete charter says for nothing, or leaves open."""
    rows = touches(charter, systems)
    reached = [touch for touch in rows if touch.reachable]
    yield from _allowed_for_nothing(charter, rows)
    used = {path for touch in reached for path in touch.approvals}
    for index in range(len(charter["approvals"])):
        path = ("approvals", str(index))
        if path not in used:
            idle = f"`approvals.{index}` fits no tool that the charter reaches; leave it out."
            yield Fault("approval_unused", path, idle)
    yield from _unguarded(charter, reached)
    for touch in reached:
        if touch.grave and not touch.impacts and not touch.approvals:
            alone = (
                f"`{touch.tool}` executes, and nobody approves it; add an approval for the tool."
            )
            yield Fault("execute_unapproved", touch.allowed_by[0], alone)
        yield from _flow_conflicts(charter, touch)


def _allowed_for_nothing(charter: Document, rows: list[Touch]) -> Iterator[Fault]:
    for system, bounds in charter["systems"].items():
        for index, entry in enumerate(bounds.get("allow", ())):
            path = ("systems", system, "allow", str(index))
            covered = [touch for touch in rows if path in touch.allowed_by]
            if covered and not any(touch.reachable for touch in covered):
                idle = f"`{'.'.join(path)}` allows only what a deny entry takes away; drop one."
                yield Fault("allow_denied", path, idle)
            for name, bound in entry.get("arguments", {}).items():
                if _impossible(bound):
                    never = f"no value of `{name}` keeps all its bounds, so nothing is allowed."
                    yield Fault("bounds_impossible", (*path, "arguments", name), never)


def _impossible(bound: dict[str, Any]) -> bool:
    return (
        ("absent" in bound and len(bound) > 1)
        or ("gte" in bound and "lte" in bound and bound["gte"] > bound["lte"])
        or ("eq" in bound and "in" in bound and bound["eq"] not in bound["in"])
    )


def _unguarded(charter: Document, reached: list[Touch]) -> Iterator[Fault]:
    strange = [touch for touch in reached if touch.untrusted]
    # What is held anyway is guarded by whoever looks at it.
    risky = [
        touch
        for touch in reached
        if (touch.effect != "read" or touch.outward) and standing(charter, touch).effect == "permit"
    ]
    guarded = any(
        "untrusted_input" in flow["after"] and all(flows_to(flow, touch) for touch in risky)
        for flow in charter.get("flows", ())
    )
    if strange and risky and not guarded:
        names = ", ".join(f"`{touch.tool}`" for touch in risky[:3])
        open_ = (
            f"`{strange[0].tool}` brings in the words of strangers, and after it {names} may be "
            "called; add a flow after untrusted_input."
        )
        yield Fault("untrusted_unguarded", strange[0].allowed_by[0], open_)


def _flow_conflicts(charter: Document, touch: Touch) -> Iterator[Fault]:
    standing = [charter["approvals"][int(index)] for _, index in touch.approvals]
    for index, flow in enumerate(charter.get("flows", ())):
        if "approval" in flow and flows_to(flow, touch):
            if standing and len(asked([*standing, flow["approval"]])) > 1:
                both = (
                    f"after this flow `{touch.tool}` needs two approvals that differ, so it is "
                    "denied; ask for the same in both."
                )
                yield Fault("flow_approval_differs", ("flows", str(index), "approval"), both)
