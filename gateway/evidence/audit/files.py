"""Files that records name by digest: blobs, and compressed segments.

A digest is SHA-256 over the stored bytes, `sha256:<hex>`; a file is read in pieces. Nothing but a
well-formed digest becomes part of a path. Does not read records and does not open what is sealed.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.evidence.audit.fault import Faulty, faulty

_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


def digest_of(path: Path) -> str:
    """Return the digest of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def check_blob(folder: Path, blob: Any, seq: int, path: Path, line: int) -> str:
    """Check that the blob that a record names is there and is what it was; return its digest.

    Raises:
        Faulty: `blob_malformed`, `blob_missing` or `blob_damaged`.
        OSError: it cannot be read.
    """
    digest = blob.get("digest") if isinstance(blob, Mapping) else None
    match = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if match is None:
        raise faulty("blob_malformed", seq, path, line, f"record {seq} does not say which blob")
    where = folder / "blobs" / "sha256" / match[1][:2] / match[1]
    try:
        found = digest_of(where)
    except FileNotFoundError as exc:
        sentence = f"the blob of record {seq} is missing: {match[0]}"
        raise faulty("blob_missing", seq, path, line, sentence) from exc
    if found != match[0]:
        raise faulty(
            "blob_damaged", seq, path, line, f"the blob of record {seq} was changed: {match[0]}"
        )
    return match[0]


def check_archive(path: Path, digest: str, first_seq: int) -> None:
    """Check a compressed segment, if it is there, against the record that tells of it.

    Raises:
        Faulty: `archive_damaged`.
        OSError: it cannot be read.
    """
    if path.exists() and digest_of(path) != digest:
        raise damaged(path, first_seq)


def damaged(path: Path, first_seq: int) -> Faulty:
    """Return what to raise for a compressed segment that is not what was compressed."""
    return faulty("archive_damaged", first_seq, path, 0, f"{path.name} was changed")
