"""Records, real and refused, against the schema that `bailiwick evidence schema` prints."""

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.core.answer import PART_BYTES
from gateway.core.canonical import dumps
from gateway.core.decision import Decision
from gateway.core.errors import UpstreamError
from gateway.core.record import KINDS, NO_PREV, encode
from gateway.evidence.segments import lines, segments
from tests.fakes import PERMIT
from tests.pipeline.line import DENY, EVENT, HOLD, SHAPES, Line, request, resources_read
from tests.pipeline.test_refusals import KINDS as REFUSALS
from tests.pipeline.test_refusals import refused
from tests.unit.evidence.logs import open_log

SCHEMA: dict[str, Any] = json.loads(
    files("gateway.evidence").joinpath("schema/record.schema.json").read_text("utf-8")
)
VALIDATOR = Draft202012Validator(SCHEMA)
LONG = b"data: " + b"x" * PART_BYTES + b"\n\n"
REDACTED = {"$redacted": {"class": "secret", "hmac": "hmac-sha256:" + "a" * 64, "bytes": 7}}


def faults(record: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a record, each with its place."""
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(record)]


def written(line: Line) -> list[dict[str, Any]]:
    """Return the records of a line as they stand in a log."""
    return [
        json.loads(encode(seq, NO_PREV, kind, fields))
        for seq, (kind, fields) in enumerate(line.evidence.records)
    ]


async def walked(*decisions: Decision, asked: bytes | None = None, **line: Any) -> dict[str, Any]:
    """Return the records of one call, by kind."""
    subject = Line(*decisions, **line)
    await subject.walk(request(asked))
    return {record["kind"]: record for record in written(subject)}


def objects(schema: Any, place: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every schema of an object with members of its own, and where it is."""
    if isinstance(schema, dict):
        if "properties" in schema and place.count(".") > 1 and "if" not in place.split("."):
            yield place, schema
        for name, value in schema.items():
            yield from objects(value, f"{place}.{name}")
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from objects(value, f"{place}.{number}")


OBJECTS = [pytest.param(schema, id=place) for place, schema in objects(SCHEMA["$defs"], "$.$defs")]


def test_the_schema_is_a_schema_of_every_kind() -> None:
    """JSON Schema 2020-12; core/record."""
    Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]["kind"]["enum"]) == KINDS
    assert {rule["then"]["$ref"] for rule in SCHEMA["allOf"]} == {f"#/$defs/{k}" for k in KINDS}


@pytest.mark.parametrize("schema", OBJECTS)
def test_every_object_is_closed_and_explains_its_members(schema: dict[str, Any]) -> None:
    """House: a record holds what is documented and nothing else."""
    assert schema["additionalProperties"] is False
    named = [name for name in schema["properties"] if name != "kind"]
    for name in named:
        member = schema["properties"][name]
        target = SCHEMA["$defs"].get(member.get("$ref", "").removeprefix("#/$defs/"), {})
        assert member.get("description") or target.get("description"), name


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("asked", [None, resources_read()], ids=["tool", "resource"])
async def test_the_records_of_a_permitted_call_are_as_documented(
    shape: str, asked: bytes | None
) -> None:
    """House, evidence."""
    records = await walked(PERMIT, shape=shape, asked=asked)
    assert records.keys() == {"intent", "outcome"}
    assert [faults(record) for record in records.values()] == [[], []]


async def test_the_records_of_a_long_stream_that_breaks_are_as_documented() -> None:
    """House, evidence."""
    body = [LONG, UpstreamError("x")]
    records = await walked(PERMIT, shape="an event stream", body=body)
    assert records.keys() == {"intent", "stream-part", "outcome"}
    assert [faults(record) for record in records.values()] == [[], [], []]


@pytest.mark.parametrize("how", [kind[0] for kind in REFUSALS.values()], ids=REFUSALS.keys())
async def test_the_record_of_every_kind_of_refusal_is_as_documented(how: dict[str, Any]) -> None:
    """House, evidence: null, never left out."""
    (record,) = written(await refused(**how))
    assert faults(record) == []


