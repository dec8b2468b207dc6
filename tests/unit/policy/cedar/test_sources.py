"""A bundle as Cedar files."""

import json

import cedarpy

from gateway.policy.cedar.library import Library
from gateway.policy.cedar.policies import annotations
from gateway.policy.cedar.sources import SCHEMA_FILE, sources
from tests.unit.policy.cedar.worlds import bounded, bundle_of, charter, shipped


def test_every_charter_has_a_file_that_fits_the_one_schema() -> None:
    """Issue: `charter compile --to cedar`; schema-validated, by Cedar's own validator."""
    files, notes = sources(shipped())
    schema = files.pop(SCHEMA_FILE)
    assert set(files) == {"billing-agent.cedar", "release-agent.cedar", "support-agent.cedar"}
    assert notes == ()
    for policies in files.values():
        assert cedarpy.validate_policies(policies, schema).validation_passed


def test_the_same_bundle_gives_the_same_bytes() -> None:
    """House: a compiled charter can be compared with the one before."""
    assert sources(shipped()) == sources(shipped())


def test_what_is_written_down_is_what_is_decided_on() -> None:
    """Issue: obligations as policy annotations; Cedar reads back the reasons that we give."""
    files, _ = sources(shipped())
    library = Library(shipped())
    for charter_id in library:
        written = json.loads(cedarpy.policies_to_json_str(files[f"{charter_id}.cedar"]))
        found = [policy["annotations"] for policy in written["staticPolicies"].values()]
        expected = [
            annotations(name, policy)
            for name, policy in library.compile(charter_id).policies.items()
        ]
        assert sorted(found, key=lambda one: one["id"]) == sorted(
            expected, key=lambda one: one["id"]
        )


def test_a_charter_cannot_write_policy_into_a_comment() -> None:
    """House: what others wrote is quoted, line breaks and all."""
    evil = "x\npermit (principal, action, resource);\r//"
    said = charter(owner=evil, purpose=evil, environment=evil)
    files, _ = sources(bundle_of(said))
    plain, _ = sources(bundle_of(charter()))
    count = len(cedarpy.PolicySet.from_str(plain["charter-0.cedar"]))
    assert len(cedarpy.PolicySet.from_str(files["charter-0.cedar"])) == count


def test_what_cedar_cannot_say_is_named_and_refused() -> None:
    """House: in the notes, with the clause, and in the file."""
    files, notes = sources(bundle_of(bounded({"x": {"regex": "^a$"}})))
    assert len(notes) == 1
    assert notes[0].startswith("charters/charter-0.yaml: systems.shop.allow.0.arguments: regex")
    assert "Not said in Cedar" in files["charter-0.cedar"]


def test_an_incomplete_charter_denies_in_cedar_as_well() -> None:
    """Design §5: an incomplete charter denies everything."""
    files, _ = sources(bundle_of({"subject": "agent-1"}, faulty=True))
    assert "charter_incomplete" in files["charter-0.cedar"]
    assert "permit (" not in files["charter-0.cedar"]
