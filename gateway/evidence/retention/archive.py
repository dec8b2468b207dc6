"""A sealed segment becomes a compressed one, and no crash loses a byte of it.

Order: compress into a `.part`, sync, read back and compare, rename, record (`archive`), and only
then unlink the raw file. Both files may lie there after a crash; the raw one counts until then, and
`settle` goes on where it stopped. zstd: RFC 8878, https://www.rfc-editor.org/rfc/rfc8878. Memory
is flat. Does not choose segments, and does not ship or delete them (`retention.py`).
"""

import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from anyio.to_thread import run_sync
from backports import zstd

from gateway.core.errors import VerificationError
from gateway.core.record import Receipt, Record, decode
from gateway.evidence.disk import private, sync_folder
from gateway.evidence.segments import COMPRESSED, lines_from_end, opened

LEVEL: Final = 3
"""Most of the ratio at little of the cost; a higher level saves a few percent more."""
_PIECE: Final = 1024 * 1024

Append = Callable[[str, Mapping[str, Any]], Awaitable[Receipt]]
"""`EvidenceLog.append`: only the gateway's writer may say what becomes of a segment."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """A compressed segment, as its record names it."""

    digest: str
    """`sha256:<hex>` of the bytes of the compressed file."""
    bytes: int


class Files:
    """What is done to the files of segments; each step is durable when it returns."""

    def compress(self, raw: Path, part: Path) -> str:
        """Compress one file into another, and return the digest of what was read."""
        hashed, squeezer = hashlib.sha256(), zstd.ZstdCompressor(level=LEVEL)
        with raw.open("rb") as source, open(part, "wb", opener=private) as target:
            while piece := source.read(_PIECE):
                hashed.update(piece)
                target.write(squeezer.compress(piece))
            target.write(squeezer.flush())
            target.flush()
            os.fsync(target.fileno())
        return f"sha256:{hashed.hexdigest()}"

    def rename(self, part: Path, final: Path) -> None:
        """Give a finished file its name."""
        part.rename(final)
        sync_folder(final.parent)

    def unlink(self, path: Path) -> None:
        """Remove a file that is not needed any more; one that is gone already is fine."""
        path.unlink(missing_ok=True)
        sync_folder(path.parent)


def compressed_path(raw: Path) -> Path:
    """Return where the compressed form of a raw segment lies."""
    return raw.with_name(raw.name + COMPRESSED)


def seal_of(path: Path) -> Record | None:
    """Return the `seal` record that ends a raw segment, None if it is not complete."""
    last = next(lines_from_end(path), b"")
    if not last.endswith(b"\n"):
        return None
    record = decode(last[:-1])
    return record if record.kind == "seal" else None


def make(raw: Path, files: Files) -> Compressed:
    """Make the compressed form of a raw segment, or take the one that a crash left.

    Raises:
        VerificationError: what was written does not read back (`archive_damaged`).
        OSError: the disk does not take it, or cannot read the segment.
    """
    final = compressed_path(raw)
    if final.exists():
        if _raw_digest(final) == _raw_digest(raw):
            return describe(final)
        files.unlink(final)
        # A crash here leaves the raw segment alone: it is compressed anew.
    part = final.with_name(final.name + ".part")
    expected = files.compress(raw, part)
    # A crash here, or before, leaves a `.part` file, which the next try overwrites.
    if _raw_digest(part, compressed=True) != expected:
        raise VerificationError(
            f"{raw.name}: its compressed form does not read back", code="archive_damaged"
        )
    files.rename(part, final)
    # A crash here leaves both forms and no record: the next try compares them and goes on.
    return describe(final)


async def settle(
    raw: Path, made: Compressed, append: Append | None, fields: Mapping[str, Any], files: Files
) -> None:
    """Record that a segment is compressed, then let its raw form go.

    Args:
        raw: the raw segment.
        made: its compressed form, which is durable.
        append: None if the record is in the log already.
        fields: the times of the record.
        files: how the file is unlinked.

    Raises:
        EvidenceUnavailable: it could not be recorded; both forms stay.
    """
    if append is not None:
        await append("archive", {**fields, **archive_fields(raw.name, "compressed", made)})
    # A crash here leaves both forms and the record: the next start unlinks the raw one.
    await run_sync(files.unlink, raw)
    # A crash here leaves what is meant to be: the compressed form and its record.


def archive_fields(
    segment: str,
    action: str,
    made: Compressed,
    *,
    store: str | None = None,
    covered_by: int | None = None,
) -> dict[str, Any]:
    """Return the fields of an `archive` record (docs/evidence.md)."""
    return {
        "segment": segment,
        "action": action,
        "digest": made.digest,
        "bytes": made.bytes,
        "store": store,
        "covered_by": covered_by,
    }


def describe(path: Path) -> Compressed:
    """Return the digest and the size of a file, read now."""
    with path.open("rb") as file:
        hashed = hashlib.file_digest(file, "sha256")
        return Compressed(f"sha256:{hashed.hexdigest()}", file.tell())


def _raw_digest(path: Path, *, compressed: bool = False) -> str | None:
    """Return the digest of a segment's raw bytes, None if its compressed form is broken."""
    hashed = hashlib.sha256()
    try:
        with zstd.open(path, "rb") if compressed else opened(path) as file:
            while piece := file.read(_PIECE):
                hashed.update(piece)
    except (zstd.ZstdError, EOFError):
        return None
    except OSError:
        # A compressed form that does not decompress is an OSError too; a raw one is never doubted.
        if path.suffix == COMPRESSED:
            return None
        raise
    return f"sha256:{hashed.hexdigest()}"
