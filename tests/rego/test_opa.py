"""The bundle under OPA itself: format, strict check, its tests, and the same decisions."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.opa_binary import opa_binary
from tests.rego.cases import CASES
from tests.rego.worlds import BUNDLE, WORLDS

ROOT = Path(__file__).parents[2]
REGO = ROOT / "rego"
BOUND_SECONDS = 60


@pytest.fixture(scope="module")
def opa() -> str:
    """Return OPA's path; without it skip, except where every check must have run."""
    return opa_binary()


def run(opa: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run OPA to its end."""
    return subprocess.run(
        [opa, *arguments], capture_output=True, text=True, timeout=BOUND_SECONDS, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("fmt", "--fail", "--list", str(REGO)),
        ("check", "--strict", "--bundle", str(REGO)),
        (
            "check",
            "--strict",
            str(REGO / "bailiwick"),
            "--schema",
            str(REGO / "schemas/input.json"),
        ),
        ("test", "--bundle", str(REGO)),
    ],
    ids=["formatted", "strict", "by its input schema", "tests"],
)
def test_bundle_is_clean_under_opa(opa: str, arguments: tuple[str, ...]) -> None:
    """The bundle that runs embedded is one that an OPA sidecar loads as it is."""
    done = run(opa, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_every_rego_test_is_run_by_opa(opa: str) -> None:
    """A test that OPA does not find would pass unseen."""
    results: list[dict[str, Any]] = json.loads(
        run(opa, "test", "--bundle", str(REGO), "--format", "json").stdout
    )
    written = sum(
        line.startswith("test_")
        for path in REGO.rglob("*_test.rego")
        for line in path.read_text("utf-8").splitlines()
    )
    assert len(results) == written > 0
    assert [result["name"] for result in results if result.get("fail")] == []


def test_every_rule_is_reached_by_a_rego_test(opa: str) -> None:
    """House: a rule that no test reaches could be deleted unseen."""
    rules = str(REGO / "bailiwick")
    covered = run(opa, "test", "--coverage", "--threshold", "98", rules)
    assert covered.returncode == 0, covered.stderr


def evaluated(opa: str, folder: Path, data: dict[str, Any], query: str) -> Any:
    """Return what a query over the bundle's rules and this data gives, builtin errors strict."""
    for path, source in BUNDLE.policies:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(source, "utf-8")
    (folder / "data.json").write_text(json.dumps(data), "utf-8")
    strict = ("eval", "--strict-builtin-errors", "--format", "raw", "--data", str(folder))
    done = run(opa, *strict, query)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_opa_decides_the_table_as_the_embedded_engine_does(opa: str, tmp_path: Path) -> None:
    """One decision table through every engine, builtin errors strict (house)."""
    data = {**json.loads(BUNDLE.data), "cases": [case.document for case in CASES]}
    query = "[d | some c in data.cases; d := data.bailiwick.decision with input as c]"
    assert evaluated(opa, tmp_path, data, query) == [case.expected for case in CASES]


def test_opa_decides_the_table_of_other_charters_as_well(opa: str, tmp_path: Path) -> None:
    """One decision table through every engine, as above."""
    parts = ("charters", "subjects", "systems")
    worlds = [
        [world.document, *(json.loads(world.data)[part] for part in parts)] for world in WORLDS
    ]
    changed = " ".join(f"with data.{part} as {part}" for part in parts)
    query = (
        f"[d | some [asked, {', '.join(parts)}] in data.worlds; "
        f"d := data.bailiwick.decision with input as asked {changed}]"
    )
    answers = evaluated(opa, tmp_path, {"worlds": worlds}, query)
    assert answers == [world.expected for world in WORLDS]
