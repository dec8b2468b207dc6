"""The wheel, not the tree: built, installed alone in a clean environment, and run."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from gateway import __version__

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text("utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True, timeout=120)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_has_one_package_and_carries_the_bundle(wheel: Path) -> None:
    """House: `addons`, `rego` and `tests` are never top-level packages."""
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert top == {"gateway", f"bailiwick-{__version__}.dist-info"}
    assert "gateway/_share/rego/.manifest" in names
    assert "gateway/_share/rego/charters/billing-agent.yaml" in names
    assert "gateway/_share/addons/README.md" in names


def test_the_installed_wheel_runs_and_starts_a_folder(wheel: Path, tmp_path: Path) -> None:
    """Issue: a clean environment, at the lock's versions, without the source tree or extras."""
    home = tmp_path / "env"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    # The lock's versions as constraints: a wheel has no place for its own hash in a hashed install.
    pins = tmp_path / "constraints.txt"
    pins.write_text(re.sub(r" \\\n    --hash=\S+", "", LOCK))
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(pins), str(wheel)], check=True, timeout=300)
    env = {"PATH": os.environ["PATH"], "COLUMNS": "80"}

    def bailiwick(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(home / "bin" / "bailiwick"), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
        )

    assert bailiwick("--help").stdout.startswith("Usage: bailiwick")
    assert bailiwick("--version").stdout == f"bailiwick {__version__}\n"
    assert bailiwick("init", "mine").returncode == 0
    assert bailiwick("charter", "check", "mine/policy").returncode == 0
    asked = bailiwick("demo")
    assert (asked.returncode, "pip install 'bailiwick[demo]'" in asked.stderr) == (2, True)


def test_the_lock_has_hashes_and_no_addresses() -> None:
    """House: the lock file carries hashes, not addresses."""
    assert "://" not in LOCK
    assert "--index-url" not in LOCK
    pins = re.findall(r"^[A-Za-z0-9._-]+(?:\[[^]]*\])?==.*$", LOCK, re.MULTILINE)
    assert len(pins) > 20
    assert all(pin.rstrip().endswith("\\") for pin in pins)
