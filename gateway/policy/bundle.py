"""The policy bundle: a folder of rules, charters, catalogue and self-tests, read as one value.

Each file is read once; rules, data and digest come from the same bytes. The files of a bundle are
`.manifest` and every `*.rego`, `*.yaml` and `*.json` whose path has no hidden part; all of them are
in the digest (tests too: what was reviewed is what is named), and other files are ignored.
A charter with faults is loaded, and denies everything; anything else that is wrong refuses the
bundle. Does not evaluate rules and does not run the self-tests: that is the engine's door.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.tokens import AliasToken

from gateway.core.canonical import canonical, digest, dumps, parse_object
from gateway.core.charter import Fault, faults, system_faults
from gateway.core.errors import BundleError, MalformedMessage

MANIFEST: Final = ".manifest"
ROOTS: Final = ("bailiwick", "charters", "subjects", "systems")
"""The parts of `data` that are the bundle's; its manifest must claim them."""
EFFECTS: Final = ("permit", "deny", "hold")

_SUFFIXES: Final = (".rego", ".yaml", ".json")
_NANOSECONDS: Final = 2**63 - 1
"""Widest integer in a self-test: its `context.time` is in nanoseconds."""

Files = Mapping[str, bytes]
Documents = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class SelfTest:
    """A decision input and the answer that an engine must give before it is trusted."""

    name: str
    document: bytes
    """The decision input, as the engine receives it."""
    effect: str
    codes: tuple[str, ...]
    """The reason codes of the answer, in its order."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A policy bundle as it lay on disk at one moment."""

    folder: Path
    revision: str
    digest: str
    """Over the RFC 8785 form of {path: digest of the file} of every file of the bundle."""
    policies: tuple[tuple[str, str], ...]
    """(path, Rego source) of every rule file, without tests, in order of path."""
    data: bytes
    """`{"charters", "subjects", "systems"}` as JSON; each charter with its `faults`."""
    charters: Documents
    systems: Documents
    self_tests: tuple[SelfTest, ...]
    faults: Mapping[str, tuple[Fault, ...]]
    """By charter id, for every charter; empty when it is complete."""


