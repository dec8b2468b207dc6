"""The tables of the bundle's own tests, through every engine."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.core.canonical import dumps
from gateway.core.charter import faults
from gateway.core.decision import PolicyStamp, read_decision
from gateway.core.errors import PolicyAnswerInvalid
from gateway.policy.bundle import Bundle
from tests.parity.engines import REFUSAL, Answer, Engines, Tally, running
from tests.rego.cases import CASES
from tests.rego.decisions import Document
from tests.rego.worlds import BUNDLE, WORLDS

STAMP = PolicyStamp("table", BUNDLE.revision, BUNDLE.digest, "decision-1", "sha256:0", 0)


@pytest.fixture(scope="module", params=["embedded", "golib", "opa", "cedar"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engines]:
    """Return each engine in turn, with the shipped bundle; OPA skips where there is no binary."""
    with running({request.param: BUNDLE}, tmp_path_factory.mktemp("engine")) as started:
        yield started


def expected(document: Document) -> Answer:
    """Return a row's decision as the gateway reads it."""
    try:
        return replace(read_decision(dumps(document), STAMP), policy=None)  # type: ignore[arg-type]
    except PolicyAnswerInvalid as exc:
        return f"{REFUSAL}: {exc.reason_code}"


def bundle_of(data: bytes) -> Bundle:
    """Return the shipped bundle with other data, whose faults are those that it says it has."""
    said: dict[str, Any] = json.loads(data)
    charters = said["charters"]
    return replace(
        BUNDLE,
        data=data,
        charters=charters,
        systems=said["systems"],
        faults={name: tuple(charter.get("faults", ())) for name, charter in charters.items()},
        self_tests=(),
    )


def is_loadable(bundle: Bundle) -> bool:
    """Say whether a loader could give such a bundle: what has a fault says so, and only that."""
    subjects = json.loads(bundle.data)["subjects"]
    return set(subjects.values()) <= bundle.charters.keys() and all(
        bool(faults({k: v for k, v in charter.items() if k != "faults"}, bundle.systems))
        <= bool(bundle.faults[name])
        for name, charter in bundle.charters.items()
    )


def test_switching_the_engine_changes_no_decision_of_the_table(engine: Engines) -> None:
    """Issue: `policy.engine` changes no decision in the example bundle's whole test table."""
    (name,) = engine.points
    answers = {case.name: engine.ask(case.document)[name] for case in CASES}
    assert answers == {case.name: expected(case.expected) for case in CASES}


def test_other_charters_are_decided_alike_in_process(tmp_path: Path) -> None:
    """Issue: every row through OPA, and through Cedar where a loader would pass the charter.

    That regorus and the OPA binary give the same answers is tested beside the table.
    """
    by_data: dict[bytes, list[Any]] = {}
    for row in WORLDS:
        by_data.setdefault(row.data, []).append(row)
    compared = 0
    for data, rows in by_data.items():
        bundle = bundle_of(data)
        names = ["golib", "cedar"] if is_loadable(bundle) else ["golib"]
        with running(dict.fromkeys(names, bundle), tmp_path) as engines:
            for row in rows:
                answers = engines.ask(row.document)
                assert answers["golib"] == expected(row.expected), row.name
                Tally(bundle).judge(row.document, answers)
                compared += "cedar" in answers
    assert compared > len(WORLDS) / 2
