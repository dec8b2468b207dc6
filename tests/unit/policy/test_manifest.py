import json
from typing import Any

import pytest

from gateway.core.errors import BundleError
from gateway.policy.manifest import ROOTS, read, revised

GOOD = {"revision": "2026.1.1-1", "roots": [*ROOTS, "system/authz"]}


def files(**changes: Any) -> dict[str, bytes]:
    """Return a bundle's manifest with members replaced."""
    return {".manifest": json.dumps({**GOOD, **changes}).encode()}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"revision": ""}, "`revision` must be a text"),
        ({"revision": 1}, "`revision` must be a text"),
        ({"revision": "main"}, "`revision` must be numbers"),
        ({"roots": "bailiwick"}, "`roots` must be a list"),
        ({"roots": [*ROOTS, ""]}, "`roots` must be a list"),
        ({"roots": [*ROOTS, 1]}, "`roots` must be a list"),
        ({"roots": ROOTS[1:]}, "`roots` must hold"),
        ({"rego_version": 0}, "`rego_version` must be 1"),
        ({"rego_version": True}, "`rego_version` must be 1"),
        ({"file_rego_versions": {"/a": 0}}, "`file_rego_versions` means something to OPA only"),
        ({"wasm": []}, "`wasm` means something to OPA only"),
    ],
)
def test_what_opa_would_do_otherwise_is_refused(changes: dict[str, Any], says: str) -> None:
    """House: one bundle, one meaning."""
    with pytest.raises(BundleError) as refused:
        read(files(**changes))
    assert refused.value.message.startswith(f".manifest: {says}")


def test_members_that_mean_nothing_else_are_taken() -> None:
    """OPA: `rego_version` is what `opa build` writes, `metadata` is anybody's."""
    assert read(files(rego_version=1, metadata={"team": "x"})).revision == "2026.1.1-1"


def test_roots_cover_whole_names_only() -> None:
    """OPA: `system/authz` does not hold `system.authz_test`."""
    manifest = read(files())
    assert manifest.covers(("system", "authz"))
    assert manifest.covers(("bailiwick", "rules", "x"))
    assert not manifest.covers(("system", "authz_test"))
    assert not manifest.covers(("system",))


def test_another_revision_is_written_and_the_same_one_changes_nothing() -> None:
    """House: with the same revision the digest is the folder's."""
    before = files(metadata={"a": 1})
    assert revised(before, "2026.1.1-1") is before
    after = revised(before, "2026.1.2-1")
    assert json.loads(after[".manifest"]) == {
        **GOOD, "metadata": {"a": 1}, "revision": "2026.1.2-1",
    }  # fmt: skip


def test_a_revision_that_is_none_is_not_written() -> None:
    """House: whoever cannot tell the order cannot refuse an older one."""
    with pytest.raises(BundleError, match="like 2026"):
        revised(files(), "next")