def shipped_bundle() -> Path:
    """Return the folder of the bundle that comes with this package.

    Raises:
        BundleError: neither the installed package nor the source tree holds it.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_share" / "rego", package.parent / "rego"):
        if (folder / MANIFEST).is_file():
            return folder
    raise BundleError("the bundle that comes with this package is missing; install it again")


def load(folder: Path) -> Bundle:
    """Read a bundle from its folder.

    Raises:
        BundleError: naming the file and what is wrong with it.
    """
    files = _read(folder)
    systems = _documents(files, "systems")
    for name, system in systems.items():
        for fault in system_faults(system):
            raise BundleError(f"systems/{name}.yaml: {fault.sentence}")
    charters = _documents(files, "charters")
    found = {name: tuple(faults(charter, systems)) for name, charter in charters.items()}
    return Bundle(
        folder=folder,
        revision=_revision(files),
        digest=digest(canonical({path: digest(content) for path, content in files.items()})),
        policies=_policies(files),
        data=_data(charters, systems, found),
        charters=charters,
        systems=systems,
        self_tests=_self_tests(files),
        faults=found,
    )


# --- files ---


def _read(folder: Path) -> Files:
    """Return the bytes of every file of the bundle, by relative path, in order of path."""
    try:
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(_walk(folder))
        }
    except OSError as exc:
        raise BundleError(f"{exc.filename}: cannot be read ({exc.strerror})") from exc
    if MANIFEST not in files:
        raise BundleError(f"{folder / MANIFEST}: missing; a bundle folder holds one")
    return files


def _walk(folder: Path) -> Iterator[Path]:
    inside = folder.resolve()
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            # os.walk does not enter it, and rules that are not read would not be missed.
            if (linked := Path(parent, name)).is_symlink():
                raise BundleError(f"{linked}: is a link to a folder; copy the folder instead")
        for name in names:
            path = Path(parent, name)
            if path == folder / MANIFEST or (path.suffix in _SUFFIXES and not name.startswith(".")):
                if not path.resolve().is_relative_to(inside):
                    raise BundleError(f"{path}: is a link that leaves the bundle")
                yield path


def _raise(error: OSError) -> None:
    raise error


def _revision(files: Files) -> str:
    manifest = _json(files, MANIFEST)
    revision, roots = manifest.get("revision"), manifest.get("roots")
    if not isinstance(revision, str) or not revision:
        raise BundleError(f"{MANIFEST}: `revision` must be a text that is not empty")
    if not isinstance(roots, list) or not set(ROOTS).issubset(map(str, roots)):
        raise BundleError(f"{MANIFEST}: `roots` must hold {', '.join(ROOTS)}")
    return revision


def _policies(files: Files) -> tuple[tuple[str, str], ...]:
    policies = []
    for path, content in files.items():
        tests = path.endswith("_test.rego") or "testing" in PurePosixPath(path).parts
        if path.endswith(".rego") and not tests:
            policies.append((path, _text(path, content)))
    if not policies:
        raise BundleError("bailiwick/: no rules; a bundle without rules cannot decide")
    return tuple(policies)


def _text(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BundleError(f"{path}: is not UTF-8") from exc


def _json(files: Files, path: str) -> dict[str, Any]:
    try:
        return parse_object(files[path], max_integer=_NANOSECONDS)
    except MalformedMessage as exc:
        raise BundleError(f"{path}: {exc.message}") from exc


# --- charters and systems ---


class _Constructor(SafeConstructor):
    """YAML 1.2 values, but an instant stays the text that was written: JSON has no instants."""


_Constructor.add_constructor(
    "tag:yaml.org,2002:timestamp", lambda constructor, node: constructor.construct_scalar(node)
)


def _documents(files: Files, kind: str) -> dict[str, dict[str, Any]]:
    """Return the YAML documents of one folder, by the name of their file."""
    documents = {}
    for path, content in files.items():
        parts = PurePosixPath(path)
        if parts.parts[0] != kind or path.endswith(".rego"):
            continue
        if len(parts.parts) != 2 or parts.suffix != ".yaml":
            raise BundleError(f"{path}: only {kind}/NAME.yaml has a place in {kind}/")
        documents[parts.stem] = _yaml(path, _text(path, content))
    return documents


def _yaml(path: str, text: str) -> dict[str, Any]:
    reader = YAML(typ="safe", pure=True)
    reader.Constructor = _Constructor
    try:
        if any(isinstance(token, AliasToken) for token in reader.scan(text)):
            raise BundleError(f"{path}: has an alias (*); write the value out")
        value = reader.load(text)
        # Through canonical JSON: only what JSON can say, and says alike to every engine, passes.
        return parse_object(canonical(value))
    except MarkedYAMLError as exc:
        line = f" line {exc.problem_mark.line + 1}:" if exc.problem_mark else ""
        raise BundleError(f"{path}:{line} {exc.problem}") from exc
    except YAMLError as exc:
        raise BundleError(f"{path}: is not YAML") from exc
    except (MalformedMessage, RecursionError) as exc:
        raise BundleError(f"{path}: is not one set of plain members") from exc


def _data(charters: Documents, systems: Documents, found: Mapping[str, tuple[Fault, ...]]) -> bytes:
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
        name: {**charter, "faults": [asdict(fault) for fault in found[name]]}
        for name, charter in charters.items()
    }
    return dumps({"charters": marked, "subjects": subjects, "systems": systems})


# --- self-tests ---


def _self_tests(files: Files) -> tuple[SelfTest, ...]:
    """Return the vectors, of which there is a permit, a deny and a hostile text that is denied."""
    paths = [path for path in files if path.startswith("selftest/")]
    tests = tuple(_self_test(path, _json(files, path)) for path in paths)
    effects = {test.effect for test in tests if not test.name.startswith("hostile")}
    hostile = {test.effect for test in tests if test.name.startswith("hostile")}
    for missing in sorted({"permit", "deny"} - effects):
        raise BundleError(f"selftest/: no vector that expects {missing}")
    if hostile != {"deny"}:
        raise BundleError("selftest/: no vector whose name starts with hostile, expecting deny")
    return tests


def _self_test(path: str, vector: Mapping[str, Any]) -> SelfTest:
    match vector:
        case {
            "name": str(name),
            "input": dict(document),
            "expect": {"effect": str(effect), "codes": [*codes], **more},
            **rest,
        } if not (rest or more) and effect in EFFECTS and all(isinstance(c, str) for c in codes):
            return SelfTest(name, dumps(document), effect, tuple(codes))
    raise BundleError(f"{path}: is not {{name, input, expect: {{effect, codes}}}}")
