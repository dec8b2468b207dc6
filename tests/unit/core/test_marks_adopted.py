"""Another catalogue in the middle of calls: what either marks is redacted."""

from typing import Any

from gateway.core.marks import Catalogue
from gateway.core.redaction import Redactor

KEY = b"k" * 32


def systems(result: dict[str, str], *more: str) -> dict[str, Any]:
    """Return a catalogue of one tool with these marks on its result."""
    tools = {"read": {"effect": "read", "impacts": [], "redact": {"result": result}}}
    return {"crm": {"tools": tools | {name: {"effect": "read", "impacts": []} for name in more}}}


def kept(redactor: Redactor, tool: str = "read", since: Catalogue | None = None) -> str:
    """Return what stays of an answer."""
    body = '{"jsonrpc":"2.0","id":1,"result":{"name":"Anna","mail":"a@b.c"}}'
    fields = {"system": "crm", "tool": tool, "body": body, "body_exact": True}
    return str(redactor.redact("outcome", fields, since=since).fields["body"])


def test_an_answer_to_a_call_of_the_old_catalogue_is_redacted_by_both() -> None:
    """Evidence: a reload must not uncover what was marked when the call was decided."""
    redactor = Redactor(KEY, systems({"/name": "pii"}))
    assert "Anna" not in kept(redactor)
    assert "a@b.c" in kept(redactor)
    redactor.adopt(systems({"/mail": "secret"}))
    assert "Anna" not in kept(redactor)
    assert "a@b.c" not in kept(redactor)


def test_the_catalogue_before_the_last_one_is_forgotten() -> None:
    """House: one generation, for calls that have no intent yet; those that have one keep theirs."""
    redactor = Redactor(KEY, systems({"/name": "pii"}))
    redactor.adopt(systems({}))
    redactor.adopt(systems({}))
    assert "Anna" in kept(redactor)


def test_what_marked_when_a_call_began_marks_its_answer_whatever_was_adopted_since() -> None:
    """Evidence: a stream may outlive any number of reloads."""
    redactor = Redactor(KEY, systems({"/name": "pii"}))
    began = redactor.catalogue
    redactor.adopt(systems({}))
    redactor.adopt(systems({"/mail": "secret"}))
    assert "Anna" not in kept(redactor, since=began)
    assert "a@b.c" not in kept(redactor, since=began)


def test_a_tool_that_either_catalogue_does_not_list_is_redacted_as_a_whole() -> None:
    """House: what is not listed is not trusted to be harmless, now or then."""
    redactor = Redactor(KEY, systems({"/name": "pii"}, "gone", "always"))
    began = redactor.catalogue
    redactor.adopt(systems({}, "new", "always"))
    assert "a@b.c" not in kept(redactor, "gone", since=began)
    assert "a@b.c" not in kept(redactor, "new", since=began)
    assert "a@b.c" in kept(redactor, "always", since=began)


def test_a_tool_that_the_new_catalogue_does_not_list_is_redacted_as_a_whole() -> None:
    """House: what is not listed is not trusted to be harmless."""
    redactor = Redactor(KEY, systems({}, "gone"))
    assert "Anna" in kept(redactor, "gone")
    redactor.adopt(systems({}))
    assert "Anna" not in kept(redactor, "gone")


def test_where_both_mark_the_same_place_the_stricter_class_is_said() -> None:
    """House: `secret` over `pii`, whichever came first."""
    redactor = Redactor(KEY, systems({"/name": "secret"}))
    redactor.adopt(systems({"/name": "pii"}))
    assert "secret" in kept(redactor)
    assert "pii" not in kept(redactor)
