"""A log builder that obeys nobody: whole logs and evil ones, with keys that are the real ones.

Written against docs/evidence.md alone, so that it shares no rule with the writer or the verifier:
hashes, trees and notes are made here from hashlib and Ed25519. `Forge()` keeps a log in memory;
`store` writes it. Tests change what they like in between.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backports import zstd
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "example.com/bailiwick/0"
BEGIN_NS = 1_795_510_800_000_000_000
Change = Callable[[dict[str, Any]], None]


class Key:
    """An Ed25519 key with a name, made from one byte."""

    def __init__(self, seed: int = 1, name: str = ORIGIN) -> None:
        self.name = name
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public = self.private.public_key().public_bytes_raw()

    def vkey(self, algorithm: int = 1) -> str:
        """Return the verifier key."""
        material = bytes([algorithm]) + self.public
        return f"{self.name}+{self._id(algorithm).hex()}+{base64.b64encode(material).decode()}"

    def line(self, text: str) -> str:
        """Return the signature line of a note."""
        return self._line(1, self.private.sign(text.encode()))

    def cosign(self, text: str, seconds: int = 1_795_510_900) -> str:
        """Return a witness's signature line."""
        signed = f"cosignature/v1\ntime {seconds}\n{text}".encode()
        return self._line(4, seconds.to_bytes(8, "big") + self.private.sign(signed))

    def checkpoint(self, size: int, root: bytes, origin: str | None = None) -> str:
        """Return the signed note of a checkpoint."""
        text = f"{origin or self.name}\n{size}\n{base64.b64encode(root).decode()}\n"
        return f"{text}\n{self.line(text)}"

    def _id(self, algorithm: int) -> bytes:
        material = bytes([algorithm]) + self.public
        return hashlib.sha256(self.name.encode() + b"\n" + material).digest()[:4]

    def _line(self, algorithm: int, signature: bytes) -> str:
        blob = base64.b64encode(self._id(algorithm) + signature).decode()
        return f"\u2014 {self.name} {blob}\n"


def leaf(line: bytes) -> bytes:
    """Return the leaf hash of a line."""
    return hashlib.sha256(b"\x00" + line).digest()


