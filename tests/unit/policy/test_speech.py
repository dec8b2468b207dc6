"""Rules that the decision would pass over are not in a bundle."""

import pytest

from gateway.policy.builtins import findings
from gateway.policy.manifest import Manifest
from gateway.policy.rego import Rego

MANIFEST = Manifest("1", (("bailiwick",), ("system",)))
SET = "is a set of codes here; write"


def found(*files: tuple[str, str]) -> list[str]:
    """Return what is found in files of these packages and texts."""
    named = {
        f"bailiwick/{number}.rego": f"package bailiwick.{package}\n{text}\n".encode()
        for number, (package, text) in enumerate(files)
    }
    return [str(finding) for finding in findings(Rego(named, MANIFEST).trees(tests=False))]


@pytest.mark.parametrize(
    "text",
    [
        "deny if input.x",
        "deny := true",
        'deny := {"x"}',
        'deny := ["x"]',
        "default deny := false",
        'deny["x"] := 1 if input.x',
        "deny.x := 1",
        'deny(x) := "y" if x',
        'deny["x"] contains "y"',
        "permit := true",
        'hold := "x"',
    ],
)
def test_a_denial_that_is_no_set_of_codes_is_refused(text: str) -> None:
    """Policy §7.4: what is passed over permits; engines differ over a denial that is no set."""
    sound = 'permit contains "y" if input.x'
    if text.startswith("permit"):
        sound = 'deny contains "y" if input.x'
    (finding,) = found(("rules.own", f"{sound}\n{text}"))
    assert finding.startswith("bailiwick/0.rego:3: ")
    assert SET in finding


@pytest.mark.parametrize("package", ["rules", "rules.own.part"])
def test_a_package_that_the_decision_does_not_ask_is_refused(package: str) -> None:
    """House: a rule that nobody asks would never deny."""
    (finding,) = found((package, 'deny contains "x" if input.x'))
    assert finding == "bailiwick/0.rego:1: rules belong into a package bailiwick.rules.NAME"


@pytest.mark.parametrize(
    "text",
    [
        'rules.own.deny := "x" if input.x',
        'rules.own.part.deny contains "x" if input.x',
        'rules["own"]["deny"] := true',
        'rules[name] := {"deny": true} if some name in ["own"]',
        "default rules.own.deny := false",
    ],
)
def test_a_rule_that_reaches_into_the_packages_of_rules_is_refused(text: str) -> None:
    """Policy §7.4: it would be there what no rule in there may be."""
    named = {"bailiwick/0.rego": f"package bailiwick\n\n{text}\n".encode()}
    (finding,) = findings(Rego(named, MANIFEST).trees(tests=False))
    assert str(finding) == "bailiwick/0.rego:3: rules belong into a package bailiwick.rules.NAME"


def test_a_package_that_says_nothing_is_refused() -> None:
    """House: `denies` is not `deny`."""
    (finding,) = found(("rules.own", 'denies contains "x" if input.x'))
    assert finding == "bailiwick/0.rego:1: nothing here is one of deny, hold, permit"


def test_sets_of_codes_are_what_rules_are() -> None:
    """House: a package may lie in two files, and have other rules beside; so may other packages."""
    assert not found(
        ("rules.own", 'deny contains "x" if other\nother if input.x'),
        ("rules.own", "more if input.y"),
        ("rules.two", 'hold contains code if some code in ["a"]\npermit contains "b"'),
        ("elsewhere", "deny := true"),
    )
