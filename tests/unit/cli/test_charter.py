"""`bailiwick charter`: what people read, and what machines read."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.policy.bundle import shipped_bundle
from tests.unit.cli.conftest import CommandLine

VECTORS = Path(__file__).parents[2] / "vectors" / "charters"
BILLING = "charters/billing-agent.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the shipped bundle."""
    return Path(shutil.copytree(shipped_bundle(), tmp_path / "policy"))


def edit(folder: Path, path: str, old: str, new: str) -> None:
    """Replace some text of a file, which must be there."""
    text = (folder / path).read_text("utf-8")
    assert old in text
    (folder / path).write_text(text.replace(old, new, 1), "utf-8")


def line_of(folder: Path, path: str, part: str) -> int:
    """Return the line of a file that holds some text first."""
    lines = (folder / path).read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if part in line)


def vector(folder: Path, name: str) -> str:
    """Put a charter of the vectors and its systems into a bundle, in place of those it has."""
    for part in ("charters", "systems"):
        shutil.rmtree(folder / part)
    shutil.copytree(VECTORS / "systems", folder / "systems")
    (folder / "charters").mkdir()
    shutil.copy(VECTORS / f"{name}.yaml", folder / "charters")
    return name


# --- check ---


def test_check_of_complete_charters_says_so_and_ends_well(
    bailiwick: CommandLine, folder: Path
) -> None:
    """Issue: `charter check` says what is missing, and here nothing is."""
    done = bailiwick("charter", "check", folder)
    assert done.status == 0
    assert "billing-agent: complete, owner " in done.out


@pytest.mark.parametrize("name", ["missing-owner", "backwards-hours", "payment-without-approver"])
def test_check_names_each_fault_with_file_and_line(
    bailiwick: CommandLine, folder: Path, name: str
) -> None:
    """Issue: each fault in one plain sentence with file and line."""
    vector(folder, name)
    done = bailiwick("charter", "check", folder)
    expected = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))["faults"]
    assert done.status == 1
    for fault in expected:
        place = f"{folder / 'charters' / name}.yaml:{fault['line']}"
        assert f"  {place}: {fault['sentence']} ({fault['code']})\n" in done.out
    assert f"{name}: incomplete" in done.out


def test_check_of_an_expired_charter_says_so_and_fails(
    bailiwick: CommandLine, folder: Path
) -> None:
    """Issue: expired? It denies everything, though nothing is wrong with it else."""
    vector(folder, "expired")
    done = bailiwick("charter", "check", folder)
    assert done.status == 1
    assert "expired: expired, owner finance-platform; it denies everything" in done.out
    assert "expired.yaml:5: warning: the charter expired on 2025-06-30T00:00:00Z" in done.out


def test_warnings_alone_do_not_fail_the_check(bailiwick: CommandLine, folder: Path) -> None:
    """House: a warning changes nothing, so that it can be left standing."""
    edit(folder, BILLING, "impacts: [payment]", "impacts: [payment]\n    tools: [refund_payment]")
    path = folder / BILLING
    more = "  - {impacts: [access], approvers: x, count: 1, expires_seconds: 5}\n\nevidence:"
    path.write_text(path.read_text("utf-8").replace("\nevidence:", more, 1), "utf-8")
    done = bailiwick("charter", "check", folder)
    assert done.status == 0
    assert "warning: `approvals.1` fits no tool" in done.out


@pytest.mark.parametrize("name", ["duplicate-key", "tab", "alias"])
def test_a_charter_that_cannot_be_read_is_named_with_its_line(
    bailiwick: CommandLine, folder: Path, name: str
) -> None:
    """Issue: a load error has its line too; exit status 2."""
    vector(folder, name)
    done = bailiwick("charter", "check", folder)
    expected = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))["unreadable"]
    assert done.status == 2
    assert expected in done.err


