"""Whether a token looks like a person's: nothing in it says that it is a workload's (OWASP NHI10).

A person's token in an agent's hands gives the agent a person's rights and hides who acted. There is
no claim that every issuer writes for workloads, so any of these signs is enough:

| sign | who writes it |
|---|---|
| an `act` chain: the subject is whom the actor acts for | RFC 8693 §4.1 |
| `sub` is a SPIFFE ID | SPIFFE ID §2 |
| `sub` is `system:serviceaccount:NAMESPACE:NAME` | Kubernetes, service-account tokens |
| `client_id`, `azp` or `cid` is the `sub`: client credentials | RFC 9068 §2.2; Okta (`cid`) |
| `sub` is CLIENT`@clients` and `azp` the client, or `gty` is `client-credentials` | Auth0 |
| `idtyp` is `app` | Microsoft Entra ID, optional claim of application tokens |
| `preferred_username` is `service-account-CLIENT` of the `client_id` or `azp` | Keycloak |
| a claim that settings name (`claims.workload`) is there, not empty or false | the issuer |

The sign is looked for in `sub` itself, not in the subject that settings map: a person's token names
its client too. Says nothing about authority: policy reads the flag.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.identity.claimed import Read

_SUBJECTS: Final = ("spiffe://", "system:serviceaccount:")
_CLIENTS: Final = ("client_id", "azp", "cid")


def looks_human(payload: Mapping[str, Any], own_signs: Iterable[Read] = ()) -> bool:
    """Say whether nothing in these verified claims says that they are a workload's.

    Args:
        payload: the claims of a token.
        own_signs: readers of the claims that only a workload's token of this issuer has.
    """
    subject = payload.get("sub")
    if payload.get("act") is not None:
        return False
    if isinstance(subject, str) and subject.startswith(_SUBJECTS):
        return False
    if payload.get("idtyp") == "app" or payload.get("gty") == "client-credentials":
        return False
    if any(read(payload) for read in own_signs):
        return False
    return not any(_is_client_itself(payload, subject, payload.get(name)) for name in _CLIENTS)


def _is_client_itself(payload: Mapping[str, Any], subject: Any, client: Any) -> bool:
    """Say whether the token was given to this client for itself."""
    if not isinstance(client, str) or not client:
        return False
    if subject in (client, f"{client}@clients"):
        return True
    # Keycloak folds user names to lower case, and client ids not.
    return payload.get("preferred_username") == f"service-account-{client}".lower()
