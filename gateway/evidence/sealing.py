"""Sealing: what was redacted, readable only to a responder who holds a private key.

HPKE (RFC 9180, https://www.rfc-editor.org/rfc/rfc9180) in base mode over the hybrid KEM
ML-KEM-768 with X25519, HKDF-SHA256 and AES-256-GCM: sealed data stays closed unless both halves
fall. The gateway holds the public key only, so whoever takes it over cannot open what it sealed.
`info` binds sealed data to its record. Does not say who sealed (anybody with the public key can;
the log's signatures say it), and does not keep keys.
"""

import base64
import binascii
import hashlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from gateway.core.errors import EvidenceError, VerificationError

SUITE: Final = "MLKEM768-X25519/HKDF-SHA256/AES-256-GCM"
"""The one suite; the name is written beside what it sealed, so that another can follow."""
PRIVATE_PREFIX: Final = "bailiwick-responder-private-key-v1"
PUBLIC_PREFIX: Final = "bailiwick-responder-public-key-v1"
_MLKEM_SEED: Final = 64
_MLKEM_PUBLIC: Final = 1184
_X25519: Final = 32
_HPKE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class ResponderKeyInvalid(EvidenceError):
    """A text is not a responder's key of the kind asked for."""

    code = "responder_key_invalid"


def generate() -> tuple[str, str]:
    """Make a key pair; return the texts of the private and of the public key.

    A text is the prefix, a space, and base64 of the raw halves: the ML-KEM seed `d ‖ z`
    (FIPS 203) or encapsulation key, then the X25519 key (RFC 7748).
    """
    mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
    private = mlkem.private_bytes_raw() + x25519.private_bytes_raw()
    public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
    return _text(PRIVATE_PREFIX, private), _text(PUBLIC_PREFIX, public)


class Sealer:
    """Seals to one responder's public key.

    Args:
        public_text: the public key's text, as `generate` returns it.

    Raises:
        ResponderKeyInvalid: it is no such text.
    """

    def __init__(self, public_text: str) -> None:
        raw = _raw(PUBLIC_PREFIX, public_text, _MLKEM_PUBLIC + _X25519)
        try:
            self._key = MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_PUBLIC]),
                X25519PublicKey.from_public_bytes(raw[_MLKEM_PUBLIC:]),
            )
        except ValueError as exc:
            raise ResponderKeyInvalid("the responder's public key is not usable") from exc
        self.key_id = hashlib.sha256(raw).hexdigest()[:16]
        """First 16 hex digits of the SHA-256 of the raw public key: which key opens it."""

    def seal(self, data: bytes, info: bytes) -> dict[str, str]:
        """Return `data` sealed, as records hold it: `key`, `suite`, `data` (base64)."""
        sealed = _HPKE.encrypt(data, self._key, info=info)
        return {"key": self.key_id, "suite": SUITE, "data": base64.b64encode(sealed).decode()}


def open_sealed(private_text: str, sealed: object, info: bytes) -> bytes:
    """Return what was sealed.

    Args:
        private_text: the private key's text, as `generate` returns it.
        sealed: the object that `Sealer.seal` returned, as read back.
        info: the same as at sealing.

    Raises:
        ResponderKeyInvalid: the text is no private key.
        VerificationError: `sealed_unreadable`: another key or record, or changed since.
    """
    raw = _raw(PRIVATE_PREFIX, private_text, _MLKEM_SEED + _X25519)
    key = MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(raw[:_MLKEM_SEED]),
        X25519PrivateKey.from_private_bytes(raw[_MLKEM_SEED:]),
    )
    if not isinstance(sealed, dict) or sealed.get("suite") != SUITE:
        raise _unreadable("its suite is not known")
    try:
        data = base64.b64decode(sealed["data"], validate=True)
        return _HPKE.decrypt(data, key, info=info)
    except (InvalidTag, KeyError, TypeError, ValueError) as exc:
        raise _unreadable("it is sealed to another key or record, or was changed") from exc


def _text(prefix: str, raw: bytes) -> str:
    return f"{prefix} {base64.b64encode(raw).decode()}\n"


def _raw(prefix: str, text: str, length: int) -> bytes:
    found, _, encoded = text.strip().partition(" ")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if found != prefix or len(raw) != length:
        raise ResponderKeyInvalid(f"this is not the text of a key: `{prefix} <base64>`")
    return raw


def _unreadable(why: str) -> VerificationError:
    return VerificationError(f"the sealed data cannot be opened: {why}", code="sealed_unreadable")
