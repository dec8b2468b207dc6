import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.core.errors import BundleError
from gateway.policy.bundle import read_files
from gateway.policy.opa_tool import Tool, find, on_copy
from tests.opa_binary import opa_binary

TINY = Path(__file__).parents[2] / "bundles" / "allow_all"


@contextmanager
def tool(files: dict[str, bytes]) -> Iterator[Tool]:
    """Return the tool on a small bundle with these files besides."""
    whole = {**read_files(TINY, everything=False)[0], **files}
    with on_copy(opa_binary(), whole, b'{"systems": {"a": 1}}') as made:
        yield made


SCHEMA = (
    b'{"type": "object", "properties": {"version": {"type": "string"}},'
    b' "additionalProperties": false}'
)
RULE = b"package bailiwick.a\n\nx := input."


def test_clean_bundle_has_no_findings() -> None:
    """House: only what is wrong is told."""
    with tool({"schemas/input.json": SCHEMA, "bailiwick/a.rego": RULE + b"version\n"}) as opa:
        assert (opa.check(), opa.unformatted(), opa.has_schema) == ((), (), True)


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("bailiwick/a.rego", RULE + b"versoin\n", "bailiwick/a.rego:3: undefined ref"),
        ("bailiwick/a.rego", b"package bailiwick.a\n\nx := y\n", "bailiwick/a.rego:3: var y"),
        ("bailiwick/a.rego", b"package bailiwick.a\n\nf(x) := 1\n", "bailiwick/a.rego:3: unused"),
        ("bailiwick/a.rego", b"package other\n\nx := 1\n", ".manifest:1: "),
    ],
    ids=["schema", "unsafe", "strict", "roots"],
)
def test_what_opa_says_has_file_and_line(path: str, text: bytes, says: str) -> None:
    """House: each file's fault with file and line."""
    with tool({"schemas/input.json": SCHEMA, path: text}) as opa:
        assert [str(one)[: len(says)] for one in opa.check()] == [says]


def test_input_schema_is_not_for_what_opa_asks_about_itself() -> None:
    """OPA: `system.authz` has an input of its own."""
    manifest = b'{"roots": ["bailiwick", "systems", "system/authz"]}'
    authz = b'package system.authz\n\nallow if input.method == "POST"\n'
    files = {".manifest": manifest, "schemas/input.json": SCHEMA, "system/authz.rego": authz}
    with tool(files) as opa:
        assert opa.check() == ()


def test_format_is_told_by_file() -> None:
    """House: `opa fmt --fail`."""
    with tool({"bailiwick/a.rego": b"package bailiwick.a\n\nx  :=  1\n"}) as opa:
        assert [str(one) for one in opa.unformatted()] == [
            "bailiwick/a.rego:1: is not as `opa fmt` writes it"
        ]


def test_tests_run_with_the_data_of_the_bundle() -> None:
    """House: so that a test can be about the charters that are there."""
    text = b"package bailiwick.tests.a\n\ntest_a if data.systems.a == 1\n\ntest_b if false\n"
    with tool({"bailiwick/a_test.rego": text}) as opa:
        results = [(one["name"], bool(one.get("fail"))) for one in opa.test()]
    assert sorted(results) == [("test_a", False), ("test_b", True)]


def test_tests_that_cannot_be_run_are_no_results() -> None:
    """House: an empty list would look like success."""
    with tool({"bailiwick/a_test.rego": b"package bailiwick.tests.a\n\ntest_a if y\n"}) as opa:
        with pytest.raises(BundleError, match="OPA does not accept the bundle"):
            opa.test()


@pytest.mark.parametrize("binary", ["/nowhere/opa", "/bin/false", "/bin/echo"])
def test_program_that_is_not_opa_is_an_error(binary: str) -> None:
    """House: silence is not consent."""
    with on_copy(binary, read_files(TINY, everything=False)[0]) as opa:
        with pytest.raises(BundleError):
            opa.test()
        if binary != "/bin/echo":
            with pytest.raises(BundleError):
                opa.check()


def test_copy_holds_only_what_opa_reads_and_is_gone_afterwards() -> None:
    """House: nothing of a bundle stays on the disk."""
    files = read_files(TINY, everything=False)[0]
    with on_copy("opa", {**files, "charters/x.yaml": b""}) as opa:
        there = {path for path in opa.folder.rglob("*") if path.is_file()}
        assert {path.relative_to(opa.folder).as_posix() for path in there} == {
            ".manifest", "bailiwick/decision.rego",
        }  # fmt: skip
    assert not opa.folder.exists()


def test_program_is_found_by_variable_then_path_then_folder(tmp_path: Path) -> None:
    """Policy §3: `OPA_BIN`, `PATH`, `.tools/bin/opa`."""
    on_path, local = tmp_path / "bin" / "opa", tmp_path / ".tools" / "bin" / "opa"
    assert find({}, tmp_path) is None
    for path in (on_path, local):
        path.parent.mkdir(parents=True)
        path.touch()
        path.chmod(0o700)
    assert find({}, tmp_path) == str(local)
    assert find({"PATH": str(on_path.parent)}, tmp_path) == str(on_path)
    both = {"PATH": str(on_path.parent), "OPA_BIN": "/elsewhere/opa"}
    assert find(both, tmp_path) == "/elsewhere/opa"


def test_relative_path_of_the_program_means_the_working_folder() -> None:
    """House: the copy is elsewhere."""
    binary = os.path.relpath(opa_binary())
    with on_copy(binary, read_files(TINY, everything=False)[0]) as opa:
        done: subprocess.CompletedProcess[str] = opa.run("version")
    assert done.returncode == 0
