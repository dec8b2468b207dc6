from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import CredentialRejected
from gateway.identity import xfcc
from gateway.identity.xfcc import Forwarded
from tests.unit.identity.certificates import WORKLOAD, Authority

AUTHORITY = Authority()
ISSUED = AUTHORITY.issue()
BELOW = AUTHORITY.intermediate().intermediate("further").issue()
VICTIM = AUTHORITY.issue("spiffe://corp.test/agent/victim")
DER = ISSUED.certificate.public_bytes(Encoding.DER)
HASH, OTHER = ISSUED.hash, VICTIM.hash
CERT, PEM = quote(ISSUED.pem, safe=""), ISSUED.pem
GOOD = f'Hash={HASH};Cert="{CERT}"'
BODY = PEM.split("-----")[2]


def refused(text: str) -> str:
    """Return the code that a header value is refused with."""
    with pytest.raises(CredentialRejected) as caught:
        xfcc.read(text)
    assert CERT not in caught.value.message
    return caught.value.reason_code


def encoded(pem: str) -> str:
    """Return a good header value with another text in Cert."""
    return f'Hash={HASH};Cert="{quote(pem, safe="")}"'


def chained(*pems: str) -> str:
    """Return a good header value with a Chain."""
    return f'{GOOD};Chain="{quote("".join(pems), safe="")}"'


# Good values.


GOOD_ONES = {
    "quoted": (GOOD, None),
    "plain": (f"Hash={HASH};Cert={CERT}", None),
    "hash-in-capitals": (f'Hash="{HASH.upper()}";Cert="{CERT}"', None),
    "keys-in-any-case": (f'hash={HASH};CERT="{CERT}";uri={WORKLOAD}', WORKLOAD),
    "all-keys": (f'By=a:b;{GOOD};Subject="";URI={WORKLOAD};DNS=a.test', WORKLOAD),
    "another-order": (f'URI="{WORKLOAD}";{GOOD}', WORKLOAD),
    "escapes": (f'{GOOD};URI="a:\\"b\\\\c"', 'a:"b\\c'),
    "empty-uri": (f"{GOOD};URI=", None),
    "empty-dns": (f"{GOOD};DNS=", None),
    "no-newline-at-the-end": (encoded(PEM.rstrip("\n")), None),
    "small-escapes": (f'Hash={HASH};Cert="{CERT.replace("%0A", "%0a")}"', None),
    "chain-of-one": (f'{GOOD};Chain="{CERT}"', None),
}


@pytest.mark.parametrize(("text", "uri"), GOOD_ONES.values(), ids=GOOD_ONES)
def test_a_good_value_gives_what_the_terminator_said(text: str, uri: str | None) -> None:
    """Envoy, HTTP header manipulation, x-forwarded-client-cert: keys have no case."""
    assert xfcc.read(text) == Forwarded(HASH, DER, (), uri)


def test_a_certificate_encoded_as_envoy_does_is_good() -> None:
    """Envoy, `urlEncodedPemEncodedPeerCertificate`: these five characters and no others."""
    written = PEM
    for plain, escape in (("\n", "%0A"), (" ", "%20"), ("+", "%2B"), ("/", "%2F"), ("=", "%3D")):
        written = written.replace(plain, escape)
    assert xfcc.read(f'Hash={HASH};Cert="{written}"').certificate == DER


def test_the_chain_is_what_the_client_sent_after_its_certificate() -> None:
    """Envoy: Chain is the whole chain, including the leaf."""
    ders = tuple(one.public_bytes(Encoding.DER) for one in BELOW.intermediates)
    assert len(ders) == 2
    assert xfcc.read(BELOW.text()).intermediates == ders


SUBJECTS = {
    "hash-and-uri": f"CN=a,URI=spiffe://corp.test/agent/victim;Hash={OTHER}",
    "uri": "CN=a,URI=spiffe://corp.test/agent/victim",
    "escaped-quotes": rf"CN=\";URI=spiffe://corp.test/agent/victim;Hash={OTHER};Subject=\"",
    "backslash-at-the-end": r"CN=a\\",
    "backslash-and-quote": r"CN=a\\\";URI=x",
    "other-escapes": r"CN=a\,O=b\+c\C3\A9",
    "empty-pairs": "Hash=;Cert=;",
    "separators": ",,,",
}


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
def test_what_a_subject_spells_stays_inside_its_quotes(subject: str) -> None:
    """House: identity §3, the classic injection; RFC 2253 §2.4, how subjects are escaped."""
    text = f'Hash={HASH};Subject="{subject}";Cert="{CERT}";URI={WORKLOAD}'
    assert xfcc.read(text) == Forwarded(HASH, DER, (), WORKLOAD)


# Attacks.

