"""The rules' own tests, beside the rules, on the engine that is embedded in the gateway."""

import re
from pathlib import Path

import pytest
import regorus

from gateway.policy.bundle import shipped_bundle
from tests.rego.decisions import RULE_OF

FOLDER = shipped_bundle()
SOURCES = sorted((FOLDER / "bailiwick").rglob("*.rego"))
TESTS = [path for path in SOURCES if path.name.endswith("_test.rego")]
RULES = sorted(path for path in (FOLDER / "bailiwick" / "rules").iterdir() if path.is_dir())


def package(path: Path) -> str:
    """Return the package that a Rego file says it is."""
    found = re.search(r"^package (\S+)$", path.read_text("utf-8"), re.MULTILINE)
    assert found
    return found[1]


def test_rules() -> list[str]:
    """Return the path of every rule whose name starts with `test_`."""
    return [
        f"data.{package(path)}.{name}"
        for path in TESTS
        for name in re.findall(r"^(test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    ]


test_rules.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def engine() -> regorus.Engine:
    """Return an engine with every rule of the bundle, tests included, and no data."""
    engine = regorus.Engine()
    for path in SOURCES:
        engine.add_policy(str(path), path.read_text("utf-8"))
    return engine


@pytest.mark.parametrize("rule", test_rules(), ids=lambda rule: rule.removeprefix("data."))
def test_rego_test_holds_on_the_embedded_engine(engine: regorus.Engine, rule: str) -> None:
    """A test beside a rule is true (undefined is not true)."""
    assert engine.eval_rule_as_json(rule) == "true"


@pytest.mark.parametrize("folder", RULES, ids=lambda folder: folder.name)
def test_every_rule_has_its_test_beside_it_and_its_name_as_its_package(folder: Path) -> None:
    """One rule, one directory: the reason's `rule` then leads to the file (house)."""
    rule, test = folder / f"{folder.name}.rego", folder / f"{folder.name}_test.rego"
    assert sorted(folder.iterdir()) == [rule, test]
    assert package(rule) == f"bailiwick.rules.{folder.name}"
    assert package(test) == f"bailiwick.tests.{folder.name}"


@pytest.mark.parametrize("folder", RULES, ids=lambda folder: folder.name)
def test_every_reason_code_is_the_one_its_metadata_names(folder: Path) -> None:
    """The reason code is stable API, so it is documented where it is given (house)."""
    source = (folder / f"{folder.name}.rego").read_text("utf-8")
    given = re.findall(r'^(?:deny|hold|permit) contains "(\w+)"', source, re.MULTILINE)
    assert given
    assert re.findall(r"^#   code: (\w+)$", source, re.MULTILINE) == given


def test_every_rule_is_in_the_table_of_codes() -> None:
    """A reason's code leads to its rule, and each code has one rule."""
    named = {
        code: folder.name
        for folder in RULES
        for code in re.findall(
            r"^#   code: (\w+)$", (folder / f"{folder.name}.rego").read_text("utf-8"), re.MULTILINE
        )
    }
    assert named == RULE_OF


def test_every_rule_test_is_named_for_its_outcome() -> None:
    """`test_fail_…` shows a rule that speaks, `test_success_…` one that lets the call pass."""
    names = [rule.rpartition(".")[2] for rule in test_rules()]
    assert [name for name in names if not re.match(r"test_(fail|success)_", name)] == []


def test_no_call_is_negated_of_what_may_be_missing() -> None:
    """In OPA `not f(x.y)` is undefined where `x.y` is: a denial behind it would be skipped."""
    missing = re.compile(
        r"\bnot (?!.* == )[^#]*(?:\(| in ).*?(?:\binput\.\w|\b\w+\.\w+\.\w+(?!\())"
    )
    found = [
        f"{path.name}: {line.strip()}"
        for path in SOURCES
        if path not in TESTS
        for line in path.read_text("utf-8").splitlines()
        if missing.search(line)
    ]
    assert found == []


def test_what_a_set_contains_is_never_undefined() -> None:
    """In regorus an undefined head ends its rule: whatever comes after it would be missing."""
    head = re.compile(r'^\w+ contains (?!\w+ if |"\w+" if |\{"type": ")', re.MULTILINE)
    rules = [path for path in SOURCES if path not in TESTS]
    assert [path.name for path in rules if head.search(path.read_text("utf-8"))] == []


def test_no_rule_reads_a_clock_a_network_or_chance() -> None:
    """A recorded decision can be made again only from its input (house)."""
    banned = re.compile(r"time\.now_ns|http\.send|net\.lookup|rand\.|uuid\.|opa\.runtime")
    assert [path for path in SOURCES if banned.search(path.read_text("utf-8"))] == []
