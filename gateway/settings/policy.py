"""`[policy]`: the bundle, who signs it, and the engine that decides on it.

Does not open what it names.
"""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.settings.kinds import Seconds


class Signature(Struct, frozen=True, forbid_unknown_fields=True):
    """`[policy.signature]`: a bundle counts only if this key signed it, as OPA signs bundles."""

    key: Path
    """PEM file of the public key."""
    algorithm: Literal[
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"
    ] = "RS256"
    key_id: str = "default"
    """The `keyid` that the signature names; OPA writes `default` unless told otherwise."""
    scope: str = ""
    """The `scope` that the signature names, none unless said."""


class OPA(Struct, frozen=True, forbid_unknown_fields=True):
    """`[policy.opa]`: the OPA sidecar, on a Unix socket or by URL."""

    socket: Path | None = None
    """Unix socket on which OPA listens (`opa run --addr unix://…`)."""
    url: str | None = None
    """Instead of it: `https://HOST:PORT`, or http on loopback."""
    token_file: Path | None = None
    """File that holds the bearer token that OPA asks for."""
    ca: Path | None = None
    """PEM file of the authorities that OPA's certificate may come from."""
    certificate: Path | None = None
    """PEM file of the client certificate for OPA, with `key`."""
    key: Path | None = None


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """`[policy]`: the policy bundle and the engine."""

    bundle: Path
    """A folder, or an archive that `bailiwick policy build` wrote."""
    engine: Literal["embedded", "opa", "cedar"] = "embedded"
    deadline_ms: Annotated[int, Meta(ge=1, le=10_000)] = 250
    processes: Annotated[int, Meta(ge=1, le=64)] = 2
    """How many processes evaluate Rego, with the embedded engine."""
    reload_seconds: Seconds | None = None
    """How often to look whether the bundle changed; without it, only on SIGHUP."""
    signature: Signature | None = None
    opa: OPA | None = None
