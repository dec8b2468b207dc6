"""What looks like a secret in a text that nobody marked: shapes of credentials, random runs.

Every search is linear in the text's length: a pattern either begins with a fixed text, is bounded,
or takes what it looks at. A text without any trigger word costs a few substring searches.
Shapes follow the issuers' documentation and https://github.com/gitleaks/gitleaks.
Errs towards finding too much. Does not replace anything (`redaction.py`), and cannot find a secret
that looks like a word: the catalogue has to mark it.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

MIN_RUN: Final = 24
"""Shortest run, in characters, that is judged by its randomness."""
MIN_MIXED_BITS: Final = 3.9
"""Least Shannon entropy (bits a character) of a run of upper case,
lower case and digits. 24 random base64 characters have 4.3 ± 0.15; fewer than 1 in 100 fall below.
"""
MIN_PLAIN_BITS: Final = 3.0
"""The same for a piece of one case and digits: 24 random hex characters have 3.4 ± 0.15."""


class Span(NamedTuple):
    """Where something was found."""

    start: int
    end: int
    kind: str
    """`credential` or `entropy`."""


_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")
_ANYWHERE: Final = (
    "pass word", "pass wd", "pass phrase", "pass code", "credential", "access key", "api key",
    "private key", "secret key", "signing key", "client secret", "mcp session id",
)  # fmt: skip
"""A name with one of these anywhere in it is a secret's; a separator can stand at each blank."""
_AT_THE_END: Final = ("authorization", "cookie", "pwd", "secret", "token")
_ALONE: Final = ("auth",)
_SHOWN: Final = tuple(
    f"{word}token"
    for word in (
        "page", "progress", "max", "min", "total", "prompt", "completion", "input", "output",
        "used", "cached", "num", "thinking", "reasoning",
    )
)  # fmt: skip
"""MCP's progress tokens and the cursors of lists are chosen to be shown; others are counted."""
_FUSED: Final = tuple(words.replace(" ", "") for words in _ANYWHERE)
_NAME_NEEDLES: Final = frozenset(
    max(words.split(), key=len) for words in (*_ANYWHERE, *_AT_THE_END, *_ALONE)
)


_USUAL_NAME: Final = 64


def names_secret(name: str) -> bool:
    """Say whether a member of this name holds a secret, whatever its value looks like."""
    # The same few names come in every record; what is long is not remembered, or it could fill us.
    return _usual_name(name) if len(name) <= _USUAL_NAME else _secret_name(name)


@lru_cache(maxsize=2048)
def _usual_name(name: str) -> bool:
    return _secret_name(name)


def _secret_name(name: str) -> bool:
    plain = _SEPARATORS.sub("", name.lower()) if len(name) <= 128 else ""
    stem = plain.rstrip("0123456789").removesuffix("s")
    if stem in _ALONE or any(words in plain for words in _FUSED):
        return True
    return stem.endswith(_AT_THE_END) and not stem.endswith(_SHOWN)


class _Shape(NamedTuple):
    needles: tuple[str, ...]
    """One of these lower-case texts must occur, or the pattern is not tried."""
    pattern: re.Pattern[str]
    """Group 1, if there is one, is what is secret."""
    accepts: Callable[[str], bool] = bool


def _varied(text: str) -> bool:
    """Say whether this is no common word: it has a digit, an inner capital or a sign."""
    return not re.fullmatch(r"[A-Za-z]?[a-z]*", text)


def _jwt(text: str) -> bool:
    return "." in text


_VALUE: Final = (
    r"""(?:"((?:[^"\\\r\n]|\\.)++)|\\{1,8}"([^"\\\r\n]++)|'([^'\r\n]++)"""
    r"""|([^\s"'\\&,;<>{}\[\]()]++))"""
)
_NAME: Final = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret|token|api[_ -]?key|authorization|cookie|credential"
    r"|(?:access|account|private|secret|signing|shared)[_ -]?key|accesssignature)"
)
_SHAPES: Final = (
    _Shape(
        ("akia", "asia", "abia", "acca"),
        re.compile(r"(?<![A-Z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16,}"),
    ),
    _Shape(
        ("akia", "asia"),
        re.compile(r"(?<![A-Za-z0-9/+=])([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])"),
        lambda text: bool(re.search("[A-Z]", text) and re.search("[a-z]", text)),
    ),
    _Shape(("gh",), re.compile(r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}")),
    _Shape(("gl",), re.compile(r"gl[a-z]{2,6}-[A-Za-z0-9_-]{16,}"), _varied),
    _Shape(("xox", "xapp-"), re.compile(r"(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,}")),
    _Shape(("hooks.slack",), re.compile(r"hooks\.slack\.com/services/([A-Za-z0-9/_-]+)")),
    _Shape(
        ("aiza", "ya29.", "gocspx-"),
        re.compile(r"AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9._-]{16,}|GOCSPX-[A-Za-z0-9_-]{16,}"),
    ),
    _Shape(
        ("k_live", "k_test", "whsec_"),
        re.compile(r"(?:[srp]k_(?:live|test)|whsec)_[A-Za-z0-9+/=]{8,}"),
    ),
    _Shape(
        ("sk-",),
        re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}"),
        lambda text: bool(re.search(r"[A-Z0-9]", text)),
    ),
    _Shape(
        ("npm_", "pypi-", "dckr_", "hf_", "dop_v", "shp", "hvs."),
        re.compile(
            r"(?:npm_|dckr_pat_|dckr_oat_|hf_|dop_v1_|shp(?:at|ss|ca|pa)_|pypi-|hvs\.)"
            r"[A-Za-z0-9_-]{20,}"
        ),
    ),
    _Shape(("sg.",), re.compile(r"SG\.[A-Za-z0-9_-]{16,64}+\.[A-Za-z0-9_-]{16,}")),
    _Shape(("eyj",), re.compile(r"eyJ[A-Za-z0-9_-]{5,}+(?:\.[A-Za-z0-9_-]*+)*+"), _jwt),
    _Shape(
        ("private key",),
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[\s\S]*?"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)"
        ),
    ),
    _Shape(
        ("bearer", "basic", "dpop"),
        re.compile(r"(?i)(?:bearer|basic|dpop)[ \t]{1,8}+([A-Za-z0-9._~+/=-]{8,}+)"),
        _varied,
    ),
    _Shape(
        (
            "pass",
            "pwd",
            "secret",
            "token",
            "key",
            "authorization",
            "cookie",
            "credential",
            "accesssignature",
        ),  # fmt: skip
        re.compile(
            rf"""(?i){_NAME}s?[0-9]{{0,2}}\\{{0,8}}["']?[ \t]{{0,4}}+"""
            rf"""(?::=|=>|[:=])[ \t]{{0,4}}{_VALUE}"""
        ),
        lambda text: text.lower() not in ("bearer", "basic", "dpop", "true", "false", "null"),
    ),
    _Shape(
        ("sig=", "x-amz-", "x-goog-"),
        re.compile(
            r"(?i)(?:[?&;]sig|x-(?:amz|goog)-(?:signature|credential|security-token))="
            r"([^&\s\"'\\<>#]++)"
        ),
    ),
    _Shape(
        ("://",),
        re.compile(r"://([^\s/?#@\"'\\<>]{1,512}+@)"),
    ),
)

