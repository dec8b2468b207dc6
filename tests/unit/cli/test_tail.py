"""What the newest records look like at a glance."""

from pathlib import Path

from tests.unit.cli.test_foreign import CommandLine, record_with, write


async def test_observed_calls_and_policies_can_be_told_at_a_glance(
    bailiwick: CommandLine, tmp_path: Path
) -> None:
    """House: observe mode is loud; a new policy is named."""
    seen = record_with("x")
    seen["decision"] = {"effect": "permit", "reasons": [], "observed": "deny"}
    loaded = {"time": "2026-11-24T09:00:00.000000Z", "monotonic_ns": 1, "revision": "2026.11.24-7"}
    ended = {**loaded, "call_id": "a-b", "status": "completed", "observed": "deny"}
    await write(tmp_path, ("intent", seen), ("policy.loaded", loaded), ("outcome", ended))
    done = bailiwick("evidence", "tail", "--folder", tmp_path)
    assert "permit (observed)" in done.out
    assert "2026.11.24-7" in done.out
    assert "completed (observed)" in done.out
