"""The house keeps its floors: who may import whom, and which room may import which package."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gateway"
MODULES = sorted(PACKAGE.rglob("*.py"))

FLOORS: list[set[str]] = [
    {"core"},
    {"wire", "ports", "settings", "background"},
    {"policy", "identity", "ledger", "evidence", "upstream", "checks"},
    {"exchange"},
    {"pipeline"},
    {"wiring", "forensics", "starter"},
    {"app", "console", "demo", "witness"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

ROOMS_OF_PACKAGES = {
    "aiohttp": {"policy"},
    "backports": {"evidence"},
    "cedarpy": {"policy"},
    "cryptography": {"core", "evidence", "identity"},
    "granian": {"app"},
    "httpx": {"evidence", "identity"},
    "httpx2": {"demo"},
    "jwt": {"identity"},
    "mcp": {"demo"},
    "mcp_types": {"demo"},
    "msgspec": {"settings"},
    "obstore": {"evidence"},
    "opa_client": {"policy"},
    "orjson": {"core"},
    "prometheus_client": {"app"},
    "pydantic": {"demo"},
    "pyqwest": {"upstream"},
    "regorus": {"policy"},
    "rfc8785": {"core"},
    "rich": {"cli"},
    "ruamel": {"policy"},
    "spiffe": {"identity"},
    "starlette": {"demo"},
    "typer": {"cli"},
    "uvicorn": {"demo"},
}
"""Each third-party package is imported in one room, but for two that several rooms stand on:
cryptography (core checks signatures, evidence and identity hold keys of their own) and httpx, the
control plane's client (issuers' keys, witnesses)."""
EVERYWHERE = {"anyio"}
"""How every room waits, as the standard library is how every room counts."""

PURE = {"core", "wire"}
IMPURE = {
    "asyncio", "http", "io", "logging", "os", "pathlib", "random", "secrets", "shutil",
    "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib.request",
}  # fmt: skip


def room_of(path: Path) -> str:
    """Return the room that a module belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def is_module(name: str) -> bool:
    """Return whether this dotted name is a module of ours."""
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports_of(path: Path) -> set[str]:
    """Return every module that this one imports, anywhere in its text."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            found |= {base} - {"gateway"}
            if base.startswith("gateway"):
                # `from package import module` reaches the module, not only its package.
                found |= {f"{base}.{a.name}" for a in node.names if is_module(f"{base}.{a.name}")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_floors_below_its_own(path: Path) -> None:
    """House: design §3."""
    room = room_of(path)
    for name in imports_of(path):
        if not name.startswith("gateway."):
            continue
        other = name.split(".")[1]
        assert other == room or FLOOR[other] < FLOOR[room], f"{room} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_third_party_package_is_imported_in_its_own_room_only(path: Path) -> None:
    """House: design §3; a package that is not listed is not expected at all."""
    for name in imports_of(path):
        top = name.split(".")[0]
        if top not in {"gateway", *EVERYWHERE, *sys.stdlib_module_names}:
            assert room_of(path) in ROOMS_OF_PACKAGES[top], f"{top} in {room_of(path)}"


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if room_of(path) in PURE],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_core_and_wire_reach_for_nothing_outside(path: Path) -> None:
    """House: no I/O, no clock, no randomness, no logging below the adapters."""
    names = imports_of(path)
    assert not {*names, *(name.split(".")[0] for name in names)} & IMPURE


READERS = {"verify", "report", "chain", "segments"}
"""What the verifier shares with nobody, or only reads with; nothing that writes records."""


def test_the_verifier_trusts_core_only() -> None:
    """House: an auditor shares only the formats with the writer."""
    seen, waiting = set(), ["gateway.evidence.verify"]
    while waiting:
        name = waiting.pop()
        if name in seen or name.startswith("gateway.core"):
            continue
        seen.add(name)
        assert name.startswith("gateway.evidence"), name
        path = PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")
        assert name.rpartition(".")[0] != "gateway.evidence" or path.stem in READERS, name
        waiting += [name for name in imports_of(path) if name.startswith("gateway.")]
    assert len(seen) > 1
