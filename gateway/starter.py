"""A folder to start from: settings, a policy bundle of one's own, and a development issuer.

What is written refuses everything but the shipped example agents, and listens on loopback only.
Existing files are never overwritten. Does not start anything.
"""

import shutil
from pathlib import Path
from typing import Final

from gateway.core.errors import SettingsError
from gateway.identity.dev import create_key
from gateway.policy.bundle import shipped_bundle

SETTINGS_NAME: Final = "bailiwick.toml"

_SETTINGS: Final = """\
# Bailiwick settings. An unknown key is an error; relative paths start at this file.

[server]
host = "127.0.0.1"
port = {port}

[policy]
bundle = "policy"          # rules, charters and the catalogue of systems: yours to edit

[evidence]
folder = "evidence"        # one gateway per folder

[ledger]
path = "ledger.db"

# Tokens for trying things out: `bailiwick token mint`. Works on loopback only.
# In production, name your issuers instead:
#   [[issuers]]
#   issuer = "https://login.example.com"
#   audience = "https://gateway.example.com"
#   jwks = "https://login.example.com/jwks.json"
[dev_issuer]
key = "dev-issuer.json"

[systems.company]          # agents reach it at http://127.0.0.1:{port}/company/mcp
url = "{url}"
"""


def create(folder: Path, url: str, port: int) -> list[Path]:
    """Write the starting files and return them.

    Args:
        folder: where; made if missing.
        url: endpoint of the MCP server that the example system `company` stands for.
        port: where the gateway will listen.

    Raises:
        SettingsError: one of the files is there already, or the folder cannot be written.
    """
    settings, policy, key = folder / SETTINGS_NAME, folder / "policy", folder / "dev-issuer.json"
    for path in (settings, policy, key):
        if path.exists():
            raise SettingsError(f"{path} is there already; choose another folder, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(shipped_bundle(), policy)
        create_key(key)
        settings.write_text(_SETTINGS.format(url=url, port=port), "utf-8")
    except OSError as exc:
        raise SettingsError(f"{folder}: cannot be written ({exc.strerror})") from exc
    return [settings, policy, key]