def test_check_as_json_holds_state_faults_and_warnings(
    bailiwick: CommandLine, folder: Path
) -> None:
    """House: what people read, machines can read."""
    vector(folder, "missing-owner")
    done = bailiwick("charter", "check", folder, "--json")
    charters = json.loads(done.out)["charters"]
    assert charters["missing-owner"] == {
        "file": "charters/missing-owner.yaml",
        "state": "incomplete",
        "faults": [
            {
                "code": "member_missing",
                "where": "owner",
                "sentence": "`owner` is missing; say who answers for the agent.",
                "line": 1,
            }
        ],
        "warnings": [],
    }


@pytest.mark.parametrize("name", ["charter", "system", "input"])
def test_schema_prints_the_shipped_schema(bailiwick: CommandLine, name: str) -> None:
    """Issue: JSON Schema for editors."""
    done = bailiwick("charter", "schema", name)
    text = (shipped_bundle() / "schemas" / f"{name}.json").read_text("utf-8")
    assert json.loads(done.out) == json.loads(text)


def test_schema_of_something_else_is_a_usage_error(bailiwick: CommandLine) -> None:
    """House: exit status 2 for usage."""
    assert bailiwick("charter", "schema", "evidence").status == 2


# --- show ---


@pytest.mark.parametrize("agent", ["billing-agent", "spiffe://bailiwick.example/agent/billing"])
def test_show_lists_what_the_agent_may_touch(
    bailiwick: CommandLine, folder: Path, agent: str
) -> None:
    """Issue: what this agent may touch, as a table."""
    done = bailiwick("charter", "show", agent, "--bundle", folder)
    assert done.status == 0
    assert "owner finance-platform, environment production, expires in " in done.out
    assert "refund_payment" in done.out
    assert "amount from 0 to 500" in done.out
    assert "delete_customer" not in done.out
    assert "denied (--all lists them)" in done.out


def test_show_all_lists_denied_tools_with_the_reason(bailiwick: CommandLine, folder: Path) -> None:
    """House: why not, beside what."""
    done = bailiwick("charter", "show", "billing-agent", "--all", "--bundle", folder)
    assert "denied: a deny entry" in done.out
    assert "denied: no allow entry" in done.out
    assert "--all lists them" not in done.out


def test_show_says_limits_hours_and_flows_in_words(bailiwick: CommandLine, folder: Path) -> None:
    """Issue: charters that say the whole boundary, so the whole is shown."""
    name = vector(folder, "complete")
    done = bailiwick("charter", "show", name, "--bundle", folder)
    assert "60 calls a minute, 500 a session" in done.out
    assert "mon-fri 08:00-18:00 UTC; sat 20:00-24:00 UTC" in done.out
    assert "after mail data was read, everything of documents: denied" in done.out
    assert "OBSERVED: " in done.out


def test_show_as_json_is_a_row_a_tool(bailiwick: CommandLine, folder: Path) -> None:
    """House: a stable form for machines."""
    done = bailiwick("charter", "show", "billing-agent", "--bundle", folder, "--json")
    document = json.loads(done.out)
    row = next(tool for tool in document["tools"] if tool["tool"] == "refund_payment")
    assert document["in_force"] is True
    assert row == {
        "system": "company",
        "tool": "refund_payment",
        "effect": "write",
        "impacts": ["payment"],
        "domain": "finance",
        "outward": row["outward"],
        "untrusted": row["untrusted"],
        "bounds": [{"amount": {"gte": 0, "lte": 500}, "currency": {"in": ["EUR", "USD"]}}],
        "decision": "hold",
        "code": "approval_required",
        "approval": {"approvers": "finance-leads", "count": 1, "expires_seconds": 900},
        "because": "approvals.0",
        "line": line_of(folder, BILLING, "- impacts: [payment]"),
    }


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [("owner: ", "# ", "INCOMPLETE"), ("expires: 2027", "expires: 2020", "EXPIRED")],
)
def test_show_of_a_charter_that_denies_everything_says_so_and_fails(
    bailiwick: CommandLine, folder: Path, old: str, new: str, says: str
) -> None:
    """House: a table of permissions that do not hold must not look like one."""
    edit(folder, BILLING, old, new)
    done = bailiwick("charter", "show", "billing-agent", "--bundle", folder)
    assert done.status == 1
    assert f"{says}: it denies everything" in done.out


