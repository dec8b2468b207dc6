"""What is wrong with a bundle, all at once: signature, Rego, and whether it loads.

A bundle that passes here loads in a gateway of this version; without OPA the types of the rules and
their format are not looked at, and the answer says so. Does not judge charters
(`bailiwick charter check`) and does not run tests (`rego_tests.py`).
"""

from dataclasses import dataclass
from pathlib import Path

from gateway.policy import manifest, opa_tool, signature
from gateway.policy.builtins import Finding, findings
from gateway.policy.bundle import Bundle, load, read_files
from gateway.policy.files import sources
from gateway.policy.rego import Rego
from gateway.policy.signature import Verify


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found."""

    findings: tuple[Finding, ...]
    bundle: Bundle | None
    """None when the rules are such that it was not loaded."""
    not_checked: tuple[str, ...]
    """What nobody looked at, as sentences."""


def check(path: Path, verify: Verify | None = None, binary: str | None = None) -> Checked:
    """Check a bundle as a whole.

    Args:
        path: a folder or an archive.
        verify: checks its signature; without it a signature is not looked at.
        binary: where OPA is, if it is anywhere.

    Raises:
        BundleError: the bundle cannot be used, for a reason other than what its rules do.
    """
    files, _ = read_files(path, everything=verify is not None)
    if verify is not None:
        signature.check(files, verify)
    own = sources(files)
    read = Rego(own, manifest.read(own))
    found = [*findings(read.trees(tests=False)), *findings(read.trees(tests=True))]
    skipped = []
    if binary is None:
        skipped.append("strict compilation, types and format: they need OPA")
    else:
        with opa_tool.on_copy(binary, own) as tool:
            found += [*tool.check(), *tool.unformatted()]
            if not tool.has_schema:
                skipped.append(f"the types of the input: there is no {opa_tool.SCHEMA}")
    bundle = None if found else load(path, verify)
    return Checked(tuple(dict.fromkeys(found)), bundle, tuple(skipped))