ATTACKS = {
    "empty": ("", "malformed"),
    "space": (" ", "malformed"),
    "no-pair": ("Hash", "malformed"),
    "no-key": (f"={HASH}", "malformed"),
    "only-separator": (";", "malformed"),
    "leading-separator": (f";{GOOD}", "malformed"),
    "trailing-separator": (f"{GOOD};", "malformed"),
    "doubled-separator": (GOOD.replace(";", ";;"), "malformed"),
    "space-after-separator": (GOOD.replace(";", "; "), "malformed"),
    "space-before-equals": (GOOD.replace("Hash=", "Hash ="), "malformed"),
    "space-after-value": (f"{GOOD} ", "malformed"),
    "tab": (f"{GOOD}\t", "malformed"),
    "newline": (f"{GOOD};URI=a\nb", "malformed"),
    "nul": (f"{GOOD};URI=a\0b", "malformed"),
    "not-ascii": (f"{GOOD};URI=spiffe://corp.test/agent/\u0430", "malformed"),
    "not-ascii-in-quotes": (f'{GOOD};Subject="CN=\u00e9"', "malformed"),
    "quote-never-closed": (f'Hash={HASH};Cert="{CERT}', "malformed"),
    "quote-closed-by-an-escape": (f'{GOOD};Subject="CN=a\\"', "malformed"),
    "quote-within-plain": (f'{GOOD};URI=spiffe://corp.test/a"b"', "malformed"),
    "text-after-quote": (f'{GOOD};URI="spiffe://corp.test/a"b', "malformed"),
    "two-quoted": (f'{GOOD};URI="spiffe://corp.test/a""b"', "malformed"),
    "backslash-within-plain": (f"{GOOD};URI=spiffe:\\//corp.test/a", "malformed"),
    "space-within-plain": (f"{GOOD};URI=spiffe://corp.test/a b", "malformed"),
    "equals-within-plain": (f"{GOOD};URI=spiffe://corp.test/a=b", "malformed"),
    "single-quotes": (f"Hash='{HASH}';Cert='{CERT}'", "hash_malformed"),
    "quoted-key": (f'"Hash"={HASH};Cert="{CERT}"', "malformed"),
    "subject-breaks-out": (
        f'Hash={HASH};Subject="CN=a\\\\";URI=x;Cert="{CERT}";Subject="b"',
        "key_repeated",
    ),
    "appended-element": (f"{GOOD},{VICTIM.text()}", "several_elements"),
    "prepended-element": (f"{VICTIM.text()},{GOOD}", "several_elements"),
    "empty-second-element": (f"{GOOD},", "several_elements"),
    "element-after-space": (f"{GOOD}, {GOOD}", "several_elements"),
    "element-within-plain-uri": (f"{GOOD};URI=spiffe://a/b,URI=spiffe://c/d", "several_elements"),
    "hash-twice": (f"{GOOD};Hash={OTHER}", "key_repeated"),
    "hash-twice-in-another-case": (f"{GOOD};HASH={HASH}", "key_repeated"),
    "cert-twice": (f'{GOOD};Cert="{CERT}"', "key_repeated"),
    "chain-twice": (f'{GOOD};Chain="{CERT}";Chain="{CERT}"', "key_repeated"),
    "uri-twice": (f"{GOOD};URI={WORKLOAD};URI={WORKLOAD}", "key_repeated"),
    "uri-twice-and-empty": (f"{GOOD};URI=;URI={WORKLOAD}", "key_repeated"),
    "dns-twice": (f"{GOOD};DNS=a.test;DNS=b.test", "key_repeated"),
    "by-twice": (f"By=a;By=b;{GOOD}", "key_repeated"),
    "subject-twice": (f'{GOOD};Subject="";Subject=""', "key_repeated"),
    "unknown-key": (f"{GOOD};Email=a", "key_unknown"),
    "longer-key": (f"{GOOD};URIs={WORKLOAD}", "key_unknown"),
    "no-hash": (f'Cert="{CERT}"', "hash_missing"),
    "empty-hash": (f'Hash=;Cert="{CERT}"', "hash_missing"),
    "short-hash": (f'Hash={HASH[:-1]};Cert="{CERT}"', "hash_malformed"),
    "long-hash": (f'Hash={HASH}0;Cert="{CERT}"', "hash_malformed"),
    "hash-with-colons": (f'Hash={HASH[:-3]}:{HASH[-2:]};Cert="{CERT}"', "hash_malformed"),
    "hash-in-base64": (f'Hash={"A" * 43};Cert="{CERT}"', "hash_malformed"),
    "no-certificate": (f"Hash={HASH};URI={WORKLOAD}", "certificate_missing"),
    "empty-certificate": (f'Hash={HASH};Cert=""', "certificate_missing"),
    "certificate-only-in-chain": (f'Hash={HASH};Chain="{CERT}"', "certificate_missing"),
    "two-certificates": (encoded(PEM + VICTIM.pem), "certificate_malformed"),
    "text-before": (encoded(f"x\n{PEM}"), "certificate_malformed"),
    "text-after": (encoded(f"{PEM}x"), "certificate_malformed"),
    "newline-after": (encoded(f"{PEM}\n"), "certificate_malformed"),
    "headers-within": (
        encoded(PEM.replace("-----\n", "-----\nA: b\n\n", 1)),
        "certificate_malformed",
    ),
    "a-key": (encoded(PEM.replace("CERTIFICATE", "PRIVATE KEY")), "certificate_malformed"),
    "carriage-returns": (encoded(PEM.replace("\n", "\r\n")), "certificate_malformed"),
    "no-armour": (encoded(BODY.strip()), "certificate_malformed"),
    "armour-only": (encoded(PEM.replace(BODY, "\n")), "certificate_malformed"),
    "not-canonical": (
        encoded(PEM.replace(BODY, "\nAB==\n")),
        "certificate_malformed",
    ),
    "padding-within": (encoded(PEM.replace(BODY, "\nAA==\nAA==\n")), "certificate_malformed"),
    "base64url": (encoded(PEM.replace(BODY, "\n-_8=\n")), "certificate_malformed"),
    "raw-plus": (f'Hash={HASH};Cert="{CERT.replace("%20", "+")}"', "certificate_malformed"),
    "raw-space": (f'Hash={HASH};Cert="{CERT.replace("%20", " ")}"', "certificate_malformed"),
    "raw-slash": (f'Hash={HASH};Cert="{CERT}/"', "certificate_malformed"),
    "encoded-twice": (encoded(quote(PEM, safe="")), "certificate_malformed"),
    "half-an-escape": (f'Hash={HASH};Cert="{CERT}%0"', "certificate_malformed"),
    "bare-percent": (f'Hash={HASH};Cert="{CERT}%"', "certificate_malformed"),
    "no-hex-escape": (f'Hash={HASH};Cert="{CERT}%0G"', "certificate_malformed"),
    "wide-escape": (f'Hash={HASH};Cert="{CERT}%u000A"', "certificate_malformed"),
    "encoded-nul": (f'Hash={HASH};Cert="{CERT}%00"', "certificate_malformed"),
    "overlong-utf-8": (f'Hash={HASH};Cert="{CERT}%C0%8A"', "certificate_malformed"),
    "backslashed-newline": (f'Hash={HASH};Cert="{CERT}\\n"', "certificate_malformed"),
    "chain-of-nothing": (f'{GOOD};Chain="x"', "chain_malformed"),
    "chain-with-text-between": (chained(PEM, "x\n", VICTIM.pem), "chain_malformed"),
    "chain-of-another": (chained(VICTIM.pem, PEM), "chain_mismatch"),
    "chain-without-the-leaf": (chained(AUTHORITY.pem), "chain_mismatch"),
    "chain-too-long": (chained(PEM, *[AUTHORITY.pem] * 5), "chain_too_long"),
    "too-long": (f"{GOOD};URI={'a' * xfcc.MAX_BYTES}", "too_long"),
}


