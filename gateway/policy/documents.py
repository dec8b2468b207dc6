"""The YAML of a bundle (charters, catalogue) as plain JSON values that know where they stand.

Only what JSON can say, and says alike to every engine, passes: no aliases, no tags, no duplicate
keys, no directives, no instants (they stay the text that was written), a bounded length. What does
not pass is named with its line.
Does not judge what a document says.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.tokens import AliasToken

from gateway.core.canonical import canonical, parse_object
from gateway.core.errors import BundleError, MalformedMessage

MAX_LENGTH: Final = 1024 * 1024
"""Longest document, in characters; reading one takes some seconds (measured: 200 KB a second)."""

_DIRECTIVE: Final = re.compile(r"(?:\A\ufeff?|(?<=[\r\n\x85\u2028\u2029]))%")
"""YAML has other ends of lines than Python's `^`, and passes over a byte order mark."""
_CORE: Final = "tag:yaml.org,2002:"
_VALUES: Final = {f"{_CORE}{name}" for name in ("bool", "int", "float", "null")}
_SHOWN: Final = 40
_TEXTS: Final = {f"{_CORE}{name}" for name in ("str", "timestamp", "value")}
"""A timestamp stays the text that was written, as JSON has no instants."""
_SAID_BETTER: Final = {
    "cannot start any token": "has a tab or a sign where a value begins; indent with spaces",
    "but found another document": "begins a second document; a file holds one",
    "undefined alias": "has an alias (*); write the value out",
    "duplicate anchor": "has an anchor (&) twice; write the values out",
}


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document."""

    path: str
    """Of its file, inside the bundle."""
    value: dict[str, Any]
    text: str = field(default="", repr=False)
    """As it was written, for `line`."""

    def line(self, where: Sequence[str]) -> int:
        """Return the line (from 1) of a member, or of the nearest part around it that exists.

        Args:
            where: names of members and numbers of list entries, from the outside in.
        """
        node, line = _composed(self.text), 1
        for name in where:
            found = _inside(node, name)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        return line


def read(path: str, text: str) -> Document:
    """Read one YAML document that is a set of members.

    Raises:
        BundleError: naming the path and, where it is known, the line.
    """
    if len(text) > MAX_LENGTH:
        raise BundleError(f"{path}: is longer than {MAX_LENGTH} characters")
    if found := _DIRECTIVE.search(text):
        # `%YAML 1.1` would make `no` mean false, and 010 eight.
        at = text.count("\n", 0, found.start()) + 1
        raise BundleError(f"{path}:{at}: has a directive (%); leave it out")
    try:
        return Document(path, _plain(path, text), text)
    except MarkedYAMLError as exc:
        line = f":{exc.problem_mark.line + 1}" if exc.problem_mark else ""
        raise BundleError(f"{path}{line}: {_better(str(exc.problem))}") from exc
    except ReaderError as exc:
        at = text.count("\n", 0, exc.position) + 1
        raise BundleError(f"{path}:{at}: has a character that YAML does not allow") from exc
    except YAMLError as exc:
        raise BundleError(f"{path}: is not YAML") from exc
    except MalformedMessage as exc:
        raise BundleError(f"{path}: cannot be said in JSON ({exc.message})") from exc
    except RecursionError as exc:
        raise BundleError(f"{path}: is nested too deeply") from exc
    except ValueError as exc:
        # An escape of a character that does not exist, which ruamel passes to `chr`.
        raise BundleError(f"{path}: is not YAML ({exc})") from exc


class Memory:
    """The documents read last, so that only those that changed are read again.

    Reading is nearly all of what loading a large bundle takes. A document is taken from here only
    for the same path and the very same text; what is kept is one bundle's, never more.
    """

    def __init__(self) -> None:
        self._known: Mapping[str, Document] = {}

    def read(self, texts: Mapping[str, str]) -> dict[str, Document]:
        """Return a document for each text, by path.

        Raises:
            BundleError: see `read`; what was known is kept.
        """
        known, found = self._known, {}
        for path, text in texts.items():
            old = known.get(path)
            found[path] = old if old is not None and old.text == text else read(path, text)
        self._known = found
        return dict(found)


def _plain(path: str, text: str) -> dict[str, Any]:
    node = _reader().compose(text)
    if not isinstance(node, MappingNode):
        raise BundleError(f"{path}: is not a set of members; begin with `name: value`")
    value = _Plain(path, text).value(node)
    # Through JSON: every engine gets the values that an exact reader of them accepts.
    return parse_object(canonical(value))


class _Plain:
    """Makes values of the nodes of one document."""

    def __init__(self, path: str, text: str) -> None:
        self._path, self._text = path, text
        self._construct = _reader().constructor
        self._seen: set[int] = set()

    def value(self, node: Node) -> Any:
        if id(node) in self._seen:
            raise self._wrong(_alias_line(self._text), "has an alias (*); write the value out")
        self._seen.add(id(node))
        if isinstance(node, MappingNode) and node.tag == f"{_CORE}map":
            return self._members(node)
        if isinstance(node, SequenceNode) and node.tag == f"{_CORE}seq":
            return [self.value(item) for item in node.value]
        if isinstance(node, ScalarNode) and node.tag in _TEXTS:
            return node.value
        if isinstance(node, ScalarNode) and node.tag in _VALUES:
            return self._scalar(node)
        raise self._wrong(_line(node), f"has a tag ({node.tag}); only plain values have a place")

    def _members(self, node: MappingNode) -> Mapping[str, Any]:
        members: dict[str, Any] = {}
        for key, item in node.value:
            name = self.value(key)
            if not isinstance(name, str):
                raise self._wrong(_line(key), "the name of a member must be a text; quote it")
            if name in members:
                raise self._wrong(_line(key), f"`{name}` is said twice; keep one of them")
            members[name] = self.value(item)
        return members

    def _scalar(self, node: ScalarNode) -> Any:
        try:
            value = self._construct.construct_object(node)
            canonical([value])
        except (MalformedMessage, ValueError, OverflowError, LookupError) as exc:
            said = node.value if len(node.value) <= _SHOWN else f"{node.value[:_SHOWN]}..."
            raise self._wrong(
                _line(node), f"`{said}` is a number that JSON readers do not agree on"
            ) from exc
        return value

    def _wrong(self, line: int, what: str) -> BundleError:
        return BundleError(f"{self._path}:{line}: {what}")


def _inside(node: Node | None, name: str) -> tuple[Node, Node] | None:
    """Return where a member or an entry begins, and its value."""
    if isinstance(node, MappingNode):
        return next(((key, value) for key, value in node.value if key.value == name), None)
    if isinstance(node, SequenceNode) and name.isdecimal() and int(name) < len(node.value):
        return (node.value[int(name)],) * 2
    return None


@lru_cache(maxsize=8)
def _composed(text: str) -> Node | None:
    # Faults come file by file; nodes are large, so only those of the last few files are kept.
    root: Node | None = _reader().compose(text)
    return root


def _alias_line(text: str) -> int:
    found = (token for token in _reader().scan(text) if isinstance(token, AliasToken))
    return next((token.start_mark.line + 1 for token in found), 1)


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _better(problem: str) -> str:
    return next((said for part, said in _SAID_BETTER.items() if part in problem), problem)


def _reader() -> YAML:
    reader = YAML(typ="safe", pure=True)
    reader.Constructor = SafeConstructor
    return reader
