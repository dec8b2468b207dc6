import shutil
from pathlib import Path

import pytest

from gateway.core.errors import BundleError
from gateway.policy.build import Signing, build
from gateway.policy.checking import check
from tests.fakes_policy import FakeKey
from tests.opa_binary import opa_binary

TINY = Path(__file__).parents[2] / "bundles" / "allow_all"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of a small bundle."""
    return Path(shutil.copytree(TINY, tmp_path / "policy"))


def test_sound_bundle_is_returned_and_what_was_not_checked_is_said(folder: Path) -> None:
    """Issue: without OPA, say plainly what was not checked."""
    found = check(folder)
    assert (found.findings, found.bundle is not None) == ((), True)
    assert found.not_checked == ("strict compilation, types and format: they need OPA",)


def test_with_opa_only_a_schema_that_is_not_there_is_not_checked(folder: Path) -> None:
    """Issue: check = strict, schema-typed."""
    found = check(folder, binary=opa_binary())
    assert found.not_checked == ("the types of the input: there is no schemas/input.json",)


def test_every_finding_is_told_at_once_tests_included(folder: Path) -> None:
    """House: one run, one list."""
    (folder / "bailiwick" / "b.rego").write_text("package bailiwick.b\n\nx := http.send({})\n")
    test = "package bailiwick.tests.b\n\ntest_x if rand.intn(1)\n"
    (folder / "bailiwick" / "b_test.rego").write_text(test)
    found = check(folder)
    assert found.bundle is None
    assert [str(finding) for finding in found.findings] == [
        "bailiwick/b.rego:3: may not call http.send",
        "bailiwick/b_test.rego:3: may not call rand.intn",
    ]


def test_what_opa_finds_is_in_the_same_list(folder: Path) -> None:
    """Issue: check = strict, formatted."""
    (folder / "bailiwick" / "b.rego").write_text("package bailiwick.b\nf(x)  := 1\n")
    said = [str(finding) for finding in check(folder, binary=opa_binary()).findings]
    assert [line.partition(": ")[0] for line in said] == [
        "bailiwick/b.rego:2",
        "bailiwick/b.rego:1",
    ]


def test_bundle_that_cannot_be_used_is_refused(folder: Path) -> None:
    """House: findings are about rules that can be read."""
    (folder / "selftest" / "permit.json").unlink()
    with pytest.raises(BundleError, match="expects permit"):
        check(folder)


def test_signature_is_checked_first_where_a_key_is_given(folder: Path, tmp_path: Path) -> None:
    """House: of what nobody signed nothing is said."""
    key, out = FakeKey("release"), tmp_path / "bundle.tar.gz"
    with pytest.raises(BundleError, match="missing; the settings ask for a signed bundle"):
        check(folder, key.verify)
    build(folder, out, signing=Signing(key.sign, key.verify))
    checked = check(out, key.verify).bundle
    assert checked is not None
    assert checked.signed_by == "release"
