"""`bailiwick.toml`, read into frozen values; an unknown key is an error.

There are no defaults that permit anything: without issuers nobody is authenticated, without a
bundle the gateway does not start, and a development issuer is refused unless every listener is on
loopback. Secrets are named by file, never written here. Relative paths are relative to the settings
file. Does not open the files it names, except itself.
"""

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from gateway.core.canonical import digest
from gateway.core.errors import SettingsError

MAX_LIFETIME_SECONDS: Final = 3600
"""No issuer may be given a longer cap: a longer token is a long-lived secret."""

Algorithm = Literal["RS256", "PS256", "ES256", "ES384", "EdDSA"]
"""Asymmetric signatures only; a shared secret would let the verifier mint."""
SystemName = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,62}\Z")]
Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]
Percent = Annotated[float, Meta(ge=0, le=100)]


class Server(Struct, frozen=True, forbid_unknown_fields=True):
    """`[server]`: the data-plane listener, and what it admits."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 8080
    hosts: tuple[str, ...] = ()
    """Accepted `Host` values; empty means the listener itself (and localhost on loopback)."""
    origins: tuple[str, ...] = ()
    """Accepted `Origin` values; empty means a request with any Origin is refused."""
    max_body_bytes: Positive = 1024 * 1024
    body_idle_seconds: Seconds = 10.0
    body_total_seconds: Seconds = 30.0
    drain_seconds: Seconds = 10.0
    """How long calls in flight may go on once the gateway was asked to stop."""

    @property
    def address(self) -> str:
        """Host and port, as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the listener."""
        return _is_loopback(self.host)

    def accepted_hosts(self) -> frozenset[str]:
        """Return every `Host` value that admission lets through, lower case."""
        if self.hosts:
            return frozenset(name.lower() for name in self.hosts)
        own = {self.host.lower(), *(("localhost", "127.0.0.1") if self.loopback else ())}
        # An IPv6 address is written in brackets (RFC 3986 §3.2.2), the default port not at all.
        names = {f"[{name}]" if ":" in name else name for name in own}
        port = "" if self.port == 80 else f":{self.port}"
        return frozenset(name + port for name in names)


class Issuer(Struct, frozen=True, forbid_unknown_fields=True):
    """`[[issuers]]`: an issuer of tokens that this gateway believes, and the limits of that."""

    issuer: Annotated[str, Meta(min_length=1)]
    audience: Annotated[str, Meta(min_length=1)]
    jwks: Annotated[str, Meta(min_length=1)]
    """Path of a JWKS file, or an https URL (http on loopback only)."""
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = ("ES256", "EdDSA", "RS256")
    types: Annotated[tuple[str, ...], Meta(min_length=1)] = ("at+jwt", "JWT")
    """Accepted `typ` headers."""
    max_lifetime_seconds: Annotated[int, Meta(ge=1, le=MAX_LIFETIME_SECONDS)] = MAX_LIFETIME_SECONDS
    leeway_seconds: Annotated[int, Meta(ge=0, le=60)] = 30
    subjects: tuple[str, ...] = ()
    """What the subjects it may vouch for begin with; empty means any, if it is the only issuer."""


class DevIssuer(Struct, frozen=True, forbid_unknown_fields=True):
    """`[dev_issuer]`: the issuer behind `bailiwick token mint`; loopback listeners only."""

    key: Path
    """Private JWK, made by `bailiwick init`."""
    issuer: str = "https://dev-issuer.invalid"
    audience: str = "bailiwick-dev"
    subjects: tuple[str, ...] = ()
    """As for `[[issuers]]`."""


class System(Struct, frozen=True, forbid_unknown_fields=True):
    """`[systems.NAME]`: something an agent may touch, and how it is spoken to."""

    url: str
    """For MCP, the server's endpoint."""
    protocol: Literal["mcp"] = "mcp"
    credential_file: Path | None = None
    """File that holds the gateway's own bearer token for this system."""
    head_timeout_seconds: Seconds = 60.0
    """Longest wait for the head of a response; a stream that has begun is not limited by it."""


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """`[policy]`: the policy bundle and the engine."""

    bundle: Path
    engine: Literal["embedded"] = "embedded"
    deadline_ms: Annotated[int, Meta(ge=1, le=10_000)] = 250
    processes: Annotated[int, Meta(ge=1, le=64)] = 2


class Anchor(Struct, frozen=True, forbid_unknown_fields=True):
    """`[[evidence.anchors]]`: a second place that remembers our checkpoints: file or witness."""

    name: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,62}\Z")]
    path: Path | None = None
    """File on another volume or host, which every checkpoint is appended to."""
    url: str | None = None
    """Submission prefix of a witness (https://c2sp.org/tlog-witness): https, http on loopback."""
    key: str | None = None
    """The witness' verifier key (vkey), as `bailiwick witness keygen` prints it."""


class Space(Struct, frozen=True, forbid_unknown_fields=True):
    """`[evidence.space]`: what a disk that fills up still takes, in percent that must be free."""

    warn_percent: Percent = 20.0
    reads_only_percent: Percent = 10.0
    stop_percent: Percent = 5.0
    reserve_bytes: Annotated[int, Meta(ge=0)] = 64 * 1024 * 1024
    """Room kept free so that records of what was begun still fit."""


