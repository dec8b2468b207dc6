import json
from typing import Any

import pytest

from gateway.core.charter import system_faults
from gateway.core.errors import SettingsError
from gateway.policy import documents, draft, openapi
from gateway.policy.draft import Head
from gateway.policy.offer import LeftOut, Offer, Sorted

CUSTOMERS = b"""\
openapi: 3.0.3
info: {title: Customers, version: 2026-01-01}
x-secret: {$ref: https://elsewhere.example/x}
servers: [{url: https://elsewhere.example/v1}]
paths:
  /customers/{id}:
    summary: One customer.
    parameters:
      - $ref: '#/components/parameters/id'
    get:
      operationId: readCustomer
      summary: Read a customer.
      description: Reads it. All of it.
      parameters: [{name: fields, in: query}]
      responses: {200: {description: It.}}
    delete: {deprecated: true, responses: {204: {description: Gone.}}}
    patch:
      operationId: customers/update
      requestBody:
        content: {application/json: {schema: {$ref: '#/components/schemas/Customer'}}}
      responses: {}
  x-internal: {get: {}}
components:
  parameters: {id: {name: id, in: path, required: true}}
  schemas:
    Customer: {allOf: [{properties: {name: {}, mail: {}}}], properties: {vip: {}}}
"""


def read(data: bytes) -> Sorted:
    """Return the operations of a file of this content."""
    return openapi.operations("api.yaml", data)


def paths(**members: Any) -> bytes:
    """Return a file with these paths."""
    return json.dumps({"openapi": "3.1.0", "paths": members}).encode()


def test_each_operation_is_offered_with_its_method_path_and_arguments() -> None:
    """OpenAPI 3.0.3, Paths, Path Item, Operation; issue: operationId or a made name."""
    offers, left_out = read(CUSTOMERS)
    assert left_out == ()
    assert offers == (
        Offer(
            "readCustomer",
            "Read a customer.",
            "Reads it. All of it.",
            ("id", "fields"),
            operation="GET /customers/{id}",
        ),
        Offer(
            "patch_customers_id",
            "One customer.",
            "",
            ("id", "vip", "name", "mail"),
            operation="PATCH /customers/{id}",
        ),
        Offer(
            "delete_customers_id",
            "One customer.",
            "",
            ("id",),
            operation="DELETE /customers/{id}",
            deprecated=True,
        ),
    )


@pytest.mark.parametrize("method", [one for one in openapi.METHODS if one != "trace"])
def test_every_method_is_an_operation(method: str) -> None:
    """OpenAPI 3.1.1 §4.8.9.1."""
    (offer,), _ = read(paths(**{"/a": {method: {}}}))
    assert (offer.name, offer.operation) == (f"{method}_a", f"{method.upper()} /a")
    catalogue = draft.fresh(Head("o", "d", "e", "http"), [offer], ())
    assert system_faults(documents.read("s", catalogue).value) == []


def test_a_trace_is_left_out_and_said() -> None:
    """RFC 9110 §9.3.8: it shows a request, credential and all; the catalogue does not know it."""
    left_out = LeftOut("TRACE /a", "TRACE is not forwarded")
    assert read(paths(**{"/a": {"trace": {}}})) == ((), (left_out,))


def test_json_and_yaml_say_the_same() -> None:
    """OpenAPI 3.1.1 §4.4: either format; and numbers of 64-bit schemas are no fault."""
    item = {"get": {"operationId": "a", "maximum": 2**63 - 1}}
    yaml = b"openapi: 3.1.0\npaths:\n  /a:\n    get: {operationId: a, maximum: 9223372036854775807}"
    assert read(paths(**{"/a": item})) == read(yaml) == ((Offer("a", operation="GET /a"),), ())


@pytest.mark.parametrize(
    "path",
    ["a", "/a b", "/a?b", "/a#b", "/{", "/}", "/{a b}", "/a\n", "/\u202e", "/" + "a" * 1024],
    ids=[
        "no slash", "space", "query", "fragment", "open", "close", "name", "newline", "bidi",
        "long",
    ],
)  # fmt: skip
def test_a_path_that_is_no_plain_template_is_left_out_and_said(path: str) -> None:
    """OpenAPI 3.1.1 §4.8.8: a path begins with a slash; names in braces."""
    offers, (left_out,) = read(paths(**{path: {"get": {}}, "/b": {"get": {}}}))
    assert [offer.name for offer in offers] == ["get_b"]
    assert left_out.why == "its path is no plain path template" and left_out.name.isprintable()


