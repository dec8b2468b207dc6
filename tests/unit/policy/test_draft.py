from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.tokens import AliasToken, AnchorToken, TagToken

from gateway.core.charter import system_faults
from gateway.core.errors import BundleError
from gateway.policy import documents, draft
from gateway.policy.draft import GONE, Head
from gateway.policy.offer import HINTS, NAME, LeftOut, Offer, of_tools

HEAD = Head("finance-platform", "finance", "production", "mcp")
UNCLASSIFIED = {"effect": "unclassified", "impacts": []}
REVIEWED = """\
# Ours, with care.
owner:   finance-platform
domain: finance
environment: 'production'   # for now
protocol: mcp
tools:
  # Reading comes first.
  list_invoices: {effect: read,  impacts: []}
  "delete_invoice":
      effect: delete
      impacts:
      - deletion
  pay: {effect: write, impacts: [payment]} # twice checked
"""

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
hostile = st.one_of(
    text,
    st.sampled_from(
        [
            "x\ntools: {a: {effect: read, impacts: []}}",
            "x\x85a: b",
            "x\u2028a: b",
            "\r- a",
            "&a",
            "*a",
            "!!python/name:os.system",
            "x\u202e",
            "%YAML 1.1",
            "---",
            "...",
            '" # x',
            "\x00",
            "\x1b]0;x\x07",
        ]
    ),
)
awkward = st.sampled_from(
    [
        "yes",
        "No",
        "on",
        "1e3",
        "0x1f",
        "0777",
        "null",
        "true",
        "-",
        ".",
        "...",
        "---",
        "1_0",
        ".inf",
    ]
)
name = st.one_of(hostile, awkward, st.from_regex(NAME, fullmatch=True))
tool = st.fixed_dictionaries(
    {"name": name},
    optional={
        "title": hostile,
        "description": hostile,
        "annotations": st.dictionaries(st.sampled_from(HINTS), st.booleans()),
        "inputSchema": st.fixed_dictionaries({"properties": st.dictionaries(hostile, st.none())}),
    },
)


def value_of(drafted: str) -> Any:
    """Return what a bundle's reader reads in a draft."""
    return documents.read("systems/s.yaml", drafted).value


def is_plain(drafted: str) -> bool:
    """Return whether no alias, anchor or tag stands in it."""
    tokens = YAML(typ="safe", pure=True).scan(drafted)
    return not any(isinstance(token, AliasToken | AnchorToken | TagToken) for token in tokens)


@given(st.lists(tool, max_size=6), st.tuples(text, text, text))
def test_whatever_a_server_says_the_draft_holds_its_tools_unclassified(
    tools: list[dict[str, Any]], about: tuple[str, str, str]
) -> None:
    """Issue: hostile names and descriptions cannot forge YAML."""
    kept, left_out = of_tools(tools)
    assume(kept)
    about = (about[0].replace("\x00", ""), about[1], about[2])
    drafted = draft.fresh(Head(*about, "mcp"), kept, left_out)
    assert value_of(drafted) == {
        "owner": about[0],
        "domain": about[1],
        "environment": about[2],
        "protocol": "mcp",
        "tools": {offer.name: UNCLASSIFIED for offer in kept},
    }
    assert is_plain(drafted)


@given(st.lists(name, unique=True, min_size=1, max_size=6))
def test_a_name_is_quoted_so_that_it_stays_the_name_that_it_is(names: list[str]) -> None:
    """Issue: yes, 1e3, the empty name, a colon, a star, a newline; YAML 1.1 readers too."""
    names = [name.replace("\x00", "") for name in names]
    drafted = draft.fresh(HEAD, [Offer(name) for name in dict.fromkeys(names)], ())
    assert set(value_of(drafted)["tools"]) == set(names)
    older = YAML(typ="safe", pure=True)
    older.version = (1, 1)
    assert set(older.load(drafted)["tools"]) == set(names)


def test_a_draft_is_a_sound_system_and_says_what_the_server_said() -> None:
    """Issue: title, first sentence, hints as claims, suggestions; and nothing of it counts."""
    kept, left_out = of_tools(
        [
            {"name": "bad name"},
            {
                "name": "pay",
                "title": "Pay",
                "description": "Pays.\n# forged\neffect: read",
                "annotations": {"readOnlyHint": True, "openWorldHint": True},
                "inputSchema": {"properties": {"amount": {}}},
            },
        ]
    )
    drafted = draft.fresh(HEAD, kept, left_out)
    assert system_faults(value_of(drafted)) == []
    assert drafted[drafted.index("# Left out") :] == (
        "# Left out, and so denied:\n"
        "#   bad name: a name is 1 to 128 of the characters A-Z a-z 0-9 _ . -\n"
        "owner: finance-platform\n"
        "domain: finance\n"
        "environment: production\n"
        "protocol: mcp\n"
        "tools:\n"
        "  # says: Pay: Pays.\n"
        "  # arguments: amount\n"
        "  # claims: readOnlyHint true, openWorldHint true\n"
        "  # consider: write; impacts payment; outward?, untrusted?\n"
        "  pay:\n"
        "    effect: unclassified\n"
        "    impacts: []\n"
    )


def test_an_operation_is_drafted_with_its_method_and_path() -> None:
    """Issue: protocol http, `operation: "GET /path/{id}"`."""
    offers = [Offer("read", operation="GET /a/{id}", deprecated=True)]
    drafted = draft.fresh(Head("o", "d", "e", "http"), offers, ())
    assert value_of(drafted)["tools"] == {"read": {"operation": "GET /a/{id}", **UNCLASSIFIED}}
    assert system_faults(value_of(drafted)) == []
    assert "  # says that it is deprecated\n" in drafted


