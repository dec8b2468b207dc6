"""`X-Forwarded-Client-Cert` has one reading, and what two readers may differ on has none."""

import base64
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.errors import CredentialRejected
from gateway.identity.xfcc import MAX_BYTES, MAX_INTERMEDIATES, read
from tests.unit.identity.certificates import WORKLOAD, Authority, Issued

ROOT = Authority()
LEAF = ROOT.issue()
OTHER = ROOT.issue()
BELOW = ROOT.intermediate().issue()
DER = LEAF.certificate.public_bytes(Encoding.DER)
PEM = quote(LEAF.pem, safe="")
HASH = f"Hash={LEAF.hash}"
GOOD = f"{HASH};Cert={PEM}"
ADMIN = "spiffe://corp.test/admin"
BASE64 = base64.b64encode(DER).decode()


def pem(text: str) -> str:
    """Return text in the armour of a certificate, as a header has it."""
    return quote(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n", safe="")


def cert(value: str) -> str:
    """Return a header with this Cert."""
    return f"{HASH};Cert={value}"


def chain(*issued: Issued) -> str:
    """Return a header with these in Chain."""
    return f'{GOOD};Chain="{quote("".join(one.pem for one in issued), safe="")}"'


REFUSED = {
    "empty": ("", "malformed"),
    "no pair": ("spiffe", "malformed"),
    "no key": ("=a", "malformed"),
    "semicolon first": (f";{GOOD}", "malformed"),
    "semicolon last": (f"{GOOD};", "malformed"),
    "semicolon twice": (f"{HASH};;Cert={PEM}", "malformed"),
    "comma first": (f",{GOOD}", "malformed"),
    "space after a semicolon": (f"{HASH}; Cert={PEM}", "malformed"),
    "space before the equals sign": (f"Hash ={LEAF.hash};Cert={PEM}", "malformed"),
    "space first": (f" {GOOD}", "malformed"),
    "space last": (f"{GOOD} ", "malformed"),
    "space in a plain value": (f"{GOOD};Subject=CN=a, O=b", "malformed"),
    "equals sign in a plain value": (f"{GOOD};Subject=CN=a", "malformed"),
    "quote not closed": (f'{GOOD};Subject="CN=a', "malformed"),
    "quote closed by an escaped quote": (f'{GOOD};Subject="CN=a\\"', "malformed"),
    "text after a quote": (f'{GOOD};Subject="CN=a"b', "malformed"),
    "quote within a plain value": (f'{GOOD};URI=a"b"', "malformed"),
    "backslash in a plain value": (f"{GOOD};URI=a\\;b", "malformed"),
    "backslash last": (f'{GOOD};Subject="CN=a\\', "malformed"),
    "tab": (f"{HASH};\tCert={PEM}", "malformed"),
    "line break": (f"{HASH};Cert={PEM}\n", "malformed"),
    "null": (f'{GOOD};Subject="a\0b"', "malformed"),
    "letter beyond ASCII": (f'{GOOD};Subject="CN=\u00e9"', "malformed"),
    "Kelvin sign for a k": (f"{GOOD};\u212aey=a", "malformed"),
    "key unknown": (f"{GOOD};Issuer=a", "key_unknown"),
    "key with a digit": (f"{GOOD};URI2=a", "malformed"),
    "URI twice": (f"{GOOD};URI={WORKLOAD};URI={ADMIN}", "key_repeated"),
    "URI twice, other case": (f"{GOOD};URI={WORKLOAD};uri={ADMIN}", "key_repeated"),
    "URI twice, empty first": (f"{GOOD};URI=;URI={ADMIN}", "key_repeated"),
    "Hash twice, the same": (f"{GOOD};{HASH}", "key_repeated"),
    "Cert twice": (f"{GOOD};Cert={PEM}", "key_repeated"),
    "DNS twice": (f"{GOOD};DNS=a.test;DNS=b.test", "key_repeated"),
    "two elements": (f"{GOOD},{OTHER.text()}", "several_elements"),
    "element appended by Envoy": (f"By=spiffe://x;URI={ADMIN},{GOOD}", "several_elements"),
    "comma last": (f"{GOOD},", "several_elements"),
    "comma in a plain value": (f"{HASH};Cert={PEM};URI=a,b", "several_elements"),
    "no Hash": (f"Cert={PEM}", "hash_missing"),
    "Hash empty": (f"Hash=;Cert={PEM}", "hash_missing"),
    "Hash of 63 digits": (f"Hash={LEAF.hash[1:]};Cert={PEM}", "hash_malformed"),
    "Hash of 65 digits": (f"Hash={LEAF.hash}0;Cert={PEM}", "hash_malformed"),
    "Hash of a SHA-1": (f"Hash={LEAF.hash[:40]};Cert={PEM}", "hash_malformed"),
    "Hash with a letter": (f"Hash=g{LEAF.hash[1:]};Cert={PEM}", "hash_malformed"),
    "Hash with a space": (f'Hash="{LEAF.hash} ";Cert={PEM}', "hash_malformed"),
    "no Cert": (HASH, "certificate_missing"),
    "Cert empty": (f'{HASH};Cert=""', "certificate_missing"),
    "Cert only in a subject": (f'{HASH};Subject="a;Cert={PEM}"', "certificate_missing"),
    "Cert not URL-encoded": (cert(f'"{LEAF.pem}"'.replace("\n", " ")), "certificate_malformed"),
    "Cert with a bare plus": (cert(f'"{PEM.replace("%20", "+")}"'), "certificate_malformed"),
    "Cert with a bare slash": (cert(f"{PEM}/"), "certificate_malformed"),
    "Cert encoded twice": (cert(quote(PEM, safe="")), "certificate_malformed"),
    "Cert with half an encoding": (cert(f"{PEM}%0"), "certificate_malformed"),
    "Cert with a percent sign last": (cert(f"{PEM}%"), "certificate_malformed"),
    "Cert with no encoding": (cert(f"{PEM}%zz"), "certificate_malformed"),
    "Cert with an encoded null": (cert(f"{PEM}%00"), "certificate_malformed"),
    "Cert with an encoded space": (cert(f"{PEM}%20"), "certificate_malformed"),
    "Cert with two line breaks last": (cert(f"{PEM}%0A"), "certificate_malformed"),
    "Cert with text before": (cert(f"a%0A{PEM}"), "certificate_malformed"),
    "Cert of two": (cert(PEM + quote(OTHER.pem, safe="")), "certificate_malformed"),
    "Cert of a key": (cert(PEM.replace("CERTIFICATE", "PRIVATE%20KEY")), "certificate_malformed"),
    "Cert in base64 only": (cert(quote(BASE64, safe="")), "certificate_malformed"),
    "Cert with padding too much": (cert(pem(f"{BASE64.rstrip('=')}===")), "certificate_malformed"),
    "Cert with padding within": (cert(pem("MA==\nMA==")), "certificate_malformed"),
    "Cert without its padding": (cert(pem("MA")), "certificate_malformed"),
    "Cert with bits beyond the last byte": (cert(pem("MB==")), "certificate_malformed"),
    "Cert in base64url": (cert(pem("-_-_")), "certificate_malformed"),
    "Cert with CRLF": (cert(PEM.replace("%0A", "%0D%0A")), "certificate_malformed"),
    "Cert with nothing in it": (cert(pem("")), "certificate_malformed"),
    "Chain not PEM": (f"{GOOD};Chain=a", "chain_malformed"),
    "Chain with a bare plus": (f'{GOOD};Chain="{PEM}+"', "chain_malformed"),
    "Chain with text last": (f'{GOOD};Chain="{PEM}a"', "chain_malformed"),
    "Chain of another certificate": (chain(OTHER), "chain_mismatch"),
    "Chain without Cert first": (chain(OTHER, LEAF), "chain_mismatch"),
    "Chain too long": (chain(LEAF, *[OTHER] * (MAX_INTERMEDIATES + 1)), "chain_too_long"),
    "too long": (f'{GOOD};Subject="{"a" * MAX_BYTES}"', "too_long"),
}


@pytest.mark.parametrize(("text", "code"), REFUSED.values(), ids=REFUSED)
def test_a_header_that_is_not_strictly_one_certificate_is_refused(text: str, code: str) -> None:
    """Envoy: X-Forwarded-Client-Cert; house: read in one way or not at all."""
    with pytest.raises(CredentialRejected) as caught:
        read(text)
    assert caught.value.code == f"xfcc_{code}"


TAKEN = {
    "plain": (GOOD, None),
    "in quotes": (f'Hash="{LEAF.hash}";Cert="{PEM}";URI="{WORKLOAD}"', WORKLOAD),
    "keys in other case": (f"hAsH={LEAF.hash};CERT={PEM};Uri={WORKLOAD}", WORKLOAD),
    "Hash in capitals": (f"Hash={LEAF.hash.upper()};Cert={PEM}", None),
    "another order": (f"URI={WORKLOAD};Cert={PEM};{HASH}", WORKLOAD),
    "all keys": (f"By=spiffe://corp.test/edge;{GOOD};URI={WORKLOAD};DNS=a.test", WORKLOAD),
    "empty URI": (f"{GOOD};URI=", None),
    "empty URI in quotes": (f'{GOOD};URI=""', None),
    "empty By": (f"By=;{GOOD}", None),
    "URI with a comma": (f'{GOOD};URI="a,b"', "a,b"),
    "URI with an escaped quote": (f'{GOOD};URI="a\\"b"', 'a"b'),
    "URI with an escaped backslash": (f'{GOOD};URI="a\\\\"', "a\\"),
    "URI that is URL-encoded": (f"{GOOD};URI=a%2Cb", "a%2Cb"),
    "lower-case encodings": (cert(PEM.replace("%0A", "%0a")), None),
    "more encoded than needed": (cert(PEM.replace("BEGIN", "%42EGIN")), None),
    "no line break last": (cert(PEM.removesuffix("%0A")), None),
    "one long line": (cert(pem(BASE64)), None),
    "empty Chain": (f"{GOOD};Chain=", None),
    "Chain of Cert alone": (chain(LEAF), None),
}


@pytest.mark.parametrize(("text", "uri"), TAKEN.values(), ids=TAKEN)
def test_spellings_that_every_reader_understands_are_taken(text: str, uri: str | None) -> None:
    """Envoy: X-Forwarded-Client-Cert."""
    seen = read(text)
    assert (seen.hash, seen.certificate, seen.intermediates) == (LEAF.hash, DER, ())
    assert seen.uri == uri


@pytest.mark.parametrize(
    "subject",
    [
        f"CN=a,URI={ADMIN}",
        f"CN=a;URI={ADMIN}",
        f"CN=a,{HASH};Cert={PEM};URI={ADMIN}",
        f'CN=a\\";URI={ADMIN};Subject=\\"',
        f'CN=\\\\\\";URI={ADMIN};DNS=\\"b',
        f"CN=a\\;URI={ADMIN}",
    ],
    ids=["comma", "semicolon", "element", "quote", "backslash and quote", "escaped semicolon"],
)
def test_what_a_subject_spells_stays_inside_its_quotes(subject: str) -> None:
    """House: clients choose their subjects where an authority lets them."""
    assert read(f'{GOOD};Subject="{subject}"').uri is None
    assert read(f'Subject="{subject}";{GOOD};URI={WORKLOAD}').uri == WORKLOAD


def test_a_subject_whose_quotes_are_not_escaped_does_not_become_a_second_uri() -> None:
    """House: a terminator that escapes nothing is refused and not guessed at."""
    with pytest.raises(CredentialRejected) as caught:
        read(f'{GOOD};URI={WORKLOAD};Subject="CN=a";URI={ADMIN};DNS=""')
    assert caught.value.code == "xfcc_key_repeated"


def test_certificates_of_every_length_are_read() -> None:
    """RFC 7468 §3: with one, two and no characters of padding, in lines of 64."""
    paddings = set()
    for number in range(100):
        issued = ROOT.issue(f"{WORKLOAD}{'b' * (number % 64)}", private=LEAF.private)
        der = issued.certificate.public_bytes(Encoding.DER)
        paddings.add(-len(der) % 3)
        assert read(issued.text()).certificate == der
    assert paddings == {0, 1, 2}


@pytest.mark.parametrize("length", [46, 47, 48, 49, 95, 96, 97], ids=str)
def test_lines_end_anywhere_in_the_last_group(length: int) -> None:
    """RFC 7468 §3: 48 bytes are one full line."""
    text = base64.encodebytes(bytes(length)).decode().replace("\n", "")
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    assert read(cert(pem(lines))).certificate == bytes(length)


def test_what_follows_the_certificate_in_a_chain_are_its_intermediates() -> None:
    """Envoy: Chain begins with the client certificate."""
    seen = read(BELOW.text())
    expected = tuple(one.public_bytes(Encoding.DER) for one in BELOW.intermediates)
    assert seen.intermediates == expected
    assert len(expected) == 1


def test_a_chain_may_be_as_long_as_the_limit() -> None:
    """House: four intermediates."""
    assert len(read(chain(LEAF, *[OTHER] * MAX_INTERMEDIATES)).intermediates) == MAX_INTERMEDIATES


def test_a_header_may_be_as_long_as_the_limit() -> None:
    """House: 24 KiB, which is less than a listener takes."""
    start = f'{GOOD};Subject="'
    text = f'{start}{"a" * (MAX_BYTES - len(start) - 1)}"'
    assert read(text).hash == LEAF.hash
    with pytest.raises(CredentialRejected) as caught:
        read(text.replace('"a', '"aa'))
    assert caught.value.code == "xfcc_too_long"


def test_certificates_are_not_in_its_representation() -> None:
    """House: what is logged by accident is short."""
    assert "certificate" not in repr(read(GOOD))
