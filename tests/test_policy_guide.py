"""The guide to policy says what is: its examples are sound, its codes and members whole."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from gateway.core.charter import faults, system_faults, warnings
from gateway.core.charter_shape import DENIALS, MEANINGS, OPERATORS
from gateway.core.decision import EFFECTS, IMPACTS
from gateway.policy import documents

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "policy.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
NOW = 1_795_478_400_000_000_000
"""2026-11-24, in nanoseconds."""


def example(path: str) -> dict[str, Any]:
    """Return the example that stands for a file."""
    text = next(text for text in EXAMPLES if text.startswith(f"# {path}\n"))
    return documents.read(path, text).value


def test_the_examples_are_sound_and_go_together() -> None:
    """House: what is shown works."""
    system, charter = example("systems/company.yaml"), example("charters/billing-agent.yaml")
    assert len(EXAMPLES) == 2
    assert system_faults(system) == []
    assert faults(charter, {"company": system}) == []
    assert warnings(charter, {"company": system}, NOW) == []


def test_every_code_of_the_rules_is_explained() -> None:
    """Issue: every reason code, its meaning, and what to do."""
    rules = (ROOT / "rego" / "bailiwick").rglob("*.rego")
    found = {code for path in rules for code in re.findall(r"#   code: (\w+)", path.read_text())}
    found.add("no_matching_rule")
    assert len(found) > 20
    table = GUIDE[GUIDE.index("## Codes") :]
    assert {code for code in found if f"`{code}`" not in table} == set()


def test_every_code_of_engines_ledger_and_bundles_is_explained() -> None:
    """House: style §4.8."""
    rooms = [*(ROOT / "gateway" / "policy").rglob("*.py"), *(ROOT / "gateway" / "ledger").glob("*")]
    rooms += [ROOT / "gateway" / "core" / name for name in ("errors.py", "decision.py")]
    text = "\n".join(path.read_text("utf-8") for path in rooms if path.suffix == ".py")
    found = set(re.findall(r'"((?:pdp|bundle)_[a-z_]+|\w+_full|ledger_unavailable)"', text))
    found.discard("bundle_digest")  # a member of records
    table = GUIDE[GUIDE.index("## Codes") :]
    assert len(found) > 10
    assert {code for code in found if f"`{code}`" not in table} == set()


@pytest.mark.parametrize("word", [*OPERATORS, *DENIALS, *EFFECTS, *IMPACTS])
def test_every_word_of_a_charter_is_explained(word: str) -> None:
    """House: style §4.8."""
    assert f"`{word}`" in GUIDE or f"`{word}," in GUIDE


@pytest.mark.parametrize("member", sorted(MEANINGS.keys() - {"capture", "until", "days", "count"}))
def test_every_required_member_is_in_the_guide(member: str) -> None:
    """House: what a charter must say is shown or told."""
    assert member in GUIDE


def test_the_commands_of_the_rollout_work_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """House: what is shown works, in the order in which it is shown."""
    shown = re.search(r"```text\n(bailiwick policy keygen .*?)```", GUIDE, re.DOTALL)
    assert shown
    told = [line.split("   ")[0] for line in shown[1].splitlines()]
    commands = [part.split() for line in told for part in line.split(" && ")]
    assert len(commands) == 7
    shutil.copytree(ROOT / "rego", tmp_path / "policy")
    monkeypatch.chdir(tmp_path)
    for program, *arguments in commands:
        assert program == "bailiwick"
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code, arguments


def test_the_guide_is_short() -> None:
    """House: one guide for platform teams."""
    assert len(GUIDE.splitlines()) <= 220
    assert all((ROOT / "docs" / link).exists() for link in re.findall(r"\]\(([^)#:]+)\)", GUIDE))