_RUN: Final = re.compile(rf"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_=-]{{{MIN_RUN},}}+")
_FORMS: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"  # UUID
    r"|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"  # traceparent, W3C Trace Context
    r"|(?:hmac-)?sha(?:256|384|512):[0-9a-f]{64,128}+"
    r"|spiffe://[a-z0-9._-]{1,255}+(?:/[A-Za-z0-9._/-]{0,2048}+)?+"
    r")(?![0-9A-Za-z])"
)
"""What is no secret by its form, though it is long and looks random; times are too short to be."""
_WORD: Final = re.compile(
    r"[A-Z]{0,12}[0-9]{0,8}|[0-9]{1,8}[A-Za-z]{0,2}|(?:[A-Z][a-z]++|[a-z]{2,}+)++[0-9]{0,4}|[a-z]?[0-9]*"
)
_RUN_BYTES: Final = bytes(
    0x78 if chr(code).isascii() and (chr(code).isalnum() or chr(code) in "+/_=-") else 0x20
    for code in range(256)
)
_LONG_RUN: Final = b"x" * MIN_RUN
_NEEDLES: Final = tuple(
    ({needle for shape in _SHAPES for needle in shape.needles} | _NAME_NEEDLES) - {"gh", "gl"}
)
_SHORT_NEEDLES: Final = ("gl", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_")
_ALL_NEEDLES: Final = (*_NEEDLES, *_SHORT_NEEDLES)
_MIN_TEXT: Final = 5
"""No shape fits into a shorter text than `pwd=1`."""
_MIN_NAME: Final = 16
"""No shape fits into a shorter identifier than `sk_live_` and eight characters."""


def suspicious(text: str) -> bool:
    """Say quickly whether `find` could find anything; true says nothing, false is certain."""
    if len(text) < _MIN_TEXT or (len(text) < _MIN_NAME and text.isidentifier()):
        return False
    if _has_run(text):
        return True
    lowered = text.lower()
    # A loop: this is asked of every text of every record, and a generator costs twice as much.
    for needle in _ALL_NEEDLES:
        if needle in lowered:
            return True
    return False


def find(text: str) -> list[Span]:
    """Return what looks like a secret in `text`; spans can overlap."""
    if not suspicious(text):
        return []
    lowered = text.lower()
    found = []
    for shape in _SHAPES:
        if any(needle in lowered for needle in shape.needles):
            found += list(_matches(shape, text))
    return found + list(_random_runs(text)) if _has_run(text) else found


def _matches(shape: _Shape, text: str) -> Iterator[Span]:
    for match in shape.pattern.finditer(text):
        group = match.lastindex or 0
        if shape.accepts(match[group]):
            yield Span(*match.span(group), "credential")


def _has_run(text: str) -> bool:
    return _LONG_RUN in text.encode("utf-8", "replace").translate(_RUN_BYTES)


def _random_runs(text: str) -> Iterator[Span]:
    masked = _FORMS.sub(lambda match: " " * len(match[0]), text)
    for match in _RUN.finditer(masked):
        if _random(match[0]):
            yield Span(*match.span(), "entropy")


def _random(run: str) -> bool:
    """Say whether a run looks random: no path, no name made of words, no number."""
    pieces = re.split(r"[-_/=+]+", run)
    if any(len(piece) >= MIN_RUN and _letters_and_digits(piece) for piece in pieces):
        return True
    odd = sum(len(piece) for piece in pieces if not _WORD.fullmatch(piece))
    mixed = all(re.search(kind, run) for kind in ("[A-Z]", "[a-z]", "[0-9]"))
    return mixed and 2 * odd >= len(run) and _bits(run) >= MIN_MIXED_BITS


def _letters_and_digits(piece: str) -> bool:
    """Say whether a piece mixes letters and digits as hex and base 32 do."""
    both = re.search("[A-Za-z]", piece) and re.search("[0-9]", piece)
    return bool(both) and not _WORD.fullmatch(piece) and _bits(piece) >= MIN_PLAIN_BITS


def _bits(text: str) -> float:
    """Return the Shannon entropy of a text, in bits a character."""
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)
