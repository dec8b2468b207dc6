import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.offer import HINTS, Offer
from gateway.policy.suggestion import Suggestion, suggestion, understates

NAMES = st.sampled_from(["a", "read_all", "delete_it", "payBill", "deploy", "grant", "fetchURL"])
HINTED = st.dictionaries(st.sampled_from(HINTS), st.booleans())


def words(offer: Offer) -> set[str]:
    """Return every word of a suggestion."""
    found = suggestion(offer)
    return {*found.effects, *found.impacts, *found.flags}


@given(NAMES, HINTED, st.sampled_from(HINTS), st.booleans())
def test_a_hint_only_ever_adds_risk(
    name: str, hints: dict[str, bool], hint: str, value: bool
) -> None:
    """Issue: server hints can only raise risk."""
    without = {one: said for one, said in hints.items() if one != hint}
    assert words(Offer(name, hints=without)) <= words(Offer(name, hints={**without, hint: value}))


@given(NAMES, HINTED)
def test_a_claim_to_be_read_only_changes_nothing(name: str, hints: dict[str, bool]) -> None:
    """Issue: readOnlyHint is quoted as a claim, never a reason to write read."""
    for value in (True, False):
        said = Offer(name, hints={**hints, "readOnlyHint": value})
        assert suggestion(said) == suggestion(Offer(name, hints=hints))
        assert "read" not in words(said)


@pytest.mark.parametrize(
    ("offer", "text"),
    [
        (Offer("thing", hints={"destructiveHint": True}), "delete or write"),
        (Offer("thing", hints={"openWorldHint": True}), "outward?, untrusted?"),
        (Offer("thing", hints={"destructiveHint": False, "openWorldHint": False}), ""),
        (Offer("delete_customer"), "delete; impacts deletion"),
        (Offer("deleteCustomer"), "delete; impacts deletion"),
        (Offer("wire-transfer"), "write; impacts payment"),
        (Offer("DEPLOY.service"), "execute; impacts deployment"),
        (Offer("grant_access"), "escalate; impacts access"),
        (Offer("send_mail"), "write; outward?, untrusted?"),
        (Offer("list_invoices"), ""),
        (Offer("undeletable"), ""),
    ],
    ids=[
        "destructive", "open world", "hints that are false", "delete", "camel case", "wire",
        "upper case and dot", "grant", "send", "list", "no word of its own",
    ],
)  # fmt: skip
def test_hints_and_names_suggest_what_they_tell(offer: Offer, text: str) -> None:
    """Issue: destructiveHint, openWorldHint, and words such as delete, pay, deploy, grant."""
    assert suggestion(offer).text() == text


@pytest.mark.parametrize(
    ("operation", "effects"),
    [
        ("GET /a", ("read",)),
        ("HEAD /a", ("read",)),
        ("DELETE /a", ("delete",)),
        ("POST /a", ("write",)),
        ("PUT /a", ("write",)),
        ("PATCH /a", ("write",)),
        ("OPTIONS /a", ("write",)),
        ("GET /a/delete", ("delete",)),
        ("GET /roles", ("escalate",)),
    ],
)
def test_a_method_suggests_an_effect_and_a_path_can_raise_it(
    operation: str, effects: tuple[str, ...]
) -> None:
    """RFC 9110 §9.2.1: safe methods; issue: heuristics never lower."""
    assert suggestion(Offer("a", operation=operation)).effects == effects


def test_nothing_to_suggest_is_said_by_nothing() -> None:
    """House: no word of comfort either."""
    assert (Suggestion().text(), suggestion(Offer("a"))) == ("", Suggestion())


@pytest.mark.parametrize(
    ("effect", "hint", "answer"),
    [("read", True, True), ("read", False, False), ("write", True, False), (None, True, False)],
    ids=["read and destructive", "read", "write", "unclassified"],
)
def test_a_read_that_its_server_calls_destructive_is_pointed_out(
    effect: str | None, hint: bool, answer: bool
) -> None:
    """Issue: hints can raise risk, also of what was classified before."""
    assert understates(effect, Offer("a", hints={"destructiveHint": hint})) is answer
