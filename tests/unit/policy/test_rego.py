import time

import pytest

from gateway.core.errors import BundleError
from gateway.policy.manifest import Manifest
from gateway.policy.nesting import MAX_CHAIN, MAX_NESTING
from gateway.policy.rego import Rego

MANIFEST = Manifest("1", (("bailiwick",), ("charters",), ("system", "authz")))


def rego(path: str, text: str) -> Rego:
    """Return one file, parsed."""
    return Rego({path: text.encode()}, MANIFEST)


def refusal(path: str, text: str) -> str:
    """Return why a file is refused."""
    with pytest.raises(BundleError) as refused:
        rego(path, text)
    return refused.value.message


@pytest.mark.parametrize(
    ("path", "package", "is_rule"),
    [
        ("bailiwick/a.rego", "bailiwick", True),
        ("bailiwick/rules/a/a.rego", "bailiwick.rules.a", True),
        ("charters/a.rego", "bailiwick.rules.a", True),
        ("bailiwick/a_test.rego", "bailiwick.tests.a", False),
        ("bailiwick/testing/world.rego", "bailiwick.testing", False),
        ("system/authz.rego", "system.authz", False),
        ("system/authz_test.rego", "system.authz.tests", False),
    ],
)
def test_rules_are_what_is_neither_test_nor_for_opa_itself(
    path: str, package: str, is_rule: bool
) -> None:
    """House: the embedded engine loads rules only."""
    (source,) = rego(path, f"package {package}\n").sources
    assert (".".join(source.package), source.is_rule) == (package, is_rule)


@pytest.mark.parametrize(
    ("path", "package", "says"),
    [
        ("bailiwick/a.rego", "other", "the `roots` of the manifest do not hold"),
        ("system/a.rego", "system.other", "the `roots` of the manifest do not hold"),
        ("system/a_test.rego", "system.authz_test", "the `roots` of the manifest do not hold"),
        ("bailiwick/a.rego", "charters", "rules are in bailiwick"),
        ("bailiwick/a.rego", "system.authz", "rules are in bailiwick"),
        ("system/a.rego", "bailiwick", "rules are in bailiwick"),
        ("bailiwick/a_test.rego", "bailiwick.rules.a", "a test belongs into"),
        ("bailiwick/testing/a.rego", "bailiwick", "a test belongs into"),
        ("bailiwick/a.rego", "bailiwick.tests.a", "rules do not belong into"),
        ("bailiwick/a.rego", "bailiwick.testing", "rules do not belong into"),
    ],
)
def test_a_package_is_where_it_cannot_decide_in_one_engine_only(
    path: str, package: str, says: str
) -> None:
    """House: a sidecar loads tests and system/ as well."""
    assert refusal(path, f"package {package}\n").startswith(f"{path}: {says}")


@pytest.mark.parametrize(
    ("text", "line"),
    [("package bailiwick\n\nx := \n", 4), ("pack", 1), ("package bailiwick\nx if {", 2), ("", 1)],
)
def test_what_is_no_rego_is_named_with_its_line(text: str, line: int) -> None:
    """House: file and line."""
    assert refusal("a.rego", text).startswith(f"a.rego:{line}: ")


def nested(depth: int, opening: str, closing: str) -> str:
    """Return a rule of this depth."""
    return f"package bailiwick\nx := {opening * depth}1{closing * depth}\n"


@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ("{", "}"), ('{"a":', "}"), ('["[", ', "]")]
)
def test_deep_nesting_is_refused_before_it_is_parsed(opening: str, closing: str) -> None:
    """Measured: regorus takes twice as long for each level."""
    before = time.process_time()
    assert refusal("a.rego", nested(400, opening, closing)).startswith("a.rego:2: nested deeper")
    assert time.process_time() - before < 1
    assert rego("a.rego", nested(MAX_NESTING - 2, opening, closing))


@pytest.mark.parametrize(
    "text", ['x := "[[[[[[[[[[[[[[["', "x := `{{{{{{{{{{{{{{`", "# [[[[[[[[[[[[[[[["]
)
def test_brackets_in_texts_and_comments_do_not_nest(text: str) -> None:
    """House: only what the parser takes for nesting is counted."""
    assert rego("a.rego", f"package bailiwick\n{text}\n")


def test_brackets_in_texts_do_not_hide_nesting() -> None:
    """House: a closing bracket in a text closes nothing."""
    assert "nested" in refusal("a.rego", nested(40, '["]\\"]", ', "]"))


@pytest.mark.parametrize(
    "link", ["+\n1", "==\n1", " in\n1 ", "\n.a", "[1\n]", "\n-1", "+ # more\n1", "+ (1,\n2)[0]"]
)
def test_a_chain_that_would_overflow_the_stack_is_refused_before_it_is_parsed(link: str) -> None:
    """Measured: 20,000 links end the process with a segmentation fault."""
    text = f"package bailiwick\nx := input {link * (MAX_CHAIN + 1)}\n"
    said = refusal("a.rego", text)
    assert "operations in one expression" in said or "nested deeper" in said


@pytest.mark.parametrize(
    "line", ["input.a.b", "input.a == [1, 2]", "not input.a", '"a" in input.b']
)
def test_many_short_expressions_are_no_chain(line: str) -> None:
    """House: a body may be as long as it likes."""
    assert rego("a.rego", "package bailiwick\nx if {\n" + f"{line}\n" * 1000 + "}\n")


def test_what_the_parser_says_without_a_place_gets_none() -> None:
    """House: a line of the engine's own source is no line of the file."""
    said = refusal("a.rego", "package bailiwick\n" + "x := 1\n" * 20_000)
    assert said == "a.rego: exceeds maximum allowed line count 20000"


def test_trees_belong_to_their_files() -> None:
    """House: rules and tests are told apart before anything is said about them."""
    files = {
        "bailiwick/a.rego": b"package bailiwick.a\nx := 1\n",
        "bailiwick/a_test.rego": b"package bailiwick.tests.a\nx := 1\n",
        "bailiwick/b.rego": b"package bailiwick.b\nx := 1\n",
    }
    read = Rego(files, MANIFEST)
    assert [source.path for source, _ in read.trees(tests=False)] == [
        "bailiwick/a.rego", "bailiwick/b.rego",
    ]  # fmt: skip
    assert [source.path for source, _ in read.trees(tests=True)] == ["bailiwick/a_test.rego"]
    assert Rego({}, MANIFEST).trees(tests=True) == []
