"""OPA's own program as a tool: where it is, and what it says about the Rego of a bundle.

Works on a copy of the files that were read, so that what is checked is what was loaded.
Does not decide anything: a gateway asks a sidecar (`opa.py`), never this.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.core.errors import BundleError
from gateway.policy.builtins import Finding
from gateway.policy.files import DATA, MANIFEST, Files

MISSING: Final = "no OPA in OPA_BIN, on PATH or in .tools/bin/opa"
SCHEMA: Final = "schemas/input.json"
_BOUND_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Tool:
    """The program, in a folder that holds a copy of a bundle."""

    binary: str
    folder: Path
    has_schema: bool

    def check(self) -> tuple[Finding, ...]:
        """Compile everything strictly, and the rules with the schema of the input, if any."""
        found = self._compile("--bundle", ".")
        if not found and self.has_schema:
            # What lies in system/ has OPA's own input.
            found = self._compile("--schema", SCHEMA, "bailiwick")
        return found

    def unformatted(self) -> tuple[Finding, ...]:
        """Return the files that are not as `opa fmt` writes them."""
        done = self.run("fmt", "--fail", "--list", ".")
        if not done.returncode:
            return ()
        named = sorted(line.removeprefix("./") for line in done.stdout.splitlines() if line)
        if not named:
            raise _failed(done)
        return tuple(Finding(path, 1, "is not as `opa fmt` writes it") for path in named)

    def test(self) -> list[Mapping[str, Any]]:
        """Run the tests; each result as OPA gives it.

        Raises:
            BundleError: they could not be run.
        """
        done = self.run("test", "--bundle", "--format", "json", ".")
        try:
            results = json.loads(done.stdout or "[]")
        except ValueError:
            results = None
        if not isinstance(results, list) or (done.returncode not in (0, 2)):
            raise _failed(done)
        return results

    def _compile(self, *arguments: str) -> tuple[Finding, ...]:
        done = self.run("check", "--strict", "--format", "json", *arguments)
        return tuple(_findings(done)) if done.returncode else ()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end.

        Raises:
            BundleError: it cannot be run, or does not end.
        """
        try:
            return subprocess.run(  # noqa: S603  the operator's own program, no shell
                [self.binary, *arguments],
                cwd=self.folder,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_BOUND_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise BundleError(f"{self.binary}: could not be run ({type(exc).__name__})") from exc


def find(environment: Mapping[str, str] = os.environ, folder: Path | None = None) -> str | None:
    """Return where OPA is: `OPA_BIN`, then `PATH`, then `.tools/bin/opa` under the folder.

    Args:
        environment: where the first two are looked up.
        folder: the working folder, if none is given.
    """
    local = (folder or Path.cwd()) / ".tools" / "bin" / "opa"
    return (
        environment.get("OPA_BIN")
        or shutil.which("opa", path=environment.get("PATH", ""))
        or (str(local) if local.is_file() else None)
    )


@contextmanager
def on_copy(binary: str, files: Files, data: bytes | None = None) -> Iterator[Tool]:
    """Copy what OPA reads of a bundle to a folder of its own, for as long as this lasts.

    Args:
        binary: where the program is.
        files: a bundle's files, whose names have been checked.
        data: what `data.json` holds.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted = {
            path: content
            for path, content in files.items()
            if path in (MANIFEST, SCHEMA) or path.endswith(".rego")
        }
        if data is not None:
            wanted[DATA] = data
        for path, content in wanted.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        yield Tool(str(Path(binary).resolve()), folder, SCHEMA in wanted)


def _findings(done: subprocess.CompletedProcess[str]) -> Iterator[Finding]:
    try:
        errors = json.loads(done.stderr or done.stdout)["errors"]
        for error in errors:
            place = error.get("location") or {}
            yield Finding(
                str(place.get("file", MANIFEST)).removeprefix("./"),
                int(place.get("row", 1)),
                str(error["message"]),
            )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _failed(done) from None


def _failed(done: subprocess.CompletedProcess[str]) -> BundleError:
    said = " ".join((done.stderr or done.stdout).split())[:500]
    return BundleError(f"OPA does not accept the bundle: {said or f'status {done.returncode}'}")
