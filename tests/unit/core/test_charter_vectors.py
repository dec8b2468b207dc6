"""The charters under `tests/vectors/charters/`, and the schemas that editors use."""

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from gateway.core.charter import Fault, faults, system_faults, warnings
from gateway.core.charter_shape import BEYOND_SCHEMA, shape_faults
from gateway.core.errors import BundleError
from gateway.policy import documents

ROOT = Path(__file__).parents[3]
VECTORS = ROOT / "tests" / "vectors" / "charters"
CHARTERS = sorted(VECTORS.glob("*.yaml"))
NOW_NS = int(datetime(2026, 11, 24, 9, tzinfo=UTC).timestamp()) * 1_000_000_000
BEYOND = {*BEYOND_SCHEMA, "operation_twice"}
"""Codes of what is wrong with a shape and what no schema can see."""

FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def _instant(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value))


def schema(name: str) -> Draft202012Validator:
    """Return the schema of a kind of document."""
    text = (ROOT / "rego" / "schemas" / f"{name}.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text), format_checker=FORMATS)


SCHEMAS = {"charter": schema("charter"), "system": schema("system")}


def read(path: Path) -> documents.Document:
    """Return a vector."""
    return documents.read(path.name, path.read_text("utf-8"))


SYSTEMS = {path.stem: read(path).value for path in sorted((VECTORS / "systems").glob("*.yaml"))}
COMPLETE = read(VECTORS / "complete.yaml").value


def told(document: documents.Document, found: list[Fault]) -> list[dict[str, Any]]:
    """Return faults as the vectors hold them."""
    return [
        {"code": one.code, "line": document.line(one.path), "sentence": one.sentence}
        for one in found
    ]


@pytest.mark.parametrize("path", CHARTERS, ids=lambda path: path.stem)
def test_a_charter_has_the_faults_of_its_vector_each_with_its_line(path: Path) -> None:
    """Issue: each fault is named in one plain sentence with file and line."""
    expected = json.loads(path.with_suffix(".json").read_text("utf-8"))
    try:
        document = read(path)
    except BundleError as unreadable:
        assert {"unreadable": unreadable.message} == expected
        return
    assert {
        "faults": told(document, faults(document.value, SYSTEMS)),
        "warnings": told(document, warnings(document.value, SYSTEMS, NOW_NS)),
    } == expected


def test_there_are_at_least_ten_broken_charters() -> None:
    """Issue: ten broken charters, realistic ones."""
    broken = [
        path
        for path in CHARTERS
        if json.loads(path.with_suffix(".json").read_text("utf-8")).get("faults") != []
    ]
    assert len(broken) >= 10


def test_the_catalogue_of_the_vectors_is_sound() -> None:
    """House: what the charters are checked against has no fault of its own."""
    for name, system in SYSTEMS.items():
        assert (name, system_faults(system)) == (name, [])
        assert not list(SCHEMAS["system"].iter_errors(system))


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_the_shipped_bundle_keeps_its_own_schemas(kind: str) -> None:
    """Issue: JSON Schema for editors; what we ship is the first example of it."""
    paths = sorted((ROOT / "rego" / f"{kind}s").glob("*.yaml"))
    assert paths
    for path in paths:
        assert list(SCHEMAS[kind].iter_errors(read(path).value)) == []


@pytest.mark.parametrize("path", CHARTERS, ids=lambda path: path.stem)
def test_the_schema_refuses_exactly_the_charters_whose_shape_is_faulty(path: Path) -> None:
    """House: an editor and `charter check` say the same of a shape."""
    try:
        charter = read(path).value
    except BundleError:
        return
    agree("charter", charter)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_schemas_are_schemas_and_every_member_is_described(name: str) -> None:
    """House: an editor shows what a member means while it is typed."""
    document = SCHEMAS[name].schema
    Draft202012Validator.check_schema(document)
    for member, said in properties(document):
        described = said.get("description") or said.get("$ref") or "enum" in said
        assert said is False or described, member


def properties(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield every member that a schema names, but those of its conditions."""
    if isinstance(document, dict):
        yield from document.get("properties", {}).items()
        for name, part in document.items():
            if name not in ("if", "then", "allOf"):
                yield from properties(part)


# --- documents that somebody bent ---

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 1.5, 31_622_401]),
    st.sampled_from(["", " ", "a", "*", "a*", "a b", "all", "read", "payment", "mcp", "http"]),
    st.sampled_from(["^a$", "a?", "10.0.0.0/8", "08:00", "24:00", "2027-02-30T00:00:00Z"]),
    st.sampled_from(["unclassified", "delete", "GET /a", "GET a", "arguments", "mon"]),
    st.sampled_from([[], {}, ["read"], [1], [""], ["arguments", "arguments"], {"tools": ["a"]}]),
    st.sampled_from([{"": 1}, {"eq": 1}, {"effect": "delete", "impacts": ["deletion"]}]),
)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value of a document but the document itself."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for name, item in items:
        yield (*path, name)
        if isinstance(item, dict | list):
            yield from places(item, (*path, name))


def bent(document: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return documents that differ from this one in one or two places."""
    how = st.sampled_from(["put", "drop", "add"])
    edit = st.tuples(st.sampled_from(list(places(document))), how, ODD)

    def apply(edits: list[Any]) -> dict[str, Any]:
        made: Any = copy.deepcopy(document)
        for path, change, value in edits:
            try:
                parent = made
                for name in path[:-1]:
                    parent = parent[name]
                if change == "put":
                    parent[path[-1]] = copy.deepcopy(value)
                elif change == "drop":
                    del parent[path[-1]]
                elif isinstance(parent, dict):
                    parent["other"] = copy.deepcopy(value)
            except (LookupError, TypeError):
                continue
        return dict(made)

    return st.lists(edit, min_size=1, max_size=2).map(apply)


def agree(kind: str, document: dict[str, Any]) -> None:
    """Hold the schema and the checks of a shape together."""
    found = system_faults(document) if kind == "system" else list(shape_faults(document))
    seen = [fault for fault in found if fault.code not in BEYOND]
    refused = [error.message for error in SCHEMAS[kind].iter_errors(document)]
    # What is in `found` only by a code beyond the schema may be refused by it or not.
    assert bool(seen) == bool(refused) or (not seen and found), (seen, refused)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(bent(COMPLETE))
def test_schema_and_checks_agree_on_bent_charters(charter: dict[str, Any]) -> None:
    """House: a shape is faulty for both or for neither, whatever was mistyped."""
    agree("charter", charter)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(bent(COMPLETE), st.sampled_from([NOW_NS, 0, 2**62]))
def test_checking_a_bent_charter_never_raises(charter: dict[str, Any], now_ns: int) -> None:
    """A charter comes from a file, so anything may stand anywhere in it."""
    faults(charter, SYSTEMS)
    warnings(charter, SYSTEMS, now_ns)


WHOLE_SYSTEM = {
    **SYSTEMS["inbox"],
    "annotations_trusted": False,
    "tools": {
        **SYSTEMS["inbox"]["tools"],
        "erase": {
            "effect": "delete",
            "impacts": ["deletion"],
            "domain": "mail",
            "observable": True,
            "operation": "DELETE /mail/{id}",
            "redact": {"arguments": {"/a": "pii"}, "result": {"": "secret"}},
            "checks": {"secrets": "block", "size": "record"},
        },
        "later": {"effect": "unclassified", "impacts": [], "operation": "GET /later"},
    },
}


@pytest.mark.parametrize("system", [WHOLE_SYSTEM, SYSTEMS["company"]], ids=["http", "mcp"])
def test_schema_and_checks_agree_on_bent_systems(system: dict[str, Any]) -> None:
    """House: a shape is faulty for both or for neither, whatever was mistyped."""
    assert system_faults(system) == []

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(bent(system))
    def check(document: dict[str, Any]) -> None:
        agree("system", document)

    check()
