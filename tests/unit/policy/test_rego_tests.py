import shutil
from pathlib import Path

import pytest

from gateway.policy.bundle import load, read_files
from gateway.policy.rego_tests import FAILED, PASSED, SKIPPED, Result, embedded, in_opa
from tests.opa_binary import opa_binary

TINY = Path(__file__).parents[2] / "bundles" / "allow_all"
TESTS = """package bailiwick.tests.a

import data.bailiwick

test_holds if bailiwick.decision.effect == "permit" with input as {"version": "1"}

test_is_false if bailiwick.decision.effect == "permit" with input as {}

test_is_undefined if data.nothing.there

test_raises if json.unmarshal("{") == {}

test_reads_the_data if data.systems == {}

todo_test_later if true

helper := 1
"""
SYSTEM = "package system.authz.test\n\ntest_for_opa if true\n"
EXPECTED = {
    "test_holds": PASSED,
    "test_is_false": FAILED,
    "test_is_undefined": FAILED,
    "test_raises": FAILED,
    "test_reads_the_data": PASSED,
    "todo_test_later": SKIPPED,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a bundle with tests."""
    made = Path(shutil.copytree(TINY, tmp_path / "policy"))
    manifest = (made / ".manifest").read_text().replace('"systems"', '"systems", "system/authz"')
    (made / ".manifest").write_text(manifest)
    (made / "system").mkdir()
    (made / "system" / "authz_test.rego").write_text(SYSTEM)
    (made / "bailiwick" / "a_test.rego").write_text(TESTS)
    return made


def run(folder: Path, opa: str | None) -> tuple[Result, ...]:
    """Return the results in the one engine or the other."""
    bundle, (files, _) = load(folder), read_files(folder, everything=False)
    return in_opa(opa, bundle, files) if opa else embedded(bundle, files)


def outcomes(results: tuple[Result, ...]) -> dict[str, str]:
    """Return how each test of the rules ended."""
    return {one.name: one.outcome for one in results if one.path.startswith("bailiwick/")}


def test_embedded_engine_runs_every_test_once(folder: Path) -> None:
    """Issue: test = runs the `_test.rego` files in whichever engine is there."""
    assert outcomes(run(folder, None)) == EXPECTED


def test_opa_runs_the_same_tests_with_the_same_results(folder: Path) -> None:
    """Issue: one answer in every engine."""
    assert outcomes(run(folder, opa_binary())) == EXPECTED


def test_result_says_where_the_test_stands_and_why_it_failed(folder: Path) -> None:
    """House: file and line, without the engine's backtrace."""
    by_name = {one.name: one for one in run(folder, None)}
    assert by_name["test_is_false"] == Result(
        "data.bailiwick.tests.a", "test_is_false", "bailiwick/a_test.rego", 7, FAILED, "is not true"
    )
    assert "\n" not in by_name["test_raises"].says
    assert by_name["test_raises"].says not in ("", "is not true")


def test_tests_for_opa_itself_are_skipped_without_it_and_said_to_be(folder: Path) -> None:
    """House: never passed by in silence."""
    (skipped,) = [one for one in run(folder, None) if one.path.startswith("system/")]
    assert (skipped.outcome, skipped.says) == (SKIPPED, "is for OPA only")
    (run_by_opa,) = [one for one in run(folder, opa_binary()) if one.path.startswith("system/")]
    assert run_by_opa.outcome == PASSED


def test_two_tests_of_one_name_do_not_hide_each_other(folder: Path) -> None:
    """OPA: runs each of them; here both fail until they have names of their own."""
    text = "package bailiwick.tests.b\n\ntest_b if false\n\ntest_b if true\n"
    (folder / "bailiwick" / "b_test.rego").write_text(text)
    both = [one for one in run(folder, None) if one.name == "test_b"]
    assert [(one.line, one.outcome) for one in both] == [(3, FAILED), (5, FAILED)]
    assert "shares its name" in both[0].says
