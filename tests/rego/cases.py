"""The table of what the shipped bundle decides. Every engine is held to it.

`worlds.py` has the bundle with something in it changed. Does not ask an engine.
"""

from tests.rego.decisions import (
    ALLOWED,
    CARE,
    DEPLOYMENT,
    EXPIRY,
    FILE,
    FORGED,
    FRESH,
    HOUR,
    IN_FORCE,
    NO_CHARTER,
    NO_METHOD,
    OFFICE,
    OMITTED,
    OPENING,
    OUT_OF_BOUNDS,
    OUTSIDE,
    PAYMENT,
    PROTOCOL,
    READ,
    READ_FILE,
    REFUND,
    RELEASE,
    REMIND,
    REMINDED,
    SUPPORT,
    UNCLASSIFIED,
    UNTRUSTED,
    WRITE,
    Case,
    call,
    class_,
    decision,
    held,
    method,
    of_support,
    replaced,
    support,
)

_BILLING_AND_RELEASE = [
    Case("a read", call("list_invoices"), ALLOWED),
    Case("a read with free arguments", call("read_invoice", {"id": FORGED}), ALLOWED),
    Case("a long read", call("export_invoices"), ALLOWED),
    Case(
        "a file within bounds",
        call("read_file", {"path": "invoices/2026/1.txt"}),
        READ_FILE,
    ),
    Case("a file elsewhere", call("read_file", {"path": "payroll/1.txt"}), OUTSIDE),
    Case("a file by climbing", call("read_file", {"path": "invoices/../payroll"}), OUTSIDE),
    Case("a file by encoded climbing", call("read_file", {"path": "invoices/%2E%2E/x"}), OUTSIDE),
    Case("a file without path", call("read_file", {}), OUTSIDE),
    Case("a path that is a list", call("read_file", {"path": ["invoices/1"]}), OUTSIDE),
    Case("a path that forges", call("read_file", {"path": FORGED}), OUTSIDE),
    Case(
        "a refund at the bound",
        call("refund_payment", REFUND),
        held("finance-leads", 1, 900, PAYMENT),
    ),
    Case(
        "a refund with a pending approval",
        call("refund_payment", REFUND, approval={"id": "a", "state": "pending"}),
        held("finance-leads", 1, 900, PAYMENT),
    ),
    Case("a refund above", call("refund_payment", {**REFUND, "amount": 500.01}), OUT_OF_BOUNDS),
    Case("a negative refund", call("refund_payment", {**REFUND, "amount": -1}), OUT_OF_BOUNDS),
    Case("a refund in text", call("refund_payment", {**REFUND, "amount": "5"}), OUT_OF_BOUNDS),
    Case("another currency", call("refund_payment", {**REFUND, "currency": "JPY"}), OUT_OF_BOUNDS),
    Case("no currency", call("refund_payment", {"amount": 5}), OUT_OF_BOUNDS),
    Case(
        "an explicit denial",
        call("delete_customer", {"id": 1}),
        decision("deny", "tool_denied", of=class_("delete", "crm", "deletion")),
    ),
    Case(
        "a tool without entry",
        call("send_reminder"),
        decision("deny", "tool_not_allowed", of=WRITE),
    ),
    Case(
        "a high impact without entry",
        call("grant_access"),
        decision("deny", "tool_not_allowed", of=class_("escalate", "identity", "access")),
    ),
    Case("an unknown tool", call("wire_transfer", REFUND), UNCLASSIFIED),
    Case("a tool in another case", call("List_Invoices"), UNCLASSIFIED),
    Case(
        "a deployment",
        call("deploy_service", {"service": "web"}, subject=RELEASE),
        held("release-managers", 2, 1800, DEPLOYMENT, "release-agent"),
    ),
    Case(
        "a deployment by the other agent",
        call("deploy_service"),
        decision("deny", "tool_not_allowed", of=DEPLOYMENT),
    ),
    Case(
        "a runbook",
        call("read_file", {"path": "runbooks/web.md"}, subject=RELEASE),
        {**READ_FILE, "charter": "release-agent"},
    ),
    Case(
        "an invoice for the release agent",
        call("read_file", {"path": "invoices/1.txt"}, subject=RELEASE),
        decision("deny", "argument_out_of_bounds", of=FILE, charter="release-agent"),
    ),
    Case("a subject without charter", call("list_invoices", subject="spiffe://x/y"), NO_CHARTER),
    Case("a subject by charter id", call("list_invoices", subject="billing-agent"), NO_CHARTER),
    Case("the last nanosecond of the charter", call("list_invoices", {}, time=EXPIRY - 1), ALLOWED),
    Case(
        "the end of the charter",
        call("list_invoices", {}, time=EXPIRY),
        decision("deny", "charter_expired", of=READ),
    ),
    Case(
        "another system",
        replaced(call("list_invoices"), "resource", system="elsewhere"),
        decision("deny", "system_not_allowed", "tool_unclassified", of=None),
    ),
    Case(
        "another version",
        {**call("list_invoices"), "version": "2"},
        decision("deny", "input_version_unknown", of=READ),
    ),
    Case(
        "another protocol",
        replaced(call("list_invoices"), "action", protocol="http"),
        NO_METHOD,
    ),
    Case("a tool call for the server", method("tools/call"), NO_METHOD),
    Case("initialize", method("initialize"), PROTOCOL),
    Case("a stream", method("stream/open"), PROTOCOL),
    Case("an answer of the agent", method("response"), PROTOCOL),
    Case("the list of tools", method("tools/list"), PROTOCOL),
    Case("the list of prompts", method("prompts/list"), PROTOCOL),
    Case("a resource", method("resources/read", type="resource", name="file:///x"), NO_METHOD),
    Case("a prompt", method("prompts/get", type="prompt", name="x"), NO_METHOD),
    Case("a completion", method("completion/complete"), NO_METHOD),
    Case(
        "a protocol method on another system",
        method("initialize", system="elsewhere"),
        decision("deny", "system_not_allowed", of=None),
    ),
    Case(
        "a protocol method by a subject without charter",
        replaced(method("initialize"), "subject", id="spiffe://x/y"),
        NO_CHARTER,
    ),
]

