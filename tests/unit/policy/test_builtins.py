import json
import subprocess

import pytest
import regorus

from gateway.policy.builtins import ALLOWED, ONLY_IN_SYSTEM, ONLY_IN_TESTS, RESERVED, findings
from gateway.policy.bundle import read_files, shipped_bundle
from gateway.policy.files import sources
from gateway.policy.manifest import Manifest, read
from gateway.policy.rego import Rego
from tests.opa_binary import opa_binary

MANIFEST = Manifest("1", (("bailiwick",), ("system",)))


def found(text: str, path: str = "bailiwick/a.rego", package: str = "bailiwick.a") -> list[str]:
    """Return what is found in one file, without its name."""
    parsed = Rego({path: f"package {package}\n{text}\n".encode()}, MANIFEST)
    both = [*parsed.trees(tests=False), *parsed.trees(tests=True)]
    return [str(finding).removeprefix(f"{path}:") for finding in findings(both)]


FORBIDDEN = [
    "http.send", "net.lookup_ip_addr", "opa.runtime", "rand.intn", "uuid.rfc4122", "uuid.parse",
    "time.now_ns", "io.jwt.decode", "io.jwt.decode_verify", "crypto.sha256",
    "crypto.x509.parse_certificates", "rego.parse_module", "rego.metadata.rule", "graphql.parse",
    "regex.globs_match", "net.cidr_intersects", "net.cidr_expand", "print", "trace", "yaml.marshal",
    "json.match_schema", "walks", "providers.aws.sign_req", "glob.match", "internal.print", "plus",
    "time.format",
]  # fmt: skip


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_is_not_on_the_list_may_not_be_called(name: str) -> None:
    """Policy §6, §7.1: decisions are made again from the input alone, alike in every engine."""
    assert found(f"x := {name}(1)") == [f"2: may not call {name}"]


PLACES = {
    "body": "x if http.send(1)",
    "negated": "x if not http.send(1)",
    "assigned": "x if { y := http.send(1); y }",
    "some": "x if some y in http.send(1)",
    "every": "x if every y in http.send(1) { y }",
    "body of every": "x if every y in [1] { http.send(y) }",
    "set": "x contains y if y := http.send(1)",
    "comprehension": "x := [y | y := http.send(1)]",
    "set comprehension": "x := {y | y := http.send(1)}",
    "key": "x := {http.send(1): 1}",
    "argument": "x := count(http.send(1))",
    "index": "x := data.charters[http.send(1)]",
    "sum": "x := 1 + http.send(1).body",
    "else": "x := 1 if { false } else := http.send(1)",
    "else body": "x := 1 if { false } else := 2 if http.send(1)",
    "head": "x[http.send(1)] := 2",
    "function": "f(y) := http.send(y)",
    "with": "x if data.charters with input as http.send(1)",
    "in brackets": 'x := http["send"](1)',
    "union": "x := {1} | http.send(1)",
}


@pytest.mark.parametrize("text", PLACES.values(), ids=PLACES)
def test_a_call_is_found_wherever_it_stands(text: str) -> None:
    """House: one that is overlooked is one that is made."""
    assert "2: may not call http.send" in found(text)


OWN = {
    "function of the package": "f(x) := x\ny := f(1)",
    "function by its whole path": "y := data.bailiwick.b.f(1)",
    "function of an import": "import data.bailiwick.b\ny := b.f(1)",
    "function of an import with a name": "import data.bailiwick.b as c\ny := c.f(1)",
    "allowed": 'x := startswith("a", "b")\ny := endswith("a", "a")',
    "with input": "x if data.bailiwick.b with input as {}",
    "with a part of it": "x if data.bailiwick.b with input.a.b as 1",
    "language": "import rego.v1\nx := 1 + 2\ny if 1 in [1]\nz := {1} & {2}\ndefault w := 1",
}


@pytest.mark.parametrize("text", OWN.values(), ids=OWN)
def test_own_functions_and_those_on_the_list_may_be_called(text: str) -> None:
    """House: a list that refuses everything is soon switched off."""
    assert found(text) == []


def test_a_function_of_another_file_of_the_package_may_be_called() -> None:
    """Rego: a package may have several files."""
    files = {
        "bailiwick/a.rego": b"package bailiwick.a\nx := f(1)\n",
        "bailiwick/b.rego": b"package bailiwick.a\nf(y) := y\n",
        "bailiwick/c.rego": b"package bailiwick.c\nx := f(1)\n",
    }
    said = [str(finding) for finding in findings(Rego(files, MANIFEST).trees(tests=False))]
    assert said == ["bailiwick/c.rego:2: may not call f"]


SHADOWS = {
    "rule": ("http := 1", "http"),
    "function": ("count(x) := 1", "count"),
    "path": ("http.send(x) := 1", "http"),
    "default": ("default time := 1", "time"),
    "set": ("rand contains 1", "rand"),
    "import": ("import data.bailiwick.http", "http"),
    "name of an import": ("import data.bailiwick.b as opa", "opa"),
    "import of the input": ("import input.time", "time"),
}


