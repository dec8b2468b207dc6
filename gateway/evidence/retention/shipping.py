"""What goes into a store with a segment: its blobs, the checkpoints that vouch for it, then itself.

So a segment that lies in a store can be checked there. Every name in a store stands for the same
bytes for ever: a part of `checkpoints.jsonl` is cut where the segment is cut, a confirmation is
named by its digest. Everything is read back before it counts. Used in threads. Does not record
what it did and does not delete (`retention.py`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gateway.core.canonical import digest as digest_of
from gateway.core.canonical import parse_object
from gateway.core.errors import MalformedMessage
from gateway.evidence.anchoring.anchored import ANCHORED_NAME
from gateway.evidence.anchoring.durable import whole_lines
from gateway.evidence.blobs import BLOBS_NAME, blob_path
from gateway.evidence.disk import private
from gateway.evidence.heads import CHECKPOINTS_NAME
from gateway.evidence.retention.archive import Compressed
from gateway.evidence.retention.stores import Store, StoreError
from gateway.evidence.segments import first_seq

_PART: Final = "shipping.part"


def ship(
    folder: Path, store: Store, path: Path, made: Compressed, next_seq: int, blobs: Iterable[str]
) -> None:
    """Put a compressed segment, and what belongs to it, into a store, and read it all back.

    Args:
        folder: the log's folder.
        store: where to.
        path: the compressed segment.
        made: as it is recorded.
        next_seq: the seq after its seal.
        blobs: digests that its records name.

    Raises:
        StoreError: something is not there; `checkpoint_missing` if none covers the segment yet.
    """
    for digest in sorted(blobs):
        _ship_blob(folder, store, digest)
    name = f"checkpoints-{next_seq}.jsonl"
    _put_bytes(folder, store, name, _checkpoints(folder, first_seq(path), next_seq))
    store.put(path.name, path, made.digest)
    verify(store, path.name, made.digest)


def ship_confirmation(folder: Path, store: Store, next_seq: int) -> int | None:
    """Put the newest confirmation that covers a segment into a store, and return its size.

    None if `anchored.jsonl` holds none: then nothing proves that the segment is anchored.

    Raises:
        StoreError: it is not there.
    """
    for raw in whole_lines(folder / ANCHORED_NAME):
        if (size := _size(raw)) >= next_seq:
            digest = digest_of(raw)
            _put_bytes(folder, store, f"anchored-{size}-{digest[7:23]}.jsonl", raw)
            return size
    return None


def verify(store: Store, name: str, digest: str) -> None:
    """Read a file back from a store and compare.

    Raises:
        StoreError: it is not there (`store_lost`), or is not what it was (`store_conflict`).
    """
    found = store.digest(name)
    if found is None:
        raise StoreError(f"{store.name}/{name}: it is not there", code="store_lost")
    if found != digest:
        raise StoreError(
            f"{store.name}/{name}: its bytes are not those that were shipped",
            code="store_conflict",
        )


def blob_name(digest: str) -> str:
    """Return the name of a blob in a store, which is its place in the evidence folder."""
    algorithm, _, value = digest.partition(":")
    return f"{BLOBS_NAME}/{algorithm}/{value[:2]}/{value}"


def _ship_blob(folder: Path, store: Store, digest: str) -> None:
    path, name = blob_path(folder, digest), blob_name(digest)
    # One that is gone here may have been shipped with an earlier segment; else `verify` says so.
    if path.exists():
        store.put(name, path, digest)
    verify(store, name, digest)


def _checkpoints(folder: Path, first: int, next_seq: int) -> bytes:
    """Return the lines of the checkpoints within a segment, and of the first that covers it."""
    found: list[bytes] = []
    for raw in whole_lines(folder / CHECKPOINTS_NAME):
        size = _size(raw)
        if size < 0:
            raise StoreError(f"{CHECKPOINTS_NAME} is damaged", code="checkpoint_malformed")
        if size <= first:
            break
        if size >= next_seq:
            found.clear()
        found.append(raw)
    if not found or _size(found[0]) < next_seq:
        raise StoreError("no checkpoint covers the segment yet", code="checkpoint_missing")
    return b"".join(reversed(found))


def _put_bytes(folder: Path, store: Store, name: str, data: bytes) -> None:
    part = folder / _PART
    with open(part, "wb", opener=private) as file:
        file.write(data)
    try:
        store.put(name, part, digest_of(data))
    finally:
        part.unlink()
    verify(store, name, digest_of(data))


def _size(raw: bytes) -> int:
    try:
        size = parse_object(raw)["size"]
    except (MalformedMessage, KeyError):
        return -1
    return size if type(size) is int else -1
