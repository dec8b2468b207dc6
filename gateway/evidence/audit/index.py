"""Checkpoints as files hold them: an index of all of them by size.

Four kinds of file speak of one log: its own `checkpoints.jsonl`; its `anchored.jsonl`; files of
anchors and witnesses, kept elsewhere; and the checkpoint that an auditor remembers. Each holds a
JSON object with the member `note` a line, or notes as they are (https://c2sp.org/signed-note). The
index holds 32 bytes a checkpoint; a note is read again when the log has come to its size. Does not
read the log and does not check signatures (`heads.py`).
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from gateway.core.canonical import parse_object
from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import MalformedMessage, VerificationError
from gateway.core.note import Note, VerifierKey
from gateway.evidence.audit.fault import Faulty, faulty
from gateway.evidence.report import Fault, Notice

MAX_LINE_BYTES: Final = 2_000_000
"""Longest line of such a file that is read; twice the longest note."""
OWN, ANCHORED, ANCHOR, REMEMBERED = "checkpoints", "anchored", "anchor", "remembered"
"""Kinds of file."""
_SIGNATURE: Final = "— ".encode()

Claim = tuple[int, int, int, int]
"""Size, number of the source, offset and length there."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What an auditor knows from elsewhere."""

    keys: tuple[VerifierKey, ...] = ()
    """Keys of the log, of any epoch; without one, anybody could have written it."""
    anchors: tuple[Path, ...] = ()
    """Files of checkpoints that were kept elsewhere."""
    witness_keys: tuple[VerifierKey, ...] = ()
    """Keys of witnesses (cosignature/v1, https://c2sp.org/tlog-cosignature)."""
    remembered: str | None = None
    """The checkpoint that the last verification saw, as it was signed."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where notes are read from."""

    kind: str
    name: str
    path: Path | None
    text: str = ""
    """The note itself, when there is no file."""

    def read(self, offset: int, length: int) -> str:
        """Return the note at a place that the index named.

        Raises:
            VerificationError: the file has changed since (`note_malformed`).
        """
        if self.path is None:
            return self.text
        with self.path.open("rb") as file:
            file.seek(offset)
            return _note_of(file.read(length))


@dataclass(slots=True)
class Index:
    """Every checkpoint that was found, in the order of sizes once `sort` was called."""

    sources: list[Source] = field(default_factory=list)
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    _places: "array[int]" = field(default_factory=lambda: array("q"))
    notices: list[Notice] = field(default_factory=list)
    fault: Fault | None = None
    """The first thing wrong with a file; what follows there is not in the index."""

    def sort(self) -> None:
        """Put the checkpoints in the order of their sizes, those of one size as they were found."""
        sizes, places = self.sizes, self._places
        order = sorted(range(len(sizes)), key=sizes.__getitem__)
        self.sizes = array("q", (sizes[at] for at in order))
        self._places = array("q", (places[3 * at + n] for at in order for n in range(3)))

    def between(self, after: int, last: int | None) -> list[Claim]:
        """Return the checkpoints larger than `after` and, if `last` is given, no larger than it."""
        begin = bisect_right(self.sizes, after)
        end = len(self.sizes) if last is None else bisect_right(self.sizes, last)
        places = self._places
        return [
            (self.sizes[n], places[3 * n], places[3 * n + 1], places[3 * n + 2])
            for n in range(begin, end)
        ]

    def count_up_to(self, size: int) -> int:
        """Return the number of checkpoints no larger than `size`."""
        return bisect_right(self.sizes, size)

    def add(self, size: int, source: int, offset: int, length: int) -> None:
        """Add one checkpoint."""
        self.sizes.append(size)
        self._places.extend((source, offset, length))


