import base64
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.evidence.sealing import Sealer, generate
from tests.unit.cli.conftest import CommandLine
from tests.unit.evidence.forge import ORIGIN, Forge, blob_path

PRIVATE, PUBLIC = generate()
STAMP = {"$redacted": {"class": "secret", "hmac": "hmac-sha256:00", "bytes": 7}}
PLAIN, SEALED, BLOB = 1, 2, 3
"""Seqs of the records."""


def info(call_id: str) -> bytes:
    """Return what binds sealed data to an intent (docs/evidence.md)."""
    return f"bailiwick/record\n{ORIGIN}\n{call_id}\nintent".encode()


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    """Return a log with a plain record, a redacted one, and one whose body is a sealed blob."""
    made, sealer = Forge(), Sealer(PUBLIC)
    made.segment()
    made.add("intent", call_id="c1", input={"tool": "x"})
    originals = json.dumps({"/arguments/password": "hunter2"}).encode()
    redacted = {"password": STAMP, "user": "u"}
    made.add("intent", call_id="c2", arguments=redacted, sealed=sealer.seal(originals, info("c2")))
    stored = sealer.seal("läuft".encode(), info("c3"))
    blob = {**made.blob(base64.b64decode(stored["data"])), "sealed": stored["key"]}
    made.add("intent", call_id="c3", blob=blob)
    made.store(tmp_path / "log")
    return made


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return the file of the responder's private key."""
    (tmp_path / "key").write_text(PRIVATE)
    return tmp_path / "key"


def opened(bailiwick: CommandLine, log: Path, key: Path, seq: int) -> Any:
    """Return a record as it was before redaction."""
    done = bailiwick("evidence", "open", seq, "--key", key, "--folder", log)
    assert done.status == 0
    return json.loads(done.out)


def test_what_was_redacted_is_put_back(
    bailiwick: CommandLine, tmp_path: Path, forge: Forge, key: Path
) -> None:
    """House: the rest is as it is stored, and the log is left as it is."""
    record = json.loads(forge.lines[SEALED])
    record["arguments"]["password"] = "hunter2"
    del record["sealed"]
    assert opened(bailiwick, tmp_path / "log", key, SEALED) == record
    stored = (tmp_path / "log" / "seg-000000000000.jsonl").read_bytes()
    assert stored == b"".join(line + b"\n" for line in forge.lines)


def test_a_sealed_blob_is_shown_as_the_body(
    bailiwick: CommandLine, tmp_path: Path, forge: Forge, key: Path
) -> None:
    """docs/evidence.md: a long body is a blob."""
    assert forge.blobs
    assert opened(bailiwick, tmp_path / "log", key, BLOB)["body"] == "läuft"


def test_a_record_that_was_not_redacted_is_shown_as_it_is(
    bailiwick: CommandLine, tmp_path: Path, forge: Forge, key: Path
) -> None:
    """House."""
    assert opened(bailiwick, tmp_path / "log", key, PLAIN) == json.loads(forge.lines[PLAIN])


@pytest.mark.parametrize("seq", [SEALED, BLOB])
def test_another_key_opens_nothing_and_is_not_called_damage(
    bailiwick: CommandLine, tmp_path: Path, forge: Forge, seq: int
) -> None:
    """House, style §4.8: 3; whoever took the wrong key must not go and look for a tampered log."""
    assert forge.seq > seq
    (tmp_path / "key").write_text(generate()[0])
    given = ("--key", tmp_path / "key", "--folder", tmp_path / "log")
    done = bailiwick("evidence", "open", seq, *given)
    assert (done.status, done.out, done.err.count("\n")) == (3, "", 1)
    assert "damaged" not in done.err


@pytest.mark.parametrize(("held", "status"), [(PUBLIC, 3), ("", 3), ("ä", 2), (None, 2)])
def test_a_file_that_is_no_private_key_opens_nothing(
    bailiwick: CommandLine, tmp_path: Path, forge: Forge, held: str | None, status: int
) -> None:
    """House, style §4.8: one sentence."""
    assert forge.seq > SEALED
    if held is not None:
        (tmp_path / "key").write_text(held)
    given = ("--key", tmp_path / "key", "--folder", tmp_path / "log")
    done = bailiwick("evidence", "open", SEALED, *given)
    assert (done.status, done.out, done.err.count("\n")) == (status, "", 1)


def test_a_record_that_is_not_there_is_not_opened(
    bailiwick: CommandLine, tmp_path: Path, forge: Forge, key: Path
) -> None:
    """House, style §4.8: 1 is "no"."""
    done = bailiwick("evidence", "open", forge.seq, "--key", key, "--folder", tmp_path / "log")
    assert (done.status, done.out, f"record {forge.seq}" in done.err) == (1, "", True)


def test_only_the_decision_input_is_shown_if_asked_for(
    bailiwick: CommandLine, tmp_path: Path, forge: Forge, key: Path
) -> None:
    """House: as `show --input` does, 1 included."""
    given = ("--input", "--key", key, "--folder", tmp_path / "log")
    done = bailiwick("evidence", "open", PLAIN, *given)
    assert json.loads(done.out) == {"tool": "x"}
    statuses = [bailiwick("evidence", "open", SEALED, *given).status]
    statuses.append(bailiwick("evidence", "show", SEALED, "--input", *given[3:]).status)
    assert (statuses, forge.seq > SEALED) == ([1, 1], True)


def test_a_blob_that_is_gone_is_named(
    bailiwick: CommandLine, tmp_path: Path, forge: Forge, key: Path
) -> None:
    """House, style §4.8: 3 and the file that is missing."""
    path = blob_path(tmp_path / "log", next(iter(forge.blobs)))
    path.unlink()
    done = bailiwick("evidence", "open", BLOB, "--key", key, "--folder", tmp_path / "log")
    assert (done.status, done.out, str(path) in done.err) == (3, "", True)


def test_the_schema_is_one(bailiwick: CommandLine) -> None:
    """JSON Schema 2020-12: the meta-schema accepts it, and it says which one it means."""
    done = bailiwick("evidence", "schema")
    shown = json.loads(done.out)
    Draft202012Validator.check_schema(shown)
    assert (done.status, shown["$schema"]) == (0, Draft202012Validator.META_SCHEMA["$id"])
