"""The catalogue of systems as files: what is wrong with each, and where.

Reads `systems/*.yaml` of a folder and nothing else of it, so that a draft can be checked before
the rest of a bundle is sound. Does not decide what a fault is: see `gateway.core.charter`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.core.charter import system_faults
from gateway.core.errors import BundleError
from gateway.core.system_shape import UNCLASSIFIED
from gateway.policy import documents

UNREADABLE: Final = "not_readable"
"""Code of a file that is no YAML document of a bundle."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a file."""

    place: str
    """The file, and the line where it is known."""
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class CheckedSystem:
    """One file of the catalogue."""

    name: str
    value: Mapping[str, Any]
    """As it was read; empty if it cannot be."""
    findings: tuple[Finding, ...] = field(default=())

    @property
    def unclassified(self) -> tuple[str, ...]:
        """Names of the tools that nobody has classified, and that are denied so far."""
        tools = self.value.get("tools")
        return tuple(
            name
            for name, tool in (tools.items() if isinstance(tools, Mapping) else ())
            if isinstance(tool, Mapping) and tool.get("effect") == UNCLASSIFIED
        )


def check(folder: Path) -> list[CheckedSystem]:
    """Return every system of the bundle in this folder, with its faults.

    Raises:
        BundleError: there is no catalogue in the folder, or a file cannot be read.
    """
    catalogue = folder / "systems"
    try:
        paths = sorted(path for path in catalogue.iterdir() if path.suffix == ".yaml")
        return [_checked(path, path.read_bytes()) for path in paths]
    except OSError as exc:
        raise BundleError(f"{exc.filename}: cannot be read ({exc.strerror})") from exc


def _checked(path: Path, content: bytes) -> CheckedSystem:
    try:
        document = documents.read(str(path), content.decode("utf-8"))
    except UnicodeDecodeError:
        return CheckedSystem(path.stem, {}, (Finding(str(path), UNREADABLE, "It is not UTF-8."),))
    except BundleError as exc:
        place, _, what = exc.message.partition(": ")
        return CheckedSystem(path.stem, {}, (Finding(place, UNREADABLE, f"It {what}."),))
    findings = (
        Finding(f"{path}:{document.line(fault.path)}", fault.code, fault.sentence)
        for fault in system_faults(document.value)
    )
    return CheckedSystem(path.stem, document.value, tuple(findings))
