"""Files that records name by digest: blobs, and compressed segments.

A digest is SHA-256 over the stored bytes, `sha256:<hex>`; a file is read in pieces. Nothing but a
well-formed digest becomes part of a path, and nothing but a regular file is read: a link may lead
anywhere, and a pipe never ends (open(2), https://man7.org/linux/man-pages/man2/open.2.html). Does
not read records and does not open what is sealed.
"""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.evidence.audit.fault import Faulty, faulty

_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
_OTHER: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO})
"""How opening fails what is there and is no regular file; a link is EMLINK on some systems."""


def digest_of(path: Path) -> str:
    """Return the digest of a file.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    # Non-blocking, since opening a pipe waits for its other end; regular files do not care.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.ELOOP, "is no regular file", str(path))
    with open(handle, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _stored(path: Path) -> str | None:
    """Return the digest of a file: None if nothing is there, empty if that is no regular file.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return digest_of(path)
    except OSError as exc:
        if exc.errno in _ABSENT:
            return None
        if exc.errno in _OTHER:
            return ""
        raise


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
    found = _stored(where)
    if found is None:
        sentence = f"the blob of record {seq} is missing: {match[0]}"
        raise faulty("blob_missing", seq, path, line, sentence)
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
    if _stored(path) not in (None, digest):
        raise damaged(path, first_seq)


def damaged(path: Path, first_seq: int) -> Faulty:
    """Return what to raise for a compressed segment that is not what was compressed."""
    return faulty("archive_damaged", first_seq, path, 0, f"{path.name} was changed")
