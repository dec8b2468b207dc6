"""Settings of a gateway with terminators, and certificates made at test time."""

import datetime
import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.settings import (
    DevIssuer,
    Evidence,
    Issuer,
    Ledger,
    Policy,
    Server,
    Settings,
    System,
    Terminator,
    TrustDomain,
)

LOOPBACK = "127.0.0.1"
DOMAINS = ("corp.test",)


def settings(folder: Path = Path("unused"), **changed: Any) -> Settings:
    """Return settings with one system, `crm`, but for what is given."""
    members: dict[str, Any] = {
        "policy": Policy(folder / "policy"),
        "evidence": Evidence(folder / "evidence", folder / "keys"),
        "ledger": Ledger(folder / "ledger.db"),
        "server": Server(public_url="https://gw.test"),
        "trust_domains": (TrustDomain("corp.test", bundle=folder / "bundle.json"),),
        "systems": {"crm": System("https://crm.test/mcp")},
    }
    return Settings(**(members | changed))


def issuer(name: str, **more: Any) -> Issuer:
    """Return an issuer whose keys nobody reads."""
    return Issuer(name, jwks="unused", **more)


def dev(folder: Path = Path("unused")) -> DevIssuer:
    """Return a development issuer."""
    return DevIssuer(folder / "dev.jwk")


def edge(name: str = "edge", **way: Any) -> Terminator:
    """Return a terminator that is known in this way."""
    return Terminator(name, DOMAINS, **way)


class Authority:
    """A certificate authority of one test."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = self._certificate(self._name, self._key.public_key(), authority=True)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return the files of a new certificate for loopback and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._certificate(subject, key.public_key(), authority=False)
        certificate, private = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, private

    def _certificate(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, *, authority: bool
    ) -> x509.Certificate:
        # TLS compares with the machine's clock.
        now = datetime.datetime.now(datetime.UTC)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