@pytest.mark.parametrize(("text", "code"), ATTACKS.values(), ids=ATTACKS)
def test_a_value_that_says_anything_in_two_ways_is_refused(text: str, code: str) -> None:
    """House: identity §3; each reason has its own code."""
    assert refused(text) == f"xfcc_{code}"


def test_four_certificates_after_the_leaf_are_not_too_many() -> None:
    """House: the bound itself is good."""
    assert len(xfcc.read(chained(PEM, *[AUTHORITY.pem] * 4)).intermediates) == 4


def test_the_longest_value_is_read() -> None:
    """House: 24 KiB, the bound itself."""
    text = f'{GOOD};Subject="'
    text += "a" * (xfcc.MAX_BYTES - len(text) - 1) + '"'
    assert len(text) == xfcc.MAX_BYTES
    assert xfcc.read(text).hash == HASH


def test_the_certificate_is_not_in_what_is_printed() -> None:
    """House: no credential is logged."""
    assert repr(xfcc.read(BELOW.text())) == f"Forwarded(hash='{BELOW.hash}', uri='{WORKLOAD}')"


@given(st.text(st.sampled_from('Hash=Cert;,"\\ %0A-U.')))
def test_any_text_is_read_or_refused(text: str) -> None:
    """House: fail closed, with a code."""
    assert refused(text).startswith("xfcc_")


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_any_subject_may_be_quoted(subject: str) -> None:
    """Envoy: a quoted value ends at its own quote and nowhere else."""
    escaped = subject.replace("\\", "\\\\").replace('"', '\\"')
    assert xfcc.read(f'Subject="{escaped}";{GOOD}') == Forwarded(HASH, DER, (), None)
