"""The bundle under OPA itself: format, strict check, its tests, and the same decisions."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.rego.test_decisions import BUNDLE, CASES

ROOT = Path(__file__).parents[2]
REGO = ROOT / "rego"
BOUND_SECONDS = 60


def find_opa() -> str | None:
    """Return the path of the OPA executable, if there is one."""
    local = ROOT / ".tools" / "bin" / "opa"
    return (
        os.environ.get("OPA_BIN")
        or shutil.which("opa")
        or (str(local) if local.is_file() else None)
    )


@pytest.fixture(scope="module")
def opa() -> str:
    """Return OPA's path; without it skip, except where every check must have run."""
    found = find_opa()
    if found is None:
        missing = "no OPA in OPA_BIN, on PATH or in .tools/bin/opa; `make opa` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


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
        ("check", "--strict", "--bundle", str(REGO), "--schema", str(REGO / "schemas/input.json")),
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


def test_opa_decides_the_table_as_the_embedded_engine_does(opa: str, tmp_path: Path) -> None:
    """One decision table through every engine, builtin errors strict (house)."""
    for path, source in BUNDLE.policies:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(source, "utf-8")
    cases = [case.document for case in CASES]
    data = {**json.loads(BUNDLE.data), "cases": cases}
    (tmp_path / "data.json").write_text(json.dumps(data), "utf-8")
    query = "[d | some c in data.cases; d := data.bailiwick.decision with input as c]"
    done = run(
        opa, "eval", "--strict-builtin-errors", "--format", "raw", "--data", str(tmp_path), query
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [case.expected for case in CASES]
