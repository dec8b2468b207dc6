"""Every failure Bailiwick can name, with its stable code.

A refusal is a value (`core.decision.Deny`), a failure is one of these exceptions; both end as a
denied call. `code` is API: it reaches agents, evidence and exit codes, and never changes meaning.
`message` is for people and never holds a token, policy text or an upstream body.

    GatewayError
    ├─ SettingsError              start-up only                            CLI exit 2
    ├─ WireError                  400 / JSON-RPC -32700, -32600, -32602
    │  ├─ MalformedMessage        the bytes do not say one thing only
    │  ├─ MessageTooLarge         413
    │  └─ AdmissionRefused        the request line or a header; carries its HTTP status
    ├─ IdentityError              401
    │  ├─ CredentialMissing
    │  ├─ CredentialRejected      names the check that failed, never the token
    │  │  └─ ProofWanted          a DPoP proof, or a nonce in it, has to come first
    │  └─ InsufficientScope       403: a scope is missing; never said of a policy denial
    ├─ SessionUnknown             404: no such session for this subject
    ├─ IssuerUnavailable          503: the keys to check a credential cannot be had
    ├─ PolicyError                → Deny, code pdp_*
    │  ├─ PolicyUnavailable       engine down, slow or restarting
    │  └─ PolicyAnswerInvalid     the engine answered, but not with a decision
    ├─ BundleError                the policy bundle cannot be loaded         CLI exit 2
    ├─ LedgerUnavailable          → Deny
    ├─ EvidenceError
    │  ├─ EvidenceUnavailable     → Deny, 503
    │  ├─ ExecutedUnrecorded      after the effect; the gateway stops taking calls
    │  └─ VerificationError       the log on disk is not what was written
    └─ UpstreamError              after the decision; outcome recorded, 502
       └─ UpstreamTimeout         504

Adapters translate foreign exceptions at their door (`raise PolicyUnavailable(...) from exc`).
"""

from typing import ClassVar


class GatewayError(Exception):
    """Base of all failures; `code` is stable, `message` is for people."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason_code: str = code or type(self).code
        """The most exact stable code known for this failure."""


class SettingsError(GatewayError):
    """The settings do not describe a gateway that may start."""

    code = "settings_invalid"


class WireError(GatewayError):
    """What arrived cannot be read as one unambiguous message."""

    code = "malformed_message"
    http_status: int = 400


class MalformedMessage(WireError):
    """The body, or what it says, is not a well-formed message.

    Args:
        message: for people.
        code: the stable code.
        rpc_code: JSON-RPC 2.0 §5.1 error code for the same refusal.
        rpc_id: id of the request, when that much could be read.
    """

    def __init__(
        self, message: str, *, code: str, rpc_code: int = -32700, rpc_id: str | int | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.rpc_code = rpc_code
        self.rpc_id = rpc_id


class MessageTooLarge(WireError):
    """The body is longer than this gateway reads."""

    code = "body_too_large"
    http_status = 413


class AdmissionRefused(WireError):
    """The request line, a header or its timing was refused before any parsing."""

    def __init__(self, message: str, *, code: str, http_status: int) -> None:
        super().__init__(message, code=code)
        self.http_status = http_status


class IdentityError(GatewayError):
    """The caller did not prove who it is."""

    code = "credential_rejected"
    scopes: tuple[str, ...] = ()
    """What a token for this system should have, for the challenge (RFC 6750 §3)."""


class CredentialMissing(IdentityError):
    """No bearer credential came with the request."""

    code = "credential_missing"


class CredentialRejected(IdentityError):
    """A credential came and failed a check, which the code names."""


class ProofWanted(CredentialRejected):
    """The caller has to prove possession of a key (RFC 9449 §7.1, §9).

    Args:
        message: for people.
        code: the stable code.
        nonce: what the next proof has to contain, if nonces are in use.
    """

    def __init__(self, message: str, *, code: str, nonce: str | None = None) -> None:
        super().__init__(message, code=code)
        self.nonce = nonce


class InsufficientScope(IdentityError):
    """The token is good and lacks a scope (RFC 6750 §3.1); policy denials are never this."""

    code = "insufficient_scope"


class SessionUnknown(GatewayError):
    """No session of this id was opened by this subject on this system; its client starts anew."""

    code = "session_unknown"
    http_status: int = 404


class IssuerUnavailable(GatewayError):
    """The issuer's keys cannot be read, so nobody from it can be authenticated."""

    code = "issuer_unavailable"


class PolicyError(GatewayError):
    """No decision could be had; the call is denied."""

    code = "pdp_unavailable"


class PolicyUnavailable(PolicyError):
    """The policy engine is down, slow or restarting."""


class PolicyAnswerInvalid(PolicyError):
    """The policy engine answered something that is not a decision."""

    code = "pdp_answer_invalid"


class BundleError(GatewayError):
    """The policy bundle is missing, damaged or fails its self-test."""

    code = "bundle_invalid"


class LedgerUnavailable(GatewayError):
    """The ledger cannot be asked, so no authority can be established."""

    code = "ledger_unavailable"


class EvidenceError(GatewayError):
    """Something about the evidence log."""

    code = "evidence_error"


class EvidenceUnavailable(EvidenceError):
    """A record cannot be made durable, so nothing may happen."""

    code = "evidence_unavailable"


class ExecutedUnrecorded(EvidenceError):
    """The upstream acted and its outcome could not be recorded."""

    code = "executed_unrecorded"


class VerificationError(EvidenceError):
    """The evidence on disk is not what was written."""

    code = "evidence_damaged"


class UpstreamError(GatewayError):
    """The upstream could not be reached or broke off."""

    code = "upstream_failed"
    http_status: int = 502


class UpstreamTimeout(UpstreamError):
    """The upstream did not answer in time."""

    code = "upstream_timeout"
    http_status = 504
