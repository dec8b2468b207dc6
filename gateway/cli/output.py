r"""What every command says, and how: results on stdout, everything else on stderr.

Text that others wrote (records, charters, bundles, messages) is plain text here: no markup in it
is obeyed, and no character that a terminal obeys or hides reaches one; each is shown as `\u….`
Colour, and cells broken to its width, appear on a terminal; in a pipe a row is a line of plain
text. Does not know any command.
"""

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gateway.core.canonical import dumps

OUT: Final = Console(highlight=False, soft_wrap=True)
ERR: Final = Console(stderr=True, highlight=False, soft_wrap=True)

COLOURS: Final = {
    "permit": "green",
    "intent": "green",
    "completed": "green",
    "sound": "green",
    "deny": "red",
    "refusal": "red",
    "damaged": "red",
    "hold": "yellow",
    "orphaned": "yellow",
    "abandoned": "yellow",
    "upstream_failed": "red",
}

_WHOLE: Final = ("seq", "time", "kind", "call id", "segment")
"""Columns that are never broken: what is copied from them must be one word."""


def printable(text: str) -> str:
    r"""Return `text` with every control, format, private or unassigned character as `\u….`.

    The spelling is JSON's (UTF-16 units), so that JSON text stays JSON of the same value.
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    category = unicodedata.category(character)
    # Cc, Cf, Cs, Co, and Cn: unassigned ones are often invisible, and may get any meaning.
    if category[0] != "C" and category not in ("Zl", "Zp"):
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def foreign(text: str, style: str = "") -> Text:
    """Return text that others wrote as plain text; every cell, sentence and note goes through."""
    return Text(printable(text), style=style)


def coloured(word: str, meaning: str | None = None) -> Text:
    """Return a word in the colour of its meaning, which is the word itself if none is given."""
    return foreign(word, COLOURS.get(meaning or word, ""))


def counted(number: int, noun: str) -> str:
    """Return a number and its noun: `1 record`, `2 records`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def say(*parts: str | Text, style: str = "") -> None:
    """Write one line of the result."""
    OUT.print(Text.assemble(*map(_plain, parts), style=style))


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Write a table in the house's style."""
    made = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    for row in rows:
        made.add_row(*map(_plain, row))
    if OUT.is_terminal:
        OUT.print(made)
    else:
        _row_a_line(made)


def _row_a_line(made: Table) -> None:
    """Write a table for what reads a pipe: no cell is broken, however wide the table gets."""
    most = OUT.options.update(max_width=sys.maxsize)
    whole = OUT.options.update(width=max(1, Measurement.get(OUT, most, made).maximum))
    for line in OUT.render_lines(made, whole, pad=False):
        OUT.out("".join(segment.text for segment in line).rstrip(), highlight=False)


def observed(effect: str, outside: str) -> str:
    """Return what observe mode made of an answer that would have been `outside` without it."""
    if effect != outside:
        return f"observe mode: let through; outside it, {outside}"
    if effect == "permit":
        return "observe mode: permitted without it, too"
    return f"observe mode: no reason to let it through; {outside} as without it"


def as_json(document: Any) -> None:
    """Write a document for machines, on one line."""
    OUT.out(printable(dumps(document).decode("utf-8")), highlight=False)


def as_indented_json(document: Any) -> None:
    """Write a document as JSON that people can read."""
    lines = json.dumps(document, indent=2, ensure_ascii=False).split("\n")
    OUT.print(JSONHighlighter()(Text("\n".join(map(printable, lines)))))


def note(message: str) -> None:
    """Say something to the person, on stderr."""
    ERR.print(foreign(f"bailiwick: {message}"))


def _plain(part: str | Text) -> Text:
    return foreign(part) if isinstance(part, str) else part
