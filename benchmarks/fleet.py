"""Bundles for many agents, made from the shipped one: each agent has a charter of its own.

Either as a folder of YAML, to measure loading, or as a value, to measure deciding without it.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gateway.core.canonical import dumps
from gateway.policy.bundle import Bundle, load, shipped_bundle

MODEL: Final = "billing-agent"
"""The shipped charter that every agent's is made from."""
CALLERS: Final = 50
"""How many of the agents call."""

Charters = dict[str, dict[str, Any]]


def subject(number: int) -> str:
    """Return the subject of an agent."""
    return f"spiffe://bailiwick.example/agent/{number:05}"


def charters(agents: int) -> Charters:
    """Return one charter an agent; no two say the same bounds."""
    model = load(shipped_bundle()).charters[MODEL]
    made = {}
    for number in range(agents):
        charter = json.loads(json.dumps(model))
        charter["subject"] = subject(number)
        for entry in charter["systems"]["company"]["allow"]:
            if "amount" in entry.get("arguments", {}):
                entry["arguments"]["amount"]["lte"] = 500 + number
        made[f"agent-{number:05}"] = charter
    return made


def in_memory(agents: int) -> Bundle:
    """Return the bundle as a value; the shipped charters stay, as its self-tests need them."""
    shipped = load(shipped_bundle())
    data, made = json.loads(shipped.data), charters(agents)
    for name, charter in made.items():
        data["charters"][name] = {**charter, "faults": []}
        data["subjects"][charter["subject"]] = name
    return replace(
        shipped,
        data=dumps(data),
        charters={**shipped.charters, **made},
        faults={**shipped.faults, **dict.fromkeys(made, ())},
    )


def on_disk(agents: int, folder: Path) -> Path:
    """Write the bundle as people would, and return its folder."""
    shutil.copytree(shipped_bundle(), folder)
    text = (folder / "charters" / f"{MODEL}.yaml").read_text("utf-8")
    model = load(folder).charters[MODEL]["subject"]
    for number in range(agents):
        own = text.replace(model, subject(number)).replace("lte: 500", f"lte: {500 + number}")
        (folder / "charters" / f"agent-{number:05}.yaml").write_text(own, "utf-8")
    return folder


def as_opa_reads(bundle: Bundle, folder: Path) -> Path:
    """Write the bundle as an OPA sidecar loads it, and return its folder."""
    for path, source in bundle.policies:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(source, "utf-8")
    (folder / "data.json").write_bytes(bundle.data)
    shutil.copy(shipped_bundle() / ".manifest", folder)
    return folder


def asked(agents: int) -> list[bytes]:
    """Return inputs of four kinds by each of some agents, who lie far apart in the data."""
    tests = load(shipped_bundle()).self_tests
    known: Mapping[str, Any] = json.loads(next(t for t in tests if t.effect == "permit").document)
    calls: list[tuple[str, Any]] = [
        ("list_invoices", {"status": "open"}),
        ("read_file", {"path": "invoices/2026/1.txt"}),
        ("refund_payment", {"amount": 5, "currency": "EUR"}),
        ("refund_payment", {"amount": 10**6, "currency": "EUR"}),
    ]
    step = max(1, agents // CALLERS)
    return [
        dumps(
            {
                **known,
                "subject": {**known["subject"], "id": subject(number)},
                "resource": {**known["resource"], "name": name, "arguments": arguments},
            }
        )
        for name, arguments in calls
        for number in range(0, agents, step)
    ]
