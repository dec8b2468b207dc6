"""A bundle in Cedar: one set of policies a charter, and one schema for all of them.

Cedar evaluates every policy of a set at every call, so a set holds one charter only, and what a
decision costs does not grow with the number of agents. A set is read when its agent first calls.
Does not decide.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.core.errors import BundleError
from gateway.policy.bundle import Bundle
from gateway.policy.cedar import policies, schema
from gateway.policy.cedar.catalogue import Catalogue
from gateway.policy.cedar.compile import (
    Compiled,
    compiled,
    compiled_incomplete,
    compiled_stranger,
)
from gateway.policy.cedar.handles import Rules, Schema, validate


@dataclass(frozen=True, slots=True)
class Volume:
    """What decides on the calls of one subject."""

    charter: str | None
    """Id of its charter, if it has one."""
    compiled: Compiled
    rules: Rules


class Library:
    """The charters of a bundle, compiled.

    Raises:
        BundleError: the bundle cannot be said in Cedar at all.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.catalogue = Catalogue(bundle.systems)
        complete = (said for name, said in bundle.charters.items() if not bundle.faults[name])
        self.bounded = schema.bounded_arguments(complete, self.catalogue)
        self.schema_source = schema.written(self.catalogue, self.bounded)
        self._schema = Schema(self.schema_source)
        self._charters = {
            subject: name
            for name, said in bundle.charters.items()
            if isinstance(subject := said.get("subject"), str)
        }
        self._volumes: dict[str, Volume] = {}
        self._reading = threading.Lock()
        self._stranger = self._volume(None, compiled_stranger())

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._charters.values()))

    def has_read(self, subject: str) -> bool:
        """Say whether `of` has nothing left to compile for this subject."""
        name = self._charters.get(subject)
        return name is None or name in self._volumes

    def of(self, subject: str) -> Volume:
        """Return what decides on the calls of this subject; from any thread.

        Raises:
            BundleError: its charter cannot be said in Cedar.
        """
        if (name := self._charters.get(subject)) is None:
            return self._stranger
        if (volume := self._volumes.get(name)) is not None:
            return volume
        with self._reading:
            if (volume := self._volumes.get(name)) is None:
                volume = self._volumes[name] = self._volume(name, self.compile(name))
        return volume

    def compile(self, charter: str) -> Compiled:
        """Return the policies of a charter, read anew and held against the schema.

        Raises:
            BundleError: they do not fit.
        """
        said = self._bundle.charters[charter]
        if self._bundle.faults[charter]:
            return compiled_incomplete(said)
        found = compiled(said, self.catalogue)
        named = [
            tool
            for system, limits in said["systems"].items()
            for entry in limits.get("allow", ())
            for tool in self.catalogue.covered(system, entry)
        ]
        tools = schema.needed(self.catalogue, self.bounded, named)
        source = schema.written(self.catalogue, self.bounded, tools)
        try:
            validate(policies.written(found.policies), source)
        except BundleError as exc:
            raise BundleError(f"charters/{charter}.yaml: {exc.message}") from exc
        return found

    def _volume(self, charter: str | None, found: Compiled) -> Volume:
        return Volume(charter, found, self._schema.rules(policies.written(found.policies)))
