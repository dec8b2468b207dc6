"""Who acts, and for whom: the `act` chain of a delegated token (RFC 8693 §4.1).

The outermost actor is the workload that calls, and the only one that authorizes; the actors within
are history; `sub` is the person or workload it acts for. Subjects mean something at their issuer
only, so an actor of another issuer is refused: its name could be somebody else's here. `may_act`
(§4.4) is about tokens to come and gives nobody authority. Does not decide what an actor may do.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import CredentialRejected

MAX_ACTORS: Final = 4


def actors(payload: Mapping[str, Any], issuer: str, prefix: str = "token") -> tuple[str, ...]:
    """Return the subjects of the actors, outermost first; none if the subject acts for itself.

    Args:
        payload: the claims, of which the signature holds.
        issuer: who issued them.
        prefix: what the codes begin with.

    Raises:
        CredentialRejected: PREFIX_act_malformed, _act_too_deep or _actor_foreign.
    """
    found: list[str] = []
    actor = payload.get("act")
    while actor is not None:
        subject = actor.get("sub") if isinstance(actor, Mapping) else None
        if not isinstance(subject, str) or not subject:
            raise CredentialRejected(
                "act is not a chain of objects with sub", code=f"{prefix}_act_malformed"
            )
        if actor.get("iss", issuer) != issuer:
            raise CredentialRejected(
                "an actor is a subject of another issuer", code=f"{prefix}_actor_foreign"
            )
        found.append(subject)
        if len(found) > MAX_ACTORS:
            raise CredentialRejected(
                f"act is more than {MAX_ACTORS} deep", code=f"{prefix}_act_too_deep"
            )
        actor = actor.get("act")
    return tuple(found)
