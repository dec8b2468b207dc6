"""`[policy]`: the bundle, who signs it, and the engine that decides on it."""

from pathlib import Path

import pytest

from gateway.core.errors import SettingsError
from gateway.settings import OPA, Policy, Settings, Signature, load

REST = """
[evidence]
folder = "evidence"
keys = "keys"
[ledger]
path = "ledger.db"
[dev_issuer]
key = "dev.jwk"
"""


def read(folder: Path, policy: str) -> Settings:
    """Read settings with this `[policy]`."""
    path = folder / "bailiwick.toml"
    path.write_text(f'[policy]\nbundle = "bundle"\n{policy}\n{REST}', "utf-8")
    return load(path)


def test_a_whole_table_is_read(tmp_path: Path) -> None:
    """House: every key once; paths start at the file."""
    text = """
engine = "opa"
deadline_ms = 100
processes = 1
reload_seconds = 5
[policy.signature]
key = "signer.pem"
algorithm = "ES256"
key_id = "platform-2026"
scope = "write"
[policy.opa]
url = "https://opa.internal:8181"
token_file = "opa.token"
ca = "ca.pem"
certificate = "gateway.pem"
key = "gateway.key"
"""
    assert read(tmp_path, text).policy == Policy(
        tmp_path / "bundle",
        "opa",
        100,
        1,
        5.0,
        Signature(tmp_path / "signer.pem", "ES256", "platform-2026", "write"),
        OPA(
            None,
            "https://opa.internal:8181",
            tmp_path / "opa.token",
            tmp_path / "ca.pem",
            tmp_path / "gateway.pem",
            tmp_path / "gateway.key",
        ),
    )


def test_the_smallest_sidecar_is_a_socket(tmp_path: Path) -> None:
    """Policy §4: a Unix socket, which the file system guards."""
    policy = read(tmp_path, 'engine = "opa"\n[policy.opa]\nsocket = "opa.sock"').policy
    assert policy.opa == OPA(tmp_path / "opa.sock")


def test_http_is_for_loopback(tmp_path: Path) -> None:
    """House: a token in clear does not leave the machine."""
    text = 'engine = "opa"\n[policy.opa]\nurl = "http://127.0.0.1:8181"\ntoken_file = "t"'
    assert read(tmp_path, text).policy.opa is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('engine = "opa"', "policy.opa: needed"),
        ('[policy.opa]\nsocket = "s"', "policy.opa: needed"),
        ('engine = "cedar"\n[policy.opa]\nsocket = "s"', "policy.opa: needed"),
        ('engine = "opa"\n[policy.opa]', "policy.opa: give a socket or a url"),
        (
            'engine = "opa"\n[policy.opa]\nsocket = "s"\nurl = "https://opa.test"',
            "policy.opa: give a socket or a url",
        ),
        (
            'engine = "opa"\n[policy.opa]\nsocket = "s"\nca = "c"',
            "policy.opa: ca, certificate and key belong to `url`",
        ),
        (
            'engine = "opa"\n[policy.opa]\nsocket = "s"\ncertificate = "c"\nkey = "k"',
            "policy.opa: ca, certificate and key belong to `url`",
        ),
        (
            'engine = "opa"\n[policy.opa]\nurl = "https://opa.test"\ncertificate = "c"',
            "policy.opa: certificate and key belong together",
        ),
        (
            'engine = "opa"\n[policy.opa]\nurl = "https://opa.test"',
            "policy.opa: by URL, OPA must know us",
        ),
        (
            'engine = "opa"\n[policy.opa]\nurl = "http://opa.test"\ntoken_file = "t"',
            "policy.opa.url: write https",
        ),
        (
            'engine = "opa"\n[policy.opa]\nurl = "https://opa.test/v1"\ntoken_file = "t"',
            "policy.opa.url: give scheme, host and port only",
        ),
        (
            'engine = "opa"\n[policy.opa]\nurl = "http://127.0.0.1:1"\ntoken_file = "t"\nca = "c"',
            "policy.opa: ca, certificate and key belong to an https `url`",
        ),
        ('engine = "rego"', "policy.engine"),
        ("reload_seconds = 0", "policy.reload_seconds"),
        ('[policy.signature]\nkey = "k"\nalgorithm = "HS256"', "policy.signature.algorithm"),
        ('[policy.signature]\nkey = "k"\nalgorithm = "none"', "policy.signature.algorithm"),
        ("[policy.signature]", "policy.signature"),
        ("fail_open = true", "policy"),
    ],
)
def test_what_is_no_safe_policy_is_refused(text: str, said: str, tmp_path: Path) -> None:
    """House: bad settings say which key; there is no fail-open switch."""
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    assert said in caught.value.message
