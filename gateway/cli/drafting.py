"""Where a draft of the catalogue is written, and what is said of it.

A file is replaced whole or not at all: half a catalogue would refuse the whole bundle. Does not
make the draft: see `gateway.policy.draft`.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gateway.cli import output
from gateway.core.errors import BundleError, SettingsError
from gateway.core.system_shape import UNCLASSIFIED
from gateway.policy.draft import Entry
from gateway.policy.files import refuse_meaning_for_opa
from gateway.policy.offer import LeftOut, Offer
from gateway.policy.suggestion import suggestion, understates
from gateway.settings import load

NO_FILE = Path("-")
"""Standard output."""
_COLUMNS = ("tool", "state", "effect", "claims", "consider")


@dataclass(frozen=True, slots=True)
class Found:
    """What a system says that it can do."""

    protocol: Literal["mcp", "http"]
    offers: tuple[Offer, ...]
    left_out: tuple[LeftOut, ...]


def place(settings: Path, name: str) -> Path:
    """Return the file of a system in the bundle of these settings.

    Raises:
        SettingsError: the settings cannot be read, or the bundle is no folder.
        BundleError: no system can have this name.
    """
    bundle = load(settings).policy.bundle
    refuse_meaning_for_opa(f"systems/{name}.yaml")
    if not bundle.is_dir():
        raise SettingsError(f"{bundle}: is no folder to write to; say where with --out")
    return bundle / "systems" / f"{name}.yaml"


def to_update(file: Path) -> str:
    """Return the text of a file that is to be added to.

    Raises:
        SettingsError: it is not there, or cannot be read.
        BundleError: it is no text.
    """
    if not file.exists():
        raise SettingsError(f"{file}: is not there; leave out --update to draft it")
    try:
        return contents(file).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BundleError(f"{file}: is not UTF-8") from exc


def contents(file: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as exc:
        raise SettingsError(f"{file}: cannot be read ({exc.strerror})") from exc


def write(file: Path, text: str) -> None:
    """Write the whole file or nothing of it.

    Raises:
        SettingsError: it cannot be written.
    """
    try:
        file.parent.mkdir(exist_ok=True)
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
        # Beside it and hidden: a bundle that is read meanwhile does not hold it.
        number, name = tempfile.mkstemp(dir=file.parent, prefix=".draft-")
        made = Path(name)
        try:
            with open(number, "wb") as stream:
                stream.write(text.encode("utf-8"))
                stream.flush()
                os.fsync(number)
            made.chmod(mode)
            # A crash before this leaves the file as it was, after it as it should be.
            made.replace(file)
        finally:
            made.unlink(missing_ok=True)
    except OSError as exc:
        raise SettingsError(f"{file}: cannot be written ({exc.strerror or exc})") from exc


def to_stdout(text: str) -> None:
    """Write a draft as it is: it holds nothing that a terminal obeys."""
    output.OUT.out(text, highlight=False, end="")


def table(entries: Sequence[Entry]) -> None:
    """Show one line a tool."""
    output.table(_COLUMNS, map(_row, entries))


def document(name: str, file: Path | None, entries: Sequence[Entry], found: Found) -> Any:
    """Return all of it for machines."""
    return {
        "system": name,
        "file": str(file) if file else None,
        "protocol": found.protocol,
        "tools": [_fields(entry) for entry in entries],
        "left_out": [{"name": one.name, "why": one.why} for one in found.left_out],
    }


def warn(entries: Sequence[Entry], left_out: Sequence[LeftOut]) -> None:
    """Say on stderr what a person has to look at."""
    for one in left_out:
        output.note(f"left out, and so denied: {one.name or '(empty)'}: {one.why}")
    for entry in entries:
        if entry.offer is None:
            output.note(f"{entry.name}: is not offered any more")
        elif entry.state == "moved":
            output.note(f"{entry.name}: is {entry.offer.operation} now; the file keeps the old one")
        elif understates(entry.effect, entry.offer):
            output.note(f"{entry.name}: is classified read, and the server calls it destructive")


def _row(entry: Entry) -> tuple[str, ...]:
    names = {hint.removesuffix("Hint"): said for hint, said in _claims(entry).items()}
    claims = ", ".join(name if said else f"not {name}" for name, said in names.items())
    considered = suggestion(entry.offer).text() if entry.offer else ""
    return entry.name, entry.state, str(_effect(entry) or ""), claims, considered


def _fields(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "state": entry.state,
        "effect": _effect(entry),
        "operation": entry.offer.operation if entry.offer else None,
        "claims": dict(_claims(entry)),
        "consider": suggestion(entry.offer).as_fields() if entry.offer else None,
    }


def _effect(entry: Entry) -> Any:
    return UNCLASSIFIED if entry.state == "new" else entry.effect


def _claims(entry: Entry) -> Mapping[str, bool]:
    return entry.offer.hints if entry.offer else {}