def root(leaves: list[bytes]) -> bytes:
    """Return MTH(leaves) of RFC 6962 §2.1, by its recursive definition."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + root(leaves[:split]) + root(leaves[split:])).digest()


def peaks(leaves: list[bytes]) -> list[str]:
    """Return the roots of the perfect subtrees, largest first, in hex."""
    found, begin = [], 0
    for level in reversed(range(len(leaves).bit_length())):
        if len(leaves) >> level & 1:
            found.append(root(leaves[begin : begin + (1 << level)]).hex())
            begin += 1 << level
    return found


def text(digest: bytes) -> str:
    """Return a hash as records name it."""
    return "sha256:" + digest.hex()


@dataclass
class Forge:
    """A log in the making. `changes` is called with each record, by seq, before it is hashed."""

    key: Key = field(default_factory=Key)
    epoch: int = 1
    origin: str = ORIGIN
    changes: dict[int, Change] = field(default_factory=dict)
    lines: list[bytes] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    """Lines of checkpoints.jsonl."""
    anchored: list[str] = field(default_factory=list)
    """Lines of anchored.jsonl."""
    open_calls: list[str] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    now_ns: int = 1_000_000_000

    @property
    def seq(self) -> int:
        """Seq of the next record."""
        return len(self.lines)

    def leaves(self, size: int | None = None) -> list[bytes]:
        """Return the leaf hashes of the first records."""
        return [leaf(line) for line in self.lines[:size]]

    def times(self) -> dict[str, Any]:
        """Return times a tenth of a second after the last ones."""
        self.now_ns += 100_000_000
        at = (BEGIN_NS + self.now_ns) // 1000
        whole, micros = divmod(at, 1_000_000)
        clock = f"{whole // 3600 % 24:02}:{whole // 60 % 60:02}:{whole % 60:02}.{micros:06}"
        return {"time": f"2026-11-24T{clock}Z", "monotonic_ns": self.now_ns}

    def add(self, kind: str, **fields: Any) -> int:
        """Add a record and return its seq."""
        prev = text(leaf(self.lines[-1])) if self.lines else "sha256:" + "0" * 64
        record = {"v": 1, "seq": self.seq, "prev": prev, "kind": kind, **self.times(), **fields}
        self.changes.get(self.seq, lambda _: None)(record)
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        self.lines.append(line)
        if kind == "intent":
            self.open_calls.append(fields.get("call_id", ""))
        elif kind == "outcome" and fields.get("call_id") in self.open_calls:
            self.open_calls.remove(fields["call_id"])
        return self.seq - 1

    def segment(self, **changed: Any) -> int:
        """Begin a segment."""
        before = None
        if self.starts:
            name = f"seg-{self.starts[-1]:012d}.jsonl"
            before = {"segment": name, "root": text(root(self.leaves()))}
        fields = {
            "format": "gw-1",
            "origin": self.origin,
            "first_seq": self.seq,
            "previous": before,
            "frontier": peaks(self.leaves()),
            "open_calls": list(self.open_calls),
            "epoch": self.epoch,
            "key": self.key.vkey(),
        }
        self.starts.append(self.seq)
        return self.add("segment", **{**fields, **changed})

    def seal(self, **changed: Any) -> int:
        """Seal the segment."""
        fields = {"first_seq": self.starts[-1], "root": text(root(self.leaves()))}
        return self.add("seal", **{**fields, **changed})

    def start(self, heartbeat_seconds: float = 60, **fields: Any) -> int:
        """Begin a run."""
        return self.add("start", run="r", heartbeat_seconds=heartbeat_seconds, **fields)

    def call(self, name: str, **outcome: Any) -> None:
        """Add a call and its outcome."""
        self.add("intent", call_id=name, note="x" * 20)
        self.add("outcome", call_id=name, status="completed", **outcome)

    def delete(self, begin: int, covered_by: object) -> int:
        """Record that the segment that begins with a seq was deleted; it stays where it is."""
        segment = f"seg-{begin:012d}.jsonl"
        return self.add("archive", segment=segment, action="deleted", covered_by=covered_by)

    def rotate(self, successor: Key, **changed: Any) -> int:
        """Hand over to another key."""
        epoch, vkey = self.epoch + 1, successor.vkey()
        signed = f"bailiwick/key-rotate\n{self.origin}\n{epoch}\n{vkey}\n".encode()
        fields = {
            "epoch": epoch,
            "key": vkey,
            "previous_key": self.key.vkey(),
            "signature": base64.b64encode(self.key.private.sign(signed)).decode(),
        }
        seq = self.add("key-rotate", **{**fields, **changed})
        self.key, self.epoch = successor, epoch
        return seq

    def note(self, size: int | None = None, key: Key | None = None) -> str:
        """Return the checkpoint of the first records, all of them if no size is given."""
        size = self.seq if size is None else size
        return (key or self.key).checkpoint(size, root(self.leaves(size)), self.origin)

    def checkpoint(self, size: int | None = None, key: Key | None = None) -> str:
        """Keep that checkpoint in checkpoints.jsonl, too."""
        note = self.note(size, key)
        self.heads.append(json.dumps({"size": self.seq if size is None else size, "note": note}))
        return note

    def anchor(self, note: str, size: int | None = None) -> None:
        """Keep a checkpoint in anchored.jsonl."""
        self.anchored.append(
            json.dumps({"anchor": "a", "size": size or self.seq, "time": "t", "note": note})
        )

    def blob(self, data: bytes) -> dict[str, Any]:
        """Keep a blob and return what a record says of it."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return {"digest": digest, "bytes": len(data), "sealed": None, "hmac": "hmac-sha256:0"}

    def store(self, folder: Path) -> None:
        """Write the log."""
        folder.mkdir(exist_ok=True)
        for begin, end in zip(self.starts, [*self.starts[1:], self.seq], strict=True):
            data = b"".join(line + b"\n" for line in self.lines[begin:end])
            self.path(folder, begin).write_bytes(data)
        for name, rows in (("checkpoints", self.heads), ("anchored", self.anchored)):
            if rows:
                (folder / f"{name}.jsonl").write_text("".join(f"{row}\n" for row in rows))
        for digest, data in self.blobs.items():
            path = blob_path(folder, digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def path(self, folder: Path, begin: int) -> Path:
        """Return where the segment that begins with this seq lies."""
        return folder / f"seg-{begin:012d}.jsonl"


def blob_path(folder: Path, digest: str) -> Path:
    """Return where a blob lies."""
    value = digest.removeprefix("sha256:")
    return folder / "blobs" / "sha256" / value[:2] / value


def compress(folder: Path, begin: int) -> tuple[Path, str]:
    """Compress a stored segment in place; return the file and its digest."""
    raw = folder / f"seg-{begin:012d}.jsonl"
    path = folder / f"{raw.name}.zst"
    path.write_bytes(zstd.compress(raw.read_bytes(), 3))
    raw.unlink()
    return path, "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def sample(segments: int = 3, calls: int = 4, closed: bool = True, **options: Any) -> Forge:
    """Return a whole log: some segments, some calls in each, a checkpoint for each segment."""
    forge = Forge(**options)
    for number in range(segments):
        forge.segment()
        if not number:
            forge.start()
        for call in range(calls):
            forge.call(f"c{number}-{call}")
        if number < segments - 1:
            forge.seal()
            forge.checkpoint()
    if closed:
        forge.add("stop")
    forge.checkpoint()
    return forge