async def test_the_records_of_the_log_itself_are_as_documented(tmp_path: Path) -> None:
    """docs/evidence.md: start, stop, segment, seal, and an orphaned outcome."""
    folder = tmp_path / "log"
    for _ in range(2):
        log = open_log(folder, segment_bytes=2000)
        records = await walked(DENY)
        fields = {k: v for k, v in records["refusal"].items() if k not in ("v", "seq", "prev")}
        fields.pop("kind")
        await log.append("refusal", fields)
        await log.append("intent", fields)
        await log.close()
    found = [json.loads(raw) for path in segments(folder) for raw in lines(path)]
    kinds = {record["kind"] for record in found}
    assert {"start", "stop", "segment", "outcome"} <= kinds
    assert [(record["seq"], wrong) for record in found if (wrong := faults(record))] == []


async def test_a_member_that_is_not_documented_is_refused() -> None:
    """House: at every depth that is ours."""
    for kind, record in (await walked(PERMIT, shape="an event stream", body=[LONG, EVENT])).items():
        assert faults({**record, "extra": 1}), kind
        for name in ("identity", "request", "call", "decision", "correlation", "timings"):
            if name in record:
                assert faults({**record, name: {**record[name], "extra": 1}}), name


async def test_a_member_that_is_left_out_is_missed() -> None:
    """House: null, never left out."""
    for kind, record in (await walked(PERMIT, shape="an event stream", body=[LONG, EVENT])).items():
        for name in record:
            left = {key: value for key, value in record.items() if key != name}
            assert faults(left), f"{kind}.{name}"
            if isinstance(record[name], dict) and name not in ("headers", "input"):
                for member in record[name]:
                    part = {k: v for k, v in record[name].items() if k != member}
                    assert faults({**record, name: part}), f"{kind}.{name}.{member}"


async def test_a_redacted_sealed_record_with_a_blob_is_as_documented() -> None:
    """docs/evidence.md, bodies and secrets."""
    records = await walked(HOLD), await walked(PERMIT)
    hold, outcome = records[0]["refusal"], records[1]["outcome"]
    sealed = {"key": "k", "suite": "s", "data": "AA=="}
    hold["request"]["headers"]["mcp-session-id"] = REDACTED
    hold["input"]["resource"]["arguments"]["customer"] = REDACTED
    blob = {"digest": NO_PREV, "bytes": 9, "sealed": None, "hmac": "hmac-sha256:" + "b" * 64}
    outcome |= {"body": None, "blob": blob, "sealed": sealed}
    assert faults({**hold, "sealed": sealed}) == []
    assert faults(outcome) == []
    assert faults({**outcome, "body": REDACTED}) == []


def test_an_orphaned_outcome_needs_no_answer_and_any_other_does() -> None:
    """docs/evidence.md: nobody saw the end."""
    envelope = {"v": 1, "seq": 1, "prev": NO_PREV, "kind": "outcome", "monotonic_ns": 1}
    bare = {**envelope, "time": "2026-11-24T09:00:00.000000Z", "call_id": "c"}
    assert faults({**bare, "status": "orphaned"}) == []
    assert faults({**bare, "status": "abandoned"}) != []


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("heartbeat", {"anchors": {"witness": 7}}),
        (
            "gap",
            {"segment": "s", "offset": 1, "bytes": 2, "file": "torn-1.bin", "digest": NO_PREV},
        ),
        ("key-rotate", {"epoch": 2, "key": "k", "previous_key": "p", "signature": "AA=="}),
        (
            "archive",
            {
                "segment": "s",
                "action": "compressed",
                "digest": NO_PREV,
                "bytes": 3,
                "store": None,
                "covered_by": None,
            },
        ),
    ],
)
def test_the_rarer_kinds_are_documented(kind: str, fields: dict[str, Any]) -> None:
    """docs/evidence.md, the table of kinds."""
    times = {"time": "2026-11-24T09:00:00.000000Z", "monotonic_ns": 1}
    record = json.loads(dumps({"v": 1, "seq": 1, "prev": NO_PREV, "kind": kind, **times, **fields}))
    assert faults(record) == []
    assert faults({**record, "extra": 1}) != []
