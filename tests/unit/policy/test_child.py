"""The policy engine's process, spoken to over its own pipes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.policy import child, process
from tests.fakes_policy import TINY_POLICY, ask

LOAD = {
    "policies": [["tiny.rego", TINY_POLICY]],
    "data": '{"environment": "test"}',
    "rule": "data.bailiwick.decision",
}


class Driver:
    """The parent's side of the pipes, blocking."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-m", "gateway.policy.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
        )

    def ask(self, frame: bytes) -> bytes:
        """Send a frame and return the one that comes back."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(len(frame).to_bytes(4, "big") + frame)
        self.process.stdin.flush()
        size = int.from_bytes(self.process.stdout.read(4), "big")
        return self.process.stdout.read(size)

    def load(self, **changes: object) -> bytes:
        """Send the first frame."""
        return self.ask(json.dumps({**LOAD, **changes}).encode())

    def end(self) -> tuple[bytes, bytes, int]:
        """Close stdin; return what was left on stdout and stderr, and the exit status."""
        left, log = self.process.communicate(timeout=10)
        return left, log, self.process.returncode


@pytest.fixture
def driver() -> Iterator[Driver]:
    """Give a child that has loaded nothing yet."""
    driver = Driver()
    with driver.process:
        yield driver
        driver.process.kill()


def test_a_loaded_child_answers_with_the_rules_value(driver: Driver) -> None:
    """House: status byte, then the engine's JSON as it is."""
    assert driver.load() == b"R"
    answer = driver.ask(ask("permit"))
    assert answer[:1] == b"A"
    assert json.loads(answer[1:])["effect"] == "permit"


def test_an_undefined_rule_is_an_answer_that_the_parent_refuses(driver: Driver) -> None:
    """House: undefined is told apart from every decision."""
    driver.load()
    assert driver.ask(ask("nothing")) == b'A"<undefined>"'


@pytest.mark.parametrize(
    "document",
    [
        ask("conflict"),
        ask("permit", number="a"),
        b'{"want": "permit"',
        b"\xff",
        b'{"want": "permit", "code": "\\ud800"}',
        b'{"want": "permit", "code": ' + b"[" * 200 + b"]" * 200 + b"}",
        b"",
    ],
    ids=["two values", "builtin error", "cut off", "not UTF-8", "half surrogate", "deep", "empty"],
)
def test_what_cannot_be_evaluated_is_an_error_and_the_next_input_is_decided_afresh(
    driver: Driver, document: bytes
) -> None:
    """House: neither the failed input nor the one before it is decided on again."""
    driver.load()
    driver.ask(ask("permit", "before"))
    status, name = (answer := driver.ask(document))[:1], answer[1:].decode()
    assert (status, name.isidentifier()) == (b"E", True)
    assert json.loads(driver.ask(ask("deny", "after"))[1:])["reasons"][0]["code"] == "after"


@pytest.mark.parametrize(
    "change",
    [{"policies": [["bad.rego", "package x\ny := "]]}, {"data": "[]"}, {"data": "{"}],
    ids=["syntax error", "data is no object", "data is no JSON"],
)
def test_what_cannot_be_loaded_is_answered_with_an_error(
    driver: Driver, change: dict[str, object]
) -> None:
    """House: a child that has not loaded never says that it is ready."""
    assert driver.load(**change) == b"ERuntimeError"


def test_the_text_of_an_error_goes_to_stderr_on_one_line_without_backtrace(driver: Driver) -> None:
    """House: error text may quote policy, and a backtrace says nothing."""
    driver.load()
    driver.ask(ask("conflict"))
    left, log, status = driver.end()
    assert (left, status) == (b"", 0)
    assert log.startswith(b"RuntimeError: ")
    assert log.count(b"\n") == 1
    assert b"backtrace" not in log


@pytest.mark.parametrize("start", [b"", b"\x00\x00", b"\x00\x00\x00\x09{"])
def test_the_end_of_stdin_ends_the_child(driver: Driver, start: bytes) -> None:
    """House: also in the middle of a frame; no child outlives its parent."""
    assert driver.process.stdin is not None
    driver.process.stdin.write(start)
    assert driver.end() == (b"", b"", 0)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_signals_meant_for_the_gateway_do_not_end_the_child(driver: Driver, stop: int) -> None:
    """House: the parent may still have calls to decide while it drains."""
    driver.load()
    driver.process.send_signal(stop)
    assert driver.ask(ask("deny"))[:1] == b"A"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_child_has_no_environment_no_core_and_few_files(driver: Driver) -> None:
    """House: the evaluator holds no secrets and leaves none behind."""
    driver.load()
    process = Path(f"/proc/{driver.process.pid}")
    limits = (process / "limits").read_text()
    # LC_CTYPE is CPython's own doing in the C locale (PEP 538); nothing of ours is there.
    names = {entry.split(b"=")[0] for entry in (process / "environ").read_bytes().split(b"\0")}
    assert names <= {b"", b"LC_CTYPE"}
    assert [line.split()[4:6] for line in limits.splitlines() if "core file" in line] == [
        ["0", "0"]
    ]
    assert [line.split()[3:5] for line in limits.splitlines() if "open files" in line] == [
        ["16", "16"]
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_printing_to_stdout_cannot_reach_the_frames(driver: Driver) -> None:
    """House: descriptor 1 is the log; only one other descriptor is the answers' pipe."""
    driver.load()
    descriptors = Path(f"/proc/{driver.process.pid}/fd")
    files = {name.name: os.readlink(name) for name in descriptors.iterdir()}
    assert files["1"] == files["2"]
    assert files["3"] not in (files["1"], files["0"])
    assert files.keys() == {"0", "1", "2", "3"}


def test_a_panic_is_answered_with_its_name_and_marked_as_final(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """House: regorus' PanicException is a BaseException, and the engine is in doubt after it."""

    class PanicException(BaseException):
        pass

    def panic() -> bytes:
        raise PanicException('"effect": "permit"')

    assert child._attempt(panic) == b"XPanicException"
    assert "permit" in capsys.readouterr().err


def test_both_ends_mean_the_same_by_a_status() -> None:
    """House: the child imports nothing of ours, so the bytes are written down twice."""
    assert (child.READY, child.ANSWER, child.ERROR) == (
        process.READY,
        process.ANSWER,
        process.ERROR,
    )
