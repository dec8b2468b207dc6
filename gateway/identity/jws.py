"""Compact JWS (RFC 7515 §7.1), read strictly: one text stands for one set of bytes.

A part that is not canonical base64url, a header or payload that is not strict JSON (a name twice,
a number beyond 2^53), a text beyond 8 KiB are refused before anything is believed. Nothing read
here is verified until `verify` returns. Does not choose keys and does not know claims.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from jwt.api_jws import PyJWS

from gateway.core.canonical import parse_object
from gateway.core.errors import CredentialRejected, MalformedMessage

MAX_BYTES: Final = 8 * 1024
_JWS: Final = PyJWS(options={"enforce_minimum_key_length": True})


@dataclass(frozen=True, slots=True)
class Unverified:
    """A JWS that can be read; whether anything in it is true is still open."""

    text: str = field(repr=False)
    header: Mapping[str, Any]
    payload: Mapping[str, Any]


def read(text: str, code: str = "token_malformed") -> Unverified:
    """Read a compact JWS.

    Raises:
        CredentialRejected: with `code`, if it is not one.
    """
    parts = text.split(".")
    if len(text) > MAX_BYTES or len(parts) != 3:
        raise CredentialRejected("not a compact JWS of at most 8 KiB", code=code)
    try:
        header, payload, _ = (from_base64url(part) for part in parts)
        return Unverified(text, parse_object(header), parse_object(payload))
    except (MalformedMessage, binascii.Error, ValueError) as exc:
        raise CredentialRejected("a part of the JWS is malformed", code=code) from exc


def from_base64url(part: str) -> bytes:
    """Return the bytes of canonical base64url without padding (RFC 7515 §2).

    Raises:
        ValueError: it is anything else.
    """
    raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    # Other spellings of the same bytes would make one token look like several.
    if to_base64url(raw) != part:
        raise ValueError("not canonical base64url")
    return raw


def to_base64url(raw: bytes) -> str:
    """Return bytes as base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def verify(unverified: Unverified, key: jwt.PyJWK, algorithm: str, code: str) -> None:
    """Check the signature, by this algorithm and no other.

    Raises:
        CredentialRejected: with `code`, if it does not hold.
    """
    try:
        _JWS.decode(unverified.text, key, algorithms=[algorithm])
    except jwt.PyJWTError as exc:
        raise CredentialRejected("the signature does not hold", code=code) from exc