def test_show_of_nobody_names_the_charters_there_are(bailiwick: CommandLine, folder: Path) -> None:
    """House: a failure says what to do."""
    done = bailiwick("charter", "show", "nobody", "--bundle", folder)
    assert done.status == 2
    assert "billing-agent" in done.err


# --- explain ---


def explained(
    bailiwick: CommandLine, folder: Path, *arguments: str, agent: str = "billing-agent"
) -> dict[str, Any]:
    """Return what `charter explain --json` says, with its exit status."""
    done = bailiwick("charter", "explain", agent, *arguments, "--bundle", folder, "--json")
    document: dict[str, Any] = json.loads(done.out)
    return {**document, "status": done.status}


def codes(answer: dict[str, Any]) -> list[str]:
    """Return the reason codes of an explanation."""
    return [reason["code"] for reason in answer["reasons"]]


def words(answer: dict[str, Any]) -> list[str]:
    """Return the words of the clauses of an explanation."""
    return [clause["words"] for reason in answer["reasons"] for clause in reason["clauses"]]


def test_explain_names_the_allow_entry_of_a_permit(bailiwick: CommandLine, folder: Path) -> None:
    """Issue: `charter explain AGENT TOOL [ARGS]`."""
    answer = explained(bailiwick, folder, "list_invoices")
    assert (answer["effect"], answer["status"]) == ("permit", 0)
    assert answer["reasons"][0]["clauses"][0]["file"] == BILLING
    assert answer["reasons"][0]["clauses"][0]["line"] == line_of(folder, BILLING, "list_invoices")


def test_explain_names_exactly_the_bounds_that_broke(bailiwick: CommandLine, folder: Path) -> None:
    """House: the engine itself says which bound, so the words cannot differ from the decision."""
    arguments = '{"amount": 900, "currency": "EUR"}'
    answer = explained(bailiwick, folder, "company/refund_payment", arguments)
    assert (answer["effect"], answer["status"]) == ("deny", 1)
    assert codes(answer) == ["argument_out_of_bounds"]
    assert words(answer) == ["amount at most 500, but it is 900"]
    clause = answer["reasons"][0]["clauses"][0]
    assert clause["line"] == line_of(folder, BILLING, "amount: ")
    assert answer["needed"] == ["arguments that keep every bound of one allow entry"]


def test_explain_of_a_hold_says_whose_word_is_needed(bailiwick: CommandLine, folder: Path) -> None:
    """Design §2: a hold waits for people."""
    answer = explained(bailiwick, folder, "refund_payment", '{"amount": 9, "currency": "EUR"}')
    assert (answer["effect"], answer["status"]) == ("hold", 1)
    assert answer["needed"] == ["the word of 1 of finance-leads within 15 min"]


def test_explain_of_a_permit_names_the_entry_that_fits(
    bailiwick: CommandLine, folder: Path
) -> None:
    """Any allow entry may permit; the others are not the reason."""
    entry = "- tools: [read_file]\n        effects: [read]\n        arguments: {path: {eq: x}}"
    edit(folder, BILLING, "- tools: [read_file]", f"{entry}\n      - tools: [read_file]")
    answer = explained(bailiwick, folder, "read_file", '{"path": "x"}')
    assert words(answer) == ["allows read_file: path is x"]


