"""The Rego files of a bundle: which of them decide, and what each says, as a syntax tree.

Rules decide, in every engine. Tests do not: their packages lie apart, so that they cannot, in an
OPA that loads them too. What lies in `system/` is for a sidecar's own authorization.
Does not evaluate anything and does not judge what a rule says.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import regorus  # type: ignore[import-untyped]

from gateway.core.errors import BundleError
from gateway.policy.files import Files
from gateway.policy.manifest import Manifest
from gateway.policy.nesting import check_nesting

_PLACE: Final = re.compile(r":(\d+):\d+$", re.MULTILINE)
_ERROR: Final = re.compile(r"^error: (.*)$", re.MULTILINE)
TESTS: Final = (("bailiwick", "tests"), ("bailiwick", "testing"))
"""Packages of what only tests use."""

Tree = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """One Rego file."""

    path: str
    text: str
    package: tuple[str, ...]

    @property
    def is_test(self) -> bool:
        """Whether it is for tests only."""
        return is_test(self.path)

    @property
    def is_system(self) -> bool:
        """Whether it is for OPA itself."""
        return self.path.startswith("system/")

    @property
    def is_rule(self) -> bool:
        """Whether it takes part in decisions."""
        return not (self.is_test or self.is_system)


class Rego:
    """The Rego files of one bundle, each parsed once.

    Raises:
        BundleError: a file is no Rego, or its package is not where it belongs; it is named, with
            the line.
    """

    def __init__(self, files: Files, manifest: Manifest) -> None:
        self._engines = {True: regorus.Engine(), False: regorus.Engine()}
        self.sources = tuple(
            self._read(path, text_of(path, content))
            for path, content in files.items()
            if path.endswith(".rego")
        )
        for source in self.sources:
            _check_place(source, manifest)

    def trees(self, tests: bool) -> list[tuple[Source, Tree]]:
        """Return the syntax trees of the tests, or of all other files."""
        chosen = [source for source in self.sources if source.is_test == tests]
        try:
            parsed = json.loads(self._engines[tests].get_ast_as_json()) if chosen else []
        except RecursionError as exc:
            raise BundleError("the rules are nested too deeply; give parts names") from exc
        return [(source, tree["ast"]) for source, tree in zip(chosen, parsed, strict=True)]

    def _read(self, path: str, text: str) -> Source:
        check_nesting(path, text)
        try:
            name: str = self._engines[is_test(path)].add_policy(path, text)
        except BaseException as exc:
            # regorus' PanicException is no Exception; what ends the process is nobody's to keep.
            if not isinstance(exc, Exception) and type(exc).__name__ != "PanicException":
                raise
            # What follows are lines of the engine's own source.
            said = str(exc).partition("\nStack backtrace:")[0]
            place, error = _PLACE.search(said), _ERROR.search(said)
            line = f"{place[1]}: " if place else " "
            what = error[1] if error else said.removeprefix(path).strip() or "is not Rego"
            raise BundleError(f"{path}:{line}{what}") from exc
        return Source(path, text, tuple(name.removeprefix("data.").split(".")))


def is_test(path: str) -> bool:
    """Say whether a Rego file is for tests only."""
    return path.endswith("_test.rego") or "testing" in PurePosixPath(path).parts


def text_of(path: str, content: bytes) -> str:
    """Return the text of a file.

    Raises:
        BundleError: it is not UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BundleError(f"{path}: is not UTF-8") from exc


def _check_place(source: Source, manifest: Manifest) -> None:
    path, package = source.path, source.package
    name = ".".join(package)
    if not manifest.covers(package):
        raise BundleError(f"{path}: the `roots` of the manifest do not hold the package {name}")
    if package[0] != ("system" if source.is_system else "bailiwick"):
        raise BundleError(f"{path}: rules are in bailiwick; `package system` goes with system/")
    # OPA loads tests as well: in a package of the rules they would decide there, and only there.
    if source.is_test and not source.is_system and package[:2] not in TESTS:
        raise BundleError(f"{path}: a test belongs into a package under bailiwick.tests")
    if source.is_rule and package[:2] in TESTS:
        raise BundleError(f"{path}: rules do not belong into {name}, where the tests are")
