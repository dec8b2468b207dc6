"""Bodies too long for a record, by the SHA-256 of their bytes.

A blob is durable before the record that names it; the same bytes are kept once. Nothing is ever
overwritten: a name is its content's digest. Does not encrypt (`sealing.py`) and does not decide
what is long.
"""

import os
import secrets
from pathlib import Path
from typing import Final

from gateway.core.canonical import digest
from gateway.evidence import disposal
from gateway.evidence.disk import private, sync_folder

BLOBS_NAME: Final = "blobs"


def blob_path(folder: Path, name: str) -> Path:
    """Return where the blob of a digest (`sha256:<hex>`) lies in an evidence folder."""
    algorithm, _, value = name.partition(":")
    return folder / BLOBS_NAME / algorithm / value[:2] / value


def put(folder: Path, data: bytes) -> str:
    """Keep the bytes, durable when this returns, and return their digest.

    Raises:
        OSError: they are not kept.
    """
    name = digest(data)
    path = blob_path(folder, name)
    parents = list(path.parents[: path.parents.index(folder)])
    for parent in reversed(parents):
        parent.mkdir(mode=0o700, exist_ok=True)
    if not disposal.rely(path):
        # A name of its own: two calls may keep the same bytes at the same time.
        part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        with open(part, "xb", opener=private) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A crash here leaves a `.part` file that no record names.
        part.rename(path)
    # Also for what is there already: whoever put it there may not have come so far.
    for parent in [*parents, folder]:
        sync_folder(parent)
    return name
