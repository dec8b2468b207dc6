"""One pass over one record: every text of it is looked at, each in the way that its place needs.

What the gateway made itself is left out by name (`_MADE`), so that a member nobody thought of is
swept rather than shown. Subjects and ids look random and identify, so they are searched for shapes
of credentials only. Does not decide how often a record is read (`redaction.py`).
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from gateway.core import sweep
from gateway.core.answers import body
from gateway.core.blotter import Blotter, hides, unescaped
from gateway.core.marks import ToolMarks

Path = tuple[str, ...]
_MADE: Final = frozenset({
    ("v",), ("seq",), ("prev",), ("kind",), ("time",), ("monotonic_ns",), ("call_id",),
    ("decision",), ("approval",), ("credential",), ("timings",), ("status",), ("digest",),
    ("body_digest",), ("blob",),
    ("identity", "scheme"), ("identity", "kid"), ("identity", "alg"), ("identity", "token_digest"),
    ("identity", "proof"), ("identity", "cnf"), ("identity", "certificate"), ("identity", "flags"),
    ("identity", "transaction", "token_digest"), ("input", "subject", "proof"),
    ("input", "subject", "flags"),
    ("request", "source"), ("request", "upstream"), ("request", "body_digest"),
    ("request", "forwarded_digest"),
    ("call", "protocol"), ("call", "era"), ("call", "resource_type"), ("call", "definition_digest"),
    ("input", "version"), ("input", "resource", "type"), ("input", "action", "protocol"),
    ("input", "context", "time"), ("input", "context", "call_id"), ("input", "context", "source"),
    ("input", "context", "approval"),
})  # fmt: skip
_IDENTIFYING: Final = frozenset({("identity",), ("input", "subject")})
_ROUTING: Final = frozenset({
    ("system",), ("tool",), ("request", "system"), ("request", "method"), ("call", "action"),
    ("input", "action"), ("input", "resource", "system"),
})  # fmt: skip
"""What a call was about: a secret that happens to be called `read` must not take that away."""
_ARGUMENTS: Final = frozenset({
    ("input", "resource", "arguments"), ("call", "arguments"), ("arguments",),
})  # fmt: skip
_VALUES: Final = frozenset(
    {("correlation",), ("call", "rpc_id"), ("call", "meta"), ("call", "other")}
)
"""Where a whole value may be replaced by an object, as in arguments."""
_NAMES: Final = frozenset({("call", "name"), ("input", "resource", "name")})
_MIN_QUERY_ECHO: Final = 8
_ENCODED: Final = re.compile(r"=\?base64\?([A-Za-z0-9+/=_-]*)\?=")


class Pass:
    """Redacts one record with one blotter."""

    def __init__(self, blotter: Blotter, marks: ToolMarks, fields: Mapping[str, Any]) -> None:
        self._blotter, self._marks, self._fields = blotter, marks, fields
        self._located = is_located(fields)

    def redacted(self) -> Mapping[str, Any]:
        """Return the fields without their secrets.

        Raises:
            TooMany: there are more secrets than can be followed.
        """
        return dict(self._at((), self._fields))

    def _at(self, path: Path, value: Any) -> Any:
        if path in _MADE:
            return value
        if change := self._special(path):
            return change(value)
        if isinstance(value, Mapping):
            named = {name: self._at((*path, name), item) for name, item in value.items()}
            new = {self._text(path, name): item for name, item in named.items()}
            same = list(new) == list(value) and all(new[name] is value[name] for name in value)
            return value if same else new
        if isinstance(value, list):
            items = [self._at(path, item) for item in value]
            return value if all(a is b for a, b in zip(items, value, strict=True)) else items
        return self._leaf(path, value)

    def _special(self, path: Path) -> Callable[[Any], Any] | None:
        if path in _ARGUMENTS:
            return self._arguments
        if path in _NAMES:
            return lambda value: (
                self._target(value) if self._located else self._blotter.value(value)
            )
        if path in _VALUES:
            return self._blotter.value
        if path in (("request", "headers"), ("headers",)):
            return self._headers
        if path == ("request", "target"):
            return self._target
        if path == ("body",):
            return lambda value: body(self._blotter, self._marks, value)
        return None

    def _leaf(self, path: Path, value: Any) -> Any:
        if not isinstance(value, str) or not value:
            return value
        if _within(path, _IDENTIFYING) and any(sweep.names_secret(name) for name in path):
            return self._blotter.whole_text(value, "credential")
        return self._text(path, value)

    def _text(self, path: Path, text: str) -> str:
        echoes = not _within(path, _IDENTIFYING | _ROUTING)
        return self._blotter.text(text, echoes, entropy=not _within(path, _IDENTIFYING))

    def _arguments(self, arguments: Any) -> Any:
        new = self._blotter.value(arguments, marks=self._marks.arguments)
        if not (self._located and isinstance(arguments, Mapping) and isinstance(new, Mapping)):
            return new
        uri = self._target(arguments.get("uri"))
        return new if uri == new.get("uri") else {**new, "uri": uri}

    def _headers(self, headers: Any) -> Any:
        if not isinstance(headers, Mapping):
            return self._blotter.value(headers)
        new = {
            self._blotter.text(name): self._header(name.lower(), value)
            for name, value in headers.items()
        }
        return headers if new == headers else new

    def _header(self, name: str, value: Any) -> Any:
        """Redact a header; `Mcp-Param-*` repeat arguments, of which some can be marked."""
        if not isinstance(value, str):
            return self._blotter.value(value)
        parameter = name.startswith("mcp-param-")
        if sweep.names_secret(name) or (parameter and self._marks.arguments):
            return self._blotter.whole_text(value, "secret" if parameter else "credential")
        look = self._target if self._located and name == "mcp-name" else self._blotter.value
        said = _decoded(value)
        if said != value and look(said) != said:
            return self._blotter.whole_text(value, "secret")
        return look(value)

    def _target(self, target: Any) -> Any:
        """Redact what a query and a fragment say: which of it is secret, nobody can tell."""
        if not isinstance(target, str):
            return self._blotter.value(target)
        start = re.search(r"[?#]", target)
        if not start:
            return self._blotter.text(target)
        pieces = re.split(r"([?#&])", target[start.start() :])
        hidden = "".join(
            piece if index % 2 else self._query_piece(piece) for index, piece in enumerate(pieces)
        )
        new = self._blotter.text(target[: start.start()]) + hidden
        if new == target:
            return target
        if self._located:
            self._blotter.note(target, "secret")
        return new

    def _query_piece(self, piece: str) -> str:
        name, equals, value = piece.partition("=")
        if not equals:
            name, value = "", piece
        hidden = self._blotter.whole_text(value, "secret", min_echo=_MIN_QUERY_ECHO)
        return self._blotter.text(name) + equals + hidden


def is_located(fields: Mapping[str, Any]) -> bool:
    """Say whether the call names a resource, by a URI."""
    call = fields.get("call")
    return isinstance(call, Mapping) and call.get("resource_type") == "resource"


def searched(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield every text in which an echo would be replaced."""
    yield from _searched((), fields)


def _searched(path: Path, value: Any) -> Iterator[str]:
    if path in _MADE or path in _IDENTIFYING or path in _ROUTING:
        return
    if path in _ARGUMENTS or path in _VALUES:
        yield json.dumps(value, ensure_ascii=False)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield name
            yield from _searched((*path, name), item)
    elif isinstance(value, list):
        for item in value:
            yield from _searched(path, item)
    elif isinstance(value, str):
        yield value
        if hides(value):
            yield unescaped(value)


def _within(path: Path, places: frozenset[Path]) -> bool:
    return path[:1] in places or path[:2] in places or path[:3] in places


def _decoded(value: str) -> str:
    """Return what a header says, if it says it in MCP's base64 form."""
    match = _ENCODED.fullmatch(value.strip())
    if not match:
        return value
    try:
        return base64.b64decode(match[1], validate=True).decode("utf-8", "replace")
    except ValueError:
        return value
