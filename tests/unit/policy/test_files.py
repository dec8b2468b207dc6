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


@pytest.mark.parametrize(
    "names",
    [
        ("a/x.rego", "a/x.rego/y.rego"), ("a/x.rego/y.rego", "a/x.rego"),
        ("a/X.rego/y.rego", "a/x.rego"), ("a", "A/b/c"),
    ],
)  # fmt: skip
def test_no_name_is_of_a_file_and_of_a_folder(names: tuple[str, str]) -> None:
    """House: an archive can say both, and no folder can hold it."""
    found = Collector()
    found.add(names[0], b"")
    with pytest.raises(BundleError, match="a file and of a folder"):
        found.add(names[1], b"")


def test_a_name_fits_on_every_file_system() -> None:
    """House: most bound a name by 255 bytes, not characters."""
    Collector().expect("a/" + "é" * 120, 0)
    with pytest.raises(BundleError, match="plain relative path"):
        Collector().expect("a/" + "é" * 128, 0)
