from typing import Final

import pytest

from gateway.core.errors import CredentialRejected
from gateway.identity.spiffe_id import SPIFFEID

GOOD: Final = [
    "spiffe://corp.test/agent/a",
    "spiffe://corp.test/a",
    "spiffe://a/A-Z_0.9",
    "spiffe://trust_domain-1.example/ns/agents/sa/crm",
    "spiffe://192.0.2.7/agent",
    "spiffe://corp.test/...",
    "spiffe://corp.test/.hidden/..a/a..",
    "spiffe://corp.test/9eebccd2-12bf-40a6-b262-65fe0487d453",
]
BAD: Final = {
    "length": [
        "spiffe://corp.test/" + "a" * 2030,
        "spiffe://corp.test/agent/\u0430",
        "spiffe://c\u043erp.test/agent/a",
        "spiffe://corp.test/agent/a\u200b",
        "spiffe://corp.test/agent/\uff0e\uff0e/a",
    ],
    "scheme": [
        "",
        "SPIFFE://corp.test/agent/a",
        "Spiffe://corp.test/agent/a",
        "https://corp.test/agent/a",
        "spiffe:/corp.test/agent/a",
        "spiffe:corp.test/agent/a",
        "spiffe:\\\\corp.test\\agent\\a",
        "//corp.test/agent/a",
        "corp.test/agent/a",
        " spiffe://corp.test/agent/a",
        "spiffe ://corp.test/agent/a",
        "x-spiffe://corp.test/agent/a",
        "spiffe%3A//corp.test/agent/a",
        "\nspiffe://corp.test/agent/a",
    ],
    "trust_domain": [
        "spiffe://",
        "spiffe:///agent/a",
        "spiffe:////agent/a",
        "spiffe://CORP.test/agent/a",
        "spiffe://corp.test:80/agent/a",
        "spiffe://corp.test:/agent/a",
        "spiffe://x@corp.test/agent/a",
        "spiffe://@corp.test/agent/a",
        "spiffe://x:y@corp.test/agent/a",
        "spiffe://corp%2Etest/agent/a",
        "spiffe://[::1]/agent/a",
        "spiffe://corp.test?/agent/a",
        "spiffe://corp.test#/agent/a",
        "spiffe://corp.test\\/agent/a",
        "spiffe://corp.test /agent/a",
        "spiffe://corp.test\n/agent/a",
        "spiffe://corp*/agent/a",
        "spiffe://" + "a" * 256 + "/agent",
    ],
    "path": [
        "spiffe://corp.test",
        "spiffe://corp.test/",
        "spiffe://corp.test//",
        "spiffe://corp.test//agent/a",
        "spiffe://corp.test/agent//a",
        "spiffe://corp.test/agent/",
        "spiffe://corp.test/agent/a/",
        "spiffe://corp.test/.",
        "spiffe://corp.test/..",
        "spiffe://corp.test/./agent/a",
        "spiffe://corp.test/agent/./a",
        "spiffe://corp.test/agent/../admin",
        "spiffe://corp.test/agent/..",
        "spiffe://corp.test/agent/%2e%2e/admin",
        "spiffe://corp.test/agent/%61",
        "spiffe://corp.test/agent%2Fa",
        "spiffe://corp.test/agent/a%00",
        "spiffe://corp.test/agent/a\x00",
        "spiffe://corp.test/agent/a?x=1",
        "spiffe://corp.test/agent/a?",
        "spiffe://corp.test/agent/a#x",
        "spiffe://corp.test/agent/a#",
        "spiffe://corp.test/agent/a;x=1",
        "spiffe://corp.test/agent/a:80",
        "spiffe://corp.test/agent\\a",
        "spiffe://corp.test/agent/..\\admin",
        "spiffe://corp.test/agent/a b",
        "spiffe://corp.test/agent/a ",
        "spiffe://corp.test/agent/a\n",
        "spiffe://corp.test/agent/a\t",
        "spiffe://corp.test/agent/a+b",
        "spiffe://corp.test/agent/~a",
        "spiffe://corp.test/agent/a@b",
        "spiffe://corp.test/agent/*",
        "spiffe://corp.test/a,spiffe://corp.test/b",
    ],
}


@pytest.mark.parametrize("text", GOOD)
def test_a_spiffe_id_is_read_and_written_the_same(text: str) -> None:
    """SPIFFE-ID §2.1, §2.2."""
    assert str(SPIFFEID.parse(text)) == text


def test_a_spiffe_id_has_a_trust_domain_and_a_path() -> None:
    """SPIFFE-ID §2."""
    assert SPIFFEID.parse("spiffe://corp.test/ns/a/sa/b") == SPIFFEID("corp.test", "/ns/a/sa/b")


@pytest.mark.parametrize(
    ("part", "text"),
    [(part, text) for part, texts in BAD.items() for text in texts],
    ids=[f"{part}-{number}" for part, texts in BAD.items() for number in range(len(texts))],
)
def test_any_other_spelling_is_refused_by_the_part_that_is_wrong(part: str, text: str) -> None:
    """SPIFFE-ID §2: nothing is normalised, so nobody is somebody else spelled otherwise."""
    with pytest.raises(CredentialRejected) as caught:
        SPIFFEID.parse(text)
    assert caught.value.reason_code == f"spiffe_id_{part}"


def test_the_longest_spiffe_id_and_the_longest_trust_domain_are_read() -> None:
    """SPIFFE-ID §2.3: 2,048 bytes, of which 255 for the trust domain."""
    longest = "spiffe://corp.test/" + "a" * 2029
    assert len(longest) == 2048
    assert str(SPIFFEID.parse(longest)) == longest
    assert SPIFFEID.parse("spiffe://" + "a" * 255 + "/b").trust_domain == "a" * 255


def test_a_refusal_does_not_repeat_what_was_refused() -> None:
    """House: messages hold nothing of a token."""
    with pytest.raises(CredentialRejected) as caught:
        SPIFFEID.parse("spiffe://corp.test/agent/a?secret")
    assert "secret" not in caught.value.message