class Retention(Struct, frozen=True, forbid_unknown_fields=True):
    """`[evidence.retention]`: where sealed segments go, and when they leave this disk."""

    folder: Path | None = None
    """A second folder that sealed segments are copied to."""
    bucket: str | None = None
    """`s3://BUCKET/PREFIX` instead."""
    credentials_file: Path | None = None
    """AWS credentials file; without it, the environment or the instance says who we are."""
    endpoint: str | None = None
    """URL of an S3-compatible server that is not AWS."""
    region: str = "us-east-1"
    keep_days: Annotated[float, Meta(ge=0)] | None = None
    """Age at which a shipped and anchored segment is deleted here; never, if not given."""
    interval_seconds: Seconds = 60.0


class Evidence(Struct, frozen=True, forbid_unknown_fields=True):
    """`[evidence]`: where evidence is kept, and how."""

    folder: Path
    keys: Path
    """Folder of the signing keys, outside the evidence; `bailiwick evidence keygen` makes it."""
    origin: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._/-]{1,200}\Z")] = (
        "bailiwick.invalid/gateway"
    )
    """Name of the log, like a URL without its scheme (https://c2sp.org/tlog-checkpoint)."""
    segment_bytes: Annotated[int, Meta(ge=64 * 1024)] = 64 * 1024 * 1024
    segment_seconds: Annotated[float, Meta(ge=1)] = 24 * 3600.0
    deadline_seconds: Seconds = 5.0
    """Longest wait for a record to be durable; a disk that hangs counts as failed."""
    checkpoint_records: Positive = 1000
    checkpoint_seconds: Seconds = 1.0
    heartbeat_seconds: Seconds = 60.0
    read_interval_seconds: Annotated[float, Meta(ge=0, le=10)] = 0.0
    """How long records of calls that only read may wait for their sync; 0: each is synced."""
    responder_key: Path | None = None
    """Public key that redacted values are sealed to; only its private half opens them."""
    anchors: tuple[Anchor, ...] = ()
    space: Space = Space()
    retention: Retention | None = None


class Ledger(Struct, frozen=True, forbid_unknown_fields=True):
    """`[ledger]`: where approval requests are kept."""

    path: Path


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    policy: Policy
    evidence: Evidence
    ledger: Ledger
    server: Server = Server()
    issuers: tuple[Issuer, ...] = ()
    systems: dict[SystemName, System] = {}
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
        issuer
        if "://" in issuer.jwks
        else msgspec.structs.replace(issuer, jwks=str(folder / issuer.jwks))
        for issuer in settings.issuers
    )
    return msgspec.structs.replace(settings, issuers=issuers)


def _check(settings: Settings) -> None:
    """Check what one key alone cannot show."""
    if not settings.issuers and settings.dev_issuer is None:
        raise SettingsError("no [[issuers]] and no [dev_issuer]: nobody could be authenticated")
    if settings.dev_issuer and not settings.server.loopback:
        raise SettingsError(
            f"[dev_issuer] works only on a loopback listener, and server.host is "
            f"{settings.server.host}; remove [dev_issuer] or listen on 127.0.0.1"
        )
    everybody: list[Issuer | DevIssuer] = [*settings.issuers]
    if settings.dev_issuer:
        everybody.append(settings.dev_issuer)
    if len({issuer.issuer for issuer in everybody}) != len(everybody):
        raise SettingsError("two issuers have the same name; each may be listed once")
    _check_subjects(everybody)
    for issuer in settings.issuers:
        if "://" in issuer.jwks:
            _check_url(issuer.jwks, f"issuers: jwks of {issuer.issuer}")
    _check_evidence(settings.evidence)
    for name, system in settings.systems.items():
        _check_url(system.url, f"systems.{name}.url", plain_allowed=True)


def _check_evidence(evidence: Evidence) -> None:
    names = [anchor.name for anchor in evidence.anchors]
    if len(set(names)) != len(names):
        raise SettingsError("evidence.anchors: two anchors have the same name")
    for anchor in evidence.anchors:
        where = f"evidence.anchors: {anchor.name}"
        if (anchor.path is None) == (anchor.url is None):
            raise SettingsError(f"{where}: give a path or a url")
        if anchor.url is not None:
            _check_url(anchor.url, where)
            if anchor.key is None:
                raise SettingsError(f"{where}: a witness needs its key")
    marks = evidence.space
    if not marks.warn_percent >= marks.reads_only_percent >= marks.stop_percent:
        raise SettingsError("evidence.space: warn, reads_only and stop must go down in this order")
    if evidence.keys.resolve().is_relative_to(evidence.folder.resolve()):
        raise SettingsError("evidence.keys: keys do not lie inside the evidence they sign")
    retention = evidence.retention
    if retention and (retention.folder is None) == (retention.bucket is None):
        raise SettingsError("evidence.retention: give a folder or a bucket")


def _check_subjects(issuers: list[Issuer | DevIssuer]) -> None:
    """A charter names a subject only, so no issuer may be able to mint another one's agents."""
    if len(issuers) > 1 and not all(issuer.subjects for issuer in issuers):
        raise SettingsError(
            "with several issuers, each needs `subjects`: what its agents begin with"
        )
    claimed = [(prefix, issuer.issuer) for issuer in issuers for prefix in issuer.subjects]
    for prefix, owner in claimed:
        if not prefix:
            raise SettingsError("subjects: an empty beginning would vouch for everybody")
        for other, another in claimed:
            if owner != another and other.startswith(prefix):
                raise SettingsError(f"subjects: {prefix!r} and {other!r} overlap between issuers")


def _check_url(url: str, where: str, *, plain_allowed: bool = False) -> None:
    """Refuse what is no absolute URL, or is one that two parsers could read differently."""
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
    if parts.scheme == "http" and not plain_allowed and not _is_loopback(host):
        raise SettingsError(f"{where}: keys are fetched over https (http on loopback only)")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
