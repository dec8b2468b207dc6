import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.canonical import canonical, digest
from gateway.core.errors import BundleError
from gateway.policy.archive import write
from gateway.policy.bundle import load, read_files, shipped_bundle
from gateway.policy.files import sources
from gateway.policy.signature import signed
from tests.fakes_policy import FakeKey

BILLING = "charters/billing-agent.yaml"
REVISION = json.loads((shipped_bundle() / ".manifest").read_bytes())["revision"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the shipped bundle that a test may damage."""
    return Path(shutil.copytree(shipped_bundle(), tmp_path / "rego"))


def edit(folder: Path, path: str, old: str, new: str) -> None:
    """Replace text that is there in a file of the bundle."""
    text = (folder / path).read_text("utf-8")
    assert old in text
    (folder / path).write_text(text.replace(old, new), "utf-8")


def refusal(folder: Path) -> str:
    """Return what the loader says when it refuses the bundle."""
    with pytest.raises(BundleError) as refused:
        load(folder)
    return refused.value.message


def test_shipped_bundle_loads_whole_and_its_charters_are_complete() -> None:
    """What comes with the package can be used as it is."""
    bundle = load(shipped_bundle())
    assert bundle.revision == REVISION
    assert {"billing-agent", "release-agent"} <= bundle.faults.keys() == bundle.charters.keys()
    assert not any(bundle.faults.values())
    assert sorted(bundle.systems) == ["company"]
    assert {test.effect for test in bundle.self_tests} == {"permit", "deny", "hold"}


def test_rules_are_loaded_without_their_tests() -> None:
    """A test package in the engine could only be a way around the rules."""
    paths = [path for path, _ in load(shipped_bundle()).policies]
    assert "bailiwick/decision.rego" in paths
    assert paths == sorted(paths)
    assert [path for path in paths if "test" in path] == []


def test_data_holds_charters_by_id_with_faults_and_ids_by_subject(folder: Path) -> None:
    """The shape the rules read: charters, subjects, systems."""
    edit(folder, BILLING, "owner: finance-platform\n", "")
    bundle = load(folder)
    data = json.loads(bundle.data)
    assert data["subjects"] == {
        charter["subject"]: name for name, charter in bundle.charters.items()
    }
    assert data["systems"] == bundle.systems
    missing = [fault.as_data() for fault in bundle.faults["billing-agent"]]
    assert [(fault["code"], fault["where"]) for fault in missing] == [("member_missing", "owner")]
    assert data["charters"]["billing-agent"] == {
        **bundle.charters["billing-agent"],
        "faults": missing,
    }
    assert data["charters"]["release-agent"]["faults"] == []


def test_charter_cannot_say_for_itself_that_it_has_no_faults(folder: Path) -> None:
    """`faults` is the loader's word; a charter that holds one is faulty for it."""
    edit(folder, BILLING, "task_required: false", "task_required: false\nfaults: []")
    marked = json.loads(load(folder).data)["charters"]["billing-agent"]["faults"]
    assert [(fault["code"], fault["where"]) for fault in marked] == [("member_unknown", "faults")]


def test_charter_without_subject_belongs_to_nobody(folder: Path) -> None:
    """It is loaded, so that its faults can be told, and reached by no caller."""
    edit(folder, BILLING, "subject: ", "# ")
    bundle = load(folder)
    assert [fault.where for fault in bundle.faults["billing-agent"]] == ["subject"]
    assert "billing-agent" not in json.loads(bundle.data)["subjects"].values()


def test_instant_in_yaml_stays_the_text_that_was_written() -> None:
    """YAML would make a date of it, which JSON does not have."""
    assert load(shipped_bundle()).charters["billing-agent"]["expires"] == "2027-11-30T00:00:00Z"


def test_yaml_is_read_as_1_2(folder: Path) -> None:
    """YAML 1.2: `no` is a text, not false."""
    edit(folder, BILLING, "task_required: false", "task_required: no")
    assert load(folder).charters["billing-agent"]["task_required"] == "no"


def test_digest_is_over_every_file_of_the_bundle(folder: Path) -> None:
    """Somebody else can recompute it from the folder alone."""
    files = [path for path in folder.rglob("*") if path.suffix in (".rego", ".yaml", ".json")]
    files.append(folder / ".manifest")
    named = {path.relative_to(folder).as_posix(): digest(path.read_bytes()) for path in files}
    assert load(folder).digest == digest(canonical(named)) == load(shipped_bundle()).digest


@pytest.mark.parametrize(
    "path",
    [
        ".manifest",
        BILLING,
        "bailiwick/decision.rego",
        "bailiwick/decision_test.rego",
        "schemas/input.json",
        "selftest/deny.json",
    ],
)
def test_any_changed_file_changes_the_digest(folder: Path, path: str) -> None:
    """A single byte more is another bundle."""
    before = load(folder).digest
    with (folder / path).open("ab") as file:
        file.write(b"\n")
    assert load(folder).digest != before


@pytest.mark.parametrize("path", ["README.md", ".hidden.rego", ".git/x.rego", "charters/.x.yaml"])
def test_files_that_are_not_of_the_bundle_are_ignored(folder: Path, path: str) -> None:
    """What no engine reads is not in the digest either."""
    before = load(folder)
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text("package bailiwick\n", "utf-8")
    assert load(folder) == before


def test_two_loads_of_one_folder_are_equal(folder: Path) -> None:
    """Nothing but the bytes on disk decides what is loaded."""
    assert load(folder) == load(folder)


@pytest.mark.parametrize(
    ("path", "old", "new", "says"),
    [
        (BILLING, "owner: finance-platform", "owner: [", f"{BILLING}:LINE: "),
        (BILLING, "count: 1", "count: 1\n    count: 2", f"{BILLING}:LINE: "),
        (BILLING, "purpose: ", "purpose: &a {x: *a} # ", f"{BILLING}:LINE: has an alias"),
        (BILLING, "count: 1", "count: .nan", f"{BILLING}:LINE: "),
        (BILLING, "count: 1", "1: 1", f"{BILLING}:LINE: "),
        (BILLING, "count: 1", "count: 9007199254740993", f"{BILLING}:LINE: "),
        (BILLING, "purpose: ", "purpose: !!python/name:os.system ", f"{BILLING}:LINE: has a tag"),
        (BILLING, "agent/billing", "agent/release", "charters/release-agent.yaml: spiffe://"),
        ("systems/company.yaml", "effect: execute", "effect: run", "systems/company.yaml:"),
        ("systems/company.yaml", "owner: platform-team", "", "systems/company.yaml:"),
        ("systems/company.yaml", "[deletion]", "[]", "systems/company.yaml:"),
        (".manifest", f'"{REVISION}"', '""', ".manifest: `revision`"),
        (".manifest", '"charters", ', "", ".manifest: `roots`"),
        (".manifest", "{", "", ".manifest: "),
        ("selftest/deny.json", '"name"', '"names"', "selftest/deny.json: "),
        ("selftest/deny.json", '"deny"', '"refuse"', "selftest/deny.json: "),
        ("selftest/deny.json", '"expect"', '"more": 1, "expect"', "selftest/deny.json: "),
        ("selftest/deny.json", '"effect"', '"effect": "permit", "effect"', "selftest/deny.json: "),
        ("selftest/permit.json", '"permit"', '"hold"', "selftest/: "),
        ("selftest/hostile.json", '"deny"', '"hold"', "selftest/: "),
        ("selftest/hostile.json", '"name": "hostile', '"name": "text', "selftest/: "),
    ],
)
def test_damaged_file_refuses_the_bundle_and_is_named(
    folder: Path, path: str, old: str, new: str, says: str
) -> None:
    """A bundle that is not wholly understood is not used at all."""
    edit(folder, path, old, new)
    assert re.sub(r":[0-9]+: ", ":LINE: ", refusal(folder), count=1).startswith(says)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (".manifest", "missing"),
        ("selftest/permit.json", "expects permit"),
        ("selftest/deny.json", "expects deny"),
        ("selftest/hostile.json", "hostile"),
    ],
)
def test_bundle_without_a_needed_file_is_refused(folder: Path, path: str, says: str) -> None:
    """Without its vectors nobody could tell a working engine from a broken one."""
    (folder / path).unlink()
    assert says in refusal(folder)


