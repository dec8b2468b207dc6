import json
import shutil
from pathlib import Path

import pytest

from gateway.cli import main as whole
from gateway.cli.policy import app
from gateway.policy.bundle import load
from tests.opa_binary import find_opa, opa_binary
from tests.unit.cli.conftest import CommandLine

TINY = Path(__file__).parents[2] / "bundles" / "allow_all"

if not any(group.name == "policy" for group in whole.app.registered_groups):
    whole.app.add_typer(app, name="policy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a small bundle with one test."""
    made = Path(shutil.copytree(TINY, tmp_path / "policy"))
    text = "package bailiwick.tests.a\n\ntest_a if data.systems == {}\n"
    (made / "bailiwick" / "a_test.rego").write_text(text)
    return made


@pytest.fixture
def key(bailiwick: CommandLine, tmp_path: Path) -> Path:
    """Return the file of a key that the command line made."""
    made = tmp_path / "release.key"
    assert bailiwick("policy", "keygen", made, "--algorithm", "ES256").status == 0
    return made


def test_keygen_keeps_the_private_key_to_its_owner_and_shows_the_public_one(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """House: and overwrites nothing."""
    file = tmp_path / "key"
    done = bailiwick("policy", "keygen", file)
    assert (done.status, done.out) == (0, f"wrote {file}\nwrote {file}.pub\n")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"key": 0o600, "key.pub": 0o644}
    for name in ("key", "key.pub"):
        before = (tmp_path / name).read_bytes()
        again = bailiwick("policy", "keygen", file)
        assert (again.status, "is there already" in again.err) == (2, True)
        assert (tmp_path / name).read_bytes() == before
    file.unlink()
    assert bailiwick("policy", "keygen", file).status == 2
    assert not file.exists()


def test_build_sign_and_check_go_together(
    bailiwick: CommandLine, folder: Path, key: Path, tmp_path: Path
) -> None:
    """Issue: `bailiwick policy build|sign|check|test`."""
    out = tmp_path / "bundle.tar.gz"
    built = bailiwick("policy", "build", folder, "-o", out, "--revision", "2026.2.3-4")
    assert (built.status, built.out.splitlines()[0]) == (0, f"wrote {out}, revision 2026.2.3-4")
    assert f"{out} is not signed" in built.err
    ours = ("--algorithm", "ES256", "--key-id", "release", "--scope", "policy")
    signed = bailiwick("policy", "sign", out, "--key", key, *ours)
    assert (signed.status, "signed with the key `release`" in signed.out) == (0, True)
    checked = bailiwick("policy", "check", out, "--key", f"{key}.pub", *ours, "--json")
    said = json.loads(checked.out)
    made = load(out)
    assert checked.status == 0
    assert (said["revision"], said["digest"], said["archive_digest"], said["signed_by"]) == (
        "2026.2.3-4", made.digest, made.archive_digest, "release",
    )  # fmt: skip


def test_build_signs_in_one_step_and_overwrites_only_with_force(
    bailiwick: CommandLine, folder: Path, key: Path, tmp_path: Path
) -> None:
    """House: one command in a pipeline."""
    out = tmp_path / "bundle.tar.gz"
    command = ("policy", "build", folder, "-o", out, "--sign-key", key, "--algorithm", "ES256")
    first = bailiwick(*command, "--json")
    assert json.loads(first.out)["signed_by"] == "default"
    again = bailiwick(*command)
    assert (again.status, again.out, again.err.count("\n")) == (2, "", 1)
    assert bailiwick(*command, "--force").status == 0


@pytest.mark.parametrize("option", ["--algorithm", "--key-id", "--scope", "--key"])
def test_check_refuses_another_signature(
    bailiwick: CommandLine, folder: Path, key: Path, tmp_path: Path, option: str
) -> None:
    """Issue: scope, key id."""
    other = tmp_path / "other.key"
    bailiwick("policy", "keygen", other, "--algorithm", "ES256")
    bailiwick("policy", "sign", folder, "--key", key, "--algorithm", "ES256")
    options = {"--key": f"{key}.pub", "--algorithm": "ES256", "--key-id": "default", "--scope": ""}
    wrong = {"--key": f"{other}.pub", "--algorithm": "RS256", "--key-id": "x", "--scope": "x"}
    for values, status in ((options, 0), ({**options, option: wrong[option]}, 2)):
        flat = [part for pair in values.items() for part in pair]
        done = bailiwick("policy", "check", folder, *flat)
        assert done.status == status, done.err


def test_check_tells_each_fault_with_file_and_line(bailiwick: CommandLine, folder: Path) -> None:
    """Issue: check = every builtin used is on an allow-list."""
    (folder / "bailiwick" / "b.rego").write_text("package bailiwick.b\n\nx := http.send({})\n")
    done = bailiwick("policy", "check", folder)
    assert done.status == 1
    assert f"{folder}/bailiwick/b.rego:3: may not call http.send" in done.out.splitlines()


def test_bundle_that_cannot_be_used_is_status_2(bailiwick: CommandLine, folder: Path) -> None:
    """House, style §4.8: 2 and one sentence."""
    (folder / "selftest" / "permit.json").unlink()
    for command in ("check", "test", "build"):
        done = bailiwick("policy", command, folder)
        assert (done.status, done.out) == (2, "")
        assert "expects permit" in done.err


def test_check_says_loudly_what_it_did_not_check(
    bailiwick: CommandLine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue: without OPA say plainly what was not checked and how to get it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPA_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = bailiwick("policy", "check", folder)
    assert (done.status, "NOT CHECKED: " in done.err, "OPA_BIN" in done.err) == (0, True, True)
    for command in (("check", folder, "--require-opa"), ("test", folder, "--engine", "opa")):
        refused = bailiwick("policy", *command)
        assert (refused.status, refused.out, "OPA_BIN" in refused.err) == (2, "", True)
    assert "1 test in embedded, 0 failed" in bailiwick("policy", "test", folder).out


def test_check_with_opa_says_so(
    bailiwick: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue: strict."""
    monkeypatch.setenv("OPA_BIN", opa_binary())
    done = bailiwick("policy", "check", folder, "--require-opa", "--json")
    assert (done.status, json.loads(done.out)["opa"]) == (0, opa_binary())


@pytest.mark.parametrize("engine", ["embedded", "opa"])
def test_tests_run_in_the_engine_that_is_asked_for(
    bailiwick: CommandLine, folder: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue: test = runs the `_test.rego` files in whichever engine is there."""
    monkeypatch.setenv("OPA_BIN", opa_binary() if engine == "opa" else find_opa() or "")
    done = bailiwick("policy", "test", folder, "--engine", engine, "--json")
    said = json.loads(done.out)
    assert (done.status, said["engine"], [one["outcome"] for one in said["results"]]) == (
        0, engine, ["passed"],
    )  # fmt: skip
    with (folder / "bailiwick" / "a_test.rego").open("a") as file:
        file.write("\ntest_b if data.systems == 1\n")
    failed = bailiwick("policy", "test", folder, "--engine", engine)
    assert failed.status == 1
    assert "bailiwick/a_test.rego:5: test_b is not true" in failed.out.splitlines()
    assert f"2 tests in {engine}, 1 failed" in failed.out


def test_no_test_at_all_is_no_success(bailiwick: CommandLine) -> None:
    """House: what was not tested has not passed."""
    done = bailiwick("policy", "test", TINY, "--engine", "embedded")
    assert (done.status, "holds no tests" in done.err) == (1, True)


def test_incomplete_charter_is_built_with_a_warning(
    bailiwick: CommandLine, folder: Path, tmp_path: Path
) -> None:
    """House: it denies everything, and somebody should know."""
    (folder / "charters").mkdir()
    (folder / "charters" / "new-agent.yaml").write_text("subject: agent-1\n")
    done = bailiwick("policy", "build", folder, "-o", tmp_path / "b.tar.gz")
    assert done.status == 0
    assert "charter new-agent is incomplete and denies everything" in done.err


@pytest.mark.parametrize("command", ["build", "sign", "check", "test", "keygen"])
def test_help_teaches(bailiwick: CommandLine, command: str) -> None:
    """House: `--help` is where people begin."""
    done = bailiwick("policy", command, "--help")
    assert (done.status, "Usage" in done.out) == (0, True)


def test_a_new_key_signs_without_further_options(
    bailiwick: CommandLine, folder: Path, tmp_path: Path
) -> None:
    """House: the defaults of keygen, sign, check and settings are the same."""
    file = tmp_path / "key"
    assert bailiwick("policy", "keygen", file).status == 0
    assert bailiwick("policy", "sign", folder, "--key", file).status == 0
    assert bailiwick("policy", "check", folder, "--key", f"{file}.pub").status == 0


def test_self_tests_are_asked_before_a_gateway_asks_them(
    bailiwick: CommandLine, folder: Path
) -> None:
    """House: a bundle that no gateway would serve is not called tested."""
    assert "3 self-tests, 0 failed" in bailiwick("policy", "test", folder).out
    file = folder / "selftest" / "permit.json"
    file.write_text(file.read_text().replace('"test_allows"', '"no_such_code"'))
    failed = bailiwick("policy", "test", folder)
    assert (failed.status, "3 self-tests, 1 failed" in failed.out) == (1, True)
    assert "no gateway serves this bundle" in failed.err
    said = json.loads(bailiwick("policy", "test", folder, "--json").out)["self_tests"]
    assert [one["passed"] for one in said].count(False) == 1


def test_key_is_named_alike_by_build_and_sign(
    bailiwick: CommandLine, folder: Path, key: Path, tmp_path: Path
) -> None:
    """House: one spelling; the older one goes on."""
    for name in ("--key", "--sign-key"):
        out = tmp_path / f"{name}.tar.gz"
        built = bailiwick("policy", "build", folder, "-o", out, name, key, "--algorithm", "ES256")
        assert (built.status, "signed with the key `default`" in built.out) == (0, True)


@pytest.mark.parametrize("command", ["check", "test", "build"])
def test_faults_are_named_by_the_path_that_was_given(
    bailiwick: CommandLine, folder: Path, command: str
) -> None:
    """Issue: with file and line; an editor opens it."""
    (folder / "charters").mkdir()
    (folder / "charters" / "a.yaml").write_text("owner: x\nowner: y\n")
    done = bailiwick("policy", command, folder)
    assert (done.status, f"{folder}/charters/a.yaml:2: " in done.err) == (2, True)
