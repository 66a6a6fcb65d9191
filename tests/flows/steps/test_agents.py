"""What an agent may not decide: found in the document, for every way that a run could go."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.flows.outside.checks import is_adverse
from fivefold.flows.outside.outcomes import OutsideOutcome
from fivefold.flows.steps import RowContext, Stop
from tests.flows.flows_small import ACTIONS, END, HIGH, NOTHING, analysed, document, program

Data = dict[str, Any]
AGENT: Data = {
    "id": "a",
    "agent": {"question": "Plausible?", "facts": {"income": {"field": "income"}}, "answers": ["bad", "good"]},
    "on_unknown": "nothing",
}
BAD: Data = {"step": "a", "output": "answer", "equals": "bad"}
RICH: Data = {"field": "income", "above": 10}
OTHERS: list[Data] = [
    {"id": "look", "title": "Look", "review": "2 days"},
    {"id": "put", "title": "Put", "group": "watched-closely"},
    {"id": "open", "title": "Open", "case": "It is odd."},
    {"id": "tell", "title": "Tell", "webhook": "odd"},
    {"id": "pass", "title": "Pass", "status": "approved"},
]
ONLY = "only reason"
ONLY_AGENT = (
    "flag: an agent could be the only reason, by a → r → done; a person's answer, or a way of a route that asks "
    "something else, must be able to keep a run from here"
)


def route(*ways: tuple[Data, str], otherwise: str = "nothing", on_unknown: str = "nothing", name: str = "r") -> Data:
    made = [{"when": when, "to": to} for when, to in ways]
    return {"id": name, "route": made, "otherwise": otherwise, "on_unknown": on_unknown}


def person(answers: Data, otherwise: str = "nothing") -> Data:
    return {"id": "p", "person": {"question": "?", "within": "1 day", "answers": answers, "otherwise": otherwise}}


def problems(*steps: Data, **parts: Any) -> list[str]:
    parts = {"actions": [*ACTIONS[:3], *OTHERS], "on_failure": ["look"], **parts}
    return [each.problem for each in analysed(document(*steps, **parts)).diagnostics]


def is_refused(*steps: Data, **parts: Any) -> bool:
    found = problems(*steps, **parts)
    assert all(ONLY in each or "made of what an agent" in each for each in found)
    return bool(found)


def test_an_agent_alone_leads_to_no_adverse_end() -> None:
    assert problems(AGENT, route((BAD, "done")), END, NOTHING) == [
        ONLY_AGENT,
    ]
    assert not is_refused(AGENT, route((BAD, "done")), {**END, "end": ["look"]}, NOTHING)
    assert is_refused({**AGENT, "on_unknown": "done"}, END)
    assert is_refused(AGENT, END, NOTHING)


@pytest.mark.parametrize(
    ("steps", "refused"),
    [
        ([route((BAD, "p")), person({"yes": "done", "no": "nothing"})], False),
        ([route((BAD, "p")), person({"yes": "done", "no": "done"})], True),
        ([route((BAD, "p")), person({"yes": "done", "no": "nothing"}, "done")], True),
        ([route(({"all": [BAD, RICH]}, "done"))], False),
        ([route(({"any": [BAD, RICH]}, "done"))], True),
        ([route(({"all": [BAD, {"not": BAD}]}, "done"))], True),
        ([route(({"not": {"all": [BAD, RICH]}}, "done"))], True),
        ([route(({"all": [BAD, RICH]}, "done"), otherwise="done")], True),
        ([route((RICH, "nothing"), (BAD, "done"))], False),
        ([route(({"all": [RICH, BAD]}, "nothing"), otherwise="done")], True),
        ([route((RICH, "done"), (BAD, "done"))], True),
        ([route((RICH, "nothing"), otherwise="done", on_unknown="nothing")], False),
        ([route((RICH, "nothing"), otherwise="done", on_unknown="done")], True),
        ([route((BAD, "r2")), route((RICH, "done"), name="r2")], False),
        ([route((BAD, "r2")), route((BAD, "done"), name="r2")], True),
    ],
)
def test_something_else_must_be_able_to_keep_a_run_away(steps: list[Data], refused: bool) -> None:
    assert is_refused(AGENT, *steps, END, NOTHING) is refused


@pytest.mark.parametrize("action", ["watch", "put", "open", "tell"])
def test_what_others_may_act_on_needs_another_reason_too(action: str) -> None:
    """A flow may listen to the tag, the group or the case and block by it alone; rules and programs may as well."""
    end = {**END, "end": ["look", action]}
    assert is_refused(AGENT, route((BAD, "done")), end, NOTHING)
    assert not is_refused(AGENT, route(({"all": [BAD, RICH]}, "done")), end, NOTHING)
    assert not is_refused(AGENT, route((BAD, "p")), person({"yes": "done", "no": "nothing"}), end, NOTHING)
    assert not is_refused(AGENT, route((BAD, "done")), {**END, "end": ["look", "pass"]}, NOTHING)


def test_a_rule_or_a_person_before_the_agent_counts_as_well() -> None:
    assert not is_refused(route((RICH, "a"), name="first"), AGENT, route((BAD, "done")), END, NOTHING)
    assert is_refused(route((RICH, "a"), otherwise="a", name="first"), AGENT, route((BAD, "done")), END, NOTHING)
    assert is_refused(route((RICH, "a"), on_unknown="a", name="first"), AGENT, route((BAD, "done")), END, NOTHING)


def test_what_others_make_of_an_answer_is_the_answer() -> None:
    table = {
        "id": "t",
        "table": {"gives": {"n": "number"}, "rows": [{"when": BAD, "give": {"n": 1}}], "otherwise": {"n": 0}},
    }
    table["table"]["on_unknown"] = {"n": 0}
    number = {"step": "t", "output": "n", "above": 0}
    assert is_refused(AGENT, table, route((number, "done")), END, NOTHING)
    calculate = {"id": "c", "calculate": {"x": {"of": {"step": "t", "output": "n"}, "unit": "ratio"}}}
    assert is_refused(AGENT, table, calculate, route(({"calculation": "x", "above": 0}, "done")), END, NOTHING)
    data = {"source": "s", "send": {"n": {"step": "t", "output": "n"}}, "gives": {"n": "number"}}
    asks = {"id": "d", "data": data, "on_unknown": "nothing"}
    assert is_refused(AGENT, table, asks, route(({"step": "d", "output": "n", "above": 0}, "done")), END, NOTHING)
    own = {**asks, "data": {**data, "send": {"n": {"field": "income"}}}}
    assert not is_refused(AGENT, own, route(({"step": "d", "output": "n", "above": 0}, "done")), END, NOTHING)


def test_that_a_step_was_passed_may_tell_what_the_agent_answered() -> None:
    marks = {"gives": {"n": "number"}, "rows": [{"when": RICH, "give": {"n": 1}}], "otherwise": {"n": 0}}
    table = {"id": "t", "table": {**marks, "on_unknown": {"n": 0}}}
    first = route((BAD, "t"), otherwise="r2", on_unknown="r2", name="first")
    passed = {"step": "t", "output": "n", "is": "present"}
    assert is_refused(AGENT, first, table, route((passed, "done"), name="r2"), END, NOTHING)


def test_an_agent_sets_no_limit_and_names_no_action() -> None:
    gives = {"gives": {"m": "money"}, "rows": [{"when": BAD, "give": {"m": 1}}], "otherwise": {"m": 5}}
    table = {"id": "t", "table": {**gives, "on_unknown": {"m": 0}}}
    limit = {"id": "l", "title": "L", "limit": "daily", "between": [0, 9], "amount": {"step": "t", "output": "m"}}
    steps = (route((RICH, "a"), name="first"), AGENT, table, {**END, "end": ["l"]}, NOTHING)
    assert problems(*steps, actions=[*ACTIONS[:3], *OTHERS, limit]) == [
        "is made of what an agent answered; an agent sets no limit"
    ]
    asked = {**AGENT["agent"], "answers": ["flag", "good", "good"]}
    assert problems({**AGENT, "agent": asked}, NOTHING) == [
        "flag is an action; an agent names none, choose another word",
        "good is there already; each answer is another one",
    ]


def test_an_agent_that_does_not_answer_is_no_reason_either() -> None:
    bare = {name: part for name, part in AGENT.items() if name != "on_unknown"}
    choice = route((BAD, "watched"), on_unknown="nothing")
    watched = {"id": "watched", "title": "Watched", "end": ["look"]}
    assert not is_refused(bare, choice, watched, NOTHING)
    assert is_refused(bare, choice, watched, NOTHING, on_failure=["flag"])
    assert is_refused(bare, choice, watched, NOTHING, on_failure=["open"])
    del choice["on_unknown"]
    assert is_refused(AGENT, choice, watched, NOTHING, on_failure=["flag"])
    assert not is_refused(AGENT, choice, watched, NOTHING)


def test_actions_that_are_bad_for_a_customer_or_may_become_so() -> None:
    start = {"id": "start", "title": "Start", "status": "approved", "relationship": "starts"}
    actions = [*ACTIONS, *OTHERS, start]
    actions.append({"id": "l", "title": "L", "limit": "daily", "between": [0, 9], "amount": 5})
    made = analysed(document(END, actions=actions)).flow
    assert {each.id for each in made.actions if not is_adverse(each)} == {"look", "pass"}


_CONDITIONS = st.recursive(
    st.sampled_from([BAD, RICH, HIGH]),
    lambda below: st.one_of(
        st.lists(below, min_size=1, max_size=2).map(lambda parts: {"all": parts}),
        st.lists(below, min_size=1, max_size=2).map(lambda parts: {"any": parts}),
        below.map(lambda part: {"not": part}),
    ),
    max_leaves=4,
)
_TO = st.sampled_from(["r1", "r2", "done", "nothing"])


@st.composite
def _routes(draw: Any) -> list[Data]:
    made = []
    for number in range(3):
        later = [f"r{each}" for each in range(number + 1, 3)]
        to = st.sampled_from([*later, "done", "nothing"])
        ways = [(draw(_CONDITIONS), draw(to)) for _ in range(draw(st.integers(1, 2)))]
        made.append(route(*ways, otherwise=draw(to), on_unknown=draw(to), name=f"r{number}"))
    return made


@given(_routes(), st.sampled_from(["bad", "good"]))
def test_of_whom_nothing_is_known_but_the_answer_comes_to_no_adverse_end(routes: list[Data], answer: str) -> None:
    steps = [AGENT, *routes, END, NOTHING]
    if problems(*steps):
        return
    made = program(document(*steps, actions=[*ACTIONS[:3], *OTHERS], on_failure=["look"]))
    came = {"a": OutsideOutcome(values={"answer": answer}, source="a", at_us=0)}
    row = made.run_row(dict.fromkeys(('{"field":"income"}', '{"level":"in_force"}')), RowContext({}, {}, came))
    assert (row["stop"], made.flow.steps[row["last step"]].id) == (Stop.ENDED, "nothing")
