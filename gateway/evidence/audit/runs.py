"""Runs: where one may begin and end, what a crash tore off, and what a start took over.

After a `stop`, and at the beginning of a log, only a `start` may follow (a rotation's `seal` and
`segment` may come between): whatever else stands there was written by no gateway. What a crash tore
off is named by SHA-256 (FIPS 180-4, https://csrc.nist.gov/pubs/fips/180-4/upd1/final). Does not
know what the segment before came to (`sum.py`).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.evidence.audit.fault import Faulty
from gateway.evidence.audit.files import digest_of
from gateway.evidence.audit.state import UNKNOWN, State

_TORN: Final = re.compile(r"torn-[0-9]{12,}-[0-9]+-[0-9]+\.bin")
_UNTOLD: Final = ".untold"
"""Ends the name of such a file until its record is durable; a crash may leave it so."""
_BETWEEN: Final = ("segment", "seal")
_SENTENCES: Final = {
    "start_missing": "the log does not begin with a start",
    "record_after_stop": "a {kind} follows a stop, where only a start may",
}


def await_start(state: State, kind: str) -> None:
    """Check a record where `state.awaited` says that only a `start` may follow.

    Raises:
        Faulty: `start_missing` or `record_after_stop`.
    """
    if kind in _BETWEEN:
        return
    code, state.awaited = state.awaited, ""
    if code == UNKNOWN:
        state.opening = kind, state.seq, state.line
    elif kind != "start":
        raise state.fault(code, why_awaited(code, kind))


def why_awaited(code: str, kind: str) -> str:
    """Return the sentence of such a fault."""
    return _SENTENCES[code].format(kind=kind)


def stop(state: State, _: Mapping[str, Any]) -> None:
    """Nothing but a start may follow a stop."""
    state.awaited = "record_after_stop"


def start(state: State, fields: Mapping[str, Any]) -> None:
    """A start says which records it took over, `from` to before `to`, that nobody had signed."""
    adopted = fields.get("adopted")
    if adopted is None:
        return
    begin, end = map(adopted.get, ("from", "to")) if isinstance(adopted, Mapping) else (-1, -1)
    if type(begin) is not int or type(end) is not int or not 0 <= begin < end <= state.seq:
        raise state.fault("start_malformed", "the start does not say which records it took over")
    sentence = (
        f"records {begin} to {end - 1} were taken over after a crash, no signature covered them"
    )
    state.tell("records_adopted", sentence)


def gap(state: State, fields: Mapping[str, Any]) -> None:
    """What a crash tore off is told; the file that keeps it must be what it was."""
    file, number = fields.get("file"), fields.get("bytes")
    named = isinstance(file, str) and _TORN.fullmatch(file)
    if not named or type(number) is not int or not isinstance(fields.get("digest"), str):
        raise state.fault("gap_malformed", "the record of a gap does not say of what")
    state.tell("gap", f"a crash tore {number} bytes off, kept in {file}")
    found = _digest(state.folder, str(file))
    if found is None:
        state.tell("gap_file_missing", f"{file} is missing: what a crash tore off cannot be seen")
    elif found != fields["digest"]:
        raise _damaged(state, str(file))


def _digest(folder: Path, file: str) -> str | None:
    for name in (file, file + _UNTOLD):
        try:
            return digest_of(folder / name)
        except FileNotFoundError:
            continue
    return None


def _damaged(state: State, file: str) -> Faulty:
    return state.fault("gap_file_damaged", f"{file} is not what a crash tore off: it was changed")
