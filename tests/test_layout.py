"""The house stays small: files, functions and docstrings, measured."""

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "gateway").rglob("*.py"))
SMALL = sorted([*(ROOT / "rego").rglob("*.rego"), *(ROOT / "addons").rglob("*.py")])


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return every function of a module, methods included."""
    tree = ast.walk(ast.parse(path.read_text("utf-8")))
    return [node for node in tree if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return a function's lines without its docstring."""
    docstring = ast.get_docstring(node, clean=False)
    return (node.end_lineno or 0) - node.lineno + 1 - (docstring or "").count("\n")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short_and_says_what_it_is(path: Path) -> None:
    """House: style §2; 500 lines is a hard stop."""
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 500
    assert ast.get_docstring(ast.parse(text))
    assert all(length(node) <= 80 for node in functions(path))


def test_modules_and_functions_are_short_in_the_median() -> None:
    """House: style §2."""
    assert statistics.median(len(path.read_text().splitlines()) for path in MODULES) <= 150
    assert statistics.median(length(node) for path in MODULES for node in functions(path)) <= 10


@pytest.mark.parametrize("path", SMALL, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_rule_or_an_addon_fits_on_two_screens(path: Path) -> None:
    """House: style §2."""
    assert len(path.read_text("utf-8").splitlines()) <= 120


def test_there_is_no_drawer() -> None:
    """House: style §4.3; one noun a module."""
    drawers = {"utils", "util", "helpers", "common", "manager", "base", "misc"}
    assert not {path.stem for path in MODULES} & drawers


def test_there_are_no_import_cycles() -> None:
    """House: a cycle-free tree can be read from top to bottom."""
    from tests.test_floors import imports_of

    names = {_module_name(path): path for path in MODULES}
    graph = {name: imports_of(path) & names.keys() for name, path in names.items()}
    while graph:
        leaves = {name for name, needs in graph.items() if not needs & graph.keys()}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {name: needs for name, needs in graph.items() if name not in leaves}


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
