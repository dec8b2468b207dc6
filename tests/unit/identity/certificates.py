"""Authorities and client certificates made at test time; good ones, unless a test says otherwise.

    authority = Authority()                 a trust domain's authority
    authority.issue()                       a workload's certificate, an X.509-SVID
    authority.intermediate().issue()        … from an authority below it, with its chain
    authority.issue().forwarded()           the same as a terminator forwards it

Private keys stay in memory, unless `write` puts them where a TLS client reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.core.claims import ForwardedCertificate
from tests.unit.identity.keys import NOW

DOMAIN = "corp.test"
WORKLOAD = "spiffe://corp.test/agent/a"
EDGE = "edge"
"""Name of the terminator."""
CLIENTS = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def usage(*names: str) -> x509.KeyUsage:
    """Return a key usage with only these bits."""
    return x509.KeyUsage(**{name: name in names for name in _USAGES})


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, and the authorities between it and its root."""

    certificate: x509.Certificate
    private: Any
    intermediates: tuple[x509.Certificate, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of the DER, in hexadecimal digits."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def pem(self) -> str:
        """The certificate alone."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def chain(self) -> str:
        """The certificate and what is between it and its root."""
        return self.pem + "".join(
            one.public_bytes(Encoding.PEM).decode() for one in self.intermediates
        )

    def text(self, uri: str | None = WORKLOAD, **replaced: str | None) -> str:
        """Return it as a terminator writes it; keys in `replaced` have other values or are out."""
        values = {
            "Hash": self.hash,
            "Cert": f'"{quote(self.pem, safe="")}"',
            "Chain": f'"{quote(self.chain, safe="")}"' if self.intermediates else None,
            "Subject": '"CN=a,O=corp"',
            "URI": uri,
        } | replaced
        return ";".join(f"{key}={value}" for key, value in values.items() if value is not None)

    def forwarded(
        self, uri: str | None = None, terminator: str = EDGE, **replaced: str | None
    ) -> ForwardedCertificate:
        """Return it as it reaches the gateway; with its URI, if one is given."""
        return ForwardedCertificate(self.text(uri, **replaced), terminator)

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write chain and key as PEM files and return their paths."""
        chain, key = folder / f"{name}.pem", folder / f"{name}.key"
        chain.write_text(self.chain)
        key.write_bytes(
            self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return chain, key


class Authority:
    """An authority with its own key: a root, or one below `issuer`."""

    def __init__(
        self,
        name: str = DOMAIN,
        *,
        issuer: "Authority | None" = None,
        private: Any = None,
        begins: int = NOW - 3600,
        ends: int = NOW + 86400,
        path_length: int | None = None,
        ca: bool = True,
        usages: Sequence[str] = ("key_cert_sign", "crl_sign"),
        extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> None:
        self.private = private or ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca, path_length if ca else None), True),
            (usage(*usages), True),
            (x509.SubjectKeyIdentifier.from_public_key(self.private.public_key()), False),
            *extra,
        ]
        if issuer is not None:
            extensions.append((issuer.key_identifier, False))
        self.certificate = _signed(
            self.private, issuer or self, self.name, (begins, ends), extensions
        )
        self.intermediates = () if issuer is None else (self.certificate, *issuer.intermediates)

    @property
    def key_identifier(self) -> x509.AuthorityKeyIdentifier:
        """What its certificates name their issuer's key by."""
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.private.public_key())

    @property
    def pem(self) -> str:
        """Its own certificate."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def intermediate(self, name: str = "below", **members: Any) -> "Authority":
        """Return an authority that this one stands behind."""
        return Authority(name, issuer=self, **members)

    def issue(
        self,
        *uris: str,
        begins: int = NOW - 60,
        ends: int = NOW + 3600,
        ca: bool | None = False,
        usages: Sequence[str] | None = ("digital_signature",),
        extended: Sequence[x509.ObjectIdentifier] | None = CLIENTS,
        names: Sequence[x509.GeneralName] = (),
        private: Any = None,
        subject: str | None = "a",
        extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> Issued:
        """Return a client certificate with these URIs; without any, of `WORKLOAD`.

        Members of None are left out of it; `names` stand in place of all URIs.
        """
        key = private or ec.generate_private_key(ec.SECP256R1())
        all_names = names or [x509.UniformResourceIdentifier(uri) for uri in uris or (WORKLOAD,)]
        extensions: list[tuple[x509.ExtensionType, bool]] = [(self.key_identifier, False), *extra]
        if list(all_names) != [NO_NAME]:
            extensions.append((x509.SubjectAlternativeName(all_names), subject is None))
        if ca is not None:
            extensions.append((x509.BasicConstraints(ca, None), True))
        if usages is not None:
            extensions.append((usage(*usages), True))
        if extended is not None:
            extensions.append((x509.ExtendedKeyUsage(extended), False))
        name = x509.Name([]) if subject is None else _name(subject)
        certificate = _signed(key, self, name, (begins, ends), extensions)
        return Issued(certificate, key, self.intermediates)


NO_NAME = x509.DNSName("none.invalid")
"""As the only one of `names`: the certificate has no subject alternative name."""


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(
    private: Any,
    issuer: Authority,
    subject: x509.Name,
    times: tuple[int, int],
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    begins, ends = (datetime.fromtimestamp(time, UTC) for time in times)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer.private, hashes.SHA256())
