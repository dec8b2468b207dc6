"""The tests that lie beside the rules, run in OPA or in the embedded engine.

A test is a rule whose name begins with `test_`, in a test file; it holds if it is true, undefined
is not. The bundle's own data is there while it runs.
Does not know what a gateway decides: that is what the self-tests are for.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import regorus  # type: ignore[import-untyped]

from gateway.policy import manifest, opa_tool
from gateway.policy.builtins import defined
from gateway.policy.bundle import Bundle
from gateway.policy.files import Files, sources
from gateway.policy.rego import Rego, Source

PASSED: Final = "passed"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """How one test ended."""

    package: str
    name: str
    path: str
    line: int
    outcome: str
    """PASSED, FAILED or SKIPPED."""
    says: str = ""
    """Why it failed or was skipped, where that is known."""


def in_opa(binary: str, bundle: Bundle, files: Files) -> tuple[Result, ...]:
    """Run every test in OPA.

    Raises:
        BundleError: OPA does not accept the bundle, or could not be run.
    """
    with opa_tool.on_copy(binary, sources(files), bundle.data) as tool:
        return _sorted(_from_opa(one) for one in tool.test())


def embedded(bundle: Bundle, files: Files) -> tuple[Result, ...]:
    """Run the tests in the embedded engine; those of `system/` are for OPA only and skipped.

    Raises:
        BundleError: a file is no Rego.
    """
    own = sources(files)
    read = Rego(own, manifest.read(own))
    engine = regorus.Engine()
    for source in read.sources:
        if not source.is_system:
            engine.add_policy(source.path, source.text)
    engine.add_data_json(bundle.data.decode())
    written = [
        (source, name, line)
        for source, tree in read.trees(tests=True)
        for name, line in defined(tree)
        if name.startswith(("test_", "todo_test_"))
    ]
    # OPA runs each of two rules of one name; here the one that holds would hide the other.
    times = Counter((source.package, name) for source, name, _ in written)
    return _sorted(
        _evaluated(engine, source, name, line, times[source.package, name])
        for source, name, line in written
    )


def _evaluated(engine: regorus.Engine, source: Source, name: str, line: int, times: int) -> Result:
    package = ".".join(("data", *source.package))
    outcome, says = SKIPPED, ""
    if source.is_system:
        says = "is for OPA only"
    elif times > 1:
        outcome, says = FAILED, "shares its name with another test; give each its own"
    elif name.startswith("test_"):
        try:
            answer = engine.eval_rule_as_json(f"{package}.{name}")
            outcome = PASSED if answer == "true" else FAILED
            says = "" if answer == "true" else "is not true"
        except Exception as exc:
            outcome, says = FAILED, _sentence(exc)
    return Result(package, name, source.path, line, outcome, says)


def _sentence(exc: Exception) -> str:
    """Return what went wrong, without the engine's native backtrace."""
    text = str(exc).partition("\nStack backtrace:")[0]
    return " ".join(text.rpartition("error: ")[2].split()) or type(exc).__name__


def _from_opa(result: Any) -> Result:
    place = result["location"]
    error = result.get("error")
    failed, skipped = bool(result.get("fail") or error), bool(result.get("skip"))
    says = str(error.get("message", error) if isinstance(error, dict) else error or "is not true")
    return Result(
        str(result["package"]),
        str(result["name"]),
        str(place["file"]).removeprefix("./"),
        int(place["row"]),
        SKIPPED if skipped else FAILED if failed else PASSED,
        says if failed else "",
    )


def _sorted(results: Iterator[Result]) -> tuple[Result, ...]:
    return tuple(sorted(results, key=lambda one: (one.path, one.line, one.name)))
