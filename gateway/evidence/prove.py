"""Proofs that one record is in a log, for somebody who has only the log's key.

A proof is made for the newest checkpoint that is signed and covers the record, and carries the
record's line, so that whoever holds it needs nothing else (https://c2sp.org/tlog-proof). Hashes
come from the index of the tree if they lead to the checkpoint's root, else from reading the log.
What was made is checked before it is handed out. Does not verify the log (`verify.py`), and does
not say which key to trust.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import EvidenceUnavailable, VerificationError
from gateway.core.merkle import (
    EMPTY_ROOT,
    Frontier,
    Nodes,
    inclusion_proof,
    leaf_hash,
    verify_inclusion,
)
from gateway.core.note import Note, VerifierKey
from gateway.core.proof import Proof
from gateway.core.record import leaf_hash as leaf_text
from gateway.core.record import members
from gateway.evidence.audit.index import note_of
from gateway.evidence.segments import first_seq, lines, lines_from_end, segments
from gateway.evidence.tree import open_nodes


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof that holds shows."""

    checkpoint: Checkpoint
    seq: int
    line: bytes
    """The record as it is stored, without its newline."""

    @property
    def receipt(self) -> dict[str, Any]:
        """The receipt that its caller was given for this record."""
        return {
            "origin": self.checkpoint.origin,
            "seq": self.seq,
            "leaf_hash": leaf_text(self.line),
        }


def prove(folder: Path, seq: int) -> Proof:
    """Make the proof of a record for the newest checkpoint of the log that covers it.

    Raises:
        VerificationError: there is no such record (`record_missing`), no checkpoint covers it
            (`not_covered`), none that does is signed by a key of the log (`checkpoint_signature`),
            or the log does not agree with its checkpoint (`checkpoint_mismatch`).
        EvidenceUnavailable: segments that are needed were deleted.
        OSError: the log cannot be read.
    """
    line = _line(folder, seq)
    note, head, key = _newest(folder, seq)
    hashes = _indexed(folder, line, seq, head)
    if hashes is None:
        hashes = _read(folder, seq, head)
    proof = Proof(seq, tuple(hashes), note, line)
    check_proof(proof.encode(), key)
    return proof


def check_proof(data: bytes, key: VerifierKey) -> Proven:
    """Check a proof that carries its record, and return what it shows.

    Raises:
        VerificationError: it is no proof, or does not hold; see `Proof.parse` and `Proof.check`;
            `proof_malformed` also if it carries no record, `record_unreadable` or `seq_mismatch`
            if what it carries is none of this place.
    """
    proof = Proof.parse(data)
    if proof.extra is None:
        raise VerificationError("the proof carries no record", code="proof_malformed")
    head = proof.check(proof.extra, key)
    if (named := members(proof.extra)["seq"]) != proof.index:
        raise VerificationError(
            f"the record names itself {named} and stands at {proof.index}", code="seq_mismatch"
        )
    return Proven(head, proof.index, proof.extra)


def check_receipt(proven: Proven, receipt: Mapping[str, Any]) -> None:
    """Check that a proof is of the record that a receipt was given for.

    Raises:
        VerificationError: it is of another record (`receipt_mismatch`): the log does not hold what
            it promised.
    """
    for name, value in proven.receipt.items():
        if type(receipt.get(name)) is not type(value) or receipt[name] != value:
            raise VerificationError(
                f"the receipt names another {name} than the proof", code="receipt_mismatch"
            )


def _line(folder: Path, seq: int) -> bytes:
    paths = [path for path in segments(folder) if first_seq(path) <= seq]
    if paths and seq >= 0:
        raw = next(islice(lines(paths[-1]), seq - first_seq(paths[-1]), None), b"")
        if raw.endswith(b"\n"):
            return raw[:-1]
    raise VerificationError(f"there is no record {seq}", code="record_missing")