def index(folder: Path, trust: Trust, origin: str | None) -> Index:
    """Find every checkpoint of the log in `folder` that its files and `trust` name.

    Args:
        folder: the log's folder.
        trust: what else there is.
        origin: the log's name; checkpoints of others are left out of what `trust` names.

    Raises:
        OSError: a file cannot be read; the log's own may be missing.
    """
    found = Index()
    own = ((OWN, folder / "checkpoints.jsonl"), (ANCHORED, folder / "anchored.jsonl"))
    paths = [(kind, path) for kind, path in own if path.exists()]
    paths += [(ANCHOR, path) for path in trust.anchors]
    for kind, path in paths:
        found.sources.append(Source(kind, path.name, path))
        try:
            _read(found, path, kind, origin)
        except Faulty as exc:
            found.fault = found.fault or exc.fault
    if trust.remembered is not None:
        size = _size(trust.remembered)[1]
        found.sources.append(
            Source(REMEMBERED, "the remembered checkpoint", None, trust.remembered)
        )
        found.add(size, len(found.sources) - 1, 0, 0)
    found.sort()
    return found


def _read(found: Index, path: Path, kind: str, origin: str | None) -> None:
    source, newest, count, foreign = len(found.sources) - 1, 0, 0, 0
    for number, offset, raw in _notes(path):
        if kind in (OWN, ANCHORED) and not raw.endswith(b"\n"):
            sentence = f"the last line of {path.name} is unfinished and was not read"
            found.notices.append(Notice("checkpoint_torn", newest, sentence))
            return
        try:
            name, size = _size(_note_of(raw))
        except VerificationError as exc:
            sentence = f"{path.name}, line {number}: {exc.message}"
            raise faulty("checkpoint_malformed", newest, path, number, sentence) from exc
        if kind == OWN and size < newest:
            sentence = (
                f"a checkpoint of {size} records follows one of {newest}: sizes never go back"
            )
            raise faulty("checkpoint_order", newest, path, number, sentence)
        if kind == ANCHOR and name != origin:
            foreign += 1
            continue
        newest, count = max(newest, size), count + 1
        found.add(size, source, offset, len(raw))
    if foreign and not count:
        sentence = f"{path.name} is not about this log ({origin})"
        raise faulty("checkpoint_origin", 0, path, 1, sentence)
    if foreign:
        sentence = f"{path.name}: {foreign} checkpoints of other logs were passed over"
        found.notices.append(Notice("foreign_checkpoints", 0, sentence))


def _size(note: str) -> tuple[str, int]:
    head = Checkpoint.parse(Note.parse(note).text)
    return head.origin, head.size


def _notes(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield each line of JSON, or each note, with its first line's number and its offset."""
    with path.open("rb") as file:
        held, begun, offset = b"", 1, 0
        for number, line in enumerate(iter(partial(file.readline, MAX_LINE_BYTES), b""), 1):
            # A note goes on to its last signature; a line of JSON is one by itself.
            if held and (_is_whole(held) and not line.startswith(_SIGNATURE)):
                yield begun, offset, held
                held, begun, offset = b"", number, offset + len(held)
            held += line
            if len(held) > MAX_LINE_BYTES:
                break
        if held:
            yield begun, offset, held


def _is_whole(held: bytes) -> bool:
    return held.startswith(b"{") or held.rpartition(b"\n\n")[2].startswith(_SIGNATURE)


def _note_of(raw: bytes) -> str:
    """Return the note in a line of JSON, or the note that these bytes are.

    Raises:
        VerificationError: there is none (`note_malformed`).
    """
    try:
        if not raw.startswith(b"{"):
            return raw.decode("utf-8")
        line = parse_object(raw)
        note, size = line.get("note"), line.get("size")
    except (MalformedMessage, UnicodeDecodeError) as exc:
        raise VerificationError("the line cannot be read", code="note_malformed") from exc
    if not isinstance(note, str):
        raise VerificationError("the line holds no note", code="note_malformed")
    if size is not None and note.split("\n")[1:2] != [str(size)]:
        raise VerificationError("the line names another size than its note", code="note_malformed")
    return note
