"""The manifest of a bundle: its revision, and which parts of `data` are its own.

Only members that mean the same to OPA and to us. Does not say which revision is too old.
"""

from dataclasses import dataclass
from typing import Any, Final

from gateway.core.canonical import dumps, parse_object
from gateway.core.errors import BundleError, MalformedMessage
from gateway.core.revision import order
from gateway.policy.files import MANIFEST, Files

ROOTS: Final = ("bailiwick", "charters", "subjects", "systems")
"""The parts of `data` that are the bundle's; its manifest must claim them."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says."""

    revision: str
    roots: tuple[tuple[str, ...], ...]
    """Each as the names on its path."""

    def covers(self, package: tuple[str, ...]) -> bool:
        """Say whether a package lies in the bundle's part of `data`."""
        return any(package[: len(root)] == root for root in self.roots)


def read(files: Files) -> Manifest:
    """Read the manifest of a bundle.

    Raises:
        BundleError: it is missing, or says something that we would not do as OPA does.
    """
    if MANIFEST not in files:
        raise BundleError(f"{MANIFEST}: missing; a bundle holds one")
    manifest = _members(files[MANIFEST])
    revision, roots = manifest.pop("revision", None), manifest.pop("roots", None)
    version = manifest.pop("rego_version", 1)
    manifest.pop("metadata", None)
    if not isinstance(revision, str) or not revision:
        raise BundleError(f"{MANIFEST}: `revision` must be a text that is not empty")
    _ordered(revision)
    if not isinstance(roots, list) or not all(isinstance(root, str) and root for root in roots):
        raise BundleError(f"{MANIFEST}: `roots` must be a list of texts that are not empty")
    if not set(ROOTS).issubset(roots):
        raise BundleError(f"{MANIFEST}: `roots` must hold {', '.join(ROOTS)}")
    if version != 1 or isinstance(version, bool):
        raise BundleError(f"{MANIFEST}: `rego_version` must be 1")
    for unknown in manifest:
        raise BundleError(f"{MANIFEST}: `{unknown}` means something to OPA only; remove it")
    return Manifest(revision, tuple(tuple(root.strip("/").split("/")) for root in roots))


def revised(files: Files, revision: str) -> Files:
    """Return the files of a bundle with this revision in its manifest.

    Raises:
        BundleError: it is no revision, or the manifest cannot be read.
    """
    order(revision)
    if read(files).revision == revision:
        return files  # with the manifest as somebody wrote it, so that the digest stays
    manifest = _members(files[MANIFEST])
    return {**files, MANIFEST: dumps({**manifest, "revision": revision})}


def _ordered(revision: str) -> None:
    try:
        order(revision)
    except BundleError as exc:
        raise BundleError(f"{MANIFEST}: {exc.message}") from exc


def _members(content: bytes) -> dict[str, Any]:
    try:
        return parse_object(content)
    except MalformedMessage as exc:
        raise BundleError(f"{MANIFEST}: {exc.message}") from exc