def test_bundle_without_rules_is_refused(folder: Path) -> None:
    """An engine without rules answers undefined."""
    shutil.rmtree(folder / "bailiwick")
    assert refusal(folder).startswith("bailiwick/: no rules")


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The message names the folder."""
    assert str(tmp_path / "nowhere") in refusal(tmp_path / "nowhere")


def test_error_in_yaml_names_its_line(folder: Path) -> None:
    """The duplicate is on the line that the message names."""
    edit(folder, BILLING, "owner:", "owner: somebody\nowner:")
    lines = (folder / BILLING).read_text("utf-8").split("\n")
    at = 1 + max(number for number, line in enumerate(lines) if line.startswith("owner:"))
    assert refusal(folder).startswith(f"{BILLING}:{at}: ")


def test_rule_file_that_is_not_utf8_is_refused(folder: Path) -> None:
    """Another reader could take other bytes for the rule."""
    (folder / "bailiwick" / "decision.rego").write_bytes(b"\xff")
    assert refusal(folder) == "bailiwick/decision.rego: is not UTF-8"


@pytest.mark.parametrize("path", ["charters/more/x.yaml", "charters/x.json", "systems/x.json"])
def test_charter_in_a_place_where_it_would_be_overlooked_is_refused(
    folder: Path, path: str
) -> None:
    """A file that somebody believes to be in force must be in force."""
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text("{}", "utf-8")
    assert refusal(folder).startswith(path)


def test_link_that_leaves_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    """The digest names what is in the folder; what lies elsewhere changes unseen."""
    outside = tmp_path / "outside.yaml"
    (folder / BILLING).rename(outside)
    (folder / BILLING).symlink_to(outside)
    assert refusal(folder) == f"{folder / BILLING}: is a link that leaves the bundle"


def test_link_to_a_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    """It would be passed by in silence, with the rules in it."""
    (folder / "bailiwick" / "rules").rename(tmp_path / "rules")
    (folder / "bailiwick" / "rules").symlink_to(tmp_path / "rules")
    assert "is a link to a folder" in refusal(folder)


def test_link_within_the_folder_is_read(folder: Path) -> None:
    """Mounted configuration is a set of links into a hidden folder beside them."""
    before = load(folder)
    (folder / "..data").mkdir()
    (folder / BILLING).rename(folder / "..data" / "billing")
    (folder / BILLING).symlink_to("../..data/billing")
    assert load(folder) == before


def test_refused_system_is_named_with_the_line_of_its_fault(folder: Path) -> None:
    """House: file and line, as for charters."""
    edit(folder, "systems/company.yaml", "effect: execute", "effect: run")
    lines = (folder / "systems" / "company.yaml").read_text("utf-8").split("\n")
    at = next(number for number, line in enumerate(lines, 1) if "effect: run" in line)
    assert refusal(folder).startswith(f"systems/company.yaml:{at}: ")


@pytest.mark.parametrize(
    "name", ["bailiwick/data.json", "systems/data.yaml", "data.yml", "x/policy.wasm"]
)
def test_file_that_only_opa_would_read_is_refused(folder: Path, name: str) -> None:
    """House: a sidecar on the same bundle decides on the same data."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}", "utf-8")
    assert refusal(folder).startswith(f"{name}: OPA gives a file of this name")


