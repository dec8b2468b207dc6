"""Signed notes: a text, and the Ed25519 signatures of those who vouch for it.

The formats are https://c2sp.org/signed-note and, for a witness, `cosignature/v1` of
https://c2sp.org/tlog-cosignature. A note read here has one spelling: canonical base64, no control
character but newline, at most `MAX_NOTE_BYTES`. Signatures of keys that nobody asks about are
ignored; a bad signature under a key that is asked about spoils the note for it. Does not say which
keys to trust, and does not know what the text means.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.core.errors import VerificationError

ED25519: Final = 1
"""Signature type of a signature over the note's text."""
COSIGNATURE: Final = 4
"""Signature type of a witness's signature over a time and the note's text."""
MAX_NOTE_BYTES: Final = 1_000_000
"""Longest note that is read; the limit of golang.org/x/mod/sumdb/note."""
MAX_SIGNATURES: Final = 100
"""Most signatures of a note that are read; the limit of golang.org/x/mod/sumdb/note."""
MAX_SECONDS: Final = 2**63 - 1
"""Largest time of a cosignature."""

# The y coordinates of points of small order: under such a key one signature fits many messages,
# so whoever names it as theirs could disown what it signed (https://eprint.iacr.org/2020/1244).
_P, _ALL_BUT_SIGN = 2**255 - 19, 2**255 - 1
_Y8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = frozenset({0, 1, _P - 1, _Y8, _P - _Y8})
_NO_TEXT = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]")
_ID_BYTES, _TIME_BYTES, _KEY_BYTES, _DASH = 4, 8, 32, "— "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key, with the name it signs under and the one type of signature it makes.

    Raises:
        VerificationError: no key can look like this (`key_malformed`).
    """

    name: str
    """Whose key it is; without spaces and `+`."""
    public: bytes
    """The Ed25519 public key (RFC 8032), 32 bytes."""
    algorithm: int = ED25519
    """`ED25519` or `COSIGNATURE`."""

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise _bad_key("its name is empty, or has a space or a plus")
        if self.algorithm not in (ED25519, COSIGNATURE) or len(self.public) != _KEY_BYTES:
            raise _bad_key("it is no Ed25519 key")
        if (int.from_bytes(self.public, "little") & _ALL_BUT_SIGN) % _P in _SMALL_ORDER:
            raise _bad_key("anybody can sign under it")

    @classmethod
    def of(cls, name: str, public: bytes, algorithm: int = ED25519) -> "VerifierKey":
        """Return the key of this name."""
        return cls(name, public, algorithm)

    @classmethod
    def parse(cls, vkey: str) -> "VerifierKey":
        """Read a key from `<name>+<key id in hex>+<base64 of type and key>`.

        Raises:
            VerificationError: it is not such a key, or its id is not that of the key
                (`key_malformed`).
        """
        name, _, rest = vkey.partition("+")
        encoded = rest.partition("+")[2]
        try:
            material = decode64(encoded)
        except ValueError as exc:
            raise _bad_key("its key is not base64") from exc
        key = cls(name, material[1:], material[0] if material else 0)
        if str(key) != vkey:
            raise _bad_key("its id is that of another key")
        return key

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell, with the name, this key from others; not a secure digest."""
        return sha256(self.name.encode() + b"\n" + self._material()).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        """Return the vkey."""
        return f"{self.name}+{self.key_id.hex()}+{encode64(self._material())}"

    def verify(self, note_text: bytes, signature: bytes) -> bool:
        """Say whether `signature` is this key's signature of a note with this text.

        Args:
            note_text: with its last newline.
            signature: as it stands in the note behind the key id: 64 bytes, before them the 8 of
                the time in a cosignature.
        """
        message = note_text
        if self.algorithm == COSIGNATURE:
            seconds = int.from_bytes(signature[:_TIME_BYTES])
            message, signature = _cosigned(note_text, seconds), signature[_TIME_BYTES:]
            if seconds > MAX_SECONDS:
                return False
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def _material(self) -> bytes:
        return bytes([self.algorithm]) + self.public


