"""`X-Forwarded-Client-Cert`: what a TLS terminator says about a client certificate, read strictly.

The grammar is Envoy's: elements separated by `,`, in each `key=value` pairs separated by `;`, keys
without case, a value with `,` `;` or `=` in it in double quotes, in which a backslash takes the
next character as it is (subjects are written by RFC 2253, which escapes more than quotes). One
element and one of each key, or nothing is believed: a second element was appended by somebody, and
of a repeated key two readers take different ones. Names of the certificate's subject stay inside
their quotes, whatever they spell.

Only `Hash`, `Cert`, `Chain` and `URI` are read on; who the client is comes from the certificate
itself. Does not verify anything.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.core.errors import CredentialRejected

MAX_BYTES: Final = 24 * 1024
MAX_INTERMEDIATES: Final = 4
_KEYS: Final = frozenset({"by", "hash", "cert", "chain", "subject", "uri", "dns"})
_PAIR: Final = re.compile(
    r'(?P<key>[A-Za-z]++)=(?:"(?P<quoted>[^"\\]*+(?:\\.[^"\\]*+)*+)"|(?P<plain>[^",;=\\ ]*+))'
)
_ESCAPED: Final = re.compile(r"\\(.)")
_HASH: Final = re.compile(r"[0-9A-Fa-f]{64}")
_PERCENT_ENCODED: Final = re.compile(r"(?:[A-Za-z0-9._~-]++|%[0-9A-Fa-f]{2})*+")
"""RFC 3986 §2.1, §2.3. A bare `+` would be a space to some readers, so it is refused."""
_PEM: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----\n((?:[A-Za-z0-9+/]++={0,2}\n)++)-----END CERTIFICATE-----\n?"
)
"""RFC 7468 §5.1 without the text around it."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What a terminator said; nothing of it is verified."""

    hash: str
    """SHA-256 of the certificate, as the terminator took it; 64 lower-case hexadecimal digits."""
    certificate: bytes = field(repr=False)
    """DER."""
    intermediates: tuple[bytes, ...] = field(default=(), repr=False)
    """DER of what the client sent after its certificate."""
    uri: str | None = None
    """URI of the certificate's subject alternative name, as the terminator read it."""


def read(text: str) -> Forwarded:
    """Read the value of an `X-Forwarded-Client-Cert` header.

    Raises:
        CredentialRejected: xfcc_too_long, _malformed, _several_elements, _key_unknown,
            _key_repeated, _hash_missing, _hash_malformed, _certificate_missing,
            _certificate_malformed, _chain_malformed, _chain_too_long or _chain_mismatch.
    """
    values = _pairs(text)
    if not (digest := values.get("hash")):
        raise _refused("there is no Hash", "hash_missing")
    if not _HASH.fullmatch(digest):
        raise _refused("Hash is no SHA-256 in hexadecimal digits", "hash_malformed")
    if not values.get("cert"):
        raise _refused("there is no Cert", "certificate_missing")
    certificates = _certificates(values["cert"])
    if len(certificates) != 1:
        raise _refused("Cert is not one URL-encoded PEM certificate", "certificate_malformed")
    return Forwarded(
        digest.lower(),
        certificates[0],
        _intermediates(values.get("chain"), certificates[0]),
        # Envoy writes an empty URI for a certificate without one.
        values.get("uri") or None,
    )


def _pairs(text: str) -> dict[str, str]:
    """Return the one element's values by lower-case key, without quotes."""
    if len(text) > MAX_BYTES:
        raise _refused("it is longer than 24 KiB", "too_long")
    if not (text.isascii() and text.isprintable()):
        raise _refused("it is not printable ASCII", "malformed")
    values: dict[str, str] = {}
    at = 0
    while True:
        pair = _PAIR.match(text, at)
        if pair is None:
            raise _refused("it is not made of key=value pairs", "malformed")
        key = pair["key"].lower()
        if key not in _KEYS:
            raise _refused("it has a key that is not known", "key_unknown")
        if key in values:
            raise _refused(f"it says {key} more than once", "key_repeated")
        quoted = pair["quoted"]
        values[key] = pair["plain"] if quoted is None else _ESCAPED.sub(r"\1", quoted)
        at = pair.end()
        if at == len(text):
            return values
        if text[at] == ",":
            raise _refused("it has more than one element", "several_elements")
        if text[at] != ";":
            raise _refused("it has text between its pairs", "malformed")
        at += 1


def _intermediates(chain: str | None, certificate: bytes) -> tuple[bytes, ...]:
    if not chain:
        return ()
    certificates = _certificates(chain)
    if not certificates:
        raise _refused("Chain is not URL-encoded PEM certificates", "chain_malformed")
    if certificates[0] != certificate:
        raise _refused("Chain does not begin with Cert", "chain_mismatch")
    if len(certificates) > 1 + MAX_INTERMEDIATES:
        raise _refused(f"Chain has more than {MAX_INTERMEDIATES} after Cert", "chain_too_long")
    return tuple(certificates[1:])


def _certificates(value: str) -> list[bytes]:
    """Return the DER of URL-encoded PEM certificates; none, if there is anything else in it."""
    if not _PERCENT_ENCODED.fullmatch(value):
        return []
    pem = unquote_to_bytes(value)
    found, at = [], 0
    while at < len(pem):
        certificate = _PEM.match(pem, at)
        if certificate is None:
            return []
        text = certificate[1].replace(b"\n", b"")
        try:
            der = base64.b64decode(text, validate=True)
        except binascii.Error:
            return []
        # Bits beyond the last byte would give one certificate several spellings.
        if base64.b64encode(der) != text:
            return []
        found.append(der)
        at = certificate.end()
    return found


def _refused(message: str, code: str) -> CredentialRejected:
    return CredentialRejected(f"X-Forwarded-Client-Cert: {message}", code=f"xfcc_{code}")
