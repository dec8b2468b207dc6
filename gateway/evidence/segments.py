"""Segments: the files of a log, in order, and their lines one by one.

A segment is UTF-8 JSON Lines (https://jsonlines.org); a line ends at the newline byte and nowhere
else, since records hold U+2028 and U+0085 raw and text readers would cut there. A sealed one may be
compressed (zstd, RFC 8878) and reads the same. Reading is streamed: one line is in memory at a
time. Does not check the chain (`chain.py`) and does not write.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, cast

from backports import zstd

from gateway.core.record import Record, decode

FORMAT: Final = "gw-1"
"""How lines are encoded: compact JSON, hashed as stored; not RFC 8785."""
MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Longest line that is written or read, newline included; bounds the memory of every reader."""

_BLOCK: Final = 64 * 1024
_LINES: Final = re.compile(rb"[^\n]*\n|[^\n]+")
_NAME: Final = re.compile(r"seg-([0-9]{12,})\.jsonl(?:\.zst)?")
COMPRESSED: Final = ".zst"
"""What the name of a compressed segment ends with."""


def name(first_seq: int) -> str:
    """Return the file name of the segment whose first record has this seq."""
    return f"seg-{first_seq:012d}.jsonl"


def first_seq(path: Path) -> int:
    """Return the seq that the name of a segment promises for its first record.

    Raises:
        ValueError: it is not the name of a segment.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path.name} is not the name of a segment")
    return int(match[1])


def segments(folder: Path) -> list[Path]:
    """Return the segments of a log, oldest first; other files in the folder are none of it.

    Where a segment lies there raw and compressed, the raw one counts: a crash fell between the two.

    Raises:
        OSError: the folder cannot be read.
    """
    found: dict[int, Path] = {}
    # The raw name sorts first.
    for path in sorted(p for p in folder.iterdir() if _NAME.fullmatch(p.name)):
        found.setdefault(first_seq(path), path)
    return [found[seq] for seq in sorted(found)]


def is_compressed(path: Path) -> bool:
    """Say whether a segment is compressed."""
    return path.suffix == COMPRESSED


def _found(path: Path) -> Path:
    """Return where a segment lies now: it may have been compressed since it was listed."""
    compressed = path.with_name(path.name + COMPRESSED)
    return compressed if not path.exists() and compressed.exists() else path


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a segment for reading its raw bytes, whether it is compressed or not.

    Raises:
        OSError: the segment cannot be read; a compressed one that does not decompress included.
    """
    path = _found(path)
    try:
        with zstd.open(path, "rb") if is_compressed(path) else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except (zstd.ZstdError, EOFError) as exc:
        raise OSError(errno.EIO, "cannot be decompressed", str(path)) from exc


def lines(path: Path) -> Iterator[bytes]:
    """Yield the raw lines of a segment, each with its newline; the last may lack it.

    A line longer than `MAX_LINE_BYTES` comes in pieces, of which only the last has a newline.

    Raises:
        OSError: the segment cannot be read.
    """
    with opened(path) as file:
        yield from iter(partial(file.readline, MAX_LINE_BYTES), b"")


def lines_from_end(path: Path) -> Iterator[bytes]:
    """Yield the raw lines of a segment from its last to its first, as `lines` would.

    A line longer than `MAX_LINE_BYTES` comes in pieces, its end first.

    Raises:
        OSError: the segment cannot be read.
    """
    path = _found(path)
    if is_compressed(path):
        # Without a way to read a stream from its end, a compressed segment is read whole.
        yield from reversed(list(lines(path)))
        return
    with path.open("rb") as file:
        start, step, rest = file.seek(0, os.SEEK_END), _BLOCK, b""
        while start > 0:
            step = min(step, start)
            start -= step
            file.seek(start)
            rest, *whole = _LINES.findall(file.read(step) + rest) or [b""]
            yield from reversed(whole)
            # Twice as much for a line that has not begun yet: long ones are not copied over again.
            step = _BLOCK if whole else 2 * step
            if len(rest) >= MAX_LINE_BYTES:
                yield rest
                rest = b""
        if rest:
            yield rest


def records(folder: Path) -> Iterator[Record]:
    """Yield every whole record of a log, oldest first, without checking how they are linked.

    A last line without newline is still being written, or torn, and is left out.

    Raises:
        VerificationError: a line is not a record (`record_unreadable`).
        OSError: the log cannot be read.
    """
    for path in segments(folder):
        for raw in lines(path):
            if raw.endswith(b"\n"):
                yield decode(raw[:-1])
