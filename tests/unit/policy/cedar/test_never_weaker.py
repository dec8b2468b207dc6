"""Whatever the charter and the input: Cedar permits nothing that the bundle's own rules refuse."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.policy.cedar.worlds import NOW, SYSTEMS, Engines, Value, bundle_of, call, charter

RANK = {"deny": 0, "hold": 1, "permit": 2}
DAY_NS = 24 * 3600 * 1_000_000_000

PATTERNS = ["list_orders", "read_*", "*", "ship", "refund", "drop", "read_person", "promote", "odd"]
EFFECTS = ["read", "write", "delete", "escalate", "execute"]
IMPACTS = ["payment", "access", "deployment", "deletion"]
DOMAINS = ["hr", "sales", "orders", "nowhere"]
TEXTS = ["a/b", "a/", "a/b/c", "a/../b", "EUR", "", "x*y", 'x"y', "10.1.2.3", "::1", "a/%2E", "é/ü"]
NUMBERS: list[Any] = [0, -1, 5, 5.0, 10.0001, 10.00001, 1e15, 0.1, 2**53 - 1, 3.14159]
VALUES: list[Any] = [*TEXTS, *NUMBERS, True, False, None, [], ["a/b"], {"a": 1}]
NAMES = ["x", 'o"dd\n*']


def some(pool: list[str]) -> st.SearchStrategy[list[str]]:
    """Draw a few of these."""
    return st.lists(st.sampled_from(pool), min_size=1, max_size=3, unique=True)


BOUND = st.one_of(
    st.builds(lambda v: {"eq": v}, st.sampled_from([*TEXTS, *NUMBERS, True])),
    st.builds(lambda v: {"in": v}, st.lists(st.sampled_from(VALUES), min_size=1, max_size=3)),
    st.builds(lambda a, b: {"gte": a, "lte": b}, *[st.sampled_from(NUMBERS)] * 2),
    st.builds(lambda v: {"prefix": v}, st.sampled_from([text for text in TEXTS if text])),
    st.builds(lambda v: {"glob": v}, st.sampled_from(["a/*", "a/**", "*", "*/*", "a/b", "é*"])),
    st.builds(lambda v: {"cidr": v}, st.sampled_from(["10.0.0.0/8", ["10.1.0.0/16", "::/0"]])),
    st.just({"absent": True}),
    st.just({"required": True}),
    st.just({"regex": "^a.*$"}),
)
ENTRY = st.fixed_dictionaries(
    {"tools": some(PATTERNS), "effects": some(EFFECTS)},
    optional={"arguments": st.dictionaries(st.sampled_from(NAMES), BOUND, min_size=1, max_size=2)},
)
DENIALS = st.lists(
    st.one_of(
        some(PATTERNS).map(lambda v: {"tools": v}),
        some(DOMAINS).map(lambda v: {"domains": v}),
        some(EFFECTS).map(lambda v: {"effects": v}),
        some(IMPACTS).map(lambda v: {"impacts": v}),
    ),
    min_size=1,
    max_size=2,
)
APPROVAL = st.sampled_from(
    [
        {"approvers": "leads", "count": 1, "expires_seconds": 60},
        {"approvers": "bosses", "count": 2, "expires_seconds": 60},
    ]
)
APPROVALS = st.lists(
    st.builds(
        lambda choice, approval: {**choice, **approval},
        st.one_of(
            some(IMPACTS).map(lambda v: {"impacts": v}), some(PATTERNS).map(lambda v: {"tools": v})
        ),
        APPROVAL,
    ),
    max_size=2,
)
FLOW = st.builds(
    lambda after, to, end: {"after": after, "to": to, **end},
    st.one_of(st.just({"untrusted_input": True}), some(DOMAINS).map(lambda v: {"domains": v})),
    st.one_of(
        st.just({"outward": True}),
        some(EFFECTS).map(lambda v: {"effects": v}),
        some(PATTERNS).map(lambda v: {"tools": v}),
        some(DOMAINS).map(lambda v: {"domains": v}),
    ),
    st.one_of(st.just({"deny": True}), APPROVAL.map(lambda v: {"approval": v})),
)
CHARTER = st.fixed_dictionaries(
    {
        "systems": st.dictionaries(
            st.sampled_from(["shop", "shop", "people", "live", "ghost"]),
            st.fixed_dictionaries(
                {"allow": st.lists(ENTRY, min_size=1, max_size=3)},
                optional={"deny": st.one_of(st.just("all"), DENIALS)},
            ),
            min_size=1,
        ),
        "approvals": APPROVALS,
    },
    optional={
        "deny": DENIALS,
        "flows": st.lists(FLOW, min_size=1, max_size=2),
        "hours": st.just([{"days": ["tue", "wed"], "from": "00:00", "to": "18:00"}]),
        "limits": st.just({"calls_per_minute": 2, "calls_per_session": 3}),
        "task_required": st.booleans(),
        "evidence": st.just({"capture": ["arguments"]}),
        "observe": st.fixed_dictionaries(
            {"until": st.just("2026-11-25T00:00:00Z")}, optional={"high_impact": st.just(True)}
        ),
    },
).map(lambda changes: charter(**changes))
SESSION = st.fixed_dictionaries(
    {},
    optional={
        "calls": st.sampled_from([1, 4, "4", None]),
        "calls_in_minute": st.sampled_from([1, 3, True]),
        "domains_read": st.one_of(some(DOMAINS), st.just("hr")),
        "untrusted_input": st.sampled_from([True, True, "false"]),
    },
)
DOCUMENT = st.builds(
    lambda system, tool, arguments, session, time, task: call(
        tool, arguments, system=system, session=session, time=time, task=task
    ),
    st.sampled_from([*SYSTEMS, "shop", "shop", "ghost"]),
    st.sampled_from(sorted({name for system in SYSTEMS.values() for name in system["tools"]})),
    st.dictionaries(st.sampled_from([*NAMES, "free"]), st.sampled_from(VALUES)),
    SESSION,
    st.sampled_from([NOW, NOW + DAY_NS, NOW + 8 * DAY_NS, -1, 0.5, None]),
    st.sampled_from([None, "t"]),
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(said=CHARTER, documents=st.lists(DOCUMENT, min_size=1, max_size=4))
def test_cedar_permits_nothing_that_the_rules_refuse(said: Value, documents: list[Value]) -> None:
    """Issue: equal decisions, or a refusal; never a permit where the other denies."""
    engines = Engines(bundle_of(said))
    for document in documents:
        cedar = engines.cedar(document)
        try:
            rego = engines.rego(document)
        except RuntimeError:
            rego = {"effect": "deny"}  # could not be evaluated, which is denied
        assert cedar == rego or RANK[cedar["effect"]] == 0
