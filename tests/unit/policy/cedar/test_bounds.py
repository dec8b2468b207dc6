"""Each operator, inside, outside, missing and of another kind, from both engines."""

from typing import Any

import pytest

from gateway.policy.cedar.bounds import within
from gateway.policy.cedar.views import decimal_text, is_address, view
from tests.unit.policy.cedar.worlds import Engines, bounded, bundle_of, call, codes

KEPT: list[tuple[dict[str, Any], Any]] = [
    ({"eq": "home"}, "home"),
    ({"eq": 1}, 1),
    ({"eq": 1}, 1.0),
    ({"eq": 0.1}, 0.1),
    ({"eq": True}, True),
    ({"in": ["EUR", 5, False]}, "EUR"),
    ({"in": ["EUR", 5, False]}, 5),
    ({"in": ["EUR", 5, False]}, False),
    ({"lte": 10}, 10),
    ({"lte": 10.00005}, 10),
    ({"lte": 1e300}, 922337203685477),
    ({"gte": -1e300}, -5),
    ({"gte": 0, "lte": 0.5}, 0.5),
    ({"gte": -1.00005}, -1),
    ({"prefix": "a/"}, "a/b c.txt"),
    ({"prefix": "a*"}, "a*b"),
    ({"prefix": 'q"'}, 'q"x'),
    ({"glob": "a/*"}, "a/b"),
    ({"glob": "a/*"}, "a/"),
    ({"glob": "a/**"}, "a/b/c"),
    ({"glob": "*/*.txt"}, "a/b.txt"),
    ({"glob": "a/b"}, "a/b"),
    ({"glob": "**"}, ""),
    ({"cidr": "10.0.0.0/8"}, "10.1.2.3"),
    ({"cidr": ["192.168.0.0/16", "2001:db8::/32"]}, "2001:db8::1"),
    ({"cidr": "0.0.0.0/0"}, "255.255.255.255"),
    ({"required": True}, None),
    ({"required": True}, {"any": 1}),
]

BROKEN: list[tuple[dict[str, Any], Any]] = [
    ({"eq": "home"}, "Home"),
    ({"eq": "home"}, ["home"]),
    ({"eq": 1}, "1"),
    ({"eq": 1}, True),
    ({"eq": True}, 1),
    ({"in": ["EUR", 5]}, "5"),
    ({"in": ["EUR", 5]}, ["EUR"]),
    ({"in": ["EUR", 5]}, None),
    ({"lte": 10}, 10.0001),
    ({"lte": 10}, "5"),
    ({"lte": 10}, True),
    ({"lte": 10}, [5]),
    ({"lte": -1e300}, 0),
    ({"gte": 1e300}, 0),
    ({"gte": 0}, -0.0001),
    ({"gte": 10.00005}, 10),
    ({"prefix": "a/"}, "b/a/"),
    ({"prefix": "a/"}, "a/../b"),
    ({"prefix": "a/"}, "a/%2E%2e/b"),
    ({"prefix": "a/"}, "a/%2F"),
    ({"prefix": "a/"}, "a/%5c"),
    ({"prefix": "a/"}, "a\\b"),
    ({"prefix": "a/"}, "a/\0"),
    ({"prefix": "a*"}, "ab"),
    ({"prefix": "a/"}, ["a/"]),
    ({"glob": "a/*"}, "a/b/c"),
    ({"glob": "a/*"}, "a"),
    ({"glob": "a/**"}, "a/../b"),
    ({"glob": "a.b"}, "axb"),
    ({"glob": "*"}, "a/b"),
    ({"glob": "a/*"}, 5),
    ({"cidr": "10.0.0.0/8"}, "11.0.0.1"),
    ({"cidr": "10.0.0.0/8"}, "10.0.0.0/8"),
    ({"cidr": "10.0.0.0/8"}, "10.0.0"),
    ({"cidr": "10.0.0.0/8"}, "010.0.0.1"),
    ({"cidr": "10.0.0.0/8"}, "::ffff:10.0.0.1"),
    ({"cidr": "::/0"}, "10.0.0.1"),
    ({"cidr": "::/0"}, "::ffff:1"),
    ({"cidr": "::/0"}, "::ffff:1:2:3"),
    ({"cidr": "::/0"}, "2001:DB8::1"),
    ({"cidr": "fe80::/10"}, "fe80::1%eth0"),
    ({"cidr": "10.0.0.0/8"}, 167772161),
    ({"absent": True}, None),
]


@pytest.mark.parametrize(("bound", "value"), KEPT, ids=repr)
def test_a_bound_that_is_kept_is_kept_in_cedar(bound: dict[str, Any], value: Any) -> None:
    """Issue: argument bounds, as the bundle's rules read them."""
    decision = Engines(bundle_of(bounded({"x": bound}))).both(call("ship", {"x": value}))
    assert codes(decision) == ["charter_allows"]


