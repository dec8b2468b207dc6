"""The whole file: read, checked across its tables, frozen.

Does not open the files it names, except itself.
"""

import tomllib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.canonical import digest
from gateway.core.errors import SettingsError
from gateway.settings.agreement import (
    check_evidence,
    check_policy,
    check_server,
    check_systems,
    check_terminators,
    check_trust,
    listens_on_loopback_only,
)
from gateway.settings.evidence import Evidence
from gateway.settings.kinds import Name
from gateway.settings.policy import Policy
from gateway.settings.server import Server, Terminator
from gateway.settings.systems import Ledger, System
from gateway.settings.trust import DevIssuer, Identity, Issuer, TrustDomain


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    policy: Policy
    evidence: Evidence
    ledger: Ledger
    server: Server = Server()
    identity: Identity = Identity()
    issuers: tuple[Issuer, ...] = ()
    trust_domains: tuple[TrustDomain, ...] = ()
    terminators: tuple[Terminator, ...] = ()
    systems: dict[Name, System] = {}
    dev_issuer: DevIssuer | None = None

    def digest(self) -> str:
        """Return the digest of these settings as they are in force, defaults included."""
        return digest(msgspec.json.encode(self, enc_hook=str, order="deterministic"))


def load(path: Path) -> Settings:
    """Read and check a settings file.

    Raises:
        SettingsError: naming the key and what is wrong with it.
    """
    try:
        folder = path.resolve().parent
        document = tomllib.loads(path.read_text("utf-8"))
        settings = msgspec.convert(document, Settings, dec_hook=_path_in(folder))
        _check(settings)
        settings = _with_key_files_in(folder, settings)
    except OSError as exc:
        raise SettingsError(
            f"{path}: cannot be read ({exc.strerror}); `bailiwick init` writes one"
        ) from exc
    except (ValueError, RuntimeError) as exc:
        raise SettingsError(f"{path}: {exc}") from exc
    except SettingsError as exc:
        raise SettingsError(f"{path}: {exc.message}") from exc
    return settings


def _path_in(folder: Path) -> Any:
    def decode(kind: type, value: object) -> object:
        if kind is Path and isinstance(value, str) and value:
            return folder / value
        # A ValueError, because msgspec adds to it where in the file the value stands.
        raise ValueError("Expected a path")

    return decode


def _with_key_files_in(folder: Path, settings: Settings) -> Settings:
    issuers = tuple(
        msgspec.structs.replace(issuer, jwks=str(folder / (issuer.jwks or "")))
        if issuer.keys_in_file
        else issuer
        for issuer in settings.issuers
    )
    return msgspec.structs.replace(settings, issuers=issuers)


def _check(settings: Settings) -> None:
    server, domains, terminators = settings.server, settings.trust_domains, settings.terminators
    loopback = listens_on_loopback_only(server, terminators)
    check_trust(settings.issuers, settings.dev_issuer, domains, loopback=loopback)
    check_server(server)
    check_terminators(terminators, server, domains)
    check_policy(settings.policy)
    check_evidence(settings.evidence)
    check_systems(settings.systems)
