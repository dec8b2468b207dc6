"""The policy engine's own process: one regorus engine, one thread, one request at a time.

Run by `gateway.policy.embedded` as `python -I -m gateway.policy.child` with an empty environment.
Frames on stdin and stdout are a 4-byte big-endian length and that many bytes. The first frame in
is the `Load` document, answered `READY`; every later one is a decision input, answered `ANSWER` and
the engine's JSON as it is. The first byte of a frame out is its status, which no policy and no
input can write, so an error is never taken for an answer. An engine that cannot read an input
does not evaluate at all: the input before it is never decided on twice.
Ends when stdin ends or its parent dies. Does not judge answers, keep time or open anything: the
parent refuses, limits and kills.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, Final, TypedDict

import regorus  # type: ignore[import-untyped]

LENGTH_BYTES: Final = 4

READY: Final = b"R"
"""Policies and data are loaded."""
ANSWER: Final = b"A"
"""The rest is the rule's value as JSON; an undefined rule is the JSON string `<undefined>`."""
ERROR: Final = b"E"
"""No answer; the rest is the type name of the exception. The engine can go on."""
BROKEN: Final = b"X"
"""As `ERROR`, but the engine panicked and this process ends."""

_MAX_OPEN_FILES: Final = 16
_MAX_ERROR_TEXT: Final = 400
_PR_SET_PDEATHSIG: Final = 1


class Load(TypedDict):
    """The first frame, as JSON: what to decide with."""

    policies: list[tuple[str, str]]
    """(path, Rego source)."""
    data: str
    """A JSON object, as text."""
    rule: str
    """Path of the one rule that is asked, `data.….decision`."""


def serve(requests: BinaryIO, answers: int) -> None:
    """Answer frames from `requests` on the descriptor `answers` until either of them ends."""
    first = _read_frame(requests)
    if first is None:
        return
    load: Load = json.loads(first)
    engine = regorus.Engine()
    answer = _attempt(_load, engine, load)
    _write_frame(answers, answer)
    while not answer.startswith(BROKEN) and (document := _read_frame(requests)) is not None:
        answer = _attempt(_decide, engine, load["rule"], document)
        _write_frame(answers, answer)


def _load(engine: regorus.Engine, load: Load) -> bytes:
    for path, source in load["policies"]:
        engine.add_policy(path, source)
    engine.add_data_json(load["data"])
    return READY


def _decide(engine: regorus.Engine, rule: str, document: bytes) -> bytes:
    engine.set_input_json(document.decode())
    answer: str = engine.eval_rule_as_json(rule)
    return ANSWER + answer.encode()


def _attempt(call: Callable[..., bytes], *arguments: Any) -> bytes:
    """Return what `call` answers, or the type name of what it raised: never more than that."""
    try:
        return call(*arguments)
    except BaseException as exc:  # noqa: B036  regorus' PanicException is no Exception
        # The text may quote policy, so it goes to the log only; the native backtrace says nothing.
        text = " ".join(str(exc).partition("\nStack backtrace:")[0].split())
        sys.stderr.write(f"{type(exc).__name__}: {text[:_MAX_ERROR_TEXT]}\n")
        sys.stderr.flush()
        status = ERROR if isinstance(exc, Exception) else BROKEN
        return status + type(exc).__name__.encode()


def _read_frame(source: BinaryIO) -> bytes | None:
    """Return the next frame; None when the parent has closed or died, also in mid-frame."""
    header = source.read(LENGTH_BYTES)
    if len(header) < LENGTH_BYTES:
        return None
    size = int.from_bytes(header, "big")
    frame = source.read(size)
    return frame if len(frame) == size else None


def _write_frame(target: int, frame: bytes) -> None:
    rest = memoryview(len(frame).to_bytes(LENGTH_BYTES, "big") + frame)
    while rest:
        rest = rest[os.write(target, rest) :]


def _confine() -> None:
    """Give up what an evaluator does not need; die with the parent."""
    if sys.platform == "linux":
        # Fires when the parent's thread ends, however it ends. Should that have happened already,
        # stdin is at its end.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Stopping is the parent's business: it may still have calls to decide while it drains.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold policy and inputs
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))


def main() -> None:
    """Serve on stdin and stdout; whatever else prints to stdout lands on stderr."""
    _confine()
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        serve(sys.stdin.buffer, answers)
    except BrokenPipeError:
        pass  # the parent is gone


if __name__ == "__main__":
    main()
