"""The finder of OPA: where it looks, and how loudly it does not find."""

import os
from pathlib import Path

import pytest

from tests.opa_binary import find_opa, opa_binary


def executable(folder: Path) -> Path:
    """Make an executable named opa in this folder."""
    folder.mkdir(parents=True)
    path = folder / "opa"
    path.touch(0o755)
    return path


def test_opa_is_looked_for_in_the_variable_on_the_path_and_in_the_tools(tmp_path: Path) -> None:
    """Policy §3: in this order."""
    local, on_path = executable(tmp_path / ".tools" / "bin"), executable(tmp_path / "path")
    environment = {"PATH": os.fspath(on_path.parent)}
    assert find_opa({"OPA_BIN": "/x/opa", **environment}, tmp_path) == "/x/opa"
    assert find_opa(environment, tmp_path) == str(on_path)
    assert find_opa({"PATH": ""}, tmp_path) == str(local)
    assert find_opa({"PATH": ""}, tmp_path / "path") is None


@pytest.mark.parametrize(
    ("environment", "outcome"),
    [
        ({"PATH": ""}, pytest.skip.Exception),
        ({"PATH": "", "CI": "true"}, pytest.fail.Exception),
    ],
    ids=["skips", "fails in CI"],
)
def test_without_opa_a_test_names_the_three_places_and_the_way_to_get_it(
    tmp_path: Path, environment: dict[str, str], outcome: type[BaseException]
) -> None:
    """Issue: skip loudly; with CI=true fail instead."""
    with pytest.raises(outcome, match=r"OPA_BIN, on PATH or in \.tools/bin/opa; `make opa`"):
        opa_binary(environment, tmp_path)
