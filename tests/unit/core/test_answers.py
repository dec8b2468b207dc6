import json
from typing import Any

import pytest

from tests.unit.core.test_redaction import AWS, outcome, redact, value_of

HIDDEN = AWS.replace("AKIA", "\\u0041KIA")


def message(**members: Any) -> str:
    """Return a JSON-RPC message."""
    return json.dumps({"jsonrpc": "2.0", "id": 7, **members})


@pytest.mark.parametrize(
    "body",
    [
        message(error={"code": 1, "message": "no Ann", "data": {"customer": "Ann"}}),
        message(error="Ann"),
        message(method="notifications/message", params={"data": "Ann"}),
        message(result="Ann"),
        json.dumps({"structuredContent": {"customer": "Ann"}}),
        '"Ann"',
        ": about Ann\ndata: {}\n\n",
        "x: Ann\ndata: {}\n\n",
    ],
)
def test_what_the_marks_of_a_result_do_not_speak_of_goes_as_a_whole(body: str) -> None:
    """House: the catalogue says that a result has secrets, and nothing of where else they are."""
    assert "Ann" not in redact(outcome(body), "outcome").fields["body"]


def test_the_envelope_of_an_error_stays() -> None:
    """House: the code says what happened."""
    body = message(error={"code": -32000, "message": "m"})
    said = json.loads(redact(outcome(body), "outcome").fields["body"])
    assert said["error"] == {"code": -32000, "message": value_of("m", "secret")}
    assert said["id"] == 7


@pytest.mark.parametrize(
    "body",
    [
        "\ufeff" + json.dumps({"a": 1})[:-1] + f',"b":"{HIDDEN}"}}',
        f'{{"a":"{HIDDEN}"}}\n{{"b":1}}',
        f'{{"a":"{HIDDEN}"}} x',
        f"\ndata: {HIDDEN}\n\n",
        f'\ufeff\n\ndata: {{"a":"{HIDDEN}"}}\n\n',
        f'foo: x\ndata: {{"a":"{HIDDEN}"}}\n\n',
        '{"p\\u0061ssword":"rosebud"} x',
    ],
    ids=["mark", "lines", "rest", "event", "mark, event", "field", "name"],
)
def test_what_escapes_hide_is_found_in_a_body_that_is_no_json(body: str) -> None:
    """House: whoever reads it may well take the escapes for what they mean."""
    said = redact(outcome(body, tool="plain"), "outcome").fields["body"]
    assert HIDDEN not in said
    assert AWS not in said
    assert "rosebud" not in said


def test_the_data_of_an_event_is_read_behind_fields_that_nobody_knows() -> None:
    """WHATWG HTML §9.2.6: fields of other names are ignored."""
    body = 'foo: x\ndata: {"password":{"value":"rosebud"}}\n\n'
    said = redact(outcome(body, tool="plain"), "outcome").fields["body"]
    assert "rosebud" not in said
    assert "foo: x" in said


def test_escapes_that_hide_nothing_stay() -> None:
    """House: most do not."""
    body = 'caf\\u00e9 <\\/b> \\uzzzz {"a":1} x'
    assert redact(outcome(body, tool="plain"), "outcome").fields["body"] == body