class SigningKey:
    """A private key and the name it signs under.

    Args:
        name: without spaces and `+`.
        seed: the private key of RFC 8032, 32 bytes.

    Raises:
        ValueError: the seed has another length.
        VerificationError: nobody can have that name (`key_malformed`).
    """

    __slots__ = ("_private", "verifier", "witness")

    def __init__(self, name: str, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._private.public_key().public_bytes_raw()
        self.verifier = VerifierKey(name, public)
        """Verifies what `sign_note` signs."""
        self.witness = VerifierKey(name, public, COSIGNATURE)
        """Verifies what `cosign` signs with this key."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature of any message, 64 bytes."""
        return self._private.sign(message)

    def sign_note(self, text: str) -> str:
        """Return the whole note with this text and one signature.

        Raises:
            VerificationError: no note can have this text (`note_malformed`).
        """
        if not text.endswith("\n") or not is_text(text):
            raise _bad_note("its text is unfinished, or holds a character that notes must not hold")
        return f"{text}\n{_line(self.verifier, self.sign(text.encode()))}"


class Signature(NamedTuple):
    """A signature of a note, by whomever it says."""

    name: str
    key_id: bytes
    blob: bytes
    """What follows the key id: never empty, otherwise unchecked."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note read from its bytes. Its text means nothing until `signed_by` said yes."""

    text: str
    """With its last newline."""
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, note: str | bytes) -> "Note":
        """Read a note, verifying nothing.

        Raises:
            VerificationError: it is not a signed note (`note_malformed`).
        """
        whole = _decoded(note)
        text, blank, lines = whole.rpartition("\n\n")
        if not blank or not lines.endswith("\n"):
            raise _bad_note("it has no signatures behind an empty line")
        rows = lines[:-1].split("\n")
        if len(rows) > MAX_SIGNATURES:
            raise _bad_note("it has too many signatures")
        return cls(f"{text}\n", tuple(map(_signature, rows)))

    def signed_by(self, key: VerifierKey) -> bool:
        """Say whether `key` signed this text, and nothing bad stands under its name and id."""
        blobs = list(self._blobs(key))
        text = self.text.encode()
        return bool(blobs) and all(key.verify(text, blob) for blob in blobs)

    def cosigned_at(self, key: VerifierKey) -> int | None:
        """Return when the witness with `key` says it saw this, in seconds of POSIX time.

        The earliest time when it says several; None when it did not sign or `signed_by` is false.
        """
        if key.algorithm != COSIGNATURE or not self.signed_by(key):
            return None
        return min(int.from_bytes(blob[:_TIME_BYTES]) for blob in self._blobs(key))

    def _blobs(self, key: VerifierKey) -> Iterator[bytes]:
        known = (key.name, key.key_id)
        return (blob for name, key_id, blob in self.signatures if (name, key_id) == known)


def cosign(signing_key: SigningKey, note_text: str, seconds: int) -> str:
    """Return the line, with its newline, by which a witness signs a checkpoint's text.

    Args:
        signing_key: the witness's key, used for nothing but cosignatures.
        note_text: with its last newline.
        seconds: the time of signing, POSIX.

    Raises:
        ValueError: the time is negative, or larger than `MAX_SECONDS`.
    """
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError("no cosignature can have this time")
    time = seconds.to_bytes(_TIME_BYTES)
    signature = signing_key.sign(_cosigned(note_text.encode(), seconds))
    return _line(signing_key.witness, time + signature)


def is_text(value: str) -> bool:
    """Say whether a note may hold `value`: Unicode without control characters but newline."""
    return not _NO_TEXT.search(value)


def is_name(value: str) -> bool:
    """Say whether a key may have this name."""
    return bool(value) and is_text(value) and not any(c.isspace() or c == "+" for c in value)


def encode64(data: bytes) -> str:
    """Return the base64 of RFC 4648 §4."""
    return base64.b64encode(data).decode("ascii")


def decode64(text: str) -> bytes:
    """Read base64 of RFC 4648 §4 in its one canonical spelling.

    Raises:
        ValueError: it is spelled otherwise, be it only in unused bits.
    """
    data = base64.b64decode(text, validate=True)
    if encode64(data) != text:
        raise ValueError("not the canonical base64 of its bytes")
    return data


def _decoded(note: str | bytes) -> str:
    if len(note) > MAX_NOTE_BYTES:
        raise _bad_note("it is too long")
    try:
        whole = note if isinstance(note, str) else note.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise _bad_note("it is not UTF-8") from exc
    if not is_text(whole):
        raise _bad_note("it holds a character that notes must not hold")
    return whole


def _signature(row: str) -> Signature:
    name, _, encoded = row.removeprefix(_DASH).partition(" ")
    try:
        data = decode64(encoded)
    except ValueError as exc:
        raise _bad_note("a signature is not base64") from exc
    if not row.startswith(_DASH) or not is_name(name) or len(data) <= _ID_BYTES:
        raise _bad_note("a signature line is not one")
    return Signature(name, data[:_ID_BYTES], data[_ID_BYTES:])


def _line(key: VerifierKey, blob: bytes) -> str:
    return f"{_DASH}{key.name} {encode64(key.key_id + blob)}\n"


def _cosigned(note_text: bytes, seconds: int) -> bytes:
    return b"cosignature/v1\ntime %d\n" % seconds + note_text


def _bad_note(why: str) -> VerificationError:
    return VerificationError(f"this is no signed note: {why}", code="note_malformed")


def _bad_key(why: str) -> VerificationError:
    return VerificationError(f"this is no verifier key: {why}", code="key_malformed")
