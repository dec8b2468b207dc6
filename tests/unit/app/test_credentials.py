import pytest

from gateway.app.credentials import credential
from gateway.core.claims import Credential, ForwardedCertificate, UnverifiedToken
from gateway.core.errors import AdmissionRefused

T = UnverifiedToken


def test_a_request_without_any_presents_nothing() -> None:
    """House."""
    assert credential({"host": "gw.test", "mcp-method": "ping"}, None) == Credential()


def test_each_header_becomes_one_part_of_the_credential() -> None:
    """House: what was written, unverified."""
    headers = {
        "authorization": "DPoP to.k-e_n~+/==",
        "dpop": "a proof",
        "txn-token": "t.t.t",
        "x-forwarded-client-cert": "Hash=ab",
    }
    certificate = ForwardedCertificate("Hash=ab", "edge")
    assert credential(headers, "edge") == Credential(
        T("to.k-e_n~+/=="), "dpop", T("a proof"), T("t.t.t"), certificate
    )


@pytest.mark.parametrize(
    ("name", "scheme"),
    [("Bearer", "bearer"), ("bearer", "bearer"), ("BEARER", "bearer"), ("dPoP", "dpop")],
)
def test_the_name_of_a_scheme_has_no_case(name: str, scheme: str) -> None:
    """RFC 9110 §11.1."""
    found = credential({"authorization": f"{name} a.b.c"}, None)
    assert (found.scheme, found.token) == (scheme, T("a.b.c"))


def test_several_spaces_are_one_separator() -> None:
    """RFC 6750 §2.1: 1*SP."""
    assert credential({"authorization": "Bearer   a.b.c"}, None).token == T("a.b.c")


@pytest.mark.parametrize(
    "value", ["Basic YTpi", "Negotiate x", "a.b.c", "", "BearerX a.b.c", "Digest a=b, c=d"]
)
def test_a_scheme_of_somebody_elses_is_as_good_as_none(value: str) -> None:
    """RFC 9110 §11.6.2."""
    assert credential({"authorization": value}, None) == Credential()


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
@pytest.mark.parametrize(
    "rest",
    ["", " ", " a b", " a,b", " a, Bearer b", " =", " a=b", ' "a"', " a\tb", " \ta", " a!b"],
    ids=repr,
)
def test_one_of_ours_that_is_misspelled_is_refused_rather_than_ignored(
    scheme: str, rest: str
) -> None:
    """RFC 6750 §2.1, §3.1: ignored, the request would go on as the certificate's workload."""
    with pytest.raises(AdmissionRefused) as caught:
        credential({"authorization": scheme + rest}, None)
    assert (caught.value.reason_code, caught.value.http_status) == ("authorization_refused", 400)


@pytest.mark.parametrize("name", ["dpop", "txn-token", "x-forwarded-client-cert"])
def test_an_empty_header_was_presented_all_the_same(name: str) -> None:
    """House: it fails its verifier, and is not taken for absent."""
    assert credential({name: ""}, "edge") != Credential()


def test_a_certificate_that_no_terminator_vouches_for_is_none() -> None:
    """House: admission refuses it already; this is the second lock."""
    assert credential({"x-forwarded-client-cert": "Hash=ab"}, None).certificate is None
