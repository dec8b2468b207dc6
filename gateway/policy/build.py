"""Make the archive of a bundle, and sign bundles.

What is written has been read back and found usable, is whole or not there at all, and replaces
nothing unless told to. The archive holds what the folder holds, and `data.json` for OPA; it has the
digest of the folder, and the same folder always gives the same bytes. A bundle with a charter at
fault can be built, since that charter denies everything; one that is wrong otherwise cannot.
Does not hold keys: `Sign` and `Verify` come from identity.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.core.errors import BundleError
from gateway.policy import archive, manifest, signature
from gateway.policy.bundle import Bundle, load, read_files
from gateway.policy.files import DATA, SIGNATURES, Files, sources
from gateway.policy.signature import Sign, Verify


@dataclass(frozen=True, slots=True)
class Signing:
    """How a bundle gets signed, and how that is checked before anybody gets it."""

    sign: Sign
    verify: Verify


def build(
    path: Path,
    out: Path,
    *,
    revision: str | None = None,
    signing: Signing | None = None,
    force: bool = False,
) -> Bundle:
    """Write the archive of a bundle and return it as read back.

    Args:
        path: the bundle's folder, or an archive to make anew.
        out: where the archive goes.
        revision: instead of the manifest's.
        signing: signs it; without, it is unsigned.
        force: replace a file that is there.

    Raises:
        BundleError: the bundle cannot be used, or `out` cannot be written or is there already.
    """
    files: Files = sources(read_files(path, everything=False)[0])
    if revision is not None:
        files = manifest.revised(files, revision)
    files = {**files, DATA: _data(path, files)}
    return _write(out, _signed(files, signing), signing, force)


def sign(path: Path, signing: Signing, out: Path | None = None) -> Bundle:
    """Sign a bundle as it is and return it as read back; an older signature is replaced.

    Args:
        path: a folder, which gets a `.signatures.json`, or an archive, which is written anew.
        signing: signs it.
        out: where the signed archive goes, instead of in place; not for a folder.

    Raises:
        BundleError: the bundle cannot be used, or the result cannot be written.
    """
    load(path)
    files, digest = read_files(path, everything=True)
    if digest is not None:
        return _write(out or path, _signed(files, signing), signing, force=out is None)
    if out is not None:
        raise BundleError(f"{path}: is a folder, which is signed in place; `build` makes archives")
    _replace(path / SIGNATURES, signature.signed(files, signing.sign), force=True)
    return load(path, signing.verify)


def _data(path: Path, files: Files) -> bytes:
    with tempfile.TemporaryDirectory() as elsewhere:
        trial = Path(elsewhere) / "bundle.tar.gz"
        trial.write_bytes(archive.write(files))
        try:
            return load(trial).data
        except BundleError as exc:
            named = exc.message.replace(str(trial), str(path))
            raise BundleError(named, code=exc.reason_code) from exc


def _signed(files: Files, signing: Signing | None) -> Mapping[str, bytes]:
    if signing is None:
        return files
    return {**files, SIGNATURES: signature.signed(files, signing.sign)}


def _write(out: Path, files: Files, signing: Signing | None, force: bool) -> Bundle:
    content = archive.write(files)
    with tempfile.TemporaryDirectory() as elsewhere:
        trial = Path(elsewhere) / "bundle.tar.gz"
        trial.write_bytes(content)
        made = load(trial, signing.verify if signing else None)
    _replace(out, content, force)
    return replace(made, path=out)


def _replace(path: Path, content: bytes, force: bool) -> None:
    """Write a file as a whole, beside its place first."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
            beside = Path(file.name)
            try:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
                if force:
                    os.replace(beside, path)
                else:
                    # A link is made only where nothing is yet, also when two of us try.
                    os.link(beside, path)
            finally:
                beside.unlink(missing_ok=True)
    except FileExistsError as exc:
        raise BundleError(f"{path}: is there already; --force replaces it") from exc
    except OSError as exc:
        raise BundleError(f"{path}: cannot be written ({exc.strerror})") from exc