def test_data_for_opa_is_what_the_sources_say(folder: Path) -> None:
    """House: it is not in the digest, so it may not say anything of its own."""
    before = load(folder)
    (folder / "data.json").write_bytes(before.data)
    assert load(folder) == before
    (folder / "data.json").write_bytes(before.data.replace(b'"faults":[]', b'"faults":[1]', 1))
    assert refusal(folder).startswith("data.json: is not what this version makes of charters/")


def test_rule_that_may_not_be_evaluated_refuses_the_bundle(folder: Path) -> None:
    """Issue: no engine loads a rule that calls what is not on the list."""
    path = "bailiwick/facts/facts.rego"
    with (folder / path).open("a", encoding="utf-8") as file:
        file.write("\nnow := time.now_ns()\n")
    assert refusal(folder).startswith(f"{path}:")
    assert refusal(folder).endswith("may not call time.now_ns")


def test_rules_for_opa_itself_are_in_the_digest_and_in_no_engine(folder: Path) -> None:
    """House: a sidecar's own authorization decides nothing about calls."""
    before = load(folder)
    (folder / "system").mkdir(exist_ok=True)
    (folder / "system" / "more.rego").write_text("package system.authz\n", "utf-8")
    after = load(folder)
    assert after.policies == before.policies
    assert [path for path, _ in after.policies if path.startswith("system/")] == []
    assert after.digest != before.digest


def test_revision_that_has_no_order_is_refused(folder: Path) -> None:
    """Issue: an older bundle is refused, so it must be possible to tell."""
    edit(folder, ".manifest", f'"{REVISION}"', '"main-3f2a"')
    assert refusal(folder).startswith(".manifest: `revision` must be numbers")


def test_without_a_key_a_signature_is_not_looked_at(folder: Path) -> None:
    """House: whoever develops on a signed bundle changes it."""
    before = load(folder)
    (folder / ".signatures.json").write_text("broken", "utf-8")
    assert load(folder) == before


def test_signed_folder_is_loaded_by_whoever_has_the_key(folder: Path) -> None:
    """Issue: signatures verified by us."""
    key = FakeKey("release")
    files, archive_digest = read_files(folder, everything=True)
    (folder / ".signatures.json").write_bytes(signed(files, key.sign))
    bundle = load(folder, key.verify)
    assert (bundle.signed_by, bundle.archive_digest, archive_digest) == ("release", None, None)
    (folder / "README.md").write_text("later", "utf-8")
    with pytest.raises(BundleError) as refused:
        load(folder, key.verify)
    assert refused.value.message.startswith("README.md: is not among the files")


def test_archive_is_the_folder_and_has_a_digest_of_its_own(folder: Path, tmp_path: Path) -> None:
    """House: the digest names what people wrote, the archive's what was handed over."""
    of_folder = load(folder)
    path = tmp_path / "bundle.tar.gz"
    files = {**sources(read_files(folder, everything=False)[0]), "data.json": of_folder.data}
    path.write_bytes(write(files))
    whole = digest(path.read_bytes())
    assert load(path) == replace(of_folder, path=path, archive_digest=whole)
