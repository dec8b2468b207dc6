"""Proofs that one record is in a log, for somebody who has only the log's key.

A proof is made for the newest checkpoint that covers the record and carries the record's line, so
that whoever holds it needs nothing else (https://c2sp.org/tlog-proof). Hashes come from the index
of the tree if it agrees with the checkpoint, else from reading the log. What was made is checked
before it is handed out. Does not verify the log (`verify.py`), and does not say which key to trust.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import EvidenceUnavailable, VerificationError
from gateway.core.merkle import EMPTY_ROOT, Frontier, Nodes, inclusion_proof, leaf_hash, root_at
from gateway.core.note import Note, VerifierKey
from gateway.core.proof import Proof
from gateway.core.record import leaf_hash as leaf_text
from gateway.core.record import members
from gateway.evidence.audit.index import Trust, index
from gateway.evidence.segments import first_seq, lines, segments
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
            (`not_covered`), or the log does not agree with its checkpoint (`checkpoint_mismatch`).
        EvidenceUnavailable: segments that are needed were deleted.
        OSError: the log cannot be read.
    """
    line, note = _line(folder, seq), _newest(folder)
    head = Checkpoint.parse(Note.parse(note).text) if note else None
    if note is None or head is None or head.size <= seq:
        raise VerificationError(
            f"no checkpoint covers record {seq} yet: one is signed within seconds",
            code="not_covered",
        )
    hashes = _indexed(folder, seq, head)
    if hashes is None:
        hashes = _read(folder, seq, head)
    proof = Proof(seq, tuple(hashes), note, line)
    check_proof(proof.encode(), _signer(folder, note))
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


def _newest(folder: Path) -> str | None:
    """Return the largest checkpoint of the log's own file."""
    own = index(folder, Trust(), None)
    claims = own.between(-1, None)
    found = [claim for claim in claims[-8:] if own.sources[claim[1]].name == "checkpoints.jsonl"]
    if not found:
        return None
    _, source, offset, length = found[-1]
    return own.sources[source].read(offset, length)


def _signer(folder: Path, note: str) -> VerifierKey:
    """Return the key that the log says signed a checkpoint, so that no false proof leaves here."""
    parsed = Note.parse(note)
    for path in reversed(segments(folder)):
        for raw in lines(path):
            if b'"kind":"segment"' in raw or b'"kind":"key-rotate"' in raw:
                key = VerifierKey.parse(str(members(raw[:-1]).get("key")))
                if parsed.signed_by(key):
                    return key
    raise VerificationError(
        "no key of the log signed its newest checkpoint", code="checkpoint_signature"
    )


def _indexed(folder: Path, seq: int, head: Checkpoint) -> list[bytes] | None:
    """Return the hashes from the index; None if it does not agree with the checkpoint."""
    try:
        with open_nodes(folder) as nodes:
            if root_at(nodes, head.size) != head.root:
                return None
            return inclusion_proof(nodes, seq, head.size)
    except (OSError, EvidenceUnavailable):
        return None


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