def _newest(folder: Path, seq: int) -> tuple[str, Checkpoint, VerifierKey]:
    """Return the newest checkpoint of the log's own file that covers a record, and its signer.

    Read from the end, past what is torn, damaged or signed by nobody: the one before it will do.
    """
    path, signers, unsigned = folder / "checkpoints.jsonl", _Signers(folder), False
    for raw in lines_from_end(path) if path.exists() else ():
        try:
            note = note_of(raw)
            parsed = Note.parse(note)
            head = Checkpoint.parse(parsed.text)
        except VerificationError:
            continue
        if head.size <= seq:
            break
        if key := signers.of(parsed):
            return note, head, key
        unsigned = True
    if unsigned:
        raise VerificationError(
            f"no key of the log signed a checkpoint that covers record {seq}",
            code="checkpoint_signature",
        )
    raise VerificationError(
        f"no checkpoint covers record {seq} yet: one is signed within seconds", code="not_covered"
    )


class _Signers:
    """The keys that the log says are its own, newest segment first, read as far as asked for."""

    def __init__(self, folder: Path) -> None:
        self._known: dict[str, VerifierKey] = {}
        self._rest = _keys(folder)

    def of(self, note: Note) -> VerifierKey | None:
        """Return the key that signed a checkpoint, so that no false proof leaves here."""
        for key in self._known.values():
            if note.signed_by(key):
                return key
        for key in self._rest:
            if self._known.setdefault(str(key), key) is key and note.signed_by(key):
                return key
        return None


def _keys(folder: Path) -> Iterator[VerifierKey]:
    for path in reversed(segments(folder)):
        for raw in lines(path):
            if b'"kind":"segment"' in raw or b'"kind":"key-rotate"' in raw:
                record = members(raw[:-1])
                # What a call says may look the same.
                if record["kind"] in ("segment", "key-rotate"):
                    yield VerifierKey.parse(str(record.get("key")))


def _indexed(folder: Path, line: bytes, seq: int, head: Checkpoint) -> list[bytes] | None:
    """Return the hashes from the index; None if they do not lead to the checkpoint's root."""
    try:
        with open_nodes(folder) as nodes:
            hashes = inclusion_proof(nodes, seq, head.size)
    except (OSError, EvidenceUnavailable):
        return None
    # The index is not believed: damage to it that is found here only costs time.
    return hashes if verify_inclusion(leaf_hash(line), seq, head.size, hashes, head.root) else None


def _read(folder: Path, seq: int, head: Checkpoint) -> list[bytes]:
    """Return the hashes by reading the log, keeping only the nodes that are needed."""
    wanted: dict[tuple[int, int], bytes] = {}
    inclusion_proof(_noting(wanted), seq, head.size)
    grown = _frontier(folder, wanted)
    for raw in _raws(folder):
        if grown.size == head.size:
            break
        for level, node in enumerate(grown.append(leaf_hash(raw[:-1]))):
            place = level, (grown.size - 1) >> level
            if place in wanted:
                wanted[place] = node
    if grown.size != head.size or grown.root() != head.root:
        raise VerificationError(
            "the log is not that of its checkpoint; `bailiwick evidence verify` says where",
            code="checkpoint_mismatch",
        )
    if EMPTY_ROOT in wanted.values():
        raise EvidenceUnavailable("segments that the proof needs were deleted")
    return inclusion_proof(lambda level, n: wanted[level, n], seq, head.size)


def _noting(wanted: dict[tuple[int, int], bytes]) -> Nodes:
    """Return nodes that are not known yet, and note which were asked for."""

    def ask(level: int, n: int) -> bytes:
        # The root of the empty tree stands for "unknown": no node of a tree has it.
        return wanted.setdefault((level, n), EMPTY_ROOT)

    return ask


def _frontier(folder: Path, wanted: dict[tuple[int, int], bytes]) -> Frontier:
    """Return the tree before the oldest segment that is left, and take from it what is wanted."""
    paths = segments(folder)
    record = members(next(lines(paths[0]))[:-1])
    size = first_seq(paths[0])
    try:
        grown = Frontier.of(size, [bytes.fromhex(peak) for peak in record["frontier"]])
    except (KeyError, TypeError, ValueError) as exc:
        raise VerificationError(
            "the oldest segment does not say where it begins", code="segment_mismatch"
        ) from exc
    begin, peaks = 0, iter(grown.peaks)
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            peak, place = next(peaks), (level, begin >> level)
            if place in wanted:
                wanted[place] = peak
            begin += 1 << level
    return grown


def _raws(folder: Path) -> Iterator[bytes]:
    for path in segments(folder):
        yield from lines(path)
