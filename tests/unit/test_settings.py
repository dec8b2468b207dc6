import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import SettingsError
from gateway.settings import (
    MAX_LIFETIME_SECONDS,
    Anchor,
    Claimed,
    DevIssuer,
    DPoP,
    Evidence,
    Identity,
    Issuer,
    Ledger,
    Policy,
    Retention,
    Server,
    Settings,
    Space,
    System,
    Terminator,
    TrustDomain,
    load,
)

MINIMAL = """\
[policy]
bundle = "bundle"

[evidence]
folder = "evidence"
keys = "keys"

[ledger]
path = "ledger.db"

[[issuers]]
issuer = "https://issuer.test"
audience = "bailiwick"
jwks = "https://issuer.test/jwks.json"
subjects = ["spiffe://issuer.test/"]
"""
NO_ISSUERS = MINIMAL.partition("[[issuers]]")[0]
DEV = '\n[dev_issuer]\nkey = "dev.jwk"\nsubjects = ["spiffe://dev.test/"]\n'

OUTSIDE = '[server]\nhost = "0.0.0.0"\npublic_url = "https://gateway.test"\n'

Write = Callable[[str | bytes], Path]


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Write:
    """Return a function that writes a settings file in a folder of its own."""

    def write(text: str | bytes) -> Path:
        path = tmp_path / "bailiwick.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        return path

    return write


def refusal(path: Path) -> str:
    """Return the message of the refusal, which must name the file and carry the one code."""
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert caught.value.reason_code == "settings_invalid"
    assert caught.value.message.startswith(f"{path}: ")
    return caught.value.message


def changed(table: str, line: str) -> str:
    """Return the minimal file, and DEV and a system, with a line more at the start of a table."""
    whole = MINIMAL + DEV + '\n[systems.crm]\nurl = "https://crm.test/mcp"\n\n[server]\n'
    if not table:
        return f"{line}\n{whole}"
    assert whole.count(f"{table}\n") == 1
    return whole.replace(f"{table}\n", f"{table}\n{line}\n")


# --- what is read -----------------------------------------------------------------------------


def test_a_minimal_file_is_read_whole(write: Write, tmp_path: Path) -> None:
    """House: design §5; every default is written down here."""
    assert load(write(MINIMAL)) == Settings(
        policy=Policy(tmp_path / "bundle", "embedded", 250, 2, None, None, None),
        evidence=Evidence(
            folder=tmp_path / "evidence",
            keys=tmp_path / "keys",
            origin="bailiwick.invalid/gateway",
            segment_bytes=64 * 1024 * 1024,
            segment_seconds=86400.0,
            deadline_seconds=5.0,
            checkpoint_records=1000,
            checkpoint_seconds=1.0,
            heartbeat_seconds=60.0,
            read_interval_seconds=0.0,
            responder_key=None,
            anchors=(),
            space=Space(20.0, 10.0, 5.0, 64 * 1024 * 1024),
            retention=None,
        ),
        ledger=Ledger(tmp_path / "ledger.db", 3600.0),
        server=Server("127.0.0.1", 8080, (), (), 1024 * 1024, 10.0, 30.0, 10.0, None),
        issuers=(
            Issuer(
                "https://issuer.test",
                "bailiwick",
                "https://issuer.test/jwks.json",
                ca_file=None,
                token_file=None,
                profile="access-token",
                algorithms=("ES256", "EdDSA", "RS256"),
                types=None,
                require=(),
                max_lifetime_seconds=3600,
                leeway_seconds=30,
                subjects=("spiffe://issuer.test/",),
                claims=Claimed("sub", "tenant", "scope", None, ()),
                scope_implies={},
            ),
        ),
        identity=Identity(None, 10_000, 300.0, 4, DPoP(False, 60)),
        trust_domains=(),
        terminators=(),
        systems={},
        dev_issuer=None,
    )


