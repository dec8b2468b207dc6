"""Cedar itself: sources read into handles, requests held against them.

A handle is read once and used for every request; as text the same would take a thousand times as
long. Every policy is validated against the schema, and so is every request. Does not know charters.
"""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cedarpy

from gateway.core.errors import BundleError, PolicyAnswerInvalid

ENGINE: Final = f"cedar/{importlib.metadata.version('cedarpy')}"

_NO_ENTITIES: Final = "[]"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that may be used: a decision without errors."""

    allowed: bool
    policies: tuple[str, ...]
    """The `@id` of every policy that determined it."""


class Rules:
    """The policies of one charter, with the schema they hold to."""

    def __init__(self, policies: cedarpy.PolicySet, schema: "Schema") -> None:
        self._policies, self._schema = policies, schema

    def ask(self, request: dict[str, Any]) -> Answer:
        """Evaluate.

        Raises:
            PolicyAnswerInvalid: `pdp_error`: there is no decision, or a policy could not be
                evaluated. Cedar skips such a policy, so a forbid would be lost.
        """
        schema = self._schema
        return read_result(
            cedarpy.is_authorized(request, self._policies, schema.entities, schema.handle)
        )


def read_result(result: cedarpy.AuthzResult) -> Answer:
    """Return what Cedar answers, if it may be used.

    Raises:
        PolicyAnswerInvalid: `pdp_error`: it may not.
    """
    diagnostics = result.diagnostics
    if diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
        raise PolicyAnswerInvalid("Cedar could not evaluate the request", code="pdp_error")
    named: Mapping[str, str] = diagnostics.id_annotations_by_reason
    try:
        ids = tuple(named[reason] for reason in diagnostics.reasons)
    except KeyError as exc:
        raise PolicyAnswerInvalid("a policy without id decided", code="pdp_error") from exc
    return Answer(result.decision is cedarpy.Decision.Allow, ids)


class Schema:
    """A schema, and the actions that it declares as the entities of every request.

    Raises:
        BundleError: Cedar does not read the source.
    """

    def __init__(self, source: str) -> None:
        try:
            self.handle = cedarpy.Schema.from_str(source)
            self.entities = cedarpy.Entities.from_json_str(_NO_ENTITIES, self.handle)
        except ValueError as exc:
            raise BundleError("Cedar does not accept the schema of the bundle") from exc

    def rules(self, policies: str) -> Rules:
        """Read policies, which `validate` found to fit.

        Raises:
            BundleError: Cedar does not read the source.
        """
        try:
            return Rules(cedarpy.PolicySet.from_str(policies), self)
        except ValueError as exc:
            raise BundleError("Cedar does not accept the policies of a charter") from exc


def validate(policies: str, schema: str) -> None:
    """Hold policies against a schema, both as source, strictly.

    Raises:
        BundleError: naming the policies that do not fit.
    """
    result = cedarpy.validate_policies(policies, schema)
    if not result.validation_passed:
        names = result.id_annotations_by_policy_id
        which = sorted({names.get(error.policy_id, error.policy_id) for error in result.errors})
        raise BundleError(f"Cedar policies do not fit the schema: {'; '.join(which)}")
