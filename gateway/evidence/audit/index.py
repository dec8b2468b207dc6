"""Checkpoints as files hold them: an index of all of them by size.

Four kinds of file speak of one log: its own `checkpoints.jsonl`; its `anchored.jsonl`; files of
anchors and witnesses, kept elsewhere; and the checkpoint that an auditor remembers. Each holds a
JSON object with the member `note` a line; those from elsewhere may also hold notes as they are
(https://c2sp.org/signed-note). The index holds 24 bytes a checkpoint; a note is read again when the
log has come to its size. Does not read the log and does not check signatures (`heads.py`).
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Final

from gateway.core.canonical import parse_object
from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import MalformedMessage, VerificationError
from gateway.core.note import COSIGNATURE, Note, VerifierKey
from gateway.evidence.audit.fault import Faulty, faulty
from gateway.evidence.report import Fault, Notice

MAX_LINE_BYTES: Final = 2_000_000
"""Longest line, or note, of such a file that is read; twice the longest note."""
OWN, ANCHORED, ANCHOR, REMEMBERED = "checkpoints", "anchored", "anchor", "remembered"
"""Kinds of file."""
_SIGNATURE: Final = "— ".encode()

Claim = tuple[int, int, int, int]
"""Size, number of the source, offset and length there."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What an auditor knows from elsewhere.

    Raises:
        VerificationError: a witness's key is of another type (`key_malformed`): with that of the
            log itself, every checkpoint would count as seen by a witness.
    """

    keys: tuple[VerifierKey, ...] = ()
    """Keys of the log, of any epoch; without one, anybody could have written it."""
    anchors: tuple[Path, ...] = ()
    """Files of checkpoints that were kept elsewhere."""
    witness_keys: tuple[VerifierKey, ...] = ()
    """Keys of witnesses (cosignature/v1, https://c2sp.org/tlog-cosignature)."""
    remembered: str | None = None
    """The checkpoint that the last verification saw, as it was signed."""

    def __post_init__(self) -> None:
        for key in self.witness_keys:
            if key.algorithm != COSIGNATURE:
                raise VerificationError(
                    f"the key of {key.name} is not one of a witness (cosignature/v1)",
                    code="key_malformed",
                )


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
            return note_of(file.read(length))


@dataclass(slots=True)
class _Column:
    """The checkpoints of one source, smallest first once `sort` was called."""

    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    places: "array[int]" = field(default_factory=lambda: array("q"))
    """Offset and length of each."""
    ordered: bool = True

    def add(self, size: int, offset: int, length: int) -> None:
        self.ordered = self.ordered and (not self.sizes or self.sizes[-1] <= size)
        self.sizes.append(size)
        self.places.extend((offset, length))

    def sort(self) -> None:
        """Put the sizes in order, if they are not: as a log writes them, they are."""
        if not self.ordered:
            sizes, places = self.sizes, self.places
            order = sorted(range(len(sizes)), key=sizes.__getitem__)
            self.sizes = array("q", (sizes[at] for at in order))
            self.places = array("q", (places[2 * at + n] for at in order for n in range(2)))


@dataclass(slots=True)
class Index:
    """Every checkpoint that was found."""

    sources: list[Source] = field(default_factory=list)
    _columns: list[_Column] = field(default_factory=list)
    """Of each source."""
    notices: list[Notice] = field(default_factory=list)
    fault: Fault | None = None
    """The first thing wrong with a file; what follows there is not in the index."""

    def begin(self, source: Source) -> None:
        """Take the checkpoints to come from this source."""
        self.sources.append(source)
        self._columns.append(_Column())

    def add(self, size: int, offset: int, length: int) -> None:
        """Add one checkpoint of the newest source."""
        self._columns[-1].add(size, offset, length)

    def sort(self) -> None:
        """Put the checkpoints in the order of their sizes; before any of the following."""
        for column in self._columns:
            column.sort()

    def between(self, after: int, last: int | None) -> list[Claim]:
        """Return the checkpoints larger than `after` and, if `last` is given, no larger than it.

        They come in the order of sizes, those of one size in the order of their sources.
        """
        claims = []
        for number, column in enumerate(self._columns):
            sizes, places = column.sizes, column.places
            end = len(sizes) if last is None else bisect_right(sizes, last)
            for n in range(bisect_right(sizes, after), end):
                claims.append((sizes[n], number, places[2 * n], places[2 * n + 1]))
        return sorted(claims, key=itemgetter(0))

    def count_up_to(self, size: int) -> int:
        """Return the number of checkpoints no larger than `size`."""
        return sum(bisect_right(column.sizes, size) for column in self._columns)


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
        found.begin(Source(kind, path.name, path))
        try:
            _read(found, path, kind, origin)
        except Faulty as exc:
            found.fault = found.fault or exc.fault
    if trust.remembered is not None:
        size = _size(trust.remembered)[1]
        found.begin(Source(REMEMBERED, "the remembered checkpoint", None, trust.remembered))
        found.add(size, 0, 0)
    found.sort()
    return found


def _read(found: Index, path: Path, kind: str, origin: str | None) -> None:
    newest, count, foreign, ours = 0, 0, 0, kind in (OWN, ANCHORED)
    for number, offset, raw in _lines(path) if ours else _notes(path):
        if ours and not raw.endswith(b"\n") and len(raw) < MAX_LINE_BYTES:
            sentence = f"the last line of {path.name} is unfinished and was not read"
            found.notices.append(Notice("checkpoint_torn", newest, sentence))
            return
        try:
            name, size = _size(note_of(raw))
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
        found.add(size, offset, len(raw))
    if foreign and not count:
        sentence = f"{path.name} is not about this log ({origin})"
        raise faulty("checkpoint_origin", 0, path, 1, sentence)
    if foreign:
        sentence = f"{path.name}: {foreign} checkpoints of other logs were passed over"
        found.notices.append(Notice("foreign_checkpoints", 0, sentence))


def _size(note: str) -> tuple[str, int]:
    head = Checkpoint.parse(Note.parse(note).text)
    return head.origin, head.size


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield each line with its number and its offset; one that is too long ends in its middle."""
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(iter(partial(file.readline, MAX_LINE_BYTES), b""), 1):
            yield number, offset, line
            offset += len(line)


def _notes(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield each line of JSON, or each note, with its first line's number and its offset.

    A note goes on to its last signature (no line of a checkpoint looks like one); a line of JSON is
    one by itself. What is too long is the last that is read.
    """
    held = bytearray()
    begun, begin, whole = 1, 0, False
    for number, offset, line in _lines(path):
        signature = line.startswith(_SIGNATURE)
        if whole and not signature:
            yield begun, begin, bytes(held)
            held, begun, begin = bytearray(), number, offset
        whole = signature or (not held and line.startswith(b"{"))
        held += line
        if len(held) > MAX_LINE_BYTES:
            break
    if held:
        yield begun, begin, bytes(held)


def note_of(raw: bytes) -> str:
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