def test_only_so_many_of_those_left_out_are_named() -> None:
    """House: a hostile list does not make a file that nobody reads."""
    left_out = [LeftOut(f"n{n}", "bad") for n in range(60)]
    drafted = draft.fresh(HEAD, [Offer("a")], left_out)
    assert "#   n49: bad\n#   and 10 more\n" in drafted


# An update


def updated(offers: list[Offer], before: str = REVIEWED, *left_out: LeftOut) -> str:
    """Return a file after an update."""
    return draft.updated("systems/s.yaml", before, "mcp", offers, left_out)


def known(*names: str) -> list[Offer]:
    """Return offers of these names."""
    return [Offer(name) for name in names]


ALL = known("list_invoices", "delete_invoice", "pay")


def test_an_update_without_news_changes_no_byte() -> None:
    """Issue: every reviewed byte stays as it is."""
    assert updated(ALL) == REVIEWED


def test_a_new_tool_is_added_unclassified_and_all_else_stays() -> None:
    """Issue: --update adds tools that are new."""
    after = updated([*ALL, Offer("wipe", hints={"destructiveHint": True})])
    added = (
        "  # claims: destructiveHint true\n"
        "  # consider: delete or write; impacts deletion\n"
        "  wipe:\n"
        "    effect: unclassified\n"
        "    impacts: []\n"
    )
    assert after == REVIEWED.replace("tools:\n", f"tools:\n{added}")


def test_a_tool_that_is_gone_is_marked_once_and_no_more_when_it_is_back() -> None:
    """Issue: those that vanished get a comment."""
    marked = updated(known("list_invoices", "pay"))
    assert marked == REVIEWED.replace('  "delete', f'  {GONE}\n  "delete')
    assert updated(known("list_invoices", "pay"), marked) == marked
    assert updated(ALL, marked) == REVIEWED


def test_news_and_a_mark_at_the_same_place_do_not_mix() -> None:
    """House: a mark stands beside what it marks."""
    before = "protocol: mcp\ntools:\n  a: {effect: read, impacts: []}\n"
    marked = updated(known("b"), before)
    added = "  b:\n    effect: unclassified\n    impacts: []\n"
    assert marked == (
        f"protocol: mcp\ntools:\n{added}  {GONE}\n  a: {{effect: read, impacts: []}}\n"
    )
    once = f"protocol: mcp\ntools:\n  {GONE}\n  a: {{effect: read, impacts: []}}\n"
    assert updated(known("a", "b"), once) == before.replace("tools:\n", f"tools:\n{added}")


def test_what_is_left_out_is_not_gone() -> None:
    """House: two tools of one name are offered, if not drafted."""
    both = LeftOut("pay", "2 have this name")
    assert updated(known("list_invoices", "delete_invoice"), REVIEWED, both) == REVIEWED


def test_a_file_with_other_line_ends_keeps_them() -> None:
    """Issue: every reviewed byte stays as it is."""
    after = updated([*ALL, Offer("new")], REVIEWED.replace("\n", "\r\n"))
    assert after.count("\n") == after.count("\r\n") == REVIEWED.count("\n") + 3


@given(st.lists(tool, max_size=4))
def test_an_update_only_ever_adds_lines(tools: list[dict[str, Any]]) -> None:
    """Issue: whatever a server says, what was reviewed stays, byte for byte."""
    kept, left_out = of_tools(tools)
    after = draft.updated("s", REVIEWED, "mcp", kept, left_out)
    lines = iter(after.splitlines(keepends=True))
    assert all(line in lines for line in REVIEWED.splitlines(keepends=True))
    before, now = value_of(REVIEWED), value_of(after)
    assert {name: now["tools"][name] for name in before["tools"]} == before["tools"]
    assert all(
        now["tools"][name] == UNCLASSIFIED for name in now["tools"].keys() - before["tools"].keys()
    )
    assert is_plain(after)


@pytest.mark.parametrize(
    "before",
    [
        "protocol: mcp\ntools: {a: {effect: read, impacts: []}}\n",
        "protocol: http\ntools:\n  a: {}\n",
        "protocol: mcp\n",
        "protocol: mcp\ntools: {}\n",
        "protocol: mcp\ntools: []\n",
        "protocol: mcp\n? tools\n: a: {}\n",
        "protocol: mcp\rtools:\r  a: {}\r",
        "protocol: mcp\ntools: *a\n",
        "- a\n",
    ],
    ids=[
        "flow", "another protocol", "no tools", "empty", "list", "key apart", "old line ends",
        "alias", "list at the top",
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_added_to_safely_is_refused(before: str) -> None:
    """Issue: a clear error, and nothing changed."""
    with pytest.raises(BundleError, match=r"systems/s\.yaml"):
        updated(known("b"), before)


def test_tools_on_one_line_are_refused_with_what_to_do() -> None:
    """Issue: a clear error."""
    with pytest.raises(BundleError, match=r"systems/s\.yaml:2: write each of `tools` on a line"):
        updated(known("b"), "protocol: mcp\ntools: {a: {effect: read, impacts: []}}\n")


def test_what_does_not_read_as_it_should_does_not_come_out() -> None:
    """House: the text is read again; here, a file without tools says null, not none."""
    with pytest.raises(BundleError, match="safely"):
        draft.fresh(HEAD, [], ())


def test_an_operation_that_moved_is_told_and_left_alone() -> None:
    """House: another request behind a reviewed name is not what was reviewed."""
    before = "protocol: http\ntools:\n  a: {effect: read, impacts: [], operation: GET /a}\n"
    offers = [Offer("a", operation="DELETE /a")]
    (entry,) = draft.compare("s", value_of(before), "http", offers, ())
    assert (entry.state, entry.effect) == ("moved", "read")
    assert draft.updated("s", before, "http", offers, ()) == before