def test_a_file_with_everything_is_read_whole(write: Write, tmp_path: Path) -> None:
    """House: design §5."""
    text = """\
[server]
host = "::1"
port = 1
hosts = ["Gateway.Test"]
origins = ["https://console.test"]
max_body_bytes = 1
body_idle_seconds = 1
body_total_seconds = 2.5
drain_seconds = 3600
public_url = "https://gateway.test"

[identity]
state = "keys-seen"
remembered_tokens = 0
window_seconds = 1
sources_per_subject = 1

[identity.dpop]
nonce = true
max_age_seconds = 300

[policy]
bundle = "/srv/bundle"
engine = "embedded"
deadline_ms = 1
processes = 64

[evidence]
folder = "../evidence"
keys = "/srv/keys"
origin = "company.test/gw"
segment_bytes = 65536
segment_seconds = 1
deadline_seconds = 0.1
checkpoint_records = 1
checkpoint_seconds = 0.5
heartbeat_seconds = 3600
read_interval_seconds = 10
responder_key = "responder.pub"

[[evidence.anchors]]
name = "volume"
path = "/mnt/other/checkpoints.jsonl"

[[evidence.anchors]]
name = "witness"
url = "https://witness.test/prefix"
key = "witness+00000000+AA"

[evidence.space]
warn_percent = 3
reads_only_percent = 2
stop_percent = 1
reserve_bytes = 0

[evidence.retention]
bucket = "s3://bucket/prefix"
credentials_file = "s3.credentials"
endpoint = "http://127.0.0.1:9000"
region = "eu-central-1"
keep_days = 0
interval_seconds = 1

[ledger]
path = "a/b.db"

[[issuers]]
issuer = "i"
subjects = ["i:"]
audience = "a"
jwks = "http://127.0.0.1:9/jwks"
algorithms = ["ES384"]
types = ["JWT"]
max_lifetime_seconds = 60
leeway_seconds = 0
ca_file = "ca.pem"
token_file = "/srv/token"
profile = "kubernetes"
require = ["jti"]
scope_implies = { admin = ["read"] }

[issuers.claims]
subject = "client_id"
tenant = "tid"
scope = "scp"
instance = "/pod/uid"
workload = ["agent"]

[[trust_domains]]
name = "corp.test"
bundle = "corp.json"
audience = "a"
max_lifetime_seconds = 1
leeway_seconds = 60
subjects = ["spiffe://corp.test/agent/"]

[[trust_domains]]
name = "far.test"
bundle_endpoint = "https://far.test/bundle"
ca_file = "far.pem"

[[terminators]]
name = "edge"
trust_domains = ["corp.test"]
socket = "edge.sock"
socket_group = "edge"

[[terminators]]
name = "far"
trust_domains = ["far.test", "corp.test"]
listen = "[::1]:8443"
certificate = "tls.pem"
key = "tls.key"
client_ca = "clients.pem"

[dev_issuer]
key = "dev.jwk"
subjects = ["d:"]
issuer = "d"
audience = "b"

[systems.crm]
url = "http://crm.test:8000/mcp"
protocol = "mcp"
credential_file = "crm.token"
scopes = ["crm:read"]
proof = "any"
head_timeout_seconds = 3600
"""
    assert load(write(text)) == Settings(
        policy=Policy(Path("/srv/bundle"), "embedded", 1, 64),
        evidence=Evidence(
            folder=tmp_path / "../evidence",
            keys=Path("/srv/keys"),
            origin="company.test/gw",
            segment_bytes=65536,
            segment_seconds=1.0,
            deadline_seconds=0.1,
            checkpoint_records=1,
            checkpoint_seconds=0.5,
            heartbeat_seconds=3600.0,
            read_interval_seconds=10.0,
            responder_key=tmp_path / "responder.pub",
            anchors=(
                Anchor("volume", path=Path("/mnt/other/checkpoints.jsonl")),
                Anchor(
                    "witness",
                    url="https://witness.test/prefix",
                    key="witness+00000000+AA",
                ),
            ),
            space=Space(3.0, 2.0, 1.0, 0),
            retention=Retention(
                folder=None,
                bucket="s3://bucket/prefix",
                credentials_file=tmp_path / "s3.credentials",
                endpoint="http://127.0.0.1:9000",
                region="eu-central-1",
                keep_days=0.0,
                interval_seconds=1.0,
            ),
        ),
        ledger=Ledger(tmp_path / "a/b.db"),
        server=Server(
            "::1",
            1,
            ("Gateway.Test",),
            ("https://console.test",),
            1,
            1.0,
            2.5,
            3600.0,
            "https://gateway.test",
        ),
        issuers=(
            Issuer(
                "i",
                "a",
                "http://127.0.0.1:9/jwks",
                tmp_path / "ca.pem",
                Path("/srv/token"),
                "kubernetes",
                ("ES384",),
                ("JWT",),
                ("jti",),
                60,
                0,
                ("i:",),
                Claimed("client_id", "tid", "scp", "/pod/uid", ("agent",)),
                {"admin": ("read",)},
            ),
        ),
        identity=Identity(tmp_path / "keys-seen", 0, 1.0, 1, DPoP(True, 300)),
        trust_domains=(
            TrustDomain(
                "corp.test",
                bundle=tmp_path / "corp.json",
                audience="a",
                max_lifetime_seconds=1,
                leeway_seconds=60,
                subjects=("spiffe://corp.test/agent/",),
            ),
            TrustDomain(
                "far.test",
                bundle_endpoint="https://far.test/bundle",
                ca_file=tmp_path / "far.pem",
            ),
        ),
        terminators=(
            Terminator("edge", ("corp.test",), socket=tmp_path / "edge.sock", socket_group="edge"),
            Terminator(
                "far",
                ("far.test", "corp.test"),
                listen="[::1]:8443",
                certificate=tmp_path / "tls.pem",
                key=tmp_path / "tls.key",
                client_ca=tmp_path / "clients.pem",
            ),
        ),
        systems={
            "crm": System(
                "http://crm.test:8000/mcp",
                "mcp",
                tmp_path / "crm.token",
                ("crm:read",),
                "any",
                3600.0,
            ),
        },
        dev_issuer=DevIssuer(tmp_path / "dev.jwk", "d", "b", ("d:",)),
    )


