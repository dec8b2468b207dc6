"""The engines that parity is tested over, each started once for the tests that share it."""

import os
from collections.abc import Iterator

import pytest

from tests.opa_binary import find_opa
from tests.parity.engines import Engines, running
from tests.parity.worlds import World, world


@pytest.fixture(scope="module", params=[1, 2], ids=["first world", "second world"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a generated world."""
    return world(request.param, tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def engines(made: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Return every engine there is; without the OPA binary the others still run."""
    names = ["embedded", "golib", "cedar"]
    if find_opa() or os.environ.get("CI") == "true":
        names.append("opa")
    bundles = dict.fromkeys(names, made.bundle)
    with running(bundles, tmp_path_factory.mktemp("engines")) as started:
        yield started