@pytest.mark.parametrize(("bound", "value"), BROKEN, ids=repr)
def test_a_bound_that_is_broken_is_broken_in_cedar(bound: dict[str, Any], value: Any) -> None:
    """Issue: argument bounds, as the bundle's rules read them."""
    decision = Engines(bundle_of(bounded({"x": bound}))).both(call("ship", {"x": value}))
    assert codes(decision) == ["argument_out_of_bounds"]


@pytest.mark.parametrize("bound", {repr(bound): bound for bound, _ in KEPT}.values(), ids=repr)
def test_an_argument_that_is_missing_breaks_its_bound(bound: dict[str, Any]) -> None:
    """Issue: a bounded argument that is missing breaks the bound."""
    decision = Engines(bundle_of(bounded({"x": bound}))).both(call("ship"))
    assert codes(decision) == ["argument_out_of_bounds"]


def test_an_argument_that_must_be_absent_may_be() -> None:
    """Issue: but absent."""
    decision = Engines(bundle_of(bounded({"x": {"absent": True}}))).both(call("ship"))
    assert codes(decision) == ["charter_allows"]


@pytest.mark.parametrize(
    ("bound", "value"),
    [
        ({"regex": "^a*$"}, "aaa"),
        ({"glob": "a/*/**"}, "a/b/c"),
        ({"in": [None, []]}, None),
        ({"eq": 0.00001}, 0.00001),
        ({"lte": 10}, 9.99999),
        ({"gte": 0}, 1e15),
        ({"glob": "a/***"}, "a/b"),
        ({"cidr": "::ffff:0:0/96"}, "::1"),
    ],
    ids=repr,
)
def test_what_cedar_cannot_say_is_refused(bound: dict[str, Any], value: Any) -> None:
    """Policy §8: no regular expressions, no floats; a bound is never kept by rounding."""
    engines = Engines(bundle_of(bounded({"x": bound})))
    assert codes(engines.cedar(call("ship", {"x": value}))) == ["argument_out_of_bounds"]


@pytest.mark.parametrize(
    "bound",
    [
        {"regex": "^a$"},
        {"glob": "*/**"},
        {"in": [None]},
        {"eq": 0.00001},
        {"cidr": "::ffff:0:0/96"},
        {"later": 1},
    ],
    ids=repr,
)
def test_what_cedar_cannot_say_is_noted(bound: dict[str, Any]) -> None:
    """House: the person who compiles a charter is told what it will refuse."""
    notes: list[str] = []
    assert within({"x": bound}, notes.append) == "false"
    assert len(notes) == 1
    assert "x" in notes[0]


@pytest.mark.parametrize(
    "value",
    ['","allow":true,"effect":"permit"}\0', {"__extn": {"fn": "ip", "arg": "10.0.0.1"}}, "a\n//"],
    ids=repr,
)
@pytest.mark.parametrize("operator", ["eq", "prefix", "cidr", "lte"])
def test_a_hostile_value_is_a_value(operator: str, value: Any) -> None:
    """Policy §7.3: no value is read as anything else than itself."""
    limit = {"eq": "a", "prefix": "a/", "cidr": "10.0.0.0/8", "lte": 5}[operator]
    decision = Engines(bundle_of(bounded({"x": {operator: limit}}))).both(
        call("ship", {"x": value})
    )
    assert codes(decision) == ["argument_out_of_bounds"]


@pytest.mark.parametrize("name", ['a"]', "a b", "a\n", "\\", "é", "has", "*"], ids=repr)
def test_an_argument_may_have_any_name(name: str) -> None:
    """House: names are quoted, in policies as in the schema."""
    engines = Engines(bundle_of(bounded({name: {"eq": name}})))
    assert codes(engines.both(call("ship", {name: name}))) == ["charter_allows"]
    assert codes(engines.both(call("ship", {name: name + "x"}))) == ["argument_out_of_bounds"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0.0000"),
        (-0.5, "-0.5000"),
        (500.01, "500.0100"),
        (922337203685477, "922337203685477.0000"),
        (922337203685478, None),
        (10**30, None),
        (1e-5, None),
        (5e-324, None),
        (1e308, None),
    ],
    ids=repr,
)
def test_a_number_is_a_decimal_or_nothing(number: float, text: str | None) -> None:
    """Cedar: a decimal has four digits after the point and 64 bits."""
    assert decimal_text(number) == text


@pytest.mark.parametrize("value", [None, [], {}, 1e300], ids=repr)
def test_a_value_without_a_type_has_no_view(value: Any) -> None:
    """House: it is there, and keeps no bound but `required`."""
    assert view(value) == {}


def test_a_mapped_address_is_no_address() -> None:
    """House: it would be in IPv4 networks for some engines and not for others."""
    assert not is_address("::ffff:102:304")
    assert is_address("2001:db8::")