def test_relative_paths_resolve_against_the_file_and_absolute_ones_stay(
    write: Write, tmp_path: Path
) -> None:
    """House: the working directory has no say."""
    text = MINIMAL.replace('"ledger.db"', '"/var/ledger.db"') + DEV
    settings = load(write(text))
    assert settings.dev_issuer is not None
    assert (
        settings.policy.bundle,
        settings.evidence.folder,
        settings.ledger.path,
        settings.dev_issuer.key,
    ) == (
        tmp_path / "bundle",
        tmp_path / "evidence",
        Path("/var/ledger.db"),
        tmp_path / "dev.jwk",
    )


def test_a_path_through_a_link_resolves_against_the_file_behind_it(
    write: Write, tmp_path: Path
) -> None:
    """House: a link in /etc to the real file keeps its neighbours."""
    real = write(MINIMAL)
    (tmp_path / "etc").mkdir()
    link = tmp_path / "etc" / "link.toml"
    link.symlink_to(real)
    assert load(link).policy.bundle == tmp_path / "bundle"


def test_settings_cannot_be_changed(write: Write) -> None:
    """House: what was checked is what runs."""
    settings = load(write(MINIMAL))
    with pytest.raises(AttributeError):
        settings.server.host = "0.0.0.0"  # type: ignore[misc]


def test_keys_do_not_lie_inside_the_evidence_that_they_sign(write: Write) -> None:
    """House: who takes the evidence does not take the keys with it."""
    text = MINIMAL.replace('keys = "keys"', 'keys = "evidence/keys"')
    assert "evidence.keys" in refusal(write(text))


def test_settings_have_one_digest_and_another_when_one_of_them_changes(write: Write) -> None:
    """House: the `start` record names the settings in force."""
    before, again = load(write(MINIMAL)).digest(), load(write(MINIMAL + "# a comment")).digest()
    after = load(write(MINIMAL.replace("ledger.db", "other.db"))).digest()
    assert (before == again, before == after) == (True, False)


# --- unknown and mistyped keys ----------------------------------------------------------------

TABLES = [
    "",
    "[policy]",
    "[evidence]",
    "[ledger]",
    "[[issuers]]",
    "[dev_issuer]",
    "[systems.crm]",
    "[server]",
]


