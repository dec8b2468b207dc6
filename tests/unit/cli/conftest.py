"""What the tests of this folder share: the whole command line, run in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.cli.main import main


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    status: Any
    out: str
    err: str


CommandLine = Callable[..., Done]


@pytest.fixture
def bailiwick(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Return a function that runs `bailiwick` with these arguments."""

    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Done(ended.value.code or 0, *capsys.readouterr())

    return run
