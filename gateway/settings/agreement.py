"""What one key of the settings alone cannot show: that the tables agree with one another.

Does not open files.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from gateway.core.errors import SettingsError
from gateway.settings.evidence import Evidence
from gateway.settings.policy import Policy
from gateway.settings.server import Server, Terminator
from gateway.settings.systems import System
from gateway.settings.trust import DevIssuer, Issuer, TrustDomain
from gateway.settings.urls import check_url, is_loopback

_SPIFFE: Final = "spiffe://"


def check_server(server: Server) -> None:
    """Check that agents can name the gateway, and reach it by TLS from elsewhere.

    Raises:
        SettingsError: as every function here.
    """
    if server.public_url is None:
        if not server.loopback:
            raise SettingsError(
                "server.public_url: off loopback, say by which https URL agents reach the gateway"
            )
        return
    check_url(server.public_url, "server.public_url")
    if urlsplit(server.public_url).path.strip("/"):
        raise SettingsError("server.public_url: give scheme, host and port only, no path")


def check_trust(
    issuers: Sequence[Issuer],
    dev: DevIssuer | None,
    domains: Sequence[TrustDomain],
    *,
    loopback: bool,
) -> None:
    """Check that somebody is believed, and nobody about another one's agents."""
    if not issuers and dev is None and not domains:
        raise SettingsError(
            "no [[issuers]], no [[trust_domains]] and no [dev_issuer]: nobody could be "
            "authenticated"
        )
    if dev and not loopback:
        raise SettingsError(
            "[dev_issuer] works only if every listener is on loopback: server.host, and `listen` "
            "of terminators; remove [dev_issuer] or listen on 127.0.0.1"
        )
    everybody: list[Issuer | DevIssuer] = [*issuers, *([dev] if dev else [])]
    _check_once([issuer.issuer for issuer in everybody], "issuers")
    _check_once([domain.name for domain in domains], "trust domains")
    for issuer in issuers:
        _check_issuer(issuer)
    for domain in domains:
        _check_domain(domain)
    authenticating = [one for one in everybody if getattr(one, "profile", "") != "transaction"]
    _check_subjects(authenticating, domains)


def _check_once(names: Sequence[str], what: str) -> None:
    if len(set(names)) != len(names):
        raise SettingsError(f"two {what} have the same name; each may be listed once")


def _check_issuer(issuer: Issuer) -> None:
    where = issuer.jwks or issuer.issuer
    if issuer.jwks is None and "://" not in where:
        raise SettingsError(f"issuers: {where}: without jwks, the issuer must be a URL to discover")
    if "://" in where:
        check_url(where, f"issuers: jwks of {issuer.issuer}" if issuer.jwks else "issuers: issuer")
    if issuer.profile == "transaction" and issuer.audience is None:
        raise SettingsError(f"issuers: {issuer.issuer}: transaction tokens need an audience")
    if "" in issuer.claims.workload or "" in issuer.require:
        raise SettingsError(f"issuers: {issuer.issuer}: the name of a claim is empty")


def _check_domain(domain: TrustDomain) -> None:
    where = f"trust_domains: {domain.name}"
    if sum(bool(x) for x in (domain.bundle, domain.bundle_endpoint, domain.workload_api)) != 1:
        raise SettingsError(f"{where}: give one of bundle, bundle_endpoint and workload_api")
    if domain.bundle_endpoint is not None:
        check_url(domain.bundle_endpoint, f"{where}.bundle_endpoint")
    if domain.workload_api is not None and not domain.workload_api.startswith("unix:///"):
        raise SettingsError(f"{where}.workload_api: write unix:/// and the socket's absolute path")
    own = f"{_SPIFFE}{domain.name}/"
    for prefix in domain.subjects:
        if not prefix.startswith(own):
            raise SettingsError(f"{where}.subjects: {prefix!r} does not begin with {own}")


def check_terminators(
    terminators: Sequence[Terminator], server: Server, domains: Sequence[TrustDomain]
) -> None:
    """Check that each terminator can be known from others, and vouches for domains we know."""
    _check_once([terminator.name for terminator in terminators], "terminators")
    known = {domain.name for domain in domains}
    for terminator in terminators:
        where = f"terminators: {terminator.name}"
        ways = (terminator.socket, terminator.peer, terminator.listen)
        if sum(way is not None for way in ways) != 1:
            raise SettingsError(f"{where}: give one of socket, peer and listen")
        if missing := set(terminator.trust_domains) - known:
            raise SettingsError(f"{where}: there are no [[trust_domains]] {sorted(missing)}")
        _check_way(terminator, server, where)
    peers = [terminator.peer for terminator in terminators if terminator.peer]
    _check_once(peers, "terminators' peers")


