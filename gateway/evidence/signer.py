"""The log's signing keys, one an epoch, and the signer of its checkpoints.

Keys lie in a folder of their own, outside the evidence, readable by the owner only: whoever has the
evidence cannot sign. A key signs what its epoch covers and nothing else; once the log has handed
over to the next epoch (`key-rotate`), the old key is destroyed, so that a later thief cannot sign
the past. Checkpoints: https://c2sp.org/tlog-checkpoint. Does not write to the log.
"""

import base64
import binascii
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.core.checkpoint import Checkpoint
from gateway.core.errors import SettingsError
from gateway.core.note import SigningKey, VerifierKey
from gateway.evidence.disk import sync_folder, write_new

REDACTION_KEY: Final = "redaction.key"
SECRET_BYTES: Final = 32
_EPOCH: Final = re.compile(r"epoch-([0-9]{4,})\.key")


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs checkpoints of one log in one epoch."""

    key: SigningKey
    epoch: int

    @property
    def origin(self) -> str:
        """The log's name, which is also the key's."""
        return self.key.verifier.name

    @property
    def verifier(self) -> VerifierKey:
        """What others check its signatures with."""
        return self.key.verifier

    def checkpoint(self, size: int, root: bytes) -> str:
        """Return the signed note that says what the first `size` records are."""
        return self.key.sign_note(Checkpoint(self.origin, size, root).text())

    def hand_over(self, epoch: int, successor: VerifierKey) -> str:
        """Return this key's signature (base64) under the key of the next epoch."""
        signed = self.key.sign(rotation(self.origin, epoch, str(successor)))
        return base64.b64encode(signed).decode("ascii")


def rotation(origin: str, epoch: int, vkey: str) -> bytes:
    """Return what a key signs when it hands over (docs/evidence.md)."""
    return f"bailiwick/key-rotate\n{origin}\n{epoch}\n{vkey}\n".encode()


class KeyRing:
    """The keys of one folder.

    Raises:
        SettingsError: a key is missing or cannot be read; the message says what to do.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            names = [entry.name for entry in folder.iterdir()]
        except OSError as exc:
            raise SettingsError(
                f"{folder}: no evidence keys ({exc.strerror}); "
                "`bailiwick evidence keygen` makes them"
            ) from exc
        self.epochs = sorted(int(match[1]) for name in names if (match := _EPOCH.fullmatch(name)))
        if not self.epochs:
            raise SettingsError(
                f"{folder}: no signing key; `bailiwick evidence keygen` makes one, "
                "and a log that has begun needs the key that it began with"
            )
        self.redaction = _read(folder / REDACTION_KEY)

    def signer(self, origin: str, epoch: int) -> Signer:
        """Return the signer of one epoch."""
        return Signer(SigningKey(origin, _read(self._folder / _name(epoch))), epoch)

    def destroy(self, epoch: int) -> None:
        """Remove the key of an epoch that is over."""
        path = self._folder / _name(epoch)
        # Overwritten first, for what it is worth: file systems may keep the old blocks.
        with path.open("r+b") as file:
            file.write(b"\x00" * path.stat().st_size)
            file.flush()
            os.fsync(file.fileno())
        # A crash here leaves a key of zeros, of an epoch that is over: the next start removes it.
        path.unlink()
        sync_folder(self._folder)
        self.epochs.remove(epoch)


def create_keys(folder: Path) -> Path:
    """Make a folder of keys: the first epoch's, and the one that redaction uses; return the folder.

    Raises:
        FileExistsError: there are keys already.
        OSError: it cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / _name(1))
    _write(folder / REDACTION_KEY)
    return folder


def add_epoch(folder: Path) -> int:
    """Make the key of the next epoch and return its number; a gateway takes it up when it starts.

    Raises:
        SettingsError: the folder holds no keys.
        OSError: it cannot be written.
    """
    epoch = KeyRing(folder).epochs[-1] + 1
    _write(folder / _name(epoch))
    return epoch


def _name(epoch: int) -> str:
    return f"epoch-{epoch:04d}.key"


def _write(path: Path) -> None:
    write_new(path, base64.b64encode(secrets.token_bytes(SECRET_BYTES)) + b"\n")


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{path}: others can read this key; chmod 600, and replace it")
        secret = base64.b64decode(path.read_bytes().strip(), validate=True)
    except OSError as exc:
        raise SettingsError(f"{path}: the key cannot be read ({exc.strerror})") from exc
    except binascii.Error as exc:
        raise SettingsError(f"{path}: is not a key") from exc
    if len(secret) != SECRET_BYTES:
        raise SettingsError(f"{path}: is not a key of {SECRET_BYTES} bytes")
    return secret