@pytest.mark.parametrize("table", TABLES, ids=[table or "top" for table in TABLES])
def test_the_file_that_the_bad_ones_are_made_from_is_good(write: Write, table: str) -> None:
    """House: else every refusal below could have another cause."""
    assert load(write(changed(table, "# nothing"))).server == Server()


@pytest.mark.parametrize("table", TABLES, ids=[table or "top" for table in TABLES])
def test_an_unknown_key_of_any_table_is_an_error_that_names_it(write: Write, table: str) -> None:
    """House: a mistyped limit must not be the default limit."""
    assert "mistyped_key" in refusal(write(changed(table, "mistyped_key = 1")))


@pytest.mark.parametrize(
    ("table", "line", "named"),
    [
        ("[server]", "Port = 1", "Port"),
        ("[server]", 'port = "8080"', "server.port"),
        ("[server]", "port = true", "server.port"),
        ("[server]", "port = 65536", "server.port"),
        ("[server]", "port = -1", "server.port"),
        ("[server]", "port = 0", "server.port"),
        ("[server]", 'host = ""', "server.host"),
        ("[server]", "port = 80.5", "server.port"),
        ("[server]", "host = 1", "server.host"),
        ("[server]", 'hosts = "gateway.test"', "server.hosts"),
        ("[server]", "max_body_bytes = 0", "server.max_body_bytes"),
        ("[server]", "body_idle_seconds = 0", "server.body_idle_seconds"),
        ("[server]", "body_idle_seconds = nan", "server.body_idle_seconds"),
        ("[server]", "body_total_seconds = inf", "server.body_total_seconds"),
        ("[server]", "body_total_seconds = 3601", "server.body_total_seconds"),
        ("[server]", "drain_seconds = 0", "server.drain_seconds"),
        ("[server]", "drain_seconds = 3601", "server.drain_seconds"),
        ("[policy]", 'engine = "none"', "policy.engine"),
        ("[policy]", "deadline_ms = 0", "policy.deadline_ms"),
        ("[policy]", "deadline_ms = 10001", "policy.deadline_ms"),
        ("[policy]", "processes = 0", "policy.processes"),
        ("[policy]", "processes = 65", "policy.processes"),
        ("[evidence]", "segment_bytes = 65535", "evidence.segment_bytes"),
        ("[evidence]", "deadline_seconds = -1", "evidence.deadline_seconds"),
        ("[evidence]", "segment_seconds = 0.5", "evidence.segment_seconds"),
        ("[evidence]", "checkpoint_records = 0", "evidence.checkpoint_records"),
        ("[evidence]", "checkpoint_seconds = 0", "evidence.checkpoint_seconds"),
        ("[evidence]", "heartbeat_seconds = 3601", "evidence.heartbeat_seconds"),
        ("[evidence]", "read_interval_seconds = 10.5", "evidence.read_interval_seconds"),
        ("[evidence]", "read_interval_seconds = -1", "evidence.read_interval_seconds"),
        ("[evidence]", 'origin = "a b"', "evidence.origin"),
        ("[evidence]", 'origin = "a+b"', "evidence.origin"),
        ("[evidence]", "space = {stop_percent = 101}", "evidence.space.stop_percent"),
        ("[evidence]", "space = {reserve_bytes = -1}", "evidence.space.reserve_bytes"),
        ("[evidence]", "space = {reads_only_percent = 21}", "evidence.space"),
        ("[evidence]", 'anchors = [{name = "A", path = "a"}]', "evidence.anchors"),
        ("[evidence]", 'anchors = [{name = "a"}]', "evidence.anchors: a"),
        (
            "[evidence]",
            'anchors = [{name = "a", path = "a", url = "https://a.test"}]',
            "evidence.anchors: a",
        ),
        ("[evidence]", 'anchors = [{name = "a", url = "https://a.test"}]', "evidence.anchors: a"),
        (
            "[evidence]",
            'anchors = [{name = "a", url = "http://a.test", key = "k"}]',
            "evidence.anchors: a",
        ),
        (
            "[evidence]",
            'anchors = [{name = "a", path = "a"}, {name = "a", path = "b"}]',
            "evidence.anchors",
        ),
        ("[evidence]", "retention = {}", "evidence.retention"),
        ("[evidence]", 'retention = {folder = "a", bucket = "s3://b"}', "evidence.retention"),
        ("[evidence]", 'retention = {folder = "a", keep_days = -1}', "evidence.retention"),
        ("[[issuers]]", "max_lifetime_seconds = 3601", "max_lifetime_seconds"),
        ("[[issuers]]", "max_lifetime_seconds = 0", "max_lifetime_seconds"),
        ("[[issuers]]", "max_lifetime_seconds = inf", "max_lifetime_seconds"),
        ("[[issuers]]", "leeway_seconds = 61", "leeway_seconds"),
        ("[[issuers]]", "leeway_seconds = -1", "leeway_seconds"),
        ("[[issuers]]", "algorithms = []", "algorithms"),
        ("[[issuers]]", 'algorithms = "ES256"', "algorithms"),
        ("[[issuers]]", "types = []", "types"),
        ("[systems.crm]", 'protocol = "http"', "protocol"),
        ("[systems.crm]", "head_timeout_seconds = 0", "head_timeout_seconds"),
    ],
    ids=lambda value: value,
)
def test_a_value_of_another_type_or_beyond_its_limits_is_an_error_that_names_it(
    write: Write, table: str, line: str, named: str
) -> None:
    """House: nothing is converted, nothing is clamped."""
    assert named in refusal(write(changed(table, line)))


