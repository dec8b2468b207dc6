"""Certificates as others write them: the example of RFC 8705, and every length of base64."""

import base64

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.canonical import digest
from gateway.identity import xfcc
from gateway.identity.binding import thumbprint
from tests.unit.identity.certificates import WORKLOAD, Authority

EXAMPLE = """
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
"""
THUMBPRINT = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"


def test_the_thumbprint_is_the_one_of_the_standards_example() -> None:
    """RFC 8705, appendix A."""
    assert thumbprint(digest(base64.b64decode(EXAMPLE))) == THUMBPRINT


def test_certificates_of_every_length_are_read() -> None:
    """RFC 7468 §3: with no, one and two characters of padding, whatever the last line's length."""
    authority, paddings = Authority(), set()
    private = authority.issue().private
    for number in range(100):
        issued = authority.issue(f"{WORKLOAD}{'b' * (number % 64)}", private=private)
        der = issued.certificate.public_bytes(Encoding.DER)
        paddings.add(-len(der) % 3)
        assert xfcc.read(issued.text()).certificate == der
    assert paddings == {0, 1, 2}
