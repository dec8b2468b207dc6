"""Kubernetes' projected service-account tokens: what makes one more than a name.

A token that is bound to a pod ends with the pod and says which one it is; one that is not is a
long-lived password of everybody in the namespace. Kubernetes, *Managing Service Accounts*, bound
service account tokens. An extended token (`warnafter`) lives a year and fails the lifetime cap.
Does not ask the API server, so a deleted pod's token holds until it expires.
"""

from collections.abc import Mapping
from typing import Any

from gateway.core.errors import CredentialRejected
from gateway.identity.claimed import text


def pod_uid(payload: Mapping[str, Any]) -> str:
    """Return the uid of the pod that a service-account token is bound to.

    Raises:
        CredentialRejected: token_unbound, token_claim_malformed, or token_service_account when
            `sub` is not the account that the claim `kubernetes.io` names.
    """
    bound = payload.get("kubernetes.io")
    if bound is None or (isinstance(bound, Mapping) and bound.get("pod") is None):
        raise CredentialRejected("the token is not bound to a pod", code="token_unbound")
    account = bound.get("serviceaccount") if isinstance(bound, Mapping) else None
    pod = bound.get("pod") if isinstance(bound, Mapping) else None
    if not isinstance(account, Mapping) or not isinstance(pod, Mapping):
        raise CredentialRejected(
            "kubernetes.io does not name an account and a pod", code="token_claim_malformed"
        )
    namespace = text(bound.get("namespace"), "kubernetes.io.namespace")
    name = text(account.get("name"), "kubernetes.io.serviceaccount.name")
    text(pod.get("name"), "kubernetes.io.pod.name")
    uid = text(pod.get("uid"), "kubernetes.io.pod.uid")
    # A colon would make two accounts of one spelling.
    if ":" in namespace + name or payload.get("sub") != f"system:serviceaccount:{namespace}:{name}":
        raise CredentialRejected(
            "sub is not the service account of the token", code="token_service_account"
        )
    return uid
