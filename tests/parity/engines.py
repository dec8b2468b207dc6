"""Every engine there is, asked the same document; and the judgement of their answers.

Answers are compared as the gateway reads them, the stamp aside. An engine that raises refuses the
call, which is safe; one that permits what another denies or holds never is.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from anyio.from_thread import BlockingPortal, start_blocking_portal

from gateway.core.canonical import dumps
from gateway.core.decision import Decision, effect_name
from gateway.core.errors import PolicyError
from gateway.policy.bundle import Bundle
from gateway.policy.engines import Engine, engine_of
from gateway.settings.policy import Policy
from tests.fakes_policy import TickingClock
from tests.golib import Oracle
from tests.opa_server import opa_server
from tests.parity.beyond_cedar import is_beyond

DEADLINE_SECONDS: Final = 10.0
"""Long: here a slow machine must not look like a refusal."""
REFUSAL: Final = "refused"

INCOMPLETE: Final = "input_incomplete"

_RANK: Final = {"deny": 0, "hold": 1, "permit": 2}

Answer = Decision | str
"""What an engine decided, without its stamp; or `refused` and the code."""


@dataclass(frozen=True)
class Engines:
    """Started engines, by name."""

    portal: BlockingPortal
    points: Mapping[str, Engine]

    def ask(self, document: Any) -> dict[str, Answer]:
        """Return each engine's answer to one input."""
        return self.portal.call(self._ask, dumps(document))

    async def _ask(self, document: bytes) -> dict[str, Answer]:
        answers = await asyncio.gather(*(_answer(p, document) for p in self.points.values()))
        return dict(zip(self.points, answers, strict=True))


async def _answer(point: Engine, document: bytes) -> Answer:
    try:
        return replace(await point.decide(document), policy=None)  # type: ignore[arg-type]
    except PolicyError as exc:
        return f"{REFUSAL}: {exc.reason_code}"


@contextmanager
def running(bundles: Mapping[str, Bundle], folder: Path) -> Iterator[Engines]:
    """Run engines, on one loop in another thread.

    Args:
        bundles: what each decides by; the names are those of `policy.engine`, and `golib`.
        folder: for what an engine needs on disk.
    """
    with start_blocking_portal() as portal, ExitStack() as stack:
        points = {}
        for name, bundle in bundles.items():
            more = {}
            if name == "opa":
                server = opa_server(folder / "opa", bundle)
                started = stack.enter_context(portal.wrap_async_context_manager(server))
                more["opa"] = started.settings
            point = Oracle(bundle) if name == "golib" else _switched(name, bundle, **more)
            portal.call(point.start)
            stack.callback(portal.call, point.aclose)
            points[name] = point
        yield Engines(portal, points)


def _switched(name: Any, bundle: Bundle, **more: Any) -> Engine:
    """Return the engine that `policy.engine` names, as the gateway would start it."""
    milliseconds = round(DEADLINE_SECONDS * 1000)
    policy = Policy(bundle.path, name, deadline_ms=milliseconds, processes=1, **more)
    return engine_of(policy, bundle, TickingClock())


# --- judgement ---


def refused(answer: Answer) -> bool:
    """Say whether an engine gave no decision."""
    return isinstance(answer, str)


def effect(answer: Answer) -> str:
    """Return the effect that an answer comes to; a refusal is a denial."""
    return "deny" if isinstance(answer, str) else effect_name(answer)


def stricter(answer: Answer, than: Decision) -> str | None:
    """Say by which codes an answer denies more than another; None when it does not.

    A bound that Cedar cannot hold counts as broken there, so its denials may be more. It lets
    nothing go further, and whatever the other denies for, it denies for too.
    """
    if isinstance(answer, str):
        return answer
    less = _RANK[effect(answer)] <= _RANK[effect(than)]
    same = (answer.classification, answer.charter) == (than.classification, than.charter)
    codes, others = ({reason.code for reason in one.reasons} for one in (answer, than))
    if same and effect(answer) == "deny" and INCOMPLETE in codes & others:
        return INCOMPLETE  # what else is wrong with an input that no gateway builds is no matter
    denied = answer.observed or effect(answer)
    if not (less and same and denied == "deny"):
        return None
    more = codes - others if (than.observed or effect(than)) == "deny" else codes
    return " ".join(sorted(more)) if more and (more == codes or others < codes) else None


@dataclass
class Tally:
    """What was asked of engines with one bundle, and answered."""

    bundle: Bundle
    effects: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    lone_refusals: Counter[str] = field(default_factory=Counter)
    agreed_refusals: Counter[str] = field(default_factory=Counter)
    stricter: Counter[str] = field(default_factory=Counter)
    """What Cedar denies and Rego does not, by the code it denies with."""
    examples: dict[str, str] = field(default_factory=dict)
    """An input by refusal."""

    @property
    def asked(self) -> int:
        """Return how many inputs were decided."""
        return self.effects.total()

    def judge(self, document: Any, answers: Mapping[str, Answer]) -> None:
        """Count the answers to one input; they are equal, or some of the engines refused."""
        rego = {name: answer for name, answer in answers.items() if name != "cedar"}
        given = [answer for answer in rego.values() if not isinstance(answer, str)]
        assert all(answer == given[0] for answer in given), _difference(document, answers)
        if not given:
            self.effects[REFUSAL] += 1
            self.agreed_refusals.update(map(str, rego.values()))
            self._remember(str(set(rego.values())), document)
            return
        self.effects[effect(given[0])] += 1
        self.codes.update(reason.code for reason in given[0].reasons)
        for name, answer in rego.items():
            if isinstance(answer, str):
                self.lone_refusals[f"{name} {answer}"] += 1
                self._remember(f"{name} {answer}", document)
        if "cedar" in answers and answers["cedar"] != given[0]:
            why = stricter(answers["cedar"], given[0])
            beyond = why == INCOMPLETE or is_beyond(self.bundle, document)
            assert why and beyond, _difference(document, answers)
            self.stricter[why] += 1
            self._remember(f"cedar {why}", document)

    def _remember(self, kind: str, document: Any) -> None:
        self.examples.setdefault(kind, json.dumps(document))

    def said(self) -> str:
        """Return the counts, for people."""
        parts = (self.effects, self.codes, self.lone_refusals, self.agreed_refusals, self.stricter)
        counts = [f"{dict(part.most_common())}" for part in parts]
        return "\n".join([*counts, *(f"{kind}: {one}" for kind, one in self.examples.items())])


def _difference(document: Any, answers: Mapping[str, Answer]) -> str:
    said = "\n".join(f"{name}: {answer}" for name, answer in answers.items())
    return f"\n{json.dumps(document)}\n{said}"
