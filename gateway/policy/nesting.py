"""How deep a Rego file may nest, measured on its text before any parser sees it.

The embedded engine's parser takes twice as long for each level of brackets, and builds a tree as
deep as an expression is long: one of ten thousand links overflows the stack of the process that
reads it, which no error handling outlives. So both are bounded, in one pass over the text.
Does not parse: what it takes for a link is a link, or at worst a sign in a longer one.
"""

import re
from typing import Final

from gateway.core.errors import BundleError

MAX_NESTING: Final = 12
"""Deepest nesting of [ and {: regorus takes twice as long for each level (0.4 s at 14)."""
MAX_CHAIN: Final = 100
"""Most links (operators, dots, brackets) in a row in one expression."""

_TOKEN: Final = re.compile(
    r'"(?:\\.|[^"\\\n])*"|`[^`]*`|#[^\n]*|:=|[<>!=]=|[-+*/%&|<>=.]|[\[({\])}]|[,;:]|\n|\w+|[^\s]'
)
_LINKS: Final = frozenset("- + * / % & | < > = . <= >= != == in".split())
_OPEN: Final = frozenset("[({")
_DEEP: Final = frozenset("[{")
_CLOSE: Final = frozenset("])}")
_ENDS: Final = frozenset((",", ";", ":", ":="))


def check_nesting(path: str, text: str) -> None:
    """Refuse a file whose syntax tree would be too deep.

    Raises:
        BundleError: naming the line.
    """
    # Links so far, one count for each open bracket: their sum is what a tree can be deep.
    chains, deep, last, ended = [0], 0, "", False
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign == "\n" or sign.startswith("#"):
            ended = True
            continue
        if sign in _LINKS or sign in _OPEN:
            chains[-1] += 1
        elif sign in _ENDS or (ended and sign not in _CLOSE and last not in _LINKS):
            chains[-1] = 0
        deep += (sign in _DEEP) - (sign in ("]", "}"))
        if sign in _OPEN:
            chains.append(0)
        elif sign in _CLOSE and len(chains) > 1:
            chains.pop()
        if deep > MAX_NESTING or sum(chains) > MAX_CHAIN:
            line = text.count("\n", 0, token.start()) + 1
            what = f"nested deeper than {MAX_NESTING}"
            if deep <= MAX_NESTING:
                what = f"more than {MAX_CHAIN} operations in one expression"
            raise BundleError(f"{path}:{line}: {what}; give parts names")
        last, ended = sign, False
