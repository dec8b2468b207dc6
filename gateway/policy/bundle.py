"""The policy bundle: rules, charters, catalogue and self-tests, read as one value.

A bundle is a folder or an archive. Each file is read once; signature, rules, data and digest are of
the same bytes. Its files are `.manifest` and every `*.rego`, `*.yaml` and `*.json` whose path has
no hidden part; all of them are in the digest (tests too: what was reviewed is what is named), and
other files are ignored, but a signature covers those as well.
A charter with faults is loaded, and denies everything; anything else that is wrong refuses the
bundle. Does not evaluate rules and does not run the self-tests: that is the engine's door.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from gateway.core.canonical import canonical, digest, dumps, parse_object
from gateway.core.charter import Fault, faults, system_faults
from gateway.core.errors import BundleError, MalformedMessage
from gateway.policy import archive, documents, folder, manifest, signature
from gateway.policy.builtins import findings
from gateway.policy.documents import Document
from gateway.policy.files import DATA, MANIFEST, Files, sources
from gateway.policy.rego import Rego, text_of
from gateway.policy.selftest import SelfTest, read_self_tests
from gateway.policy.signature import Verify

_NANOSECONDS: Final = 2**63 - 1
"""Widest integer in a self-test: its `context.time` is in nanoseconds."""

_MEMORY: Final = {kind: documents.Memory() for kind in ("charters", "systems")}
"""Of the bundle read last: most of the next one is the same."""

Values = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A policy bundle as it lay on disk at one moment."""

    path: Path
    """The folder or the archive."""
    revision: str
    digest: str
    """Over the RFC 8785 form of {path: digest of the file} of every file of the bundle."""
    policies: tuple[tuple[str, str], ...]
    """(path, Rego source) of every file that decides, in order of path: no tests, no system/."""
    data: bytes
    """`{"charters", "subjects", "systems"}` as JSON; each charter with its `faults`."""
    charters: Values
    systems: Values
    self_tests: tuple[SelfTest, ...]
    faults: Mapping[str, tuple[Fault, ...]]
    """By charter id, for every charter; empty when it is complete."""
    documents: Mapping[str, Document]
    """Charters and systems, by the path of their file: where in it each member stands."""
    archive_digest: str | None = None
    """Of the archive as it is, `sha256:…`; None for a folder."""
    signed_by: str | None = None
    """Id of the key whose signature was verified; None when nobody asked for one."""


def shipped_bundle() -> Path:
    """Return the folder of the bundle that comes with this package.

    Raises:
        BundleError: neither the installed package nor the source tree holds it.
    """
    package = Path(__file__).resolve().parents[1]
    for share in (package / "_share" / "rego", package.parent / "rego"):
        if (share / MANIFEST).is_file():
            return share
    raise BundleError("the bundle that comes with this package is missing; install it again")


def load(path: Path, verify: Verify | None = None) -> Bundle:
    """Read a bundle from its folder, or from an archive (`.tar.gz`).

    Args:
        path: where it lies.
        verify: checks the signature with the one key that counts. Without it a signature is not
            looked at.

    Raises:
        BundleError: naming the file and what is wrong with it; `bundle_unsigned` and
            `bundle_signature_invalid` are about the signature.
    """
    files, archive_digest = read_files(path, everything=verify is not None)
    signed_by = signature.check(files, verify) if verify else None
    return _bundle(path, files, archive_digest, signed_by)


def read_files(path: Path, everything: bool) -> tuple[Files, str | None]:
    """Return the files of a bundle, unjudged, and the digest of the archive if it is one.

    Args:
        path: a folder or an archive.
        everything: of a folder, also what no loader looks at; of an archive, always.

    Raises:
        BundleError: it cannot be read.
    """
    if path.is_file():
        content = archive.content_of(path)
        return archive.read(path, content), digest(content)
    return folder.read(path, everything), None


def _bundle(path: Path, files: Files, archive_digest: str | None, signed_by: str | None) -> Bundle:
    own = sources(files)
    named = manifest.read(own)
    read = {kind: _documents(own, kind) for kind in _MEMORY}
    charters, systems = _values(read["charters"]), _values(read["systems"])
    for document in read["systems"].values():
        for fault in system_faults(document.value):
            line = document.line(fault.path)
            raise BundleError(f"{document.path}:{line}: {fault.sentence}")
    found = {name: tuple(faults(charter, systems)) for name, charter in charters.items()}
    data = _data(charters, systems, found)
    # Byte for byte: it is what a sidecar decides on, and this engine does not.
    if files.get(DATA, data) != data:
        raise BundleError(
            f"{DATA}: is not what this version makes of charters/ and systems/ "
            "(`opa build` leaves those out); `bailiwick policy build` writes it anew"
        )
    return Bundle(
        path=path,
        revision=named.revision,
        digest=digest(canonical({name: digest(content) for name, content in own.items()})),
        policies=_policies(own, named),
        data=data,
        charters=charters,
        systems=systems,
        self_tests=_self_tests(own, charters),
        faults=found,
        documents={one.path: one for kind in read.values() for one in kind.values()},
        archive_digest=archive_digest,
        signed_by=signed_by,
    )


# --- rules and self-tests ---


def _policies(files: Files, named: manifest.Manifest) -> tuple[tuple[str, str], ...]:
    read = Rego(files, named)
    for finding in findings(read.trees(tests=False)):
        raise BundleError(str(finding))
    policies = tuple((source.path, source.text) for source in read.sources if source.is_rule)
    if not policies:
        raise BundleError("bailiwick/: no rules; a bundle without rules cannot decide")
    return policies


def _self_tests(files: Files, charters: Values) -> tuple[SelfTest, ...]:
    paths = [path for path in files if path.startswith("selftest/")]
    return read_self_tests({path: _json(files, path) for path in paths}, charters.values())


def _json(files: Files, path: str) -> dict[str, Any]:
    try:
        return parse_object(files[path], max_integer=_NANOSECONDS)
    except MalformedMessage as exc:
        raise BundleError(f"{path}: {exc.message}") from exc


# --- charters and systems ---


def _documents(files: Files, kind: str) -> dict[str, Document]:
    """Return the YAML documents of one folder, by the name of their file."""
    texts = {}
    for path, content in files.items():
        parts = PurePosixPath(path)
        if parts.parts[0] != kind or path.endswith(".rego"):
            continue
        if len(parts.parts) != 2 or parts.suffix != ".yaml":
            raise BundleError(f"{path}: only {kind}/NAME.yaml has a place in {kind}/")
        texts[path] = text_of(path, content)
    read = _MEMORY[kind].read(texts)
    return {PurePosixPath(path).stem: document for path, document in read.items()}


def _values(found: Mapping[str, Document]) -> dict[str, dict[str, Any]]:
    return {name: document.value for name, document in found.items()}


def _data(charters: Values, systems: Values, found: Mapping[str, tuple[Fault, ...]]) -> bytes:
    subjects: dict[str, str] = {}
    for name, charter in charters.items():
        subject = charter.get("subject")
        if not isinstance(subject, str):
            continue  # a fault of its charter, which then nobody can use
        if subject in subjects:
            raise BundleError(
                f"charters/{name}.yaml: {subject} already has the charter {subjects[subject]}"
            )
        subjects[subject] = name
    marked = {
        name: {**charter, "faults": [fault.as_data() for fault in found[name]]}
        for name, charter in charters.items()
    }
    return dumps({"charters": marked, "subjects": subjects, "systems": systems})