@pytest.mark.parametrize(
    ("tool", "options", "code", "says"),
    [
        ("delete_customer", [], "tool_denied", "denies tools delete_customer"),
        ("company/nothing", [], "tool_unclassified", "the tools of the system"),
        ("grant_access", [], "tool_not_allowed", "grant_access has the effect escalate"),
        ("list_invoices", ["--calls", "61"], "rate_limited", "limits calls_per_minute: 60"),
        (
            "list_invoices",
            ["--time", "2030-01-01T00:00:00Z"],
            "charter_expired",
            "expires: 2027-11-30T00:00:00Z",
        ),
    ],
)
def test_explain_names_the_clause_of_a_denial(
    bailiwick: CommandLine, folder: Path, tool: str, options: list[str], code: str, says: str
) -> None:
    """House: each reason in words, with the charter's clause."""
    answer = explained(bailiwick, folder, tool, *options)
    assert (answer["effect"], answer["status"]) == ("deny", 1)
    assert code in codes(answer)
    assert says in words(answer)
    assert answer["needed"]


def test_explain_shows_a_flow_at_work(bailiwick: CommandLine, folder: Path) -> None:
    """Issue: taint flow, tried out before the first call."""
    path = folder / BILLING
    flow = (
        "flows:\n  - {after: {domains: [identity], untrusted_input: true}, "
        "to: {tools: [export_invoices]}, deny: true}\n"
    )
    path.write_text(path.read_text("utf-8") + flow, "utf-8")
    assert explained(bailiwick, folder, "export_invoices")["effect"] == "permit"
    for option in (["--after-reading", "identity"], ["--untrusted-input"]):
        answer = explained(bailiwick, folder, "export_invoices", *option)
        assert codes(answer) == ["flow_denied"]
        assert answer["reasons"][0]["clauses"][0]["line"] == line_of(folder, BILLING, "after:")


def test_explain_of_a_charter_with_faults_names_them(bailiwick: CommandLine, folder: Path) -> None:
    """Design §5: an incomplete charter denies everything."""
    edit(folder, BILLING, "owner: ", "# ")
    answer = explained(bailiwick, folder, "list_invoices")
    assert "charter_incomplete" in codes(answer)
    assert "`owner` is missing; say who answers for the agent." in words(answer)


def test_explain_for_people_has_places_to_go_to(bailiwick: CommandLine, folder: Path) -> None:
    """House: file and line, as an editor opens them."""
    done = bailiwick("charter", "explain", "billing-agent", "delete_customer", "--bundle", folder)
    line = line_of(folder, BILLING, "- tools: [delete_customer]")
    assert done.status == 1
    assert done.out.startswith("deny  billing-agent: company/delete_customer\n")
    assert f"{folder / BILLING}:{line}: denies tools delete_customer" in done.out


def test_explain_takes_arguments_from_a_file(
    bailiwick: CommandLine, folder: Path, tmp_path: Path
) -> None:
    """House: long arguments do not fit on a command line."""
    file = tmp_path / "arguments.json"
    file.write_text('{"path": "invoices/7.pdf"}', "utf-8")
    assert explained(bailiwick, folder, "read_file", f"@{file}")["effect"] == "permit"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["elsewhere/read_file"],
        ["list_invoices", "[1]"],
        ["list_invoices", "{"],
        ["list_invoices", "@/nowhere"],
        ["list_invoices", "--time", "tomorrow"],
        ["list_invoices", "--calls", "0"],
    ],
)
def test_explain_of_what_cannot_be_asked_is_a_usage_error(
    bailiwick: CommandLine, folder: Path, arguments: list[str]
) -> None:
    """House: exit status 2 for usage."""
    done = bailiwick("charter", "explain", "billing-agent", *arguments, "--bundle", folder)
    assert done.status == 2
    assert "Traceback" not in done.err


def test_a_tool_of_two_systems_must_be_named_with_its_system(
    bailiwick: CommandLine, folder: Path
) -> None:
    """House: never guess which of two is meant, unless the charter names one of them."""
    shutil.copy(folder / "systems" / "company.yaml", folder / "systems" / "twin.yaml")
    assert explained(bailiwick, folder, "list_invoices")["system"] == "company"
    bounds = "  twin:\n    deny: all\n  company:"
    edit(folder, BILLING, "  company:", bounds)
    done = bailiwick("charter", "explain", "billing-agent", "list_invoices", "--bundle", folder)
    assert done.status == 2
    assert "write SYSTEM/list_invoices" in done.err
