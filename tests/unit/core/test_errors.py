import re
from collections import Counter

import pytest

import gateway.core.errors as module
from gateway.core.errors import (
    AdmissionRefused,
    EvidenceUnavailable,
    GatewayError,
    MalformedMessage,
    MessageTooLarge,
    UpstreamError,
    UpstreamTimeout,
    WireError,
)

CODES = {
    "GatewayError": "internal_error",
    "SettingsError": "settings_invalid",
    "WireError": "malformed_message",
    "MessageTooLarge": "body_too_large",
    "IdentityError": "credential_rejected",
    "CredentialMissing": "credential_missing",
    "InsufficientScope": "insufficient_scope",
    "SessionUnknown": "session_unknown",
    "IssuerUnavailable": "issuer_unavailable",
    "PolicyError": "pdp_unavailable",
    "PolicyAnswerInvalid": "pdp_answer_invalid",
    "BundleError": "bundle_invalid",
    "LedgerUnavailable": "ledger_unavailable",
    "EvidenceError": "evidence_error",
    "EvidenceUnavailable": "evidence_unavailable",
    "ExecutedUnrecorded": "executed_unrecorded",
    "VerificationError": "evidence_damaged",
    "UpstreamError": "upstream_failed",
    "UpstreamTimeout": "upstream_timeout",
}
"""The API: a code that changes here breaks agents, alerts and replays."""
INHERITED = {
    "MalformedMessage": "malformed_message",
    "AdmissionRefused": "malformed_message",
    "CredentialRejected": "credential_rejected",
    "ProofWanted": "credential_rejected",
    "PolicyUnavailable": "pdp_unavailable",
}
"""Classes whose every failure carries its own code, or that are their parent's usual case."""


def classes() -> dict[str, type[GatewayError]]:
    """Return every error class that the module defines, by name."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, BaseException)
        and value.__module__ == module.__name__
    }


def drawing() -> dict[str, str | None]:
    """Read the tree in the module's docstring as {class: parent}."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (module.__doc__ or "").splitlines():
        found = re.fullmatch(r"    ((?:[│ ]  )*)([├└]─ )?([A-Z][A-Za-z]+)(?: .*)?", line)
        if found is None:
            continue
        depth = len(found[1]) // 3 + (found[2] is not None)
        path[depth:] = [found[3]]
        assert found[3] not in parents, "drawn twice"
        parents[found[3]] = path[depth - 1] if depth else None
    return parents


def test_the_tree_that_is_drawn_is_the_tree_that_exists() -> None:
    """House: style §4.4, drawn on top of errors.py; compared both ways."""
    real = {
        name: None if value is GatewayError else value.__bases__[0].__name__
        for name, value in classes().items()
    }
    assert drawing() == real


def test_every_class_has_one_parent() -> None:
    """House: the tree is a tree."""
    assert [name for name, value in classes().items() if len(value.__bases__) != 1] == []


def test_the_codes_that_classes_define_are_the_published_ones() -> None:
    """House: `code` is API and never changes meaning."""
    own = {name: value.code for name, value in classes().items() if "code" in vars(value)}
    assert own == CODES


def test_only_the_intended_classes_inherit_their_code() -> None:
    """House: a new class must say its code or be listed."""
    inherited = {n: value.code for n, value in classes().items() if "code" not in vars(value)}
    assert inherited == INHERITED


def test_no_two_classes_define_the_same_code() -> None:
    """House: one code, one meaning."""
    counts = Counter(value.code for value in classes().values() if "code" in vars(value))
    assert [code for code, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("code", CODES.values())
def test_a_code_is_a_lower_case_word(code: str) -> None:
    """House: it goes into JSON, logs and Rego as it is."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)


@pytest.mark.parametrize("name", sorted(set(CODES) - {"AdmissionRefused"}))
def test_an_error_carries_its_message_and_its_class_code(name: str) -> None:
    """House: style §4.4."""
    error = classes()[name]("why")
    assert (error.message, str(error), error.reason_code) == ("why", "why", CODES[name])


@pytest.mark.parametrize("name", sorted(set(CODES) - {"AdmissionRefused"}))
def test_a_more_exact_code_goes_before_that_of_the_class(name: str) -> None:
    """House: the class code is only the least that is known."""
    kind = classes()[name]
    error = kind("why", code="more_exact")
    assert (error.reason_code, kind.code) == ("more_exact", CODES[name])


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (WireError("x"), "malformed_message", 400),
        (MalformedMessage("x", code="json_bom"), "json_bom", 400),
        (MessageTooLarge("x"), "body_too_large", 413),
        (AdmissionRefused("x", code="te", http_status=501), "te", 501),
    ],
    ids=["wire", "malformed", "too-large", "admission"],
)
def test_what_cannot_be_read_says_how_it_is_answered(
    error: WireError, code: str, status: int
) -> None:
    """RFC 9110 §15.5."""
    assert (error.reason_code, error.http_status) == (code, status)


def test_a_malformed_message_is_a_parse_error_without_id_unless_more_is_known() -> None:
    """JSON-RPC 2.0 §5, §5.1."""
    least = MalformedMessage("x", code="json_bom")
    most = MalformedMessage("x", code="params", rpc_code=-32602, rpc_id=7)
    assert [(error.rpc_code, error.rpc_id) for error in (least, most)] == [
        (-32700, None),
        (-32602, 7),
    ]


def test_the_answer_of_one_failure_does_not_become_that_of_its_class() -> None:
    """House: the attributes are set on the instance."""
    AdmissionRefused("x", code="te", http_status=501)
    fresh = WireError("x")
    assert (fresh.http_status, fresh.reason_code) == (400, "malformed_message")


@pytest.mark.parametrize(
    ("error", "status"),
    [(UpstreamError("x"), 502), (UpstreamTimeout("x"), 504)],
    ids=["failed", "timeout"],
)
def test_an_upstream_failure_is_a_gateway_status(error: UpstreamError, status: int) -> None:
    """RFC 9110 §15.6.3, §15.6.5."""
    assert error.http_status == status


def test_the_cause_of_a_translated_failure_is_kept() -> None:
    """House: style §4.4, adapters translate with `from`."""
    cause = OSError("disk")
    with pytest.raises(GatewayError) as caught:
        raise EvidenceUnavailable("the record cannot be made durable") from cause
    assert caught.value.__cause__ is cause
