import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.offer import MAX_SHOWN, LeftOut, Offer, of_tools, sentence, shown, sort_out

TOOL: dict[str, Any] = {
    "name": "refund",
    "title": "Refund",
    "description": "Pays money back. To whom you say.",
    "inputSchema": {"type": "object", "properties": {"invoice": {}, "amount": {}}},
    "annotations": {"destructiveHint": True, "readOnlyHint": False},
}


def test_a_tool_is_offered_as_its_server_says_it() -> None:
    """MCP 2025-11-25, server/tools: Tool, ToolAnnotations."""
    (offer,), left_out = of_tools([TOOL])
    assert left_out == ()
    assert offer == Offer(
        "refund",
        "Refund",
        "Pays money back. To whom you say.",
        ("invoice", "amount"),
        {"readOnlyHint": False, "destructiveHint": True},
    )
    assert offer.said() == [
        "says: Refund: Pays money back.",
        "arguments: invoice, amount",
        "claims: readOnlyHint false, destructiveHint true",
    ]


def test_a_title_may_stand_in_the_annotations() -> None:
    """MCP 2025-03-26, ToolAnnotations: its title, for want of another one."""
    (offer,), _ = of_tools([{"name": "a", "annotations": {"title": "An A"}}])
    assert offer.title == "An A"


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "a", "title": 1, "description": [], "annotations": "x", "inputSchema": 3},
        {"name": "a", "annotations": {"readOnlyHint": 1, "destructiveHint": "true"}},
        {"name": "a", "inputSchema": {"properties": ["b"]}},
    ],
    ids=["all wrong", "hints that are no booleans", "properties that are a list"],
)
def test_members_of_another_shape_say_nothing(tool: Any) -> None:
    """House: what a server sends is not trusted to have the shape that the protocol gives it."""
    assert of_tools([tool]) == ((Offer("a"),), ())


@pytest.mark.parametrize("entry", [None, 3, "a", [], {}, {"name": None}, {"name": 7}], ids=repr)
def test_an_entry_without_a_name_is_left_out_and_said(entry: Any) -> None:
    """Issue: what cannot be drafted is reported, and stays denied."""
    assert of_tools([TOOL, entry])[1] == (LeftOut("entry 2", "it has no name"),)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", ""),
        ("a b", "a b"),
        ("a:b", "a:b"),
        ("*a", "*a"),
        ("a\nb", "a\\u000ab"),
        ("é", "é"),
        ("a" * 129, "a" * 119 + "…"),
        ("\u202eevil", "\\u202eevil"),
    ],
    ids=["empty", "space", "colon", "star", "newline", "accent", "long", "bidi"],
)
def test_a_name_that_the_protocol_forbids_is_left_out(name: str, said: str) -> None:
    """MCP 2025-11-25, server/tools: 1 to 128 of the characters A-Z a-z 0-9 _ - and the dot."""
    kept, (left_out,) = sort_out([Offer("good"), Offer(name)])
    assert ([offer.name for offer in kept], left_out.name) == (["good"], said)


def test_two_tools_of_one_name_are_both_left_out() -> None:
    """Issue: nobody could say which of them a person has classified."""
    kept, left_out = sort_out([Offer("a", "one"), Offer("b"), Offer("a", "two")])
    assert (kept, left_out) == ((Offer("b"),), (LeftOut("a", "2 have this name"),))


@given(st.text(), st.integers(2, 200))
def test_whatever_others_wrote_is_shown_as_one_short_visible_line(text: str, longest: int) -> None:
    """Issue: hostile text cannot end a comment, hide, or turn what stands after it around."""
    line = shown(text, longest)
    assert len(line) <= longest
    assert all(unicodedata.category(c)[0] != "C" for c in line)
    assert all(c == " " or not unicodedata.category(c).startswith("Z") for c in line)


@pytest.mark.parametrize(
    ("character", "escape"),
    [
        ("\n", "\\u000a"),
        ("\r", "\\u000d"),
        ("\x85", "\\u0085"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
        ("\x1b", "\\u001b"),
        ("\u202e", "\\u202e"),
        ("\u200b", "\\u200b"),
        ("\ufeff", "\\ufeff"),
        ("\u00a0", "\\u00a0"),
        ("\u3164", "\\u3164"),
        ("\ufe0f", "\\ufe0f"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("\U000e0100", "\\udb40\\udd00"),
        ("\ud800", "\\ud800"),
    ],
    ids=[
        "LF", "CR", "NEL", "LS", "PS", "ESC", "RLO", "ZWSP", "BOM", "NBSP", "Hangul filler",
        "variation selector", "tag", "variation selector 17", "half surrogate",
    ],
)  # fmt: skip
def test_what_could_be_obeyed_or_hidden_is_spelled_out(character: str, escape: str) -> None:
    """Unicode: Cc, Cf, Cs, Z*, Default_Ignorable_Code_Point; YAML 1.1 §5.4, line breaks."""
    assert shown(f"a{character}b") == f"a{escape}b"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Reads. Writes.", "Reads."),
        ("Reads v1.2 of it", "Reads v1.2 of it"),
        ("Reads\nWrites", "Reads"),
        ("  Reads?\tNo", "Reads?"),
        ("", ""),
    ],
    ids=["two", "version", "lines", "question", "empty"],
)
def test_a_description_is_shown_by_its_first_sentence(text: str, first: str) -> None:
    """Issue: title, and the first sentence of the description."""
    assert sentence(text) == first


def test_many_arguments_are_cut_short() -> None:
    """House: a comment is a line, not a page."""
    (line,) = Offer("a", arguments=tuple(f"x{n}" for n in range(99))).said()
    assert line.endswith("x11, …") and len(line) < MAX_SHOWN
