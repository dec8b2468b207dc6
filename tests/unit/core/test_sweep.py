import base64
import hashlib
import random
import string
import time

import pytest

from gateway.core.sweep import MIN_RUN, find, names_secret, suspicious

A = string.ascii_letters + string.digits


def made(alphabet: str, length: int, seed: int = 7) -> str:
    """Return a random text, the same in every run."""
    rng = random.Random(seed)
    return "".join(rng.choice(alphabet) for _ in range(length))


def hidden(text: str) -> str:
    """Return a text with everything that was found taken out."""
    for start, end, _ in sorted(find(text), reverse=True):
        text = text[:start] + "#" + text[end:]
    return text


UPPER = string.ascii_uppercase + string.digits
TOKENS = [
    "AKIA" + made(UPPER, 16),
    "ASIA" + made(UPPER, 16),
    "ghp_" + made(A, 36),
    "github_pat_" + made(A + "_", 60),
    "glpat-" + "x1" + made(A + "-_", 18),
    "xoxb-123456789012-" + made(A, 24),
    "AIza" + made(A + "-_", 35),
    "ya29." + made(A + "-_", 40),
    "GOCSPX-" + made(A, 28),
    "sk_live_" + made(A, 24),
    "rk_live_" + "abcdefgh",
    "sk-" + made(A, 40),
    "sk-ant-api03-" + made(A + "-_", 60),
    "npm_" + made(A, 36),
    "pypi-" + "AgEIcHlwaS5vcmc" + made(A + "-_", 60),
    "hvs." + made(A, 24),
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0." + made(A + "-_", 43),
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQ\nYDK2Vw\n-----END PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----\\nMIIE cut off",
    made(A, MIN_RUN),
    made("0123456789abcdef", 32),
    base64.b64encode(random.Random(1).randbytes(48)).decode(),
]


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:12])
@pytest.mark.parametrize("around", ["{}", "use {} now", '{{"x":"{}"}}', "a={}&b=1", "({})"])
def test_a_credential_is_found_by_its_shape(token: str, around: str) -> None:
    """House: shapes as the issuers document them, and long random runs."""
    if token.endswith("cut off"):
        assert "MIIE" not in hidden(around.format(token))
    else:
        assert token not in hidden(around.format(token))
        assert token[8:-1] not in hidden(around.format(token))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password=hunter2", "password=#"),
        ("password: hunter2, then", "password: #, then"),
        ("PASSWORD = 'correct horse' x", "PASSWORD = '#' x"),
        ('say "db_password":"correct horse" x', 'say "db_password":"#" x'),
        ('in text {\\"api_key\\": \\"ab cd\\"} x', 'in text {\\"api_key\\": \\"#\\"} x'),
        ('"token":"a\\"b c"', '"token":"#"'),
        ("?token=abc&b=1", "?token=#&b=1"),
        ("client_secret=x1;next", "client_secret=#;next"),
        ("AccountKey=abc==;EndpointSuffix=x", "AccountKey=#;EndpointSuffix=x"),
        ("/b?sv=1&sig=ab%2Fc&x=1", "/b?sv=1&sig=#&x=1"),
        ("?X-Amz-Signature=0ab&y", "?X-Amz-Signature=#&y"),
        ("authorization: Bearer abcdef12.x-y", "authorization: Bearer #"),
        ("Basic dXNlcjpwYXNz", "Basic #"),
        ("https://user:pa55@host/x", "https://#host/x"),
        ("postgres://u:p@h", "postgres://#h"),
    ],
)
def test_a_secret_is_found_by_what_stands_before_it(text: str, left: str) -> None:
    """House: assignments, authorization schemes and the userinfo of a URL (RFC 3986 §3.2.1)."""
    assert hidden(text) == left


