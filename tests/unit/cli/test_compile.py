"""`bailiwick charter compile`."""

from pathlib import Path

import pytest

from gateway.cli.compile import compile_charters
from gateway.core.errors import SettingsError
from gateway.policy.bundle import shipped_bundle


def test_one_file_a_charter_and_one_schema_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Issue: a charter can be compiled to Cedar policies."""
    compile_charters("cedar", shipped_bundle(), tmp_path / "new" / "cedar")
    agents = ("billing-agent", "release-agent", "support-agent")
    names = {*(f"{agent}.cedar" for agent in agents), "schema.cedarschema"}
    assert {path.name for path in (tmp_path / "new" / "cedar").iterdir()} == names
    assert capsys.readouterr().out.count("wrote") == 4


def test_nothing_that_exists_is_written_over(tmp_path: Path) -> None:
    """House: nothing is written, unless it is asked for."""
    there = tmp_path / "release-agent.cedar"
    there.write_text("mine")
    with pytest.raises(SettingsError, match="release-agent.cedar: exists"):
        compile_charters("cedar", shipped_bundle(), tmp_path)
    assert (list(tmp_path.iterdir()), there.read_text()) == ([there], "mine")
    compile_charters("cedar", shipped_bundle(), tmp_path, force=True)
    assert there.read_text() != "mine"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """House: one sentence with the path, no traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        compile_charters("cedar", shipped_bundle(), tmp_path / "file" / "below")
