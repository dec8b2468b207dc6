"""The self-tests of a bundle: what an engine must answer before it is trusted with a call.

A vector that is answered otherwise, or not at all, keeps the engine from serving (policy rule 10
of the design). Does not ask the engine: each adapter has its own way to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.canonical import dumps
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


def read_self_tests(vectors: Mapping[str, Mapping[str, Any]]) -> tuple[SelfTest, ...]:
    """Read the vectors, of which there is a permit, a deny and a hostile text that is denied.

    Args:
        vectors: the JSON documents, by the path of their file.

    Raises:
        BundleError: one of them is no vector, or one that must be there is missing.
    """
    tests = tuple(_self_test(path, vector) for path, vector in vectors.items())
    effects = {test.effect for test in tests if not test.name.startswith("hostile")}
    hostile = {test.effect for test in tests if test.name.startswith("hostile")}
    for missing in sorted({"permit", "deny"} - effects):
        raise BundleError(f"selftest/: no vector that expects {missing}")
    if hostile != {"deny"}:
        raise BundleError("selftest/: no vector whose name starts with hostile, expecting deny")
    return tests


def _shown(effect: str, codes: Sequence[str]) -> str:
    return f"{effect} ({', '.join(codes)})"


def _self_test(path: str, vector: Mapping[str, Any]) -> SelfTest:
    match vector:
        case {
            "name": str(name),
            "input": dict(document),
            "expect": {"effect": str(effect), "codes": [*codes], **more},
            **rest,
        } if not (rest or more) and effect in EFFECTS and all(isinstance(c, str) for c in codes):
            return SelfTest(name, dumps(document), effect, tuple(codes))
    raise BundleError(f"{path}: is not {{name, input, expect: {{effect, codes}}}}")
