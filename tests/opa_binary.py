"""Where the OPA executable is: `OPA_BIN`, then `PATH`, then `.tools/bin/opa`.

    binary = opa_binary()   its path; without one the test skips, and with CI=true it fails

Does not install it: `make opa` does.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MISSING = "no OPA in OPA_BIN, on PATH or in .tools/bin/opa; `make opa` installs it"


def find_opa(environment: Mapping[str, str] = os.environ, root: Path = ROOT) -> str | None:
    """Return the path of the OPA executable, if there is one."""
    local = root / ".tools" / "bin" / "opa"
    return (
        environment.get("OPA_BIN")
        or shutil.which("opa", path=environment.get("PATH", ""))
        or (str(local) if local.is_file() else None)
    )


def opa_binary(environment: Mapping[str, str] = os.environ, root: Path = ROOT) -> str:
    """Return OPA's path; without it skip, except where every check must have run."""
    found = find_opa(environment, root)
    if found is None:
        if environment.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return found
