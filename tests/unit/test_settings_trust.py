"""Settings of identities: what one key alone cannot show."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core.errors import SettingsError
from gateway.settings import Settings, load

BASE = """\
[policy]
bundle = "bundle"
[evidence]
folder = "evidence"
keys = "keys"
[ledger]
path = "ledger.db"
"""
DOMAIN = '[[trust_domains]]\nname = "corp.test"\nbundle = "corp.json"\n'
ISSUER = '[[issuers]]\nissuer = "https://issuer.test"\nsubjects = ["agent:"]\n'
EDGE = '[[terminators]]\nname = "edge"\ntrust_domains = ["corp.test"]\n'
TLS = 'listen = "127.0.0.1:8443"\ncertificate = "a"\nkey = "b"\nclient_ca = "c"\n'

Load = Callable[[str], Settings]


@pytest.fixture(name="read")
def _read(tmp_path: Path) -> Load:
    def read(text: str) -> Settings:
        path = tmp_path / "bailiwick.toml"
        path.write_text(BASE + text)
        return load(path)

    return read


def refusal(read: Load, text: str) -> str:
    """Return why these settings are refused."""
    with pytest.raises(SettingsError) as caught:
        read(text)
    return caught.value.message


@pytest.mark.parametrize("text", [DOMAIN, ISSUER, ISSUER + DOMAIN], ids=["domain", "issuer", "all"])
def test_an_issuer_or_a_trust_domain_is_somebody_to_believe(read: Load, text: str) -> None:
    """Issue: each is enough; an issuer that is a URL needs no jwks, since it can be discovered."""
    settings = read(text)
    assert settings.issuers or settings.trust_domains


BAD = {
    "issuers: plain: without jwks": '[[issuers]]\nissuer = "plain"\n',
    "write https": '[[issuers]]\nissuer = "http://issuer.test"\n',
    "a claim is empty": ISSUER + 'require = [""]\n',
    "each issuer needs `subjects`": '[[issuers]]\nissuer = "https://a.test"\n' + DOMAIN,
    "overlap between issuers": '[[issuers]]\nissuer = "https://a.test"\n'
    'subjects = ["spiffe://corp.test/agent/"]\n' + DOMAIN,
    "two trust domains have the same name": DOMAIN + DOMAIN,
    "corp.test: give one of bundle": '[[trust_domains]]\nname = "corp.test"\n',
    "give one of bundle, bundle_endpoint": DOMAIN + 'workload_api = "unix:///run/a.sock"\n',
    "bundle_endpoint": '[[trust_domains]]\nname = "c"\nbundle_endpoint = "http://c.test/b"\n',
    "workload_api: write unix:///": '[[trust_domains]]\nname = "c"\nworkload_api = "tcp://c:1"\n',
    "does not begin with spiffe://corp.test/": DOMAIN + 'subjects = ["spiffe://other.test/"]\n',
    "edge: give one of socket, peer": DOMAIN + EDGE,
    "give one of socket, peer and listen": DOMAIN + EDGE + 'socket = "s"\npeer = "127.0.0.1"\n',
    "there are no [[trust_domains]] ['corp.test']": ISSUER + EDGE + 'socket = "s"\n',
    "two terminators have the same name": DOMAIN + (EDGE + 'socket = "s"\n') * 2,
    "two terminators' peers": DOMAIN
    + EDGE
    + 'peer = "127.0.0.1"\n'
    + EDGE.replace("edge", "core")
    + 'peer = "127.0.0.1"\n',
    "edge.peer: not an IP address": DOMAIN + EDGE + 'peer = "localhost"\n',
    "edge.peer: a loopback address": DOMAIN + EDGE + 'peer = "192.0.2.1"\n',
    "plainly spelled": DOMAIN + EDGE + 'peer = "0:0:0:0:0:0:0:1"\n',
    "the data-plane listener is not on loopback": DOMAIN
    + EDGE
    + 'peer = "127.0.0.1"\n[server]\nhost = "0.0.0.0"\npublic_url = "https://g.test"\n',
    "edge.listen: write HOST:PORT": DOMAIN + EDGE + TLS.replace("127.0.0.1:8443", "8443"),
    "listen: needs certificate": DOMAIN + EDGE + TLS.replace('key = "b"\n', ""),
    "belong to `listen`": DOMAIN + EDGE + 'socket = "s"\nkey = "k"\n',
    "belongs to `socket`": DOMAIN + EDGE + TLS + 'socket_group = "g"\n',
    "[dev_issuer] works only if every listener": DOMAIN
    + EDGE
    + TLS.replace("127.0.0.1:8443", "192.0.2.1:8443")
    + '[dev_issuer]\nkey = "dev.jwk"\nsubjects = ["d:"]\n',
    "off loopback, say by which https URL": DOMAIN + '[server]\nhost = "0.0.0.0"\n',
    "server.public_url: write https": DOMAIN + '[server]\npublic_url = "http://gateway.test"\n',
    "no path": DOMAIN + '[server]\npublic_url = "https://gateway.test/path"\n',
}


@pytest.mark.parametrize(("why", "text"), BAD.items(), ids=BAD)
def test_what_does_not_agree_is_refused_and_named(read: Load, why: str, text: str) -> None:
    """House: a clear error says what, where, and what to do."""
    assert why in refusal(read, text)


def test_transaction_issuers_vouch_for_nobody(read: Load) -> None:
    """Issue: a transaction token is no authentication, so its issuer shares no subjects."""
    text = DOMAIN + '[[issuers]]\nissuer = "https://txn.test"\nprofile = "transaction"\n'
    assert "need an audience" in refusal(read, text)
    text += 'audience = "corp.test"\n'
    assert read(text).issuers[0].subjects == ()


def test_the_public_url_is_one_of_the_gateways_hosts(read: Load) -> None:
    """RFC 9110 §7.2: agents send what they were told to connect to."""
    server = read(DOMAIN + '[server]\npublic_url = "https://Gateway.test:444/"\n').server
    assert server.url == "https://Gateway.test:444"
    assert server.accepted_hosts() == {"127.0.0.1:8080", "localhost:8080", "gateway.test:444"}
    assert read(DOMAIN).server.url == "http://127.0.0.1:8080"
