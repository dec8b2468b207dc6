"""What records of each kind must agree with: one rule a kind.

Rules are called in the order of the log with the state that the records before have left. Steps are
numbered as in `verify.py`; what a record says beyond the rules is not judged. Signatures are those
of RFC 8032; roots those of RFC 6962 §2.1, https://www.rfc-editor.org/rfc/rfc6962#section-2.1.
Does not read files, except the blobs that records name.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.errors import VerificationError
from gateway.core.merkle import Frontier
from gateway.core.note import ED25519, VerifierKey
from gateway.core.record import NO_PREV, Record, hash_text
from gateway.evidence.audit.fault import Faulty
from gateway.evidence.audit.files import check_blob
from gateway.evidence.audit.runs import gap, start, stop
from gateway.evidence.audit.state import Deletion, State
from gateway.evidence.segments import FORMAT

_SEGMENT: Final = re.compile(r"seg-([0-9]{12,})\.jsonl(?:\.zst)?")
_ACTIONS: Final = ("compressed", "shipped", "deleted")


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a segment's first record says of the log before it."""

    prev: str
    frontier: Frontier
    open_calls: frozenset[str]
    previous: int | None
    """First seq of the segment before; None for the first one."""
    origin: str
    epoch: int
    key: str


def begin(state: State, record: Record) -> Beginning:
    """Read a segment's first record (5), and let `state` begin there.

    Raises:
        Faulty: `segment_mismatch`; `record_damaged` for a first record that follows another.
    """
    fields = record.fields
    if record.kind != "segment":
        raise state.fault("segment_mismatch", "a segment begins with a record of kind segment")
    if record.seq == 0 and record.prev != NO_PREV:
        raise state.fault("record_damaged", "record 0 names a record before it")
    if fields.get("format") != FORMAT or fields.get("first_seq") != record.seq:
        raise _misplaced(state)
    try:
        beginning = _beginning(record)
        verifier = _key(beginning.key, beginning.origin)
    except (KeyError, TypeError, ValueError, VerificationError) as exc:
        raise _misplaced(state) from exc
    state.origin, state.epoch, state.verifier = beginning.origin, beginning.epoch, verifier
    state.keys = [(record.seq, beginning.key)]
    state.peaks, state.open_calls = list(beginning.frontier.peaks), set(beginning.open_calls)
    return beginning


def _beginning(record: Record) -> Beginning:
    """Raises KeyError, TypeError or ValueError for what a segment record cannot say."""
    fields, seq = record.fields, record.seq
    frontier = Frontier.of(seq, [bytes.fromhex(peak) for peak in fields["frontier"]])
    before, calls, epoch = fields["previous"], fields["open_calls"], fields["epoch"]
    if type(epoch) is not int or epoch < 1 or not isinstance(fields["origin"], str):
        raise ValueError("epoch or origin")
    if not isinstance(calls, list) or not all(isinstance(call, str) for call in calls):
        raise ValueError("open calls")
    named = frozenset(calls)
    if len(named) != len(calls) or (seq == 0 and (calls or before is not None)):
        raise ValueError("open calls, or previous")
    previous = None
    if seq:
        previous = segment_seq(before["segment"])
        if before["root"] != hash_text(frontier.root()) or previous is None or previous >= seq:
            raise ValueError("previous")
    return Beginning(
        record.prev, frontier, named, previous, fields["origin"], epoch, str(fields["key"])
    )


def segment_seq(name: Any) -> int | None:
    """Return the first seq in the name of a segment, compressed or not; None if it is none."""
    match = _SEGMENT.fullmatch(name) if isinstance(name, str) else None
    return int(match[1]) if match else None


def _misplaced(state: State) -> Faulty:
    sentence = "the segment record does not agree with the segment's place"
    return state.fault("segment_mismatch", sentence)


def _segment(state: State, _: Mapping[str, Any]) -> None:
    sentence = "a segment begins with a record of kind segment and holds no other"
    raise state.fault("segment_mismatch", sentence)


def _seal(state: State, fields: Mapping[str, Any]) -> None:
    """6. A seal names its segment and the root of everything before it."""
    if fields.get("first_seq") != state.first or fields.get("root") != hash_text(state.root()):
        raise state.fault("segment_mismatch", "the seal does not agree with what it seals")
    state.sealed = True


