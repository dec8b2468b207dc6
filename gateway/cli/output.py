"""What every command says, and how: results on stdout, everything else on stderr.

Colour and tables appear on a terminal, plain text in a pipe. Does not know any command.
"""

from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.core.canonical import dumps

OUT: Final = Console(highlight=False, soft_wrap=True)
ERR: Final = Console(stderr=True, highlight=False, soft_wrap=True)

COLOURS: Final = {
    "permit": "green",
    "intent": "green",
    "completed": "green",
    "deny": "red",
    "refusal": "red",
    "hold": "yellow",
    "orphaned": "yellow",
    "abandoned": "yellow",
    "upstream_failed": "red",
}


def coloured(word: str, meaning: str | None = None) -> Text:
    """Return a word in the colour of its meaning, which is the word itself if none is given."""
    return Text(word, style=COLOURS.get(meaning or word, ""))


def table(*columns: str) -> Table:
    """Return an empty table in the house's style."""
    made = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold", no_wrap=column in ("seq", "time", "kind"))
    return made


def as_json(document: Any) -> None:
    """Write a document for machines, on one line."""
    OUT.out(dumps(document).decode("utf-8"))


def note(message: str) -> None:
    """Say something to the person, on stderr."""
    ERR.print(Text(f"bailiwick: {message}"))
