"""The self-tests of a bundle: what an engine must answer before it is trusted with a call.

A vector that is answered otherwise, or not at all, keeps the engine from serving (policy rule 10
of the design). Does not ask the engine: each adapter has its own way to it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.canonical import dumps
from gateway.core.charter_warnings import instant_ns
from gateway.core.checks_of_values import is_instant
from gateway.core.decision import Decision, effect_name
from gateway.core.errors import BundleError

EFFECTS: Final = ("permit", "deny", "hold")


@dataclass(frozen=True, slots=True)
class SelfTest:
    """A decision input and the answer that an engine must give before it is trusted."""

    name: str
    document: bytes
    """The decision input, as the engine receives it."""
    effect: str
    codes: tuple[str, ...]
    """The reason codes of the answer, in its order."""
    observed: bool = False
    """Whether the charter that it is decided by observes then; else no answer may say so."""

    def check(self, decision: Decision) -> None:
        """Compare an engine's answer with the one expected.

        While a charter observes, what counts is what it would answer otherwise: a bundle may go
        into observe mode, and back, as it is.

        Raises:
            BundleError: it differs; the engine may not serve.
        """
        effect = decision.observed or effect_name(decision)
        codes = tuple(reason.code for reason in decision.reasons)
        if (effect, codes) != (self.effect, self.codes):
            wanted, got = _shown(self.effect, self.codes), _shown(effect, codes)
            raise BundleError(f"self-test {self.name}: not {wanted}, but {got}")
        if decision.observed and not self.observed:
            raise BundleError(f"self-test {self.name}: observed, though no charter says so")


def read_self_tests(
    vectors: Mapping[str, Mapping[str, Any]], charters: Iterable[Mapping[str, Any]] = ()
) -> tuple[SelfTest, ...]:
    """Read the vectors, of which there is a permit, a deny and a hostile text that is denied.

    Args:
        vectors: the JSON documents, by the path of their file.
        charters: the charters of the bundle.

    Raises:
        BundleError: one of them is no vector, or one that must be there is missing.
    """
    until = dict(_observations(charters))
    tests = tuple(_self_test(path, vector, until) for path, vector in vectors.items())
    effects = {test.effect for test in tests if not test.name.startswith("hostile")}
    hostile = {test.effect for test in tests if test.name.startswith("hostile")}
    for missing in sorted({"permit", "deny"} - effects):
        raise BundleError(f"selftest/: no vector that expects {missing}")
    if hostile != {"deny"}:
        raise BundleError("selftest/: no vector whose name starts with hostile, expecting deny")
    return tests


def _shown(effect: str, codes: Sequence[str]) -> str:
    return f"{effect} ({', '.join(codes)})"


def _observations(charters: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    for charter in charters:
        match charter:
            case {"subject": str(subject), "observe": {"until": until}} if is_instant(until):
                yield subject, instant_ns(until)
            case _:
                pass  # it does not observe, or has a fault and is not read


def _is_observed(document: Mapping[str, Any], until: Mapping[str, int]) -> bool:
    match document:
        case {"subject": {"id": str(subject)}, "context": {"time": int(time)}}:
            return time < until.get(subject, 0)
        case _:
            return False


def _self_test(path: str, vector: Mapping[str, Any], until: Mapping[str, int]) -> SelfTest:
    match vector:
        case {
            "name": str(name),
            "input": dict(document),
            "expect": {"effect": str(effect), "codes": [*codes], **more},
            **rest,
        } if not (rest or more) and effect in EFFECTS and all(isinstance(c, str) for c in codes):
            observed = _is_observed(document, until)
            return SelfTest(name, dumps(document), effect, tuple(codes), observed)
    raise BundleError(f"{path}: is not {{name, input, expect: {{effect, codes}}}}")