_SUPPORT = [
    Case(
        "sixty calls in a minute",
        call("list_invoices", session={**FRESH, "calls_in_minute": 60}),
        ALLOWED,
    ),
    Case(
        "sixty-one calls in a minute",
        call("list_invoices", session={**FRESH, "calls_in_minute": 61}),
        decision("deny", "rate_limited", of=READ),
    ),
    Case(
        "a method after many calls",
        replaced(method("tools/list"), "context", session={**FRESH, "calls_in_minute": 61}),
        PROTOCOL,
    ),
    Case(
        "billing after words of strangers",
        call(
            "refund_payment",
            REFUND,
            session={**FRESH, "untrusted_input": True, "domains_read": ["documents", "finance"]},
        ),
        held("finance-leads", 1, 900, PAYMENT),
    ),
    Case(
        "support lists invoices",
        support("list_invoices"),
        of_support("permit", "charter_allows", of=READ, obligations=(OMITTED,)),
    ),
    Case(
        "support reads a file",
        support("read_file", {"path": "support/macros/hello.txt"}),
        of_support("permit", "charter_allows", of=FILE, obligations=(OMITTED, UNTRUSTED)),
    ),
    Case(
        "support reads a file of another kind",
        support("read_file", {"path": "support/macros/hello.md"}),
        of_support("deny", "argument_out_of_bounds", of=FILE),
    ),
    Case(
        "support reads a file elsewhere",
        support("read_file", {"path": "invoices/1.txt"}),
        of_support("deny", "argument_out_of_bounds", of=FILE),
    ),
    Case(
        "support climbs out",
        support("read_file", {"path": "support/../invoices/1.txt"}),
        of_support("deny", "argument_out_of_bounds", of=FILE),
    ),
    Case(
        "support reads a list of files",
        support("read_file", {"path": ["support/a.txt"]}),
        of_support("deny", "argument_out_of_bounds", of=FILE),
    ),
    Case("support reminds a customer", support("send_reminder", REMIND), REMINDED),
    Case(
        "support reminds of a folder",
        support("send_reminder", {"invoice_id": "INV-1/2"}),
        of_support("deny", "argument_out_of_bounds", of=WRITE),
    ),
    Case(
        "support reminds of a line break",
        support("send_reminder", {"invoice_id": "INV-1\n"}),
        REMINDED,
    ),
    Case(
        "support reminds after words of strangers",
        support("send_reminder", REMIND, untrusted_input=True, domains_read=["documents"]),
        of_support("deny", "flow_denied", of=WRITE),
    ),
    Case(
        "support reminds after both",
        support(
            "send_reminder", REMIND, untrusted_input=True, domains_read=["documents", "finance"]
        ),
        of_support("deny", "flow_denied", of=WRITE),
    ),
    Case(
        "support reminds after reading invoices",
        support("send_reminder", REMIND, domains_read=["finance"]),
        of_support("hold", "flow_approval_required", of=WRITE, obligations=(CARE,)),
    ),
    Case(
        "support lists invoices after words of strangers",
        support("list_invoices", untrusted_input=True, domains_read=["finance"]),
        of_support("permit", "charter_allows", of=READ, obligations=(OMITTED,)),
    ),
    Case("support exports", support("export_invoices"), of_support("deny", "tool_denied", of=READ)),
    Case(
        "support deletes",
        support("delete_customer"),
        of_support(
            "deny", "domain_denied", "effect_denied", of=class_("delete", "crm", "deletion")
        ),
    ),
    Case(
        "support refunds",
        support("refund_payment", REFUND),
        of_support("deny", "impact_denied", of=PAYMENT),
    ),
    Case(
        "support deploys",
        support("deploy_service"),
        of_support("deny", "impact_denied", of=DEPLOYMENT),
    ),
    Case(
        "support gives access",
        support("grant_access"),
        of_support(
            "deny", "domain_denied", "effect_denied", of=class_("escalate", "identity", "access")
        ),
    ),
    Case(
        "support lists files",
        support("list_files"),
        of_support("deny", "tool_not_allowed", of=FILE),
    ),
    Case("support at eight", support("send_reminder", REMIND, time=OPENING), REMINDED),
    Case(
        "support before eight",
        support("send_reminder", REMIND, time=OPENING - 1),
        of_support("deny", "outside_hours", of=WRITE),
    ),
    Case(
        "support before six",
        support("send_reminder", REMIND, time=OPENING + 10 * HOUR - 1),
        REMINDED,
    ),
    Case(
        "support at six",
        support("send_reminder", REMIND, time=OPENING + 10 * HOUR),
        of_support("deny", "outside_hours", of=WRITE),
    ),
    Case(
        "support on a Friday evening",
        support("list_invoices", time=OPENING + 82 * HOUR),
        of_support("deny", "outside_hours", of=READ),
    ),
    Case(
        "support on a Saturday",
        support("list_invoices", time=OPENING + 96 * HOUR),
        of_support("deny", "outside_hours", of=READ),
    ),
    Case(
        "support on a Monday",
        support("send_reminder", REMIND, time=OPENING + 6 * 24 * HOUR),
        REMINDED,
    ),
    Case(
        "support connects by night",
        replaced(replaced(method("initialize"), "subject", id=SUPPORT), "context", time=IN_FORCE),
        of_support("deny", "outside_hours", of=READ),
    ),
    Case(
        "support connects",
        replaced(replaced(method("initialize"), "subject", id=SUPPORT), "context", time=OFFICE),
        of_support("permit", "protocol_allowed", of=READ, obligations=(OMITTED,)),
    ),
    Case("the last call of support", support("send_reminder", REMIND, calls=200), REMINDED),
    Case(
        "one call more of support",
        support("send_reminder", REMIND, calls=201),
        of_support("deny", "call_budget_spent", of=WRITE),
    ),
    Case(
        "support in haste, too",
        support("send_reminder", REMIND, calls=201, calls_in_minute=31),
        of_support("deny", "call_budget_spent", "rate_limited", of=WRITE),
    ),
]

CASES = [
    *_BILLING_AND_RELEASE,
    *_SUPPORT,
    Case(
        "nothing at all",
        {},
        decision(
            "deny",
            "input_incomplete",
            "input_version_unknown",
            "method_not_allowed",
            "subject_unknown",
            of=None,
            charter=None,
        ),
    ),
]
