"""A folder to start from: settings, a policy bundle of one's own, keys, and a development issuer.

What is written refuses everything but the shipped example agents, and listens on loopback only.
Existing files are never overwritten. Does not start anything.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Final

from gateway.core.errors import SettingsError
from gateway.evidence.signer import create_keys
from gateway.identity.dev import create_key
from gateway.policy.bundle import shipped_bundle
from gateway.settings import load

SETTINGS_NAME: Final = "bailiwick.toml"
ORIGIN: Final = "bailiwick.example/gateway"

_SETTINGS: Final = """\
# Bailiwick settings. An unknown key is an error; relative paths start at this file.

[server]
host = "127.0.0.1"
port = {port}

[policy]
bundle = "policy"          # rules, charters and the catalogue of systems: yours to edit

[evidence]
folder = "evidence"        # one gateway per folder
keys = "evidence-keys"     # what signs the evidence; keep it away from the evidence
origin = {origin}          # the name of this gateway's log, in receipts and checkpoints

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
url = {url}
"""


def create(folder: Path, url: str, port: int) -> list[Path]:
    """Write the starting files and return them.

    Args:
        folder: where; made if missing.
        url: endpoint of the MCP server that the example system `company` stands for.
        port: where the gateway will listen.

    Raises:
        SettingsError: a value is not a valid setting (then nothing is written), one of the files
            is there already, or the folder cannot be written.
    """
    settings, policy, key = folder / SETTINGS_NAME, folder / "policy", folder / "dev-issuer.json"
    keys = folder / "evidence-keys"
    for path in (settings, policy, key, keys):
        if path.exists():
            raise SettingsError(f"{path} is there already; choose another folder, or remove it")
    text = _checked(url, port)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(shipped_bundle(), policy)
        create_key(key)
        create_keys(keys)
        with settings.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise SettingsError(f"{folder}: cannot be written ({exc.strerror or exc})") from exc
    return [settings, policy, key, keys]


def _checked(url: str, port: int) -> str:
    """Return the text of the settings, once the gateway's own reader has accepted it."""
    # A JSON string is a TOML basic string, but for DEL and surrogates, which are refused below.
    text = _SETTINGS.format(
        url=json.dumps(url, ensure_ascii=False), port=port, origin=json.dumps(ORIGIN)
    )
    with tempfile.TemporaryDirectory() as elsewhere:
        trial = Path(elsewhere).resolve() / SETTINGS_NAME
        try:
            trial.write_text(text, "utf-8")
            load(trial)
        except UnicodeEncodeError as exc:
            raise SettingsError("the URL is not text") from exc
        except SettingsError as exc:
            raise SettingsError(exc.message.removeprefix(f"{trial}: ")) from exc
    return text