@pytest.mark.parametrize(
    "algorithm",
    ["HS256", "HS384", "HS512", "none", "None", "es256", "RS1", "ES256K", ""],
    ids=repr,
)
def test_only_the_listed_asymmetric_algorithms_are_accepted(write: Write, algorithm: str) -> None:
    """RFC 8725 §3.1-3.2: with a shared secret the verifier could mint."""
    assert "algorithms" in refusal(write(changed("[[issuers]]", f'algorithms = ["{algorithm}"]')))


def test_one_bad_algorithm_among_good_ones_is_an_error(write: Write) -> None:
    """RFC 8725 §3.1."""
    assert "algorithms[1]" in refusal(
        write(changed("[[issuers]]", 'algorithms = ["ES256", "HS256"]'))
    )


def test_an_issuers_tokens_may_live_an_hour_at_most(write: Write) -> None:
    """House: a longer token is a long-lived secret."""
    settings = load(write(changed("[[issuers]]", "max_lifetime_seconds = 3600")))
    assert (settings.issuers[0].max_lifetime_seconds, MAX_LIFETIME_SECONDS) == (3600, 3600)


@pytest.mark.parametrize("missing", ["bundle", "folder", "path", "issuer"], ids=str)
def test_a_required_key_that_is_missing_is_an_error_that_names_it(
    write: Write, missing: str
) -> None:
    """House: there are no defaults that permit."""
    text = re.sub(rf"^{missing} = .*\n", "", MINIMAL, flags=re.MULTILINE)
    assert f"`{missing}`" in refusal(write(text))


@pytest.mark.parametrize("empty", ["bundle", "folder", "path", "issuer", "audience", "jwks"])
def test_a_required_key_that_is_empty_is_an_error(write: Write, empty: str) -> None:
    """House: an empty path would be the folder of the file itself."""
    refusal(write(re.sub(rf"^{empty} = .*$", f'{empty} = ""', MINIMAL, flags=re.MULTILINE)))


@pytest.mark.parametrize("table", ["policy", "evidence", "ledger"])
def test_a_required_table_that_is_missing_is_an_error_that_names_it(
    write: Write, table: str
) -> None:
    """House: without policy, evidence or ledger there is no gateway."""
    text = re.sub(rf"\[{table}\]\n(?:.+\n)+", "", MINIMAL)
    assert f"`{table}`" in refusal(write(text))


@pytest.mark.parametrize(
    "name",
    ["CRM", "c_rm", "c.rm", "-crm", "", "c rm", "c/rm", "cr\u00ebm", "x" * 64, "\\n", " crm"],
    ids=repr,
)
def test_a_system_name_is_one_lower_case_path_segment(write: Write, name: str) -> None:
    """House: design §5, `/{system}/...`; `/-/` is the gateway's own."""
    refusal(write(MINIMAL + f'[systems."{name}"]\nurl = "https://crm.test"\n'))


