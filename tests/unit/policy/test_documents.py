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


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "9" * 5000, "a: !!int abc", "a: !!int ''", "a: !!int '+'", "a: !!float abc",
        "a: !!bool abc", "a: 0x" + "f" * 5000,
    ],
    ids=["long", "word", "empty", "sign", "float", "bool", "hexadecimal"],
)  # fmt: skip
def test_a_number_that_is_none_is_named_with_its_line(text: str) -> None:
    """House: whatever a document says, it is a sentence and never a traceback."""
    with pytest.raises(BundleError, match=r"^x\.yaml:2: `.{0,45}` is a number that") as refused:
        documents.read("x.yaml", f"b: 1\n{text}")
    assert len(refused.value.message) < 120


def test_a_character_that_does_not_exist_is_refused() -> None:
    """House: whatever a document says, it is a sentence and never a traceback."""
    with pytest.raises(BundleError, match="not YAML"):
        documents.read("x.yaml", 'a: "\\U00110000"')


@pytest.mark.parametrize(
    "directive", ["%YAML 1.1", "%YAML 1.2", "%YAML 1.3", "%TAG ! tag:yaml.org,2002:", "%odd"]
)
def test_a_directive_is_refused(directive: str) -> None:
    """YAML 1.2.2 §6.8: in 1.1 `no` is false and 010 is eight, and readers would differ."""
    with pytest.raises(BundleError, match=r"^x\.yaml:2: has a directive"):
        documents.read("x.yaml", f"# first\n{directive}\n---\na: no\n")


@pytest.mark.parametrize("before", ["", "\ufeff", "# x\r", "# x\r\n", "# x\x85", "# x\u2028"])
def test_a_directive_is_refused_wherever_a_reader_would_see_one(before: str) -> None:
    """YAML 1.2.2 §5.2, §5.4: a mark of byte order is passed over; a return alone ends a line."""
    with pytest.raises(BundleError, match="has a directive"):
        documents.read("x.yaml", f"{before}%YAML 1.1\n---\na: no\n")


def test_a_document_has_a_longest_length() -> None:
    """House: nothing is without a bound."""
    with pytest.raises(BundleError, match="is longer than"):
        documents.read("x.yaml", "a: 1\n#" + "x" * documents.MAX_LENGTH)


def test_only_a_document_that_changed_is_read_again() -> None:
    """House: a reload of ten thousand charters takes the time of those that changed."""
    memory = documents.Memory()
    first = memory.read({"a": "x: 1", "b": "x: 2"})
    second = memory.read({"a": "x: 1", "b": "x: 3", "c": "x: 1"})
    assert second["a"] is first["a"]
    assert {path: one.value for path, one in second.items()} == {
        "a": {"x": 1}, "b": {"x": 3}, "c": {"x": 1},
    }  # fmt: skip
    assert second["c"].path == "c"


def test_what_was_known_outlives_a_document_that_cannot_be_read() -> None:
    """House: a bad bundle costs no more than its own reading."""
    memory = documents.Memory()
    first = memory.read({"a": "x: 1"})
    with pytest.raises(BundleError):
        memory.read({"a": "x: 1", "b": "- 1"})
    assert memory.read({"a": "x: 1"})["a"] is first["a"]
