"""URLs in settings: absolute, plain, and read the same by every parser. Does not fetch."""

import ipaddress
from urllib.parse import urlsplit

from gateway.core.errors import SettingsError


def check_url(url: str, where: str, *, plain_allowed: bool = False) -> None:
    """Refuse what is no absolute URL, or is one that two parsers could read differently.

    Raises:
        SettingsError: saying `where`.
    """
    # The URL is not repeated in a message: it may hold a password.
    if not url.isprintable() or any(character in url for character in " \\?#"):
        raise SettingsError(f"{where}: a URL here has no query, fragment, space or backslash")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise SettingsError(f"{where}: the host or the port is malformed") from exc
    if parts.scheme not in ("http", "https") or not host:
        raise SettingsError(f"{where}: write an absolute http(s) URL")
    if "@" in parts.netloc:
        raise SettingsError(f"{where}: a URL here has no user and no password")
    if parts.scheme == "http" and not plain_allowed and not is_loopback(host):
        raise SettingsError(f"{where}: write https (http on loopback only)")


def is_loopback(host: str) -> bool:
    """Say whether only this machine can be reached by that host name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
