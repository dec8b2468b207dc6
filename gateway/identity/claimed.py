"""What an issuer's claims say in our terms: names, scopes, audience, the key a token is bound to.

Issuers write the same thing in different places, so settings may name a claim or point (RFC 6901)
into a nested one. What is there in another form than expected is refused, never read as if it were
absent. Works on claims of which the signature holds. Does not verify signatures or times.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.core.errors import CredentialRejected, SettingsError
from gateway.core.pointer import segments
from gateway.identity.jws import from_base64url

Read = Callable[[Mapping[str, Any]], Any]
"""Returns what a payload holds at one place; None if there is nothing, or null."""

_BINDINGS: Final = frozenset({"jkt", "x5t#S256"})
_SHA256_BYTES: Final = 32


def reader(place: str) -> Read:
    """Return what reads the claim of this name, or at this pointer if it begins with a slash.

    Raises:
        SettingsError: it is neither.
    """
    if not place.startswith("/"):
        if not place:
            raise SettingsError("issuers: claims: the name of a claim is empty")
        return lambda payload: payload.get(place)
    try:
        path = segments(place)
    except ValueError as exc:
        raise SettingsError(f"issuers: claims: {place!r} is not a JSON pointer") from exc

    def read(payload: Mapping[str, Any]) -> Any:
        value: Any = payload
        for segment in path:
            value = value.get(segment) if isinstance(value, Mapping) else None
        return value

    return read


def text(value: Any, what: str, prefix: str = "token") -> str:
    """Return a claim that must be a text and say something.

    Raises:
        CredentialRejected: PREFIX_claim_malformed.
    """
    if not isinstance(value, str) or not value:
        raise CredentialRejected(f"{what} is not text", code=f"{prefix}_claim_malformed")
    return value


def optional_text(value: Any, what: str, prefix: str = "token") -> str | None:
    """Return a claim that must be a text if it is there.

    Raises:
        CredentialRejected: PREFIX_claim_malformed.
    """
    return None if value is None else text(value, what, prefix)


def check_audience(payload: Mapping[str, Any], expected: str, prefix: str = "token") -> None:
    """Check that a token is for this audience and for nobody else (RFC 7519 §4.1.3).

    Equality only. A list may hold one name: a token for two could be replayed by either.

    Raises:
        CredentialRejected: PREFIX_aud_missing or PREFIX_audience.
    """
    audience = payload.get("aud")
    if audience is None:
        raise CredentialRejected("there is no aud", code=f"{prefix}_aud_missing")
    # Without an audience of its own, nothing could be meant for this gateway.
    if not expected or audience not in (expected, [expected]):
        raise CredentialRejected("the token is not for us alone", code=f"{prefix}_audience")


def scopes(value: Any, implies: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the scopes of a token, with those that they contain.

    Args:
        value: a text with spaces between (RFC 8693 §4.2, RFC 9068 §2.2.3) or a list of texts.
        implies: what a scope contains, as settings say; may go round in circles.

    Raises:
        CredentialRejected: token_claim_malformed.
    """
    if value is None:
        return ()
    found = value.split(" ") if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(scope, str) for scope in found):
        raise CredentialRejected("scope is not a list of texts", code="token_claim_malformed")
    # An insertion-ordered set: each scope is looked up once, so circles end.
    known = dict.fromkeys(scope for scope in found if scope)
    pending = list(known)
    while pending and implies:
        for scope in implies.get(pending.pop(), ()):
            if scope not in known:
                known[scope] = None
                pending.append(scope)
    return tuple(known)


def confirmation(payload: Mapping[str, Any]) -> Mapping[str, str] | None:
    """Return the one key that a token is bound to (`cnf`, RFC 7800 §3.1), None if it is not.

    Only thumbprints of a DPoP key (`jkt`, RFC 9449 §6.1) and of a client certificate (`x5t#S256`,
    RFC 8705 §3.1) can be checked here. A binding that cannot be checked is not ignored: the token
    would be taken from a thief.

    Raises:
        CredentialRejected: token_confirmation_refused.
    """
    if "cnf" not in payload:
        return None
    bound = payload["cnf"]
    if not isinstance(bound, Mapping) or len(bound) != 1 or not bound.keys() <= _BINDINGS:
        raise CredentialRejected(
            "cnf is not one thumbprint that can be checked", code="token_confirmation_refused"
        )
    ((name, thumbprint),) = bound.items()
    if not _is_sha256(thumbprint):
        raise CredentialRejected(
            f"{name} of cnf is not a SHA-256 thumbprint", code="token_confirmation_refused"
        )
    return {name: thumbprint}


def _is_sha256(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(from_base64url(value)) == _SHA256_BYTES
    except ValueError:
        return False