@pytest.mark.parametrize("name", ["a", "0", "crm-2", "x" * 63], ids=repr)
def test_a_system_name_may_hold_digits_and_hyphens(write: Write, name: str) -> None:
    """House: the shape of a DNS label."""
    settings = load(write(MINIMAL + f'[systems."{name}"]\nurl = "https://crm.test"\n'))
    assert settings.systems == {name: System("https://crm.test")}


# --- issuers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [NO_ISSUERS, "issuers = []\n" + NO_ISSUERS], ids=["none", "empty"])
def test_without_any_issuer_the_gateway_does_not_start(write: Write, text: str) -> None:
    """House: nobody could be authenticated."""
    assert "issuers" in refusal(write(text))


def test_a_development_issuer_alone_is_enough_on_loopback(write: Write, tmp_path: Path) -> None:
    """House: `bailiwick init` writes such a file."""
    settings = load(write(NO_ISSUERS + DEV))
    assert (settings.issuers, settings.dev_issuer) == (
        (),
        DevIssuer(
            tmp_path / "dev.jwk",
            "https://dev-issuer.invalid",
            "bailiwick-dev",
            ("spiffe://dev.test/",),
        ),
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "0:0:0:0:0:0:0:1", "localhost"])
def test_a_development_issuer_is_accepted_on_loopback(write: Write, host: str) -> None:
    """RFC 6890 §2.2.2-2.2.3: 127.0.0.0/8 and ::1."""
    settings = load(write(MINIMAL + DEV + f'[server]\nhost = "{host}"\n'))
    assert (settings.server.loopback, settings.dev_issuer is not None) == (True, True)


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "::",
        # An empty host is refused before: see the types above.
        "192.168.1.5",
        "10.0.0.1",
        "169.254.1.1",
        "203.0.113.7",
        "fe80::1",
        "fd00::1",
        "gateway.test",
        "localhost.test",
        "127.0.0.1.test",
        "localhost.localdomain",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        " 127.0.0.1",
        "127.0.0.1:8080",
        "[::1]",
        "*",
    ],
    ids=repr,
)
@pytest.mark.parametrize("base", [MINIMAL, NO_ISSUERS], ids=["beside-an-issuer", "alone"])
def test_a_development_issuer_off_loopback_is_refused(write: Write, host: str, base: str) -> None:
    """House: who reads the development key can be anybody; what may not be loopback is not."""
    message = refusal(write(base + DEV + f'[server]\nhost = "{host}"\n'))
    assert "dev_issuer" in message


def test_a_listener_off_loopback_is_fine_with_real_issuers(write: Write) -> None:
    """House: only the development issuer is bound to loopback."""
    settings = load(write(MINIMAL + OUTSIDE))
    assert settings.server.loopback is False


SECOND = MINIMAL.partition("[[issuers]]")[2]


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL + "[[issuers]]" + SECOND,
        MINIMAL + DEV + 'issuer = "https://issuer.test"\n',
    ],
    ids=["two-issuers", "issuer-and-development-issuer"],
)
def test_two_issuers_of_one_name_are_refused(write: Write, text: str) -> None:
    """House: which keys and limits would hold is a coin toss."""
    refusal(write(text))


# --- URLs -------------------------------------------------------------------------------------

BAD_URLS = {
    "user": "https://u@h.test/",
    "user-and-password": "https://u:p@h.test/",
    "password-only": "https://:p@h.test/",
    "query": "https://h.test/?a=1",
    "fragment": "https://h.test/#a",
    "ftp": "ftp://h.test/",
    "file": "file:///etc/passwd",
    "javascript": "javascript://h.test/%0aalert(1)",
    "unix": "http+unix://socket/",
    "websocket": "wss://h.test/",
    "no-host": "https:///path",
    "port-only": "https://:8080/",
    "user-disguised-as-host": "https://good.test\\\\@evil.test/",
}
BAD_SYSTEM_URLS = {
    **BAD_URLS,
    "empty": "",
    "relative": "mcp",
    "absolute-path": "/mcp",
    "scheme-relative": "//h.test/mcp",
    "host-only": "h.test",
    "host-and-port": "h.test:8080",
    "one-slash": "https:/h.test",
    "space-before-scheme": "x https://h.test",
}