@pytest.mark.parametrize(("text", "name"), SHADOWS.values(), ids=SHADOWS)
def test_nothing_may_have_the_name_of_a_builtin(text: str, name: str) -> None:
    """House: engines differ on whose it is, and readers too."""
    assert found(text) == [f"2: `{name}` is the name of a builtin; choose another"]


def test_a_name_of_a_builtin_does_not_make_its_call_an_own_one() -> None:
    """House: the way around the list."""
    said = found("import data.bailiwick.b as http\nx := http.send(1)")
    assert "3: may not call http.send" in said


@pytest.mark.parametrize(
    "target", ["time.now_ns", "count", "data.bailiwick.b.f", "data.charters", "f"]
)
def test_with_replaces_input_only(target: str) -> None:
    """House: rules that exchange functions or charters answer another question."""
    said = found(f"x if data.bailiwick.b with {target} as 1")
    assert said == ["2: `with` may replace input only, but in tests"]


def test_tests_may_print_and_replace_anything() -> None:
    """House: a test is no decision; and still it reaches for nothing outside."""
    path, package = "bailiwick/a_test.rego", "bailiwick.tests.a"
    text = "test_x if { print(1); data.bailiwick.a with data.charters as {} with time.now_ns as 1 }"
    assert found(text, path, package) == []
    assert found("test_x if http.send({})", path, package) == ["2: may not call http.send"]


def test_only_the_rules_for_opa_itself_may_read_its_environment() -> None:
    """Issue: the sidecar's own authorization knows the token of the gateway."""
    assert found("x := opa.runtime()", "system/authz.rego", "system.authz") == []
    assert found("x := http.send(1)", "system/authz.rego", "system.authz") != []


def test_the_shipped_bundle_keeps_to_the_list() -> None:
    """Issue: check = every builtin used is on an allow-list."""
    files = sources(read_files(shipped_bundle(), everything=False)[0])
    parsed = Rego(files, read(files))
    assert findings(parsed.trees(tests=False)) == findings(parsed.trees(tests=True)) == ()


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_every_builtin_on_the_list_is_known_to_regorus(name: str) -> None:
    """House: what one engine lacks is no common ground."""
    said = set()
    for count in range(6):
        engine = regorus.Engine()
        arguments = ",".join(['""'] * count)
        engine.add_policy("a.rego", f"package a\nx := {name}({arguments})\n")
        try:
            engine.eval_rule_as_json("data.a.x")
            said.add("")
        except RuntimeError as exc:
            said.add(str(exc).partition("\nStack")[0])
    assert any("could not find function" not in one for one in said)


def test_every_builtin_of_opa_is_allowed_or_its_name_is_taken() -> None:
    """House: `opa capabilities` is the list of what could be meant."""
    done = subprocess.run(
        [opa_binary(), "capabilities", "--current"], capture_output=True, check=True, timeout=60
    )
    names = {one["name"] for one in json.loads(done.stdout)["builtins"]}
    assert ALLOWED | ONLY_IN_TESTS | ONLY_IN_SYSTEM <= names
    assert {name.partition(".")[0] for name in names} <= RESERVED


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("x if data.bailiwick.testing.y", "data.bailiwick.testing.y"),
        ("x if not data.bailiwick.tests.a.y", "data.bailiwick.tests.a.y"),
        ('x if data["bailiwick"]["te\\u0073ts"].y', "data.bailiwick.tests.y"),
        ("import data.bailiwick.testing as t\nx if t.y", "data.bailiwick.testing"),
        ("import data.bailiwick\nx if bailiwick.testing.y", "data.bailiwick"),
        ("x if data.bailiwick[input.y].z", "data.bailiwick"),
        ("x if { y := data.bailiwick; y.tests.z }", "data.bailiwick"),
        ("x if data.system.authz.allow", "data.system.authz.allow"),
        ("x if data.selftest.y", "data.selftest.y"),
        ("x if data[input.y].z", "data"),
        ("x if { walk(data, [p, y]); y }", "data"),
        ("x := count(data)", "data"),
        ("x if input[data.other.y]", "data.other.y"),
    ],
)
def test_a_rule_reads_no_data_that_only_one_engine_has(text: str, named: str) -> None:
    """Measured: OPA holds tests, system/ and other bundles beside the rules, regorus does not."""
    assert found(text) == [f"2: may not read {named}, which is not the same in every engine"]


@pytest.mark.parametrize(
    "text",
    [
        "x if data.charters[input.y].z", "x if data.systems", 'x if data["subjects"].y',
        "x if data.bailiwick.rules[_].deny", "import data.bailiwick.call\nx if call.y",
        "x if input.data.other",
    ],
)  # fmt: skip
def test_a_rule_reads_the_parts_of_data_that_are_the_bundles(text: str) -> None:
    """Policy §6: the roots of the manifest are the bundle's own, in every engine."""
    assert found(text) == []


def test_tests_read_whatever_they_like() -> None:
    """House: they decide nothing."""
    text = "test_x if data.bailiwick.testing.y"
    assert found(text, "bailiwick/a_test.rego", "bailiwick.tests.a") == []
