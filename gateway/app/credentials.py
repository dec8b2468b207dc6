"""What a request presents to prove who sends it, gathered from its admitted headers.

Exactly what was written, unverified; nothing else of a request is a credential. An `Authorization`
of ours that is misspelled is refused rather than ignored, or the request would go on as somebody
else (the certificate's workload). Does not verify anything.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

from gateway.core.claims import Credential, ForwardedCertificate, UnverifiedToken
from gateway.core.errors import AdmissionRefused

_SCHEMES: Final[Mapping[str, Literal["bearer", "dpop"]]] = {"bearer": "bearer", "dpop": "dpop"}
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")
"""A b64token (RFC 6750 §2.1), which is a token68 (RFC 9110 §11.2; RFC 9449 §7.1)."""


def credential(headers: Mapping[str, str], terminator: str | None) -> Credential:
    """Return what admitted headers present.

    Args:
        headers: as `Admitted.headers`: each at most once, the certificate only if vouched for.
        terminator: name of the TLS terminator that the request came from, None if from none.

    Raises:
        AdmissionRefused: `authorization_refused`.
    """
    scheme, token = _authorization(headers.get("authorization", ""))
    certificate = headers.get("x-forwarded-client-cert")
    return Credential(
        token=token,
        scheme=scheme,
        proof=_unverified(headers.get("dpop")),
        transaction=_unverified(headers.get("txn-token")),
        certificate=None
        if certificate is None or terminator is None
        else ForwardedCertificate(certificate, terminator),
    )


def _authorization(value: str) -> tuple[Literal["bearer", "dpop"], UnverifiedToken | None]:
    """Return scheme and token; a scheme of somebody else's is as good as none (RFC 9110 §11.6.2).

    The scheme's name has no case.
    """
    name, _, rest = value.partition(" ")
    scheme = _SCHEMES.get(name.lower())
    if scheme is None:
        return "bearer", None
    token = rest.lstrip(" ")
    if not _TOKEN.match(token):
        raise AdmissionRefused(
            "send Authorization as one scheme and one token",
            code="authorization_refused",
            http_status=400,
        )
    return scheme, UnverifiedToken(token)


def _unverified(value: str | None) -> UnverifiedToken | None:
    return None if value is None else UnverifiedToken(value)
