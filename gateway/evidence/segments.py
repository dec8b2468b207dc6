"""Segments: the files of a log, in order, and their lines one by one.

A segment is UTF-8 JSON Lines (https://jsonlines.org); a line ends at the newline byte and nowhere
else, since records hold U+2028 and U+0085 raw and text readers would cut there. Reading is
streamed: one line is in memory at a time. Does not check the chain (`chain.py`) and does not write.
"""

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from gateway.core.record import Record, decode

FORMAT: Final = "gw-1"
"""How lines are encoded: compact JSON, hashed as stored; not RFC 8785."""
MAX_LINE_BYTES: Final = 64 * 1024 * 1024
"""Longest line that is written or read, newline included; bounds the memory of every reader."""

_BLOCK: Final = 64 * 1024
_LINES: Final = re.compile(rb"[^\n]*\n|[^\n]+")
_NAME: Final = re.compile(r"seg-([0-9]{12,})\.jsonl")


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

    Raises:
        OSError: the folder cannot be read.
    """
    return sorted((p for p in folder.iterdir() if _NAME.fullmatch(p.name)), key=first_seq)


def lines(path: Path) -> Iterator[bytes]:
    """Yield the raw lines of a segment, each with its newline; the last may lack it.

    A line longer than `MAX_LINE_BYTES` comes in pieces, of which only the last has a newline.

    Raises:
        OSError: the segment cannot be read.
    """
    with path.open("rb") as file:
        yield from iter(partial(file.readline, MAX_LINE_BYTES), b"")


def lines_from_end(path: Path) -> Iterator[bytes]:
    """Yield the raw lines of a segment from its last to its first, as `lines` would.

    A line longer than `MAX_LINE_BYTES` comes in pieces, its end first.

    Raises:
        OSError: the segment cannot be read.
    """
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
