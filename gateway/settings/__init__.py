"""`bailiwick.toml`, read into frozen values; an unknown key is an error.

There are no defaults that permit anything: without issuers nobody is authenticated, without a
bundle the gateway does not start, and a development issuer is refused unless every listener is on
loopback. Secrets are named by file, never written here. Relative paths are relative to the settings
file. Does not open the files it names, except itself.
"""

from gateway.settings.evidence import Anchor, Evidence, Retention, Space
from gateway.settings.policy import OPA, Policy, Signature
from gateway.settings.server import Server, Terminator
from gateway.settings.systems import Ledger, System
from gateway.settings.trust import (
    MAX_LIFETIME_SECONDS,
    Claimed,
    DevIssuer,
    DPoP,
    Identity,
    Issuer,
    TrustDomain,
)
from gateway.settings.whole import Settings, load

__all__ = [
    "MAX_LIFETIME_SECONDS",
    "OPA",
    "Anchor",
    "Claimed",
    "DPoP",
    "DevIssuer",
    "Evidence",
    "Identity",
    "Issuer",
    "Ledger",
    "Policy",
    "Retention",
    "Server",
    "Settings",
    "Signature",
    "Space",
    "System",
    "Terminator",
    "TrustDomain",
    "load",
]
