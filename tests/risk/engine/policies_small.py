"""Small policies, drawn and written by hand, and what they come to by the book: one row at a time, None is unknown."""

import json
from typing import Any

import polars as pl
from hypothesis import strategies as st

from fivefold.risk.compiler.analysis import analyse_canonical_policy
from fivefold.risk.engine.policy_program import PolicyProgram, policy_program_for
from fivefold.risk.language.policy import Policy, read_policy

Data = dict[str, Any]
Truth = bool | None
LEVELS = ["low", "medium", "high"]
ACTIONS = ["allow", "note", "review", "block"]


def policy(*rules: Data, **parts: Any) -> Policy:
    """Write a policy whose parts are those given or plain ones."""
    whole = {
        "policy": "small",
        "entity_type": "customer",
        "fields": {"country": "country", "born": "date", "words": ["text"]},
        "transaction_fields": {"operation": "text"},
        "levels": LEVELS,
        "actions": ACTIONS,
        "wins": "first",
        "rationale": "Because.",
        "otherwise": "allow",
        **parts,
    }
    named = [
        {"id": f"r{number}", "title": f"R{number}", "rationale": "So.", **rule} for number, rule in enumerate(rules)
    ]
    return read_policy(json.dumps({**whole, "rules": named}))


def program(made: Policy) -> PolicyProgram:
    return policy_program_for(analyse_canonical_policy(made.canonical), {}, "EUR")


COLUMNS: dict[str, Any] = {
    '{"level":"in_force"}': pl.Int64,
    '{"value":"score"}': pl.Float64,
    '{"transaction":"amount"}': pl.Int64,
    '{"transaction":"direction"}': pl.String,
    '{"tag":"known"}': pl.Boolean,
}
_VALUES: list[st.SearchStrategy[Any]] = [
    st.sampled_from([1, 2, 3, None]),
    st.sampled_from([1.0, 2.5, 5.0, None]),
    st.sampled_from([0, 99_999, 100_000, 100_001, None]),
    st.sampled_from(["deposit", "withdrawal", None]),
    st.booleans(),
]
rows: st.SearchStrategy[list[tuple[Any, ...]]] = st.lists(st.tuples(*_VALUES), min_size=1, max_size=5)

_ordered = st.sampled_from(["equals", "not_equals", "above", "at_least", "below", "at_most"])
_tests: st.SearchStrategy[Data] = st.one_of(
    st.tuples(_ordered, st.sampled_from([*LEVELS, 1, 2, 3])).map(lambda pair: {"level": "in_force", pair[0]: pair[1]}),
    st.tuples(_ordered, st.sampled_from([1, 2.5, 4])).map(lambda pair: {"value": "score", pair[0]: pair[1]}),
    st.tuples(_ordered, st.sampled_from([0, 1000, 1000.01])).map(lambda two: {"transaction": "amount", two[0]: two[1]}),
    st.sampled_from(["deposit", "withdrawal"]).map(lambda word: {"transaction": "direction", "equals": word}),
    st.sampled_from(["present", "absent"]).map(lambda word: {"tag": "known", "is": word}),
    st.sampled_from(["present", "absent"]).map(lambda word: {"level": "in_force", "is": word}),
)
conditions: st.SearchStrategy[Any] = st.recursive(
    _tests,
    lambda below: st.one_of(
        st.lists(below, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(below, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        below.map(lambda part: {"not": part}),
    ),
    max_leaves=5,
)
_actions = st.sampled_from(ACTIONS)
drawn_rules = st.lists(
    st.fixed_dictionaries(
        {"when": conditions, "action": _actions}, optional={"unless": conditions, "on_unknown": _actions}
    ),
    min_size=1,
    max_size=5,
)


_SUBJECTS = ("level", "value", "tag", "transaction")


def truth_of(condition: Data, row: tuple[Any, ...]) -> Truth:
    """Evaluate a condition by the book."""
    if "all" in condition:
        parts = [truth_of(part, row) for part in condition["all"]]
        return False if False in parts else None if None in parts else True
    if "any" in condition:
        parts = [truth_of(part, row) for part in condition["any"]]
        return True if True in parts else None if None in parts else False
    if "not" in condition:
        part = truth_of(condition["not"], row)
        return None if part is None else not part
    (word, wanted), (subject, what) = sorted(condition.items(), key=lambda item: item[0] in _SUBJECTS)
    value = row[list(COLUMNS).index(json.dumps({subject: what}, separators=(",", ":")))]
    if word == "is":
        return (value if subject == "tag" else value is not None) == (wanted == "present")
    if value is None:
        return None
    if subject == "level" and isinstance(wanted, str):
        wanted = LEVELS.index(wanted) + 1
    if what == "amount":
        value = value / 100
    return bool(
        {
            "equals": value == wanted,
            "not_equals": value != wanted,
            "above": word == "above" and value > wanted,
            "at_least": word == "at_least" and value >= wanted,
            "below": word == "below" and value < wanted,
            "at_most": word == "at_most" and value <= wanted,
        }[word]
    )


def outcome_of(rule: Data, row: tuple[Any, ...]) -> tuple[str, str | None]:
    """Say by the book what a rule came to, and the action that it gives."""
    truth = truth_of(rule["when"], row)
    gives = rule["action"] if truth else rule.get("on_unknown") if truth is None else None
    if gives is not None and "unless" in rule and truth_of(rule["unless"], row):
        return "suppressed", None
    return {True: "held", False: "not held", None: "unknown"}[truth], gives


def decision_of(rules: list[Data], wins: str, row: tuple[Any, ...]) -> tuple[str, int | None]:
    """Say by the book which action is taken, and which rule gave it."""
    given = [(number, action) for number, rule in enumerate(rules) if (action := outcome_of(rule, row)[1]) is not None]
    if not given:
        return "allow", None
    if wins == "first":
        number, action = given[0]
        return action, number
    number, action = max(given, key=lambda pair: (ACTIONS.index(pair[1]), -pair[0]))
    return action, number
