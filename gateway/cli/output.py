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


def coloured(word: str) -> Text:
    """Return a word in the colour that its meaning has."""
    return Text(word, style=COLOURS.get(word, ""))


def table(*columns: str) -> Table:
    """Return an empty table in the house's style."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def as_json(document: Any) -> None:
    """Write a document for machines, on one line."""
    OUT.out(dumps(document).decode("utf-8"))


def note(message: str) -> None:
    """Say something to the person, on stderr."""
    ERR.print(Text(f"bailiwick: {message}"))
