import pytest

from gateway.core.errors import BundleError
from gateway.policy.files import MAX_FILE_BYTES, Collector, sources


@pytest.mark.parametrize(
    "name",
    [
        "bailiwick/data.json", "data.yaml", "systems/data.yaml", "charters/data.yml", "data.yml",
        "patch.json", "x/plan.json", "policy.wasm", "x.manifest",
        "x/a.signatures.json",
    ],
)  # fmt: skip
def test_a_name_that_means_something_to_opa_only_is_refused(name: str) -> None:
    """OPA: these become data, a patch, a compiled policy or another manifest."""
    with pytest.raises(BundleError) as refused:
        sources({".manifest": b"", name: b""})
    assert refused.value.message.startswith(f"{name}: OPA gives")


def test_generated_files_are_no_sources() -> None:
    """House: the digest is over what people write."""
    names = [".manifest", ".signatures.json", "data.json", "a.rego", "b.json", "c.yaml", "d.md"]
    assert list(sources(dict.fromkeys(names, b""))) == [".manifest", "a.rego", "b.json", "c.yaml"]


def test_only_the_generated_data_may_be_large() -> None:
    """House: ten thousand charters are more than 16 MiB of data."""
    Collector().expect("data.json", MAX_FILE_BYTES + 1)
    with pytest.raises(BundleError, match=r"x\.json: is larger than 16 MiB"):
        Collector().expect("x.json", MAX_FILE_BYTES + 1)
