import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.canonical import digest
from gateway.core.errors import BundleError
from gateway.policy.build import Signing, build, sign
from gateway.policy.bundle import load, read_files, shipped_bundle
from tests.fakes_policy import FakeKey
from tests.opa_binary import opa_binary

TINY = Path(__file__).parents[2] / "bundles" / "allow_all"
CHARTERS = ("charters/billing-agent.yaml", "charters/release-agent.yaml", "systems/company.yaml")
KEY = FakeKey("release")
SIGNING = Signing(KEY.sign, KEY.verify)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a small bundle with charters."""
    made = Path(shutil.copytree(TINY, tmp_path / "policy"))
    for name in CHARTERS:
        (made / name).parent.mkdir(exist_ok=True)
        shutil.copy(shipped_bundle() / name, made / name)
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return where the archive goes, in a folder of its own."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "bundle.tar.gz"


def names(folder: Path) -> list[str]:
    """Return what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_archive_has_the_digest_of_its_folder(folder: Path, out: Path) -> None:
    """Issue: what was reviewed is what is in force."""
    made = build(folder, out)
    assert made == load(out)
    assert replace(made, path=folder, archive_digest=None) == load(folder)
    assert made.archive_digest == digest(out.read_bytes())


def test_archive_holds_every_source_and_the_data_for_opa(folder: Path, out: Path) -> None:
    """House: OPA ignores YAML, so it gets what the charters and systems say as data."""
    (folder / "README.md").write_text("not of the bundle")
    made = build(folder, out)
    files, _ = read_files(out, everything=True)
    sources, _ = read_files(folder, everything=False)
    assert files == {**sources, "data.json": made.data}


def test_building_twice_gives_the_same_bytes(folder: Path, out: Path, tmp_path: Path) -> None:
    """House: anybody can build it again and compare."""
    again = out.with_name("again.tar.gz")
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    for path in sorted(other.rglob("*"), reverse=True):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    build(folder, out)
    build(other, again)
    assert out.read_bytes() == again.read_bytes()


def test_archive_can_be_made_anew_from_an_archive(folder: Path, out: Path) -> None:
    """House: with another revision, say; its signature is not kept."""
    build(folder, out, signing=SIGNING)
    again = build(out, out.with_name("again.tar.gz"))
    assert (again.digest, again.signed_by) == (load(folder).digest, None)
    assert ".signatures.json" not in read_files(again.path, everything=True)[0]


def test_revision_can_be_given_and_is_in_the_digest(folder: Path, out: Path) -> None:
    """House: `--revision`, for whoever numbers builds."""
    made = build(folder, out, revision="2026.12.1-7")
    assert made.revision == load(out).revision == "2026.12.1-7"
    assert made.digest != load(folder).digest


def test_same_revision_given_changes_nothing(folder: Path, out: Path) -> None:
    """House: folder and archive of the same revision have the same digest."""
    assert build(folder, out, revision=load(folder).revision).digest == load(folder).digest


def test_signed_archive_is_accepted_by_the_key_only(folder: Path, out: Path) -> None:
    """Issue: signatures verified by us."""
    assert build(folder, out, signing=SIGNING).signed_by == "release"
    assert load(out, KEY.verify).signed_by == "release"
    with pytest.raises(BundleError, match="another key"):
        load(out, FakeKey("other").verify)


def test_charter_with_faults_is_built_and_told(folder: Path, out: Path) -> None:
    """House: it denies everything; the others go on working."""
    path = folder / CHARTERS[0]
    path.write_text(path.read_text().replace("owner: finance-platform\n", ""))
    made = build(folder, out)
    assert [fault.where for fault in made.faults["billing-agent"]] == ["owner"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".manifest", "{}"),
        ("systems/company.yaml", "owner: [\n"),
        ("charters/billing-agent.yaml", "x: &a [*a]\n"),
        ("bailiwick/decision.rego", "package bailiwick\nx := http.send(1)\n"),
        ("selftest/permit.json", "{}"),
    ],
)
def test_what_is_wrong_otherwise_is_not_built(
    folder: Path, out: Path, name: str, content: str
) -> None:
    """House: nobody gets an archive that no gateway takes."""
    (folder / name).write_text(content)
    with pytest.raises(BundleError, match=name):
        build(folder, out)
    assert names(out.parent) == []


def test_key_that_does_not_verify_what_it_signed_writes_nothing(folder: Path, out: Path) -> None:
    """House: what is written has been read back."""
    with pytest.raises(BundleError, match="another key"):
        build(folder, out, signing=Signing(KEY.sign, FakeKey("other").verify))
    assert names(out.parent) == []


def test_nothing_is_overwritten_unless_told_to(folder: Path, out: Path) -> None:
    """House: the archive that is there may be in force."""
    out.write_bytes(b"mine")
    with pytest.raises(BundleError, match="is there already; --force replaces it"):
        build(folder, out)
    assert (out.read_bytes(), names(out.parent)) == (b"mine", ["bundle.tar.gz"])
    assert build(folder, out, force=True).path == out
    assert names(out.parent) == ["bundle.tar.gz"]


def test_where_nothing_can_be_written_it_says_so(folder: Path, out: Path) -> None:
    """House: one sentence that names the file."""
    with pytest.raises(BundleError, match="cannot be written"):
        build(folder, out / "nowhere" / "x.tar.gz")


def test_signing_an_archive_changes_nothing_else_in_it(folder: Path, out: Path) -> None:
    """House: sign where the key is, build where the sources are."""
    build(folder, out)
    before, _ = read_files(out, everything=True)
    signed = sign(out, SIGNING)
    after = dict(read_files(out, everything=True)[0])
    assert after.pop(".signatures.json")
    assert (after, signed) == (before, load(out, KEY.verify))


def test_signing_to_another_archive_leaves_the_first(folder: Path, out: Path) -> None:
    """House: and it overwrites nothing."""
    build(folder, out)
    before, other = out.read_bytes(), out.with_name("signed.tar.gz")
    assert sign(out, SIGNING, other).path == other
    assert out.read_bytes() == before
    with pytest.raises(BundleError, match="is there already"):
        sign(out, SIGNING, other)


def test_folder_is_signed_in_place_with_all_that_lies_in_it(folder: Path, out: Path) -> None:
    """Policy §6: every file, no extra file."""
    (folder / "README.md").write_text("read me")
    assert sign(folder, SIGNING).signed_by == "release"
    assert sign(folder, SIGNING).signed_by == "release"
    (folder / "README.md").unlink()
    with pytest.raises(BundleError, match=r"README\.md: was signed and is missing"):
        load(folder, KEY.verify)
    with pytest.raises(BundleError, match="is a folder, which is signed in place"):
        sign(folder, SIGNING, out)


def test_bundle_that_cannot_be_used_is_not_signed(folder: Path) -> None:
    """House: a signature says that it can."""
    (folder / "selftest" / "permit.json").write_text("{}")
    with pytest.raises(BundleError, match=r"selftest/permit\.json"):
        sign(folder, SIGNING)
    assert not (folder / ".signatures.json").exists()


def test_opa_reads_the_archive_as_we_do(folder: Path, out: Path) -> None:
    """House: one archive for gateways and for a sidecar."""
    bundle = build(folder, out)
    query = '{"data": object.remove(data, ["bailiwick"]), "decision": data.bailiwick.decision}'
    done = subprocess.run(
        [opa_binary(), "eval", "--bundle", str(out), "--format", "raw", "--stdin-input", query],
        input='{"version": "1"}', capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert said["data"] == json.loads(bundle.data)
    assert said["decision"]["effect"] == "permit"
