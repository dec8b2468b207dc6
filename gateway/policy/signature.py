"""The signature of a bundle, in OPA's format: which files it holds, and that it holds no others.

`.signatures.json` holds one compact JWS, whose payload lists every file with its SHA-256. A bundle
counts as signed only if the list and the files are the same set and every digest fits. `.manifest`
and `data.json` are hashed by what they say, as OPA does it (keys in order, numbers as they are
spelled), all others by their bytes.
https://www.openpolicyagent.org/docs/latest/management-bundles/#signature-format.
Does not verify the JWS itself and holds no key: `Verify` and `Sign` come from identity.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from gateway.core.canonical import parse_object
from gateway.core.errors import BundleError, MalformedMessage
from gateway.policy.files import DATA, MANIFEST, SIGNATURES, Files

UNSIGNED: Final = "bundle_unsigned"
INVALID: Final = "bundle_signature_invalid"
ALGORITHM: Final = "SHA-256"

Verify = Callable[[str], Mapping[str, Any]]
"""Takes a compact JWS, returns its verified payload with the `keyid` it holds under.

Raises BundleError if the signature does not hold."""

Sign = Callable[[Mapping[str, Any]], str]
"""Takes a payload, returns the compact JWS."""

_STRUCTURED: Final = (MANIFEST, DATA)
_PLUGIN: Final = "_default"
"""What OPA writes as the name of its own way to sign."""

_refusal = partial(BundleError, code=INVALID)


class _Number(str):
    """A number as it is spelled."""

    __slots__ = ()


def check(files: Files, verify: Verify) -> str:
    """Hold every file of a bundle against its signature; return the id of the key that signed.

    Args:
        files: every file there is, also those that no engine reads.
        verify: checks the JWS with the one key that counts.

    Raises:
        BundleError: `bundle_unsigned`, or `bundle_signature_invalid` naming the file.
    """
    if SIGNATURES not in files:
        raise BundleError(
            f"{SIGNATURES}: missing; the settings ask for a signed bundle, "
            "and `bailiwick policy sign` signs one",
            code=UNSIGNED,
        )
    payload = verify(_token(files[SIGNATURES]))
    listed = _listed(payload.get("files"))
    held = {name: content for name, content in files.items() if name != SIGNATURES}
    for name in sorted(listed.keys() - held.keys()):
        raise _refusal(f"{name}: was signed and is missing")
    for name in sorted(held.keys() - listed.keys()):
        raise _refusal(f"{name}: is not among the files that were signed")
    for name, content in held.items():
        if digest_of(name, content) != listed[name]:
            raise _refusal(f"{name}: is not what was signed")
    return str(payload["keyid"])


def signed(files: Files, sign: Sign) -> bytes:
    """Return the `.signatures.json` for these files; an older signature is not one of them.

    Raises:
        BundleError: a file that is hashed by what it says is not strict JSON.
    """
    listed = [
        {"name": name, "hash": digest_of(name, content), "algorithm": ALGORITHM}
        for name, content in sorted(files.items())
        if name != SIGNATURES
    ]
    return json.dumps({"signatures": [sign({"files": listed})]}).encode("ascii")


def digest_of(name: str, content: bytes) -> str:
    """Return the SHA-256 of a file, in hexadecimal, as OPA's signatures name it.

    Raises:
        BundleError: the file is hashed by what it says, and is not strict JSON.
    """
    hashed = _structure(name, content) if name in _STRUCTURED else content
    return hashlib.sha256(hashed).hexdigest()


def _token(content: bytes) -> str:
    try:
        document = parse_object(content)
    except MalformedMessage as exc:
        raise _refusal(f"{SIGNATURES}: {exc.message}") from exc
    match document:
        case {"signatures": [str(token)], **rest} if rest in ({}, {"plugin": _PLUGIN}):
            return token
    raise _refusal(f"{SIGNATURES}: is not {{signatures: [one JWT]}}")


def _listed(entries: Any) -> dict[str, str]:
    """Return the hash of each signed file by its name."""
    listed: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else [None]:
        match entry:
            case {"name": str(name), "hash": str(value), "algorithm": "SHA-256", **rest} if (
                not rest and name not in listed
            ):
                listed[name] = value
            case _:
                raise _refusal(
                    f"{SIGNATURES}: `files` must list each file once, as "
                    f"{{name, hash, algorithm: {ALGORITHM}}}"
                )
    return listed


# --- what JSON says, as OPA hashes it ---


def _structure(name: str, content: bytes) -> bytes:
    try:
        value = json.loads(
            content.decode("utf-8"),
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_refuse,
            object_pairs_hook=_object,
        )
        # Half a surrogate pair is an error here; Go would put U+FFFD: two texts of one hash.
        return _spelled(value).encode("utf-8")
    except (ValueError, RecursionError) as exc:
        raise _refusal(f"{name}: is not JSON that says one thing only") from exc


def _refuse(text: str) -> Any:
    raise ValueError(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of a key given twice OPA takes the last one, so that the others could be anything.
    if len(members := dict(pairs)) != len(pairs):
        raise ValueError("a key is there twice")
    return members


def _spelled(value: Any) -> str:
    """Return a value as Go's encoder spells it without escaping for HTML."""
    match value:
        case _Number():
            return str(value)
        case str():
            return _text(value)
        case dict():
            members = (f"{_text(key)}:{_spelled(value[key])}" for key in sorted(value))
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ",".join(map(_spelled, value)) + "]"
        case _:
            return json.dumps(value)


def _text(value: str) -> str:
    spelled = json.dumps(value, ensure_ascii=False)
    return spelled.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
