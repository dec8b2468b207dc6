"""The operations of an OpenAPI 3.0 or 3.1 file, as offers for a draft of the catalogue.

Nothing is fetched: a reference to another file is refused where it would hide operations, and not
read elsewhere. YAML has no aliases here, since a small file of them says something endless.
https://spec.openapis.org/oas/v3.1.1. Extensions (`x-…`), servers and security are ignored: paths
are those below the system's own URL. Does not check requests against schemas.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent

from gateway.core.canonical import parse_object
from gateway.core.errors import MalformedMessage, SettingsError
from gateway.policy.offer import NAME, LeftOut, Offer, Sorted, shown, sort_out

METHODS: Final = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
"""Members of a path item that are operations (OpenAPI 3.1.1 §4.8.9.1)."""
MAX_JSON_BYTES: Final = 32 * 1024 * 1024
MAX_YAML_BYTES: Final = 4 * 1024 * 1024
"""YAML takes about six seconds a mebibyte to read."""
MAX_OPERATIONS: Final = 5_000

_VERSION: Final = re.compile(r"3\.[01]\.[0-9]+(?:-[a-z0-9.]+)?")
_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@%/-]|\{[A-Za-z0-9_.-]+\})*")
_MAX_PATH: Final = 1024
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9]+")
_MAX_REFERENCES: Final = 8
_MAX_DEPTH: Final = 128
_LARGEST_INTEGER: Final = 2**64

Object = Mapping[Any, Any]


class _NoAliases(Composer):
    """Refuses aliases while reading, so that none is ever expanded."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node."""
        if self.parser.check_event(AliasEvent):
            mark = self.parser.peek_event().start_mark
            raise ComposerError(None, None, "has an alias (*); write the value out", mark)
        return super().compose_node(parent, index)


def operations(path: str, data: bytes) -> Sorted:
    """Return the operations of a file: those that can be drafted, and the others.

    Args:
        path: of the file, for messages.
        data: its bytes, YAML or JSON.

    Raises:
        SettingsError: it is no such file, or too large.
    """
    document = _read(path, data)
    version = document.get("openapi")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise SettingsError(
            f"{path}: `openapi` is not 3.0.x or 3.1.x; convert other descriptions to that first"
        )
    offers, left_out = list[Offer](), list[LeftOut]()
    for found in _found(path, document):
        if isinstance(found, Offer):
            offers.append(found)
        else:
            left_out.append(found)
    if len(offers) + len(left_out) > MAX_OPERATIONS:
        raise SettingsError(f"{path}: has more than {MAX_OPERATIONS} operations")
    kept, refused = sort_out(offers)
    return kept, (*left_out, *refused)


def _found(path: str, document: Object) -> Iterator[Offer | LeftOut]:
    for template, item in _object(document.get("paths")).items():
        if not isinstance(template, str) or template.startswith("x-"):
            continue
        item = _path_item(path, document, template, item)
        for method in METHODS:
            if not isinstance(item.get(method), Mapping):
                continue
            operation = f"{method.upper()} {template}"
            if method == "trace":
                yield LeftOut(shown(operation), "TRACE is not forwarded")
            elif len(template) > _MAX_PATH or not _PATH.fullmatch(template):
                yield LeftOut(shown(operation), "its path is no plain path template")
            else:
                yield _offer(document, operation, item, item[method])


def _path_item(path: str, document: Object, template: str, item: Any) -> Object:
    reference = _object(item).get("$ref")
    if reference is None:
        return _object(item)
    found = _followed(document, item)
    if not found:
        raise SettingsError(
            f"{path}: {shown(template)} is said elsewhere ({shown(str(reference))}), "
            "which is not read; bundle the description into one file"
        )
    # Members beside a reference are the path's own (OpenAPI 3.1.1 §4.8.9.1).
    return {**found, **{name: value for name, value in item.items() if name != "$ref"}}


def _offer(document: Object, operation: str, item: Object, said: Object) -> Offer:
    name = said.get("operationId")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        method, _, template = operation.partition(" ")
        name = _NO_NAME.sub("_", f"{method.lower()}{template}").strip("_")
    parameters = [*_list(item.get("parameters")), *_list(said.get("parameters"))]
    return Offer(
        name,
        title=_text(said.get("summary")) or _text(item.get("summary")),
        description=_text(said.get("description")),
        arguments=tuple(dict.fromkeys(_arguments(document, parameters, said))),
        operation=operation,
        deprecated=said.get("deprecated") is True,
    )


def _arguments(document: Object, parameters: list[Any], said: Object) -> Iterator[str]:
    for parameter in parameters:
        name = _followed(document, parameter).get("name")
        if isinstance(name, str):
            yield name
    content = _object(_followed(document, said.get("requestBody")).get("content"))
    for media in list(content.values())[:1]:
        schema = _followed(document, _object(media).get("schema"))
        for part in (schema, *_list(schema.get("allOf"))):
            yield from map(str, _object(_followed(document, part).get("properties")))


def _followed(document: Object, value: Any) -> Object:
    """Return what a local reference leads to; nothing if it leads out, nowhere or in a circle."""
    for _ in range(_MAX_REFERENCES):
        reference = _object(value).get("$ref")
        if reference is None:
            return _object(value)
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return {}
        value = document
        for step in unquote(reference[2:]).split("/"):
            value = _object(value).get(step.replace("~1", "/").replace("~0", "~"))
    return {}


def _read(path: str, data: bytes) -> Object:
    try:
        if data.lstrip()[:1] == b"{":
            _check_size(path, data, MAX_JSON_BYTES, "JSON")
            return parse_object(data, max_integer=_LARGEST_INTEGER, max_depth=_MAX_DEPTH)
        _check_size(path, data, MAX_YAML_BYTES, "YAML; convert it to JSON")
        reader = YAML(typ="safe", pure=True)
        reader.Composer = _NoAliases
        return _object(reader.load(data.decode("utf-8-sig")))
    except MarkedYAMLError as exc:
        line = f":{exc.problem_mark.line + 1}" if exc.problem_mark else ""
        raise SettingsError(f"{path}{line}: {exc.problem}") from exc
    except MalformedMessage as exc:
        raise SettingsError(f"{path}: is not plain JSON ({exc.reason_code})") from exc
    except (YAMLError, ValueError, RecursionError) as exc:
        raise SettingsError(f"{path}: is neither YAML nor JSON that can be read") from exc


def _check_size(path: str, data: bytes, most: int, what: str) -> None:
    if len(data) > most:
        raise SettingsError(f"{path}: is longer than {most // 1024 // 1024} MiB of {what}")


def _object(value: Any) -> Object:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
