import base64
from typing import Any

import pytest

from tests.unit.core.test_redaction import AWS, RANDOM, Fields, intent, outcome, redact

TOKEN = "ghp_abcDEF123456789012345678901234567890"


def resource(uri: str, **headers: str) -> Fields:
    """Return the fields of an intent to read a resource."""
    fields = intent({"uri": uri}, name=uri, action="resources/read", headers=headers)
    fields["call"]["resource_type"] = "resource"
    return fields


def put(fields: Fields, path: str, value: Any) -> Fields:
    """Put a value somewhere into a record."""
    at = fields
    *parents, last = path.split(".")
    for name in parents:
        at = at.setdefault(name, {})
    at[last] = value
    return fields


@pytest.mark.parametrize(
    "path",
    [
        "call.action", "call.protocol_version", "call.name", "call.new", "input.action.name",
        "input.resource.system", "request.system", "request.path", "request.new", "system",
        "identity.sub", "identity.iss", "identity.aud", "identity.jti", "identity.on_behalf_of",
        "input.subject.claims.email", "input.context.task", "correlation.run", "new",
    ],
)  # fmt: skip
def test_a_credential_is_found_wherever_it_stands(path: str) -> None:
    """House: the whole record, so a member that nobody thought of too; a text stays a text."""
    fields = put(intent(action="tools/list"), path, f"x {TOKEN}")
    assert TOKEN not in str(said := redact(fields).fields)
    for name in path.split("."):
        said = said[name]
    assert isinstance(said, str)


def test_a_claim_with_the_name_of_a_secret_is_redacted() -> None:
    """House: whatever it looks like."""
    fields = put(intent(), "input.subject.claims", {"api_token": "tiger12"})
    assert "tiger12" not in str(redact(fields).fields)


@pytest.mark.parametrize(
    "path", ["identity.sub", "identity.token_digest", "input.subject.id", "call_id", "decision.id"]
)
def test_what_identifies_stays_though_it_looks_random(path: str) -> None:
    """House: evidence without its subject proves nothing."""
    fields = put(intent(), path, RANDOM)
    assert redact(fields).fields == fields


@pytest.mark.parametrize("path", ["tool", "system", "call.action", "identity.sub", "time"])
def test_what_a_call_was_about_stays_though_a_secret_is_called_so(path: str) -> None:
    """House: a caller must not be able to erase the name of what it did."""
    fields = put(intent({"pin": "payroll"}), path, "payroll")
    said: Any = redact(fields).fields
    for name in path.split("."):
        said = said[name]
    assert said == "payroll"


def test_a_random_system_name_is_redacted() -> None:
    """House: the first segment of a path is whatever the caller wrote."""
    random_name = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f0"
    fields = put(intent(action="tools/list"), "request.system", random_name)
    assert random_name not in str(redact(fields).fields)


def test_the_name_of_a_header_is_swept() -> None:
    """House: names are the caller's as well."""
    name = f"mcp-param-{TOKEN.lower()}"
    assert name not in redact(intent(headers={name: "x"})).fields["request"]["headers"]


@pytest.mark.parametrize(
    "uri",
    [
        "https://api.x/v1?code=tiger12", "crm://r?tiger12", "https://u:tiger12@h/",
        "https://h/cb#access_token=tiger12", "https://h/?a=1&b=tiger12#x",
    ],
)  # fmt: skip
def test_the_uri_of_a_resource_is_redacted_as_a_target(uri: str) -> None:
    """House: in the call, the decision input, the arguments and the header that repeats it."""
    encoded = base64.b64encode(uri.encode()).decode()
    plain = redact(resource(uri, **{"mcp-name": uri}))
    assert "tiger12" not in str(plain.fields)
    assert plain.fields["input"]["resource"]["arguments"]["uri"].startswith(uri[:6])
    header = redact(resource(uri, **{"mcp-name": f"=?base64?{encoded}?="}))
    assert encoded not in str(header.fields)
    answer = redact(outcome({"contents": [{"uri": uri}]}, None), "outcome", also=plain.secrets)
    assert "tiger12" not in str(answer.fields)


def test_a_plain_uri_of_a_resource_stays() -> None:
    """House: what was read is what the record is for."""
    fields = resource("file:///a/b.txt", **{"mcp-name": "file:///a/b.txt"})
    assert redact(fields).fields == fields


@pytest.mark.parametrize("said", ["postgres://app:tigers-ü@db/x", f"use {AWS}", "pwd: ü"])
def test_a_header_in_base64_is_read(said: str) -> None:
    """MCP 2026-07-28: `=?base64?…?=` stands for what a header cannot say."""
    encoded = base64.b64encode(said.encode()).decode()
    fields = intent(name="plain", headers={"mcp-param-x": f"=?base64?{encoded}?="})
    assert encoded not in str(redact(fields).fields)
