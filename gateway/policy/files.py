"""The files of a bundle in memory: which names and sizes may be, and which file has which role.

Every name stands for one file on every file system and in every engine, and no file that OPA would
read means nothing here: what one engine reads and another ignores is refused.
Does not read folders or archives, and does not judge what a file says.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final

from gateway.core.errors import BundleError

MANIFEST: Final = ".manifest"
SIGNATURES: Final = ".signatures.json"
DATA: Final = "data.json"
"""The data for OPA, which `policy build` generates from charters and systems."""

MAX_FILES: Final = 65_536
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_TOTAL_BYTES: Final = 64 * 1024 * 1024
_MAX_NAME_LENGTH: Final = 255
_MAX_DEPTH: Final = 16

_SUFFIXES: Final = (".rego", ".yaml", ".json")
_OPA_NAMES: Final = ("data.json", "data.yaml", "data.yml", "patch.json", "plan.json")

Files = Mapping[str, bytes]


class Collector:
    """Takes the files of one bundle, one by one, and refuses what may not be among them.

    Raises:
        BundleError: from every method, naming the file.
    """

    def __init__(self) -> None:
        self._found: dict[str, bytes] = {}
        self._folded: dict[str, str] = {}
        self._folders: set[str] = set()
        self._left = MAX_TOTAL_BYTES

    def expect(self, name: str, size: int) -> None:
        """Check a file's name and size before it is read."""
        _check_name(name)
        folded = unicodedata.normalize("NFC", name).casefold()
        if (other := self._folded.setdefault(folded, name)) != name:
            raise BundleError(f"{name!r}: cannot be told from {other!r} on some systems")
        parents = {folded[:at] for at, sign in enumerate(folded) if sign == "/"}
        self._folders |= parents
        if folded in self._folders or any(parent in self._folded for parent in parents):
            raise BundleError(f"{name}: one name is that of a file and of a folder")
        if name in self._found:
            raise BundleError(f"{name}: is there twice")
        if not 0 <= size <= limit_of(name):
            raise BundleError(f"{name}: is larger than {limit_of(name) // 1024 // 1024} MiB")
        if size > self._left or len(self._found) >= MAX_FILES:
            raise BundleError(
                f"{name}: the bundle is larger than {MAX_TOTAL_BYTES // 1024 // 1024} MiB "
                f"or {MAX_FILES} files"
            )

    def add(self, name: str, content: bytes) -> None:
        """Take a file."""
        self.expect(name, len(content))
        self._left -= len(content)
        self._found[name] = content

    def files(self) -> Files:
        """Return what was taken, in order of name."""
        return dict(sorted(self._found.items()))


def limit_of(name: str) -> int:
    """Return how many bytes a file of this name may have."""
    return MAX_TOTAL_BYTES if name == DATA else MAX_FILE_BYTES


def sources(files: Files) -> Files:
    """Return the files that are the bundle's own: what people write, without what is generated.

    Raises:
        BundleError: a file has a name that OPA gives a meaning of its own.
    """
    for name in files:
        refuse_meaning_for_opa(name)
    return {name: content for name, content in files.items() if is_source(name)}


def is_source(name: str) -> bool:
    """Say whether a file is a part of the bundle that people write."""
    return name == MANIFEST or (
        name.endswith(_SUFFIXES) and name not in (DATA, SIGNATURES) and not _hidden(name)
    )


def is_read(name: str) -> bool:
    """Say whether a loader looks at a file at all."""
    return is_source(name) or name in (DATA, SIGNATURES)


def refuse_meaning_for_opa(name: str) -> None:
    """Refuse a name by which OPA would take a file for data, a patch or a compiled policy.

    Raises:
        BundleError: it is one.
    """
    last = PurePosixPath(name).name
    if name in (MANIFEST, SIGNATURES, DATA) or _hidden(name):
        return
    if last in _OPA_NAMES or last.endswith((".wasm", MANIFEST, SIGNATURES)):
        raise BundleError(
            f"{name}: OPA gives a file of this name a meaning of its own; rename or remove it"
        )


def refuse_hidden(names: Iterable[str]) -> None:
    """Refuse hidden files, which OPA reads and the bundle's loader does not.

    Raises:
        BundleError: naming the first.
    """
    for name in names:
        if _hidden(name) and name not in (MANIFEST, SIGNATURES):
            raise BundleError(f"{name}: hidden files have no place in an archive")


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts) and name != MANIFEST


def _stored_length(part: str) -> int:
    return len(part.encode("utf-8", "surrogatepass"))


def _check_name(name: str) -> None:
    parts = name.split("/")
    wrong = (
        len(name) > _MAX_NAME_LENGTH
        or max(map(_stored_length, parts)) > _MAX_NAME_LENGTH
        or len(parts) > _MAX_DEPTH
        or any(part in ("", ".", "..") for part in parts)
        or not name.isprintable()
        or "\\" in name
    )
    if wrong:
        raise BundleError(f"{name!r}: is not a plain relative path of printable characters")