def test_operations_of_one_name_are_left_out() -> None:
    """OpenAPI 3.1.1 §4.8.10.1: operationId is unique; also when the name is made."""
    twice = {"/a": {"get": {"operationId": "x"}}, "/b": {"get": {"operationId": "x"}}}
    made: dict[str, Any] = {"/c/d": {"get": {}}, "/c_d": {"get": {}}}
    assert read(paths(**twice, **made)) == (
        (),
        (LeftOut("x", "2 have this name"), LeftOut("get_c_d", "2 have this name")),
    )


def test_a_path_item_elsewhere_in_the_file_is_followed() -> None:
    """OpenAPI 3.1.1 §4.8.9.1: `$ref` of a path item; components may hold one."""
    document = {
        "openapi": "3.1.0",
        "paths": {"/a": {"$ref": "#/components/pathItems/a~1b%20c"}},
        "components": {"pathItems": {"a/b c": {"post": {}}}},
    }
    offers, _ = read(json.dumps(document).encode())
    assert [offer.operation for offer in offers] == ["POST /a"]


@pytest.mark.parametrize(
    "reference",
    ["other.yaml", "https://elsewhere.example/a", "#/nowhere", "#/paths/~1a", "file:///etc/passwd"],
)
def test_a_path_item_that_is_not_in_the_file_is_refused(reference: str) -> None:
    """Issue: `$ref` paths of external files are refused; nothing is fetched, or goes in circles."""
    with pytest.raises(SettingsError, match="is said elsewhere"):
        read(paths(**{"/a": {"$ref": reference}}))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "`openapi` is not 3.0.x or 3.1.x"),
        (b"swagger: '2.0'", "`openapi` is not 3.0.x or 3.1.x"),
        (b"openapi: 3.0", "`openapi` is not 3.0.x or 3.1.x"),
        (b"openapi: 3.2.0", "`openapi` is not 3.0.x or 3.1.x"),
        (b"openapi: 3.0.0\na: &a [1]\nb: *a\n", "api.yaml:3: has an alias"),
        (b"openapi: 3.0.0\nopenapi: 3.0.1\n", "api.yaml:2: "),
        (b"a: !!python/object:os.system x\n", "api.yaml:1: "),
        (b"a: [\n", "api.yaml:2: "),
        (b"\xff", "neither YAML nor JSON"),
        (b"[" * 5000, "neither YAML nor JSON"),
        (b'{"a":1,"a":2}', "json_duplicate_key"),
        (b'{"a":' * 500, "json_"),
    ],
    ids=[
        "empty", "swagger", "number", "newer", "alias", "member twice", "tag", "broken YAML",
        "no text", "deep YAML", "key twice", "deep JSON",
    ],
)  # fmt: skip
def test_what_is_no_readable_openapi_file_is_refused_in_a_sentence(data: bytes, said: str) -> None:
    """Issue: clear errors, never a traceback."""
    with pytest.raises(SettingsError) as refused:
        read(data)
    assert refused.value.message.startswith("api.yaml") and said in refused.value.message


@pytest.mark.parametrize(
    "data",
    [b"#" * (openapi.MAX_YAML_BYTES + 1), b"{" + b" " * openapi.MAX_JSON_BYTES],
    ids=["YAML", "JSON"],
)
def test_a_file_beyond_the_cap_is_not_read(data: bytes) -> None:
    """Issue: size cap."""
    with pytest.raises(SettingsError, match="is longer than"):
        read(data)


def test_more_operations_than_anybody_reviews_are_refused() -> None:
    """House: a bound on everything that comes from outside."""
    many: dict[str, Any] = {f"/a{n}": {"get": {}} for n in range(openapi.MAX_OPERATIONS + 1)}
    with pytest.raises(SettingsError, match="more than"):
        read(paths(**many))