@pytest.mark.parametrize("url", BAD_SYSTEM_URLS.values(), ids=BAD_SYSTEM_URLS.keys())
def test_a_system_url_that_is_not_plainly_absolute_is_refused(write: Write, url: str) -> None:
    """RFC 3986 §3: userinfo, query and fragment would be dropped, leaked or forwarded."""
    assert "systems.crm.url" in refusal(write(MINIMAL + f'[systems.crm]\nurl = "{url}"\n'))


@pytest.mark.parametrize("url", BAD_URLS.values(), ids=BAD_URLS.keys())
def test_a_key_url_that_is_not_plainly_absolute_is_refused(write: Write, url: str) -> None:
    """RFC 3986 §3: keys decide who is believed."""
    assert "jwks" in refusal(write(MINIMAL.replace("https://issuer.test/jwks.json", url)))


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.test/jwks",
        "HTTP://issuer.test/jwks",
        "http://10.0.0.1/jwks",
        "http://0.0.0.0/jwks",
        "http://169.254.169.254/jwks",
        "http://localhost.test/jwks",
        "http://127.0.0.1.test/jwks",
        "http://[fe80::1]/jwks",
        "http://[::]/jwks",
    ],
)
def test_keys_are_not_fetched_in_the_clear_off_loopback(write: Write, url: str) -> None:
    """House: whoever is on the path would be the issuer."""
    assert "jwks" in refusal(write(MINIMAL.replace("https://issuer.test/jwks.json", url)))


@pytest.mark.parametrize(
    "url",
    [
        "https://issuer.test/jwks",
        "https://10.0.0.1:8443/jwks",
        "http://127.0.0.1:9/jwks",
        "http://localhost/jwks",
        "http://[::1]:9/jwks",
    ],
)
def test_keys_are_fetched_over_https_or_on_loopback(write: Write, url: str) -> None:
    """House: design §5."""
    settings = load(write(MINIMAL.replace("https://issuer.test/jwks.json", url)))
    assert settings.issuers[0].jwks == url


def test_a_relative_key_file_resolves_against_the_settings_file(
    write: Write, tmp_path: Path
) -> None:
    """House: gateway/settings says so of every relative path."""
    settings = load(write(MINIMAL.replace("https://issuer.test/jwks.json", "jwks.json")))
    assert settings.issuers[0].jwks == str(tmp_path / "jwks.json")


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://[not-an-address]/",
        "https://@h.test/",
        "https://h.test/?",
        "https://h.test/#",
        "https://h.test:99999/",
        "https://h.test:x/",
        "https://h test/",
        "https://h.test\\n.evil.test/",
        "https://h.test/\\u0000",
    ],
)
def test_a_url_that_parsers_read_differently_is_refused(write: Write, url: str) -> None:
    """RFC 3986 §3.2: an empty part is a part, and a bad port or bracket is no URL."""
    refusal(write(MINIMAL + f'[systems.crm]\nurl = "{url}"\n'))


@pytest.mark.parametrize("value", ["1", '""'])
def test_a_path_that_is_none_is_an_error_that_names_its_key(write: Write, value: str) -> None:
    """House: `load` promises to name the key."""
    text = changed("[systems.crm]", f"credential_file = {value}")
    assert "credential_file" in refusal(write(text))


def test_a_system_name_does_not_end_in_a_newline(write: Write) -> None:
    """House: `$` in a pattern also matches before a last newline."""
    refusal(write(MINIMAL + '[systems."crm\\n"]\nurl = "https://crm.test"\n'))


# --- files that cannot be read ----------------------------------------------------------------


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """House: CLI exit 2 with the path."""
    refusal(tmp_path / "absent.toml")


def test_a_folder_is_not_a_settings_file(tmp_path: Path) -> None:
    """House: CLI exit 2 with the path."""
    refusal(tmp_path)


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    """House: CLI exit 2 with the path."""
    link = tmp_path / "link.toml"
    link.symlink_to(tmp_path / "absent.toml")
    refusal(link)


