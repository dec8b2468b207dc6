from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import VerificationError
from gateway.core.record import NO_PREV, Record
from gateway.evidence.blobs import blob_path, put
from gateway.evidence.opened import open_record
from gateway.evidence.sealing import generate

PRIVATE, _ = generate()


def outcome(blob: dict[str, Any]) -> Record:
    """Return an outcome whose body is this blob."""
    fields = {"call_id": "c", "body": None, "blob": blob}
    return Record(1, NO_PREV, "outcome", fields, NO_PREV)


def opened(folder: Path, digest: str) -> Any:
    """Return the body of an outcome that names an unsealed blob."""
    return open_record(folder, outcome({"digest": digest, "sealed": None}), PRIVATE)["body"]


def test_a_body_that_was_moved_out_is_put_back(tmp_path: Path) -> None:
    """docs/evidence.md."""
    assert opened(tmp_path, put(tmp_path, b"a long body")) == "a long body"


def test_a_changed_blob_is_not_shown(tmp_path: Path) -> None:
    """House: a responder sees what was, or is told."""
    name = put(tmp_path, b"a long body")
    blob_path(tmp_path, name).write_bytes(b"another body")
    with pytest.raises(VerificationError) as caught:
        opened(tmp_path, name)
    assert caught.value.reason_code == "blob_damaged"


@pytest.mark.parametrize("name", ["sha256:../../../secret", "../secret", "sha256:", ""])
def test_a_record_cannot_name_another_file_as_its_body(tmp_path: Path, name: str) -> None:
    """House: a forged log shows nothing of the machine it is read on."""
    (tmp_path / "secret").write_text("not for the log")
    (tmp_path / "log").mkdir()
    with pytest.raises(VerificationError) as caught:
        opened(tmp_path / "log", name)
    assert caught.value.reason_code == "blob_damaged"


def test_a_body_that_is_no_text_is_said_to_be_none(tmp_path: Path) -> None:
    """House: never a traceback."""
    name = put(tmp_path, b"\xff\xfe")
    with pytest.raises(VerificationError) as caught:
        opened(tmp_path, name)
    assert caught.value.reason_code == "blob_damaged"
