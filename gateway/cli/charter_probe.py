"""Which bounds does a call break? Asked of the engine itself, one bound at a time.

Each bound becomes a charter of its own that allows the tool within that bound alone, in a bundle
that has the same rules; so the explanation cannot say otherwise than the decision did. Does not
reimplement operators.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.core.canonical import dumps
from gateway.core.fault import Path
from gateway.core.reach import Touch
from gateway.core.standing import at
from gateway.policy.bundle import Bundle
from gateway.policy.embedded import EmbeddedDecisionPoint
from gateway.wiring import SystemClock

MAX_PROBES: Final = 200
DEADLINE_SECONDS: Final = 5.0
"""A person waits for the answer, not a call."""
OUT_OF_BOUNDS: Final = "argument_out_of_bounds"


@dataclass(frozen=True, slots=True)
class Bound:
    """One operator of one argument of one allow entry."""

    path: Path
    argument: str
    operator: str
    limit: Any


def bounds_of(charter: Mapping[str, Any], touch: Touch) -> list[Bound]:
    """Return every bound of every allow entry that covers a tool."""
    return [
        Bound((*path, "arguments", argument, operator), argument, operator, limit)
        for path in touch.allowed_by
        for argument, limits in at(charter, path).get("arguments", {}).items()
        for operator, limit in limits.items()
    ][:MAX_PROBES]


async def broken_bounds(
    bundle: Bundle, charter: Mapping[str, Any], touch: Touch, document: Mapping[str, Any]
) -> list[Bound]:
    """Return the bounds that the arguments of a call break.

    Raises:
        BundleError: the engine does not start.
        PolicyError: the engine does not answer.
    """
    bounds = bounds_of(charter, touch)
    if not bounds:
        return []
    probing = replace(bundle, data=_data(bundle, charter, touch, bounds), self_tests=())
    point = EmbeddedDecisionPoint(probing, SystemClock(), DEADLINE_SECONDS, processes=1)
    await point.start()
    try:
        asked = [await point.decide(_asking(document, at)) for at in range(len(bounds))]
    finally:
        await point.aclose()
    return [
        bound
        for bound, decision in zip(bounds, asked, strict=True)
        if any(reason.code == OUT_OF_BOUNDS for reason in decision.reasons)
    ]


def _data(
    bundle: Bundle, charter: Mapping[str, Any], touch: Touch, bounds: Sequence[Bound]
) -> bytes:
    bare = {name: charter[name] for name in charter if name not in ("observe", "flows", "hours")}
    charters = {}
    for number, bound in enumerate(bounds):
        entry = {
            "tools": [touch.tool],
            "effects": [touch.effect],
            "arguments": {bound.argument: {bound.operator: bound.limit}},
        }
        systems = {touch.system: {"allow": [entry]}}
        charters[_name(number)] = {**bare, "systems": systems, "faults": []}
    return dumps(
        {"charters": charters, "subjects": {name: name for name in charters},
         "systems": bundle.systems}
    )  # fmt: skip


def _asking(document: Mapping[str, Any], number: int) -> bytes:
    asked: dict[str, Any] = copy.deepcopy(dict(document))
    asked["subject"]["id"] = _name(number)
    return dumps(asked)


def _name(number: int) -> str:
    return f"bound-{number}"