def test_an_aws_secret_beside_its_id_is_found_even_if_it_looks_like_words() -> None:
    """House: 40 characters of base64 next to an access key id are its secret."""
    secret = "AbcdefghijAbcdefghijAbcdefghijAbcdefghij"
    assert hidden(secret) == secret
    assert secret not in hidden("AKIAIOSFODNN7EXAMPLE " + secret)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Harbour Bakery owes 420.0 EUR since 2026-11-02",
        "customer_id=550e8400-e29b-41d4-a716-446655440000",
        "/v1/0192f3a4-7bcd-7abc-8def-0123456789ab/files",
        "Fa9E84cB-E29b-41D4-a7F6-44e655f4C0d0",
        "sha256:" + hashlib.sha256(b"x").hexdigest(),
        "hmac-sha256:" + hashlib.sha256(b"y").hexdigest(),
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "2026-11-24T09:00:00.123456Z",
        "spiffe://example.org/ns/production/sa/0af7651916cd43dd8448eb211c80319c",
        "/Users/Alice/Documents/report-2026/Quarterly-Q3.pdf",
        "invoice-2026-customer-berlin-overview",
        "risk-assessment-of-the-whole-company",
        "getInvoiceByCustomerNameAndDate2026",
        "12345678901234567890123456789",
        "a" * 100,
        "aB1" * 10,
        "theQUICKbrownFOXjumpsOVERlazy",
        "basic understanding of bearer instruments",
        "io.modelcontextprotocol/protocolVersion",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "mail me@example.org, see https://example.org/a@b",
    ],
)
def test_what_is_no_secret_by_its_form_is_left_alone(text: str) -> None:
    """House: evidence that hides everything proves nothing."""
    assert find(text) == []


@pytest.mark.parametrize(
    "token",
    [
        "Zq9Xk4LwVb7Nm550e8400-e29b-41d4-a716-446655440000",
        "550e8400-e29b-41d4-a716-446655440000Zq9Xk4LwVb7NmQ2sT",
    ],
)
def test_a_form_within_a_random_run_excuses_nothing(token: str) -> None:
    """House: a token that holds a UUID somewhere is still a token."""
    assert hidden(token) == "#"


@pytest.mark.parametrize("alphabet", [A + "+/", A + "-_", "0123456789abcdef"])
def test_hardly_any_random_run_is_missed(alphabet: str) -> None:
    """House: the thresholds of entropy; fewer than 1 in 25 at the shortest length."""
    runs = [made(alphabet, MIN_RUN, seed) for seed in range(1000)]
    assert sum(not find(run) for run in runs) < 40


@pytest.mark.parametrize(
    "piece",
    [
        "a", "eyJ", "-----BEGIN", "-----BEGIN PRIVATE KEY", "-----BEGIN A ", "password=", "token\\",
        '"token":"', "secret='", "sk-", "://", "://a", "bearer ", "Basic \t", "AKIA", "SG.", "gla",
        "A1b", "0-", "sha256:", "spiffe://a", "x-amz-", "&sig", "2026-11-24T09:", "eyJ.",
        " spiffe://" + "a" * 2310, " spiffe://" + "a/" * 1150, "SG." + "a" * 64,
        " sha256:" + "0" * 127, "://" + "a" * 512, "-----END" + " A" * 20, "bearer" + " " * 9,
        "tokens99" + "\\" * 8 + "\"    ", "AKIA" + "A" * 15 + "a", "gl" + "a" * 6, "a" * 40 + "_",
        "x-amz-signature", "eyJaaaaa.", "github_pat_" + "a" * 15 + ".", "-----BEGIN" + " A" * 20,
    ],
)  # fmt: skip
def test_a_hostile_text_takes_linear_time(piece: str) -> None:
    """House: 1 MB of any beginning takes well under a second, where a square would take minutes."""
    text = (piece * 2**20)[: 2**20]
    began = time.process_time()
    find(text)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:12])
def test_the_quick_look_misses_nothing_that_is_found(token: str) -> None:
    """House: `suspicious` is only ever wrong by saying yes."""
    assert suspicious(token)
    assert not suspicious("an ordinary sentence, nothing else")


@pytest.mark.parametrize(
    "name",
    [
        "password", "Passwd", "db_password", "SECRET", "clientSecret", "token", "access-token",
        "refresh_token", "api_key", "apiKey", "API KEY", "Authorization", "proxy-authorization",
        "private_key", "cookie", "Set-Cookie", "mcp-session-id", "x-api-key", "githubToken",
        "db_pwd", "api_keys", "access_tokens", "client_secrets", "passcode", "credential",
        "credentials", "private_key_pem", "password_confirm", "passwd2", "auth", "tokens",
    ],
)  # fmt: skip
def test_a_name_can_say_that_its_value_is_secret(name: str) -> None:
    """House: without regard to case and separators."""
    assert names_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "tokens_used",
        "max_tokens_total",
        "max_tokens",
        "total_tokens",
        "progressToken",
        "nextPageToken",
        "key",
        "secretary",
        "author",
        "authority",
    ],  # fmt: skip
)
def test_a_name_that_only_resembles_one_says_nothing(name: str) -> None:
    """House: MCP's progress tokens and cursors are chosen to be shown."""
    assert not names_secret(name)
