"""What a responder with the private key sees: a record as it was before redaction.

Nothing is written anywhere: what was opened is in memory only. A record that was not sealed comes
back as it is. Does not verify the log (`verify.py`).
"""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.core.canonical import digest, parse_object
from gateway.core.errors import MalformedMessage, VerificationError
from gateway.core.record import DEPTH, Record
from gateway.core.redaction import restore
from gateway.evidence.blobs import blob_path
from gateway.evidence.recorder import record_info
from gateway.evidence.sealing import SUITE, open_sealed
from gateway.evidence.segments import records

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def open_record(folder: Path, record: Record, private_key: str) -> dict[str, Any]:
    """Return the fields of a record with everything that was sealed put back.

    Raises:
        VerificationError: it was sealed to another key, or was changed (`sealed_unreadable`); or
            its blob was (`blob_damaged`).
        OSError: its blob cannot be read.
    """
    fields = dict(record.fields)
    info = record_info(_origin(folder), str(fields.get("call_id")), record.kind)
    sealed, blob = fields.pop("sealed", None), fields.get("blob")
    if isinstance(sealed, Mapping):
        fields = restore(fields, _originals(open_sealed(private_key, sealed, info)))
    if isinstance(blob, Mapping):
        fields["body"] = _body(folder, blob, private_key, info)
    return fields


def _origin(folder: Path) -> str:
    first = next(records(folder), None)
    return str(first.fields.get("origin")) if first else ""


def _originals(data: bytes) -> dict[str, Any]:
    try:
        return parse_object(data, max_integer=2**63 - 1, max_depth=DEPTH)
    except MalformedMessage as exc:
        raise VerificationError(
            "what was sealed is not readable", code="sealed_unreadable"
        ) from exc


def _body(folder: Path, blob: Mapping[str, Any], private_key: str, info: bytes) -> str:
    named = str(blob.get("digest"))
    # A forged log may name any path: only what has this digest is shown.
    data = blob_path(folder, named).read_bytes() if _DIGEST.fullmatch(named) else b""
    if digest(data) != named:
        raise VerificationError(f"blob {named} is not what it was", code="blob_damaged")
    if blob.get("sealed"):
        encoded = base64.b64encode(data).decode("ascii")
        sealed = {"key": blob["sealed"], "suite": SUITE, "data": encoded}
        data = open_sealed(private_key, sealed, info)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise VerificationError(f"blob {named} is no text", code="blob_damaged") from exc
