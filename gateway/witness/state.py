"""Judges submissions: what follows the newest checkpoint is cosigned, everything else refused.

The checks and answers are those of https://c2sp.org/tlog-witness, in this order: 400 malformed, 404
unknown log, 403 no trusted signature, 400 old size beyond the checkpoint, 409 another size held or
another root at this size, 422 proof. Looking and remembering are one step under one lock, and a
cosignature leaves only after the checkpoint is durable. A log's keys take turns: once a later one
signed an accepted checkpoint, an earlier one is not trusted any more. Only the newest checkpoint is
compared: whoever signs two small trees is found out by the auditor of `history.jsonl`, not here.
"""

import threading
from collections.abc import Mapping, Sequence

from gateway.core.errors import SettingsError, VerificationError
from gateway.core.instant import iso
from gateway.core.merkle import EMPTY_ROOT, verify_consistency
from gateway.core.note import ED25519, SigningKey, VerifierKey, cosign
from gateway.ports import Clock
from gateway.witness.conflicts import Conflicts
from gateway.witness.memory import Held, Memory
from gateway.witness.protocol import Answer, Submission, parse, signed_alone, stale


class Witness:
    """One witness.

    Args:
        key: what it cosigns with.
        logs: the keys of the logs it knows; a key's name is the log's origin, and of several with
            one name a later one succeeds an earlier one.
        memory: what it remembers.
        conflicts: where refused checkpoints go.
        clock: for the times of cosignatures.

    Raises:
        SettingsError: a key cannot be a log's, or the one that a log used last is not there.
    """

    def __init__(
        self,
        key: SigningKey,
        logs: Sequence[VerifierKey],
        memory: Memory,
        conflicts: Conflicts,
        clock: Clock,
    ) -> None:
        self._key, self._memory, self._conflicts, self._clock = key, memory, conflicts, clock
        self._logs = _by_origin(logs)
        self._lock = threading.Lock()
        for origin, keys in self._logs.items():
            held = memory.held.get(origin)
            if held and held.key not in map(str, keys):
                raise SettingsError(
                    f"--log: {origin} last signed with {held.key}, which is not given; "
                    "give it too, before its successors"
                )

    def add(self, body: bytes) -> Answer:
        """Answer `add-checkpoint`; may be called concurrently, and blocks on the disk.

        Raises:
            EvidenceUnavailable: the checkpoint could not be remembered, so it is not cosigned.
        """
        try:
            submitted = parse(body)
        except VerificationError as exc:
            return Answer(400, f"{exc.message}\n")
        keys = self._logs.get(submitted.checkpoint.origin)
        if keys is None:
            return Answer(404, "this witness does not know the log\n")
        signed = [number for number, key in enumerate(keys) if submitted.note.signed_by(key)]
        if not signed:
            return Answer(403, "no key of the log signed this\n")
        with self._lock:
            return self._judge(submitted, keys, signed[-1])

    def about(self) -> str:
        """Say who the witness is and what it holds; nothing of it is secret."""
        rows = [f"witness {self._key.witness.name}", f"vkey {self._key.witness}"]
        for origin in self._logs:
            held = self._memory.held.get(origin)
            if held is None:
                rows.append(f"log {origin} not seen yet")
            else:
                time = iso(held.seconds * 10**9)
                rows.append(f"log {origin} size {held.checkpoint.size} at {time}")
        return "\n".join([*rows, ""])

    def _judge(self, submitted: Submission, keys: Sequence[VerifierKey], epoch: int) -> Answer:
        """Answer a submission that `keys[epoch]` signed; no other is judged meanwhile."""
        checkpoint, key = submitted.checkpoint, keys[epoch]
        held = self._memory.held.get(checkpoint.origin)
        size, root = (held.checkpoint.size, held.checkpoint.root) if held else (0, EMPTY_ROOT)
        if held and epoch < [str(key) for key in keys].index(held.key):
            if checkpoint.size > size:
                self._conflicts.keep("retired", submitted, key, held)
            return Answer(403, "the log has a newer key, and this one signs no more\n")
        if submitted.old > checkpoint.size:
            return Answer(400, "the old size lies beyond the checkpoint\n")
        if checkpoint.size == size and checkpoint.root != root:
            self._conflicts.keep("fork", submitted, key, held)
            return stale(size)
        if submitted.old != size:
            return stale(size)
        if not verify_consistency(size, checkpoint.size, root, checkpoint.root, submitted.proof):
            self._conflicts.keep("suspect", submitted, key, held)
            return Answer(422, "the proof does not hold\n")
        return self._accept(submitted, key, held)

    def _accept(self, submitted: Submission, key: VerifierKey, held: Held | None) -> Answer:
        seconds = self._clock.wall_ns() // 10**9
        line = cosign(self._key, submitted.note.text, seconds)
        # The same checkpoint once more is cosigned anew, but fills no disk.
        if held is None or held.checkpoint != submitted.checkpoint or held.key != str(key):
            note = signed_alone(submitted.note, key) + line
            self._memory.remember(Held(str(key), seconds, note))
        return Answer(200, line)


def _by_origin(keys: Sequence[VerifierKey]) -> Mapping[str, Sequence[VerifierKey]]:
    found: dict[str, list[VerifierKey]] = {}
    for key in keys:
        if key.algorithm != ED25519:
            raise SettingsError(f"--log: {key} is a witness's key, not a log's (type 1)")
        if key in found.setdefault(key.name, []):
            raise SettingsError(f"--log: {key} is given twice")
        found[key.name].append(key)
    return found