def _intent(state: State, fields: Mapping[str, Any]) -> None:
    """7. No intent while one with its `call_id` is open."""
    call_id = _call_id(state, fields)
    if call_id in state.open_calls:
        raise state.fault("intent_repeated", f"call {call_id} is open already")
    if "blob" in fields:
        _blob(state, fields)
    state.open_calls.add(call_id)


def _outcome(state: State, fields: Mapping[str, Any]) -> None:
    """7. No outcome without an open intent."""
    call_id = _call_id(state, fields)
    if call_id not in state.open_calls:
        raise state.fault("outcome_without_intent", f"call {call_id} has no open intent")
    if "blob" in fields:
        _blob(state, fields)
    state.open_calls.remove(call_id)
    state.orphaned += fields.get("status") == "orphaned"


def _call_id(state: State, fields: Mapping[str, Any]) -> str:
    call_id = fields.get("call_id")
    if not isinstance(call_id, str):
        raise state.fault("call_id_missing", f"the {fields['kind']} names no call")
    return call_id


def _key_rotate(state: State, fields: Mapping[str, Any]) -> None:
    """8. A key takes over only with the signature of the one before it."""
    key, epoch = fields.get("key"), fields.get("epoch")
    try:
        if type(epoch) is not int or epoch <= state.epoch:
            raise ValueError("epoch")
        verifier = _key(key, state.origin)
        signature = base64.b64decode(str(fields.get("signature")), validate=True)
    except (ValueError, binascii.Error, VerificationError) as exc:
        raise state.fault("rotation_forged", "the record of a new key cannot be one") from exc
    signed = f"bailiwick/key-rotate\n{state.origin}\n{epoch}\n{key}\n".encode()
    if fields.get("previous_key") != str(state.verifier):
        raise state.fault("rotation_forged", "the new key follows one that was not in force")
    if not state.verifier.verify(signed, signature):
        raise state.fault("rotation_forged", "the key in force did not sign the new key")
    state.epoch, state.verifier = epoch, verifier
    state.keys.append((state.seq + 1, str(key)))


def _archive(state: State, fields: Mapping[str, Any]) -> None:
    """12. What became of a sealed segment; compared with the files at the end."""
    seq, action = segment_seq(fields.get("segment")), fields.get("action")
    if seq is None or action not in _ACTIONS:
        raise state.fault("archive_malformed", "the record of an archive does not say of what")
    if action == "deleted":
        state.deleted.append(Deletion(seq, state.seq, fields.get("covered_by")))
    elif isinstance(digest := fields.get("digest"), str):
        state.archives[seq] = digest
    else:
        raise state.fault("archive_malformed", "the record of an archive names no digest")


def _blob(state: State, fields: Mapping[str, Any]) -> None:
    """11. A blob that a record names is there and has its digest; each is read once a segment."""
    blob = fields.get("blob")
    if blob is None:
        return
    if isinstance(blob, Mapping) and blob.get("digest") in state.blobs:
        return
    try:
        state.blobs.add(check_blob(state.folder, blob, state.seq, state.path, state.line))
    except Faulty as exc:
        if exc.fault.code != "blob_missing":
            raise
        state.missing = state.missing or exc.fault
        state.lost += 1


def _key(vkey: Any, origin: str) -> VerifierKey:
    """Read a key of this log.

    Raises:
        ValueError, VerificationError: it is none.
    """
    verifier = VerifierKey.parse(str(vkey))
    if verifier.name != origin or verifier.algorithm != ED25519:
        raise ValueError("the key of another log")
    return verifier


Rule = Callable[[State, Mapping[str, Any]], None]
RULES: Final[dict[str, Rule]] = {
    "segment": _segment,
    "seal": _seal,
    "intent": _intent,
    "outcome": _outcome,
    "refusal": _blob,
    "stream-part": _blob,
    "key-rotate": _key_rotate,
    "archive": _archive,
    "start": start,
    "stop": stop,
    "gap": gap,
}
"""Kinds without a rule are only chained, hashed and timed."""
