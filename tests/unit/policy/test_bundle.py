import json
import shutil
from pathlib import Path

import pytest

from gateway.core.canonical import canonical, digest
from gateway.core.errors import BundleError
from gateway.policy.bundle import load, shipped_bundle

BILLING = "charters/billing-agent.yaml"


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
    assert bundle.revision == "2026.11.24-1"
    assert bundle.faults == {"billing-agent": (), "release-agent": ()}
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
        "spiffe://bailiwick.example/agent/billing": "billing-agent",
        "spiffe://bailiwick.example/agent/release": "release-agent",
    }
    assert data["systems"] == bundle.systems
    missing = {"code": "member_missing", "where": "owner", "sentence": "`owner` is missing."}
    assert data["charters"]["billing-agent"] == {
        **bundle.charters["billing-agent"],
        "faults": [missing],
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
        (BILLING, "owner: finance-platform", "owner: [", f"{BILLING}: line "),
        (BILLING, "count: 1", "count: 1\n    count: 2", f"{BILLING}: line "),
        (BILLING, "purpose: ", "purpose: &a {x: *a} # ", f"{BILLING}: has an alias"),
        (BILLING, "count: 1", "count: .nan", f"{BILLING}: "),
        (BILLING, "count: 1", "1: 1", f"{BILLING}: "),
        (BILLING, "count: 1", "count: 9007199254740993", f"{BILLING}: "),
        (BILLING, "purpose: ", "purpose: !!python/name:os.system ", f"{BILLING}: line "),
        (BILLING, "agent/billing", "agent/release", "charters/release-agent.yaml: spiffe://"),
        ("systems/company.yaml", "effect: execute", "effect: run", "systems/company.yaml: "),
        ("systems/company.yaml", "owner: platform-team", "", "systems/company.yaml: "),
        ("systems/company.yaml", "[deletion]", "[]", "systems/company.yaml: "),
        (".manifest", '"2026.11.24-1"', '""', ".manifest: `revision`"),
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
    assert refusal(folder).startswith(says)


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
    assert refusal(folder).startswith(f"{BILLING}: line 3:")


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
