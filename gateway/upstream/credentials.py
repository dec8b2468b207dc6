"""The gateway's own credentials for systems: the agent never holds the key.

A static bearer token is read from the file that settings name, once, at start. Does not fetch
short-lived credentials; they come behind the same function.
"""

from pathlib import Path

from gateway.core.errors import SettingsError


def bearer_from(path: Path) -> str:
    """Return the value of the Authorization header for the token in `path`.

    Raises:
        SettingsError: the file cannot be read, or holds no single line of visible ASCII.
    """
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path}: the credential cannot be read") from exc
    if not token or any(not "!" <= character <= "~" for character in token):
        raise SettingsError(f"{path}: a credential is one line of visible ASCII")
    return f"Bearer {token}"
