from typing import Any

import pytest

from gateway.core.errors import CredentialRejected
from gateway.identity.times import Times, check_times
from gateway.settings import Issuer, TrustDomain
from tests.unit.identity.keys import NOW

CAP = 600
LIMITS = TrustDomain("corp.test", max_lifetime_seconds=CAP, leeway_seconds=5)


def checked(members: dict[str, Any], **options: Any) -> Times:
    """Check at NOW."""
    return check_times(members, LIMITS, NOW, **options)


def rejected(members: dict[str, Any], **options: Any) -> str:
    """Return the code of the rejection."""
    with pytest.raises(CredentialRejected) as caught:
        checked(members, **options)
    return caught.value.reason_code


@pytest.mark.parametrize(
    "members",
    [
        {"iat": NOW, "exp": NOW + 1},
        {"iat": NOW, "exp": NOW + CAP},
        {"iat": NOW + 5, "exp": NOW + 5 + CAP},
        {"iat": NOW - CAP, "exp": NOW - 4},
        {"iat": NOW - 1, "nbf": NOW + 5, "exp": NOW + 1},
        {"iat": NOW - 1, "nbf": 0, "exp": NOW + 1},
    ],
    ids=str,
)
def test_a_token_within_its_time_holds(members: dict[str, int]) -> None:
    """RFC 7519 §4.1.4 to §4.1.6."""
    assert checked(members) == Times(members["iat"], members["exp"])


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "exp_missing"),
        ({"exp": None, "iat": NOW}, "exp_missing"),
        ({"exp": NOW + 1}, "iat_missing"),
        ({"exp": NOW + 1, "iat": None}, "iat_missing"),
        ({"exp": str(NOW + 1), "iat": NOW}, "time_malformed"),
        ({"exp": NOW + 1, "iat": float(NOW)}, "time_malformed"),
        ({"exp": NOW + 1, "iat": NOW, "nbf": True}, "time_malformed"),
        ({"exp": NOW + 1, "iat": NOW, "nbf": None}, "time_malformed"),
        ({"exp": NOW + 1, "iat": -1}, "time_malformed"),
        ({"exp": NOW - 5, "iat": NOW - 6}, "expired"),
        ({"exp": NOW + 9, "iat": NOW + 6}, "not_yet_valid"),
        ({"exp": NOW + 9, "iat": NOW, "nbf": NOW + 6}, "not_yet_valid"),
        ({"exp": NOW + CAP + 1, "iat": NOW}, "lifetime"),
        ({"exp": 99_999_999_999_999, "iat": NOW}, "lifetime"),
        ({"exp": NOW + 1, "iat": NOW + 1}, "lifetime"),
        ({"exp": NOW + 1, "iat": NOW + 2}, "lifetime"),
    ],
    ids=str,
)
@pytest.mark.parametrize("prefix", ["token", "svid"])
def test_a_token_out_of_its_time_is_refused(
    members: dict[str, Any], code: str, prefix: str
) -> None:
    """RFC 7519 §4.1.4 to §4.1.6; House: the lifetime has a cap."""
    assert rejected(members, prefix=prefix) == f"{prefix}_{code}"


def test_without_iat_the_time_left_is_within_the_cap() -> None:
    """SPIFFE JWT-SVID §3: `iat` is optional, and a long-lived secret is one even so."""
    assert checked({"exp": NOW + CAP}, iat_needed=False) == Times(NOW, NOW + CAP)
    assert checked({"exp": NOW + CAP + 5}, iat_needed=False) == Times(NOW + 5, NOW + CAP + 5)
    assert rejected({"exp": NOW + CAP + 6}, iat_needed=False) == "token_lifetime"
    assert rejected({"exp": NOW - 5}, iat_needed=False) == "token_expired"
    assert checked({"exp": NOW - 4}, iat_needed=False).expires_at == NOW - 4


def test_where_iat_may_be_absent_it_is_still_checked_when_it_is_there() -> None:
    """House."""
    for value, code in ((None, "iat_missing"), ("x", "time_malformed"), (NOW + 6, "not_yet_valid")):
        assert rejected({"exp": NOW + 9, "iat": value}, iat_needed=False) == f"token_{code}"
    assert rejected({"exp": NOW + CAP, "iat": NOW - 1}, iat_needed=False) == "token_lifetime"


def test_a_token_issued_at_the_epoch_is_not_one_without_iat() -> None:
    """House: 0 is a time."""
    assert rejected({"exp": NOW + 1, "iat": 0}) == "token_lifetime"
    assert rejected({"exp": NOW + 1, "iat": 0}, iat_needed=False) == "token_lifetime"


def test_the_earliest_issue_is_not_before_the_epoch() -> None:
    """House: evidence holds no negative time."""
    limits = TrustDomain("corp.test")
    assert check_times({"exp": 10}, limits, 0, iat_needed=False) == Times(0, 10)


def test_issuers_and_trust_domains_have_such_limits() -> None:
    """House: settings."""
    issuer = Issuer("https://issuer.test", max_lifetime_seconds=CAP, leeway_seconds=5)
    assert check_times({"exp": NOW + 1, "iat": NOW}, issuer, NOW) == Times(NOW, NOW + 1)
