"""Where an issuer's keys are: its own word, found from its configured name and from nothing else.

OpenID Connect Discovery 1.0 §4, and RFC 8414 §3 where that document is absent. The document must
be of exactly this issuer (Discovery §4.3, RFC 8414 §3.3), else one server could speak for another.
It is fetched again with the keys each time, so that keys that move are followed. Does not take a
URL from a token, and uses nothing of the document but `jwks_uri`.
"""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.core.canonical import parse_object
from gateway.core.errors import IssuerUnavailable, MalformedMessage, SettingsError
from gateway.identity.fetching import Absent, Server, bounded, origin
from gateway.identity.kept import Fetch
from gateway.settings.urls import check_url

_OPENID: Final = "/.well-known/openid-configuration"
_OAUTH: Final = "/.well-known/oauth-authorization-server"


def discovered(
    issuer: str, *, ca_file: Path | None = None, token_file: Path | None = None
) -> Fetch:
    """Return a fetch that asks the issuer where its keys are, and gets them; 5 s in all.

    Args:
        issuer: its configured identifier, an https URL (http on loopback only).
        ca_file: as for `fetching.from_url`, for both requests.
        token_file: as there, but shown to the issuer's own origin only: where keys lie elsewhere,
            name the place in settings if it wants a token.

    Raises:
        SettingsError: the issuer is no such URL.
    """
    check_url(issuer, "issuer")
    server = Server(ca_file, token_file)

    async def fetch() -> bytes:
        with bounded(origin(issuer)):
            keys = _keys_at(issuer, await _metadata(server, issuer))
            with bounded(origin(keys)):
                return await server.get(keys, show_token=origin(keys) == origin(issuer))

    return fetch


async def _metadata(server: Server, issuer: str) -> bytes:
    try:
        return await server.get(issuer.rstrip("/") + _OPENID, show_token=True)
    except Absent:
        path = urlsplit(issuer).path.rstrip("/")
        return await server.get(f"{origin(issuer)}{_OAUTH}{path}", show_token=True)


def _keys_at(issuer: str, document: bytes) -> str:
    """Return `jwks_uri`, if the document is this issuer's and the URL is one that may be read."""
    where = origin(issuer)
    try:
        metadata = parse_object(document)
    except MalformedMessage as exc:
        raise IssuerUnavailable(f"{where}: its metadata is not strict JSON: {exc.message}") from exc
    if metadata.get("issuer") != issuer:
        raise IssuerUnavailable(f"{where}: its metadata is of another issuer")
    keys = metadata.get("jwks_uri")
    if not isinstance(keys, str):
        raise IssuerUnavailable(f"{where}: its metadata has no jwks_uri")
    # Some providers choose the key set by a query; anything else that is odd is refused.
    plain, _, query = keys.partition("?")
    try:
        check_url(f"{plain}/{query}", f"{where}: jwks_uri")
        check_url(plain, f"{where}: jwks_uri")
    except SettingsError as exc:
        raise IssuerUnavailable(exc.message) from exc
    # Only an issuer on this machine may send us to what listens on this machine without TLS.
    if not plain.startswith("https:") and not issuer.startswith("http:"):
        raise IssuerUnavailable(f"{where}: jwks_uri is not https")
    return keys