BAD_FILES: dict[str, bytes] = {
    "latin1": MINIMAL.encode() + b"# caf\xe9\n",
    "utf16": MINIMAL.encode("utf-16"),
    "nul": MINIMAL.encode() + b"\x00",
    "bom": b"\xef\xbb\xbf" + MINIMAL.encode(),
    "unclosed-table": b"[policy\n",
    "unquoted-text": b"[policy]\nbundle = bundle\n",
    "key-twice": MINIMAL.encode().replace(b"[policy]\n", b'[policy]\nbundle = "x"\n'),
    "table-twice": MINIMAL.encode() + b"[policy]\n",
    "json": b'{"policy": {}}',
    "empty": b"",
    "tables-of-another-type": b"policy = 1\n",
}


@pytest.mark.parametrize("data", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_file_that_is_not_toml_or_not_utf8_is_named(write: Write, data: bytes) -> None:
    """TOML 1.0: UTF-8, every key once."""
    refusal(write(data))


# --- Host values ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "accepted"),
    [
        (Server(), {"127.0.0.1:8080", "localhost:8080"}),
        (Server(host="localhost", port=9), {"127.0.0.1:9", "localhost:9"}),
        (Server(host="127.0.0.2"), {"127.0.0.2:8080", "127.0.0.1:8080", "localhost:8080"}),
        (Server(host="::1"), {"[::1]:8080", "127.0.0.1:8080", "localhost:8080"}),
        (Server(host="10.0.0.1"), {"10.0.0.1:8080"}),
        (Server(host="fd00::A"), {"[fd00::a]:8080"}),
        (Server(host="Gateway.Test", port=443), {"gateway.test:443"}),
        (Server(hosts=("Gateway.Test", "b.test:1")), {"gateway.test", "b.test:1"}),
        (Server(host="0.0.0.0", hosts=("g.test",)), {"g.test"}),
        (Server(host="::1", hosts=("[::1]:8080",)), {"[::1]:8080"}),
    ],
    ids=[
        "default",
        "localhost",
        "other-loopback",
        "ipv6-loopback",
        "lan",
        "ipv6-lan",
        "name",
        "explicit",
        "explicit-off-loopback",
        "explicit-ipv6",
    ],
)
def test_the_accepted_hosts_are_the_listener_itself_or_those_listed(
    server: Server, accepted: set[str]
) -> None:
    """RFC 9110 §7.2, RFC 3986 §3.2.2: `Host` as a client writes it; DNS rebinding is refused."""
    assert server.accepted_hosts() == frozenset(accepted)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (Server(), "127.0.0.1:8080"),
        (Server(host="::1", port=9), "[::1]:9"),
        (Server(host="gateway.test", port=80), "gateway.test:80"),
    ],
    ids=["IPv4", "IPv6", "a name"],
)
def test_an_address_is_written_as_in_a_url(value: Server, address: str) -> None:
    """RFC 3986 §3.2.2: an IPv6 address is written in brackets."""
    assert value.address == address


@pytest.mark.parametrize("value", [Server(), Server(host="0.0.0.0"), Server(host="::")], ids=str)
def test_no_listener_accepts_a_host_that_is_not_its_own(value: Any) -> None:
    """House: a page in a browser must not reach a loopback listener by its own name."""
    assert {"evil.test", "evil.test:8080", "", "*", ":8080"} & value.accepted_hosts() == set()


SECOND = """
[[issuers]]
issuer = "https://second.test"
audience = "a"
jwks = "https://second.test/jwks"
"""


def test_several_issuers_must_say_whom_each_vouches_for(write: Write) -> None:
    """House: a charter names a subject only, so one issuer could mint the agents of another."""
    assert "subjects" in refusal(write(MINIMAL + SECOND))
    both = MINIMAL + SECOND + 'subjects = ["spiffe://second.test/"]\n'
    assert len(load(write(both)).issuers) == 2


@pytest.mark.parametrize(
    "prefix", ["", "spiffe://issuer.test/", "spiffe://issuer.test/x", "spiffe:"]
)
def test_no_issuer_may_vouch_for_the_agents_of_another(write: Write, prefix: str) -> None:
    """House: an empty or a shared beginning would let one mint the other's."""
    assert "subjects" in refusal(write(MINIMAL + SECOND + f'subjects = ["{prefix}"]\n'))
