import pytest

from gateway.core.errors import BundleError
from gateway.policy import documents

CHARTER = """\
subject: spiffe://example.org/agent

systems:
  shop:
    allow:
      - tools: [list_orders, read_order]
        effects: [read]
      - tools:
          - refund
        arguments: {amount: {lte: 5}}
expires: 2027-11-30T00:00:00Z
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("subject",), 1),
        (("systems",), 3),
        (("systems", "shop", "allow"), 5),
        (("systems", "shop", "allow", "0"), 6),
        (("systems", "shop", "allow", "0", "effects", "0"), 7),
        (("systems", "shop", "allow", "1", "tools", "0"), 9),
        (("systems", "shop", "allow", "1", "arguments", "amount", "lte"), 10),
        (("systems", "shop", "deny"), 4),
        (("systems", "shop", "allow", "7", "tools"), 5),
        (("systems", "shop", "allow", "first"), 5),
        (("owner",), 1),
        (("subject", "more"), 1),
        (("expires",), 11),
    ],
)
def test_a_member_knows_its_line_and_one_that_is_missing_the_nearest(
    path: tuple[str, ...], line: int
) -> None:
    """Issue: each fault is named with file and line."""
    assert documents.read("x.yaml", CHARTER).line(path) == line


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 08:00", "08:00"),
        ("a: no", "no"),
        ("a: 2027-11-30T00:00:00Z", "2027-11-30T00:00:00Z"),
        ("a: 2027-11-30", "2027-11-30"),
        ("a: =", "="),
        ("a: ~", None),
        ("a: true", True),
        ("a: 1.0", 1),
        ("a: 1e3", 1000),
        ("a: [1, {b: c}]", [1, {"b": "c"}]),
        ("a: &anchor 1", 1),
        ("a: 'it''s'", "it's"),
        ("a: |\n  text\n", "text\n"),
        ("# comment\na: 1", 1),
        ("{a: 1}", 1),
    ],
)
def test_what_json_can_say_is_read_as_yaml_1_2(text: str, value: object) -> None:
    """YAML 1.2 §10; an instant stays the text that was written, as JSON has none."""
    assert documents.read("x.yaml", text).value == {"a": value}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3: `a` is said twice"),
        ("a: {b: 1, b: 1}\n", "x.yaml:1: `b` is said twice"),
        ("a: &x 1\nb: *x\n", "x.yaml:2: has an alias"),
        ("a: &x {b: *x}\n", "x.yaml:1: has an alias"),
        ("a: 1\nb: *nobody\n", "x.yaml:2: has an alias"),
        ("a: 1\n<<: {b: 1}\n", "x.yaml:2: has a tag"),
        ("a: !secret x\n", "x.yaml:1: has a tag"),
        ("a: !!binary aGk=\n", "x.yaml:1: has a tag"),
        ("a: !!set {x}\n", "x.yaml:1: has a tag"),
        ("a: !!python/object:os.system x\n", "x.yaml:1: has a tag"),
        ("a:\n\tb: 1\n", "x.yaml:2: has a tab"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2: begins a second document"),
        ("a: {b: 1\n", "x.yaml:2: expected"),
        ("a: .nan\n", "x.yaml:1: `.nan` is a number"),
        ("b: 1\na: .inf\n", "x.yaml:2: `.inf` is a number"),
        ("a: 9007199254740993\n", "x.yaml:1: `9007199254740993` is a number"),
        ("a: 1\n2: b\n", "x.yaml:2: the name of a member"),
        ("? [a]\n: 1\n", "x.yaml:1: the name of a member"),
        ("~: 1\n", "x.yaml:1: the name of a member"),
        ("a: 1\nb: \x00\n", "x.yaml:2: has a character"),
        ('a: "\\ud800"\n', "x.yaml: cannot be said in JSON"),
        ("- a\n", "x.yaml: is not a set of members"),
        ("a\n", "x.yaml: is not a set of members"),
        ("", "x.yaml: is not a set of members"),
        ("{a: " * 70 + "1" + "}" * 70, "x.yaml: cannot be said in JSON"),
        ("[" * 5000, "x.yaml: is nested too deeply"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_line(text: str, says: str) -> None:
    """House: every engine gets the same values, or none."""
    with pytest.raises(BundleError) as refused:
        documents.read("x.yaml", text)
    assert refused.value.message.startswith(says)