def _check_way(terminator: Terminator, server: Server, where: str) -> None:
    if terminator.peer is not None:
        try:
            address = ipaddress.ip_address(terminator.peer)
        except ValueError as exc:
            raise SettingsError(f"{where}.peer: not an IP address") from exc
        if not address.is_loopback or str(address) != terminator.peer:
            # An address alone is no proof of who sits behind a network.
            raise SettingsError(
                f"{where}.peer: a loopback address, plainly spelled; from elsewhere use `listen`"
            )
        if not server.loopback:
            raise SettingsError(f"{where}.peer: the data-plane listener is not on loopback")
    tls = (terminator.certificate, terminator.key, terminator.client_ca)
    if terminator.listen is not None:
        listen_address(terminator)
        if None in tls:
            raise SettingsError(f"{where}.listen: needs certificate, key and client_ca")
    elif tls != (None, None, None):
        raise SettingsError(f"{where}: certificate, key and client_ca belong to `listen`")
    if terminator.socket_group is not None and terminator.socket is None:
        raise SettingsError(f"{where}: socket_group belongs to `socket`")


def listen_address(terminator: Terminator) -> tuple[str, int]:
    """Return host and port of a terminator's `listen`.

    Raises:
        SettingsError: it is not HOST:PORT.
    """
    try:
        parts = urlsplit(f"//{terminator.listen}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.netloc != terminator.listen or "@" in parts.netloc:
        raise SettingsError(f"terminators: {terminator.name}.listen: write HOST:PORT")
    return host, port


def listens_on_loopback_only(server: Server, terminators: Sequence[Terminator]) -> bool:
    """Say whether no listener can be reached from another machine."""
    hosts = [listen_address(one)[0] for one in terminators if one.listen is not None]
    return server.loopback and all(map(is_loopback, hosts))


def check_policy(policy: Policy) -> None:
    """Check that the engine can be reached in one way, and by a safe one."""
    if (policy.engine == "opa") != (policy.opa is not None):
        raise SettingsError('policy.opa: needed with engine = "opa", and only with it')
    if policy.opa is None:
        return
    opa = policy.opa
    if (opa.socket is None) == (opa.url is None):
        raise SettingsError("policy.opa: give a socket or a url")
    if (opa.certificate is None) != (opa.key is None):
        raise SettingsError("policy.opa: certificate and key belong together")
    if opa.url is None:
        if opa.ca is not None or opa.certificate is not None:
            raise SettingsError("policy.opa: ca, certificate and key belong to `url`")
        return
    check_url(opa.url, "policy.opa.url")
    if urlsplit(opa.url).path.strip("/"):
        raise SettingsError("policy.opa.url: give scheme, host and port only, no path")
    if opa.url.startswith("http:") and (opa.ca is not None or opa.certificate is not None):
        raise SettingsError("policy.opa: ca, certificate and key belong to an https `url`")
    if opa.token_file is None and opa.certificate is None:
        raise SettingsError("policy.opa: by URL, OPA must know us: token_file, or certificate")


def check_evidence(evidence: Evidence) -> None:
    """Check anchors, watermarks, keys and retention."""
    _check_once([anchor.name for anchor in evidence.anchors], "evidence.anchors")
    for anchor in evidence.anchors:
        where = f"evidence.anchors: {anchor.name}"
        if (anchor.path is None) == (anchor.url is None):
            raise SettingsError(f"{where}: give a path or a url")
        if anchor.url is not None:
            check_url(anchor.url, where)
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


def check_systems(systems: Mapping[str, System]) -> None:
    """Check where the systems are."""
    for name, system in systems.items():
        check_url(system.url, f"systems.{name}.url", plain_allowed=True)


def _check_subjects(issuers: Sequence[Issuer | DevIssuer], domains: Sequence[TrustDomain]) -> None:
    """A charter names a subject only, so no issuer may be able to mint another one's agents."""
    if len(issuers) + len(domains) > 1 and not all(issuer.subjects for issuer in issuers):
        raise SettingsError(
            "with several issuers or trust domains, each issuer needs `subjects`: what its agents "
            "begin with"
        )
    claimed = [(prefix, issuer.issuer) for issuer in issuers for prefix in issuer.subjects]
    for domain in domains:
        own = f"{_SPIFFE}{domain.name}"
        claimed += [(prefix, own) for prefix in domain.subjects or (f"{own}/",)]
    for prefix, owner in claimed:
        if not prefix:
            raise SettingsError("subjects: an empty beginning would vouch for everybody")
        for other, another in claimed:
            if owner != another and other.startswith(prefix):
                raise SettingsError(f"subjects: {prefix!r} and {other!r} overlap between issuers")
