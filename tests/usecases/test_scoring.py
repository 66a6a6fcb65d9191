"""Scoring a request: which rows count, who is refused, and that nobody's score depends on who else is in it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from math import fsum
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.errors import InvalidDataError, Problem
from fivefold.domain.money import RateTable
from fivefold.features.reading.sources import read_histories
from fivefold.models.scoring.histories import Scoring, score_histories
from fivefold.models.value_model import ValueModel
from fivefold.usecases.scoring import CLOCK_SLACK_US, ScoredRows, check_rows, score_checked
from tests.depth import examples
from tests.features.oracle import strategies
from tests.features.oracle.strategies import Row, iso, row
from tests.models.making import value_model

NOW = to_microseconds(datetime(2024, 7, 1, 12, tzinfo=UTC))
AS_OF = strategies.AS_OFS[0]
HOUR_US = DAY_US // 24


@pytest.fixture(scope="module")
def model() -> ValueModel:
    """The model of the tests, with rates for every currency that the generated rows are in."""
    made = value_model()
    return replace(made, rates=RateTable("EUR", made.rates.as_known_on, strategies.RATES.rates, "tests"))


def answer(model: ValueModel, rows: list[Row], as_of: int | None = None, *, explained: bool = False) -> ScoredRows:
    return score_checked(model, check_rows(model, rows, as_of=as_of, now=NOW), explained=explained)


def problems(model: ValueModel, rows: list[Row], as_of: int | None = None) -> list[Problem]:
    with pytest.raises(InvalidDataError) as caught:
        answer(model, rows, as_of)
    return list(caught.value.problems)


def bits(found: ScoredRows) -> dict[str, tuple[bytes, ...]]:
    """Everything that was computed for each customer, to the last bit."""
    parts = (found.matrix, found.scores.expected_value, found.scores.percentile, found.scores.score)
    return {
        user_id: (*(part[number].tobytes() for part in parts), str(found.scores.category[number]).encode())
        for number, user_id in enumerate(found.user_ids)
    }


def test_an_empty_array_is_not_valid(model: ValueModel) -> None:
    assert problems(model, []) == [Problem(0, "body", "is an empty array", "at least one row")]
    assert problems(model, [], AS_OF) == problems(model, [])


def test_without_an_as_of_it_is_now(model: ValueModel) -> None:
    rows = [row(), row(transaction_date=iso(NOW - HOUR_US), user_balance=7.0)]
    assert bits(answer(model, rows)) == bits(answer(model, rows, NOW))
    assert bits(answer(model, rows)) != bits(answer(model, rows, NOW - DAY_US))


@pytest.mark.parametrize("ahead_us", [1, 23 * HOUR_US, CLOCK_SLACK_US])
def test_a_row_up_to_a_day_ahead_counts_as_now(model: ValueModel, ahead_us: int) -> None:
    ahead, now = ([row(), row(transaction_date=iso(moment))] for moment in (NOW + ahead_us, NOW))
    assert bits(answer(model, ahead)) == bits(answer(model, now))


@pytest.mark.parametrize("ahead_us", [CLOCK_SLACK_US + 1, 25 * HOUR_US, 400 * DAY_US])
def test_a_row_further_ahead_is_refused(model: ValueModel, ahead_us: int) -> None:
    (problem,) = problems(model, [row(), row(transaction_date=iso(NOW + ahead_us))])
    assert (problem.row, problem.field, problem.problem) == (1, "transaction_date", "is in the future")
    assert problem.allowed == "a time up to 2024-07-02T12:00:00Z"


def test_rows_ahead_keep_their_order(model: ValueModel) -> None:
    """They are at the same moment then, but the last of them still says what the balance is."""
    later = row(transaction_date=iso(NOW + 2 * HOUR_US), user_balance=1.0, transaction_amount=-5.0)
    sooner = row(transaction_date=iso(NOW + HOUR_US), user_balance=2.0, transaction_amount=5.0)
    assert bits(answer(model, [row(), sooner, later])) == bits(answer(model, [row(), later, sooner]))
    last = answer(model, [row(), later, sooner]).matrix[0][model.indicators.index("balance_last")]
    assert last == 1.0


def test_an_account_created_in_the_future_is_refused(model: ValueModel) -> None:
    (problem,) = problems(model, [row(transaction_date=iso(NOW + HOUR_US), user_created=iso(NOW + DAY_US + 1))])
    assert (problem.row, problem.field, problem.problem) == (0, "user_created", "is in the future")
    answer(model, [row(transaction_date=iso(NOW + HOUR_US), user_created=iso(NOW + DAY_US))])


@pytest.mark.parametrize("as_of", [None, AS_OF])
def test_an_account_may_be_created_a_day_after_its_first_transaction_and_no_later(
    model: ValueModel, as_of: int | None
) -> None:
    first = AS_OF - 90 * DAY_US
    rows = [row(transaction_date=iso(time), user_created=iso(first + DAY_US)) for time in (first + DAY_US, first)]
    answer(model, rows, as_of)
    rows[0]["user_created"] = iso(first + DAY_US + 1)
    (problem,) = problems(model, rows, as_of)
    assert (problem.row, problem.field) == (0, "user_created")
    assert problem.problem == "is after the user's first transaction"


def test_another_customers_first_transaction_says_nothing(model: ValueModel) -> None:
    early = row(user_id="bob", transaction_date="2020-01-01", user_created="2019-01-01")
    assert answer(model, [early, row()]).user_ids == ["bob", "ann"]


def test_a_row_that_cannot_be_read_is_the_only_one_named(model: ValueModel) -> None:
    (problem,) = problems(model, [row(), row(transaction_date="yesterday"), row(user_id="bob")])
    assert (problem.row, problem.field) == (1, "transaction_date")


def test_rows_after_the_as_of_are_ignored(model: ValueModel) -> None:
    after = [row(transaction_date=iso(moment), user_balance=9e9) for moment in (AS_OF + 1, NOW + 999 * DAY_US)]
    assert bits(answer(model, [row(), *after], AS_OF)) == bits(answer(model, [row()], AS_OF))
    at = row(transaction_date=iso(AS_OF), user_balance=9e9)
    assert bits(answer(model, [row(), at], AS_OF)) != bits(answer(model, [row()], AS_OF)), "exactly as-of counts"


def test_a_customer_without_a_row_by_the_as_of_is_refused_at_the_first_row(model: ValueModel) -> None:
    late = [row(user_id=user_id, transaction_date=iso(AS_OF + 1)) for user_id in ("bob", "bob", "cid")]
    found = problems(model, [late[0], row(), late[1], late[2]], AS_OF)
    assert [(problem.row, problem.field) for problem in found] == [(0, "transaction_date"), (3, "transaction_date")]
    assert found[0].problem == "is after as_of 2024-06-30 in every row of this user"
    assert found[0].allowed == "at least one row by as_of"


def test_with_a_settlement_lag_a_row_is_needed_that_long_before_and_history_ends_there(model: ValueModel) -> None:
    lagging = replace(model, definition={**model.definition, "settlement_lag_days": 14})
    early = row(transaction_date=iso(AS_OF - 20 * DAY_US))
    (problem,) = problems(lagging, [early, row(user_id="bob", transaction_date=iso(AS_OF - DAY_US))], AS_OF)
    assert problem.problem == "is after 2024-06-16 in every row of this user"
    assert problem.allowed == (
        "at least one row by 2024-06-16, 14 days before as_of, as this model counts later rows as incomplete"
    )
    days = [
        score_checked(each, check_rows(each, [early], as_of=AS_OF, now=NOW), explained=True).reaches[0].days
        for each in (model, lagging)
    ]
    assert days == [20, 6], "of those that the model saw"


def test_at_most_a_hundred_problems_are_named(model: ValueModel) -> None:
    assert len(problems(model, [row(user_category="APP")] * 300)) == 100
    late = [row(user_id=str(number), transaction_date=iso(AS_OF + 1)) for number in range(300)]
    assert [problem.row for problem in problems(model, late, AS_OF)] == list(range(100))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_category", "APP"),
        ("user_category", "api"),
        ("transaction_state", "DONE"),
        ("transaction_currency", "EURO"),
        ("transaction_currency", "eur"),
        ("transaction_currency", "BTC"),
        ("transaction_date", "2024-02-30"),
        ("transaction_date", "30.06.2024"),
        ("transaction_date", "1719748800"),
        ("transaction_date", ""),
        ("transaction_date", "1899-12-31"),
        ("user_created", "2023-01-15T25:00:00"),
        ("user_created", "9999-12-31"),
        ("user_balance", float("nan")),
        ("user_balance", float("-inf")),
        ("user_balance", 1.1e15),
        ("transaction_amount", float("inf")),
        ("transaction_amount", -1.1e15),
        ("user_id", ""),
    ],
)
def test_bad_values_are_named(model: ValueModel, field: str, value: Any) -> None:
    found = problems(model, [row(), row(**{field: value})])
    assert [(problem.row, problem.field) for problem in found] == [(1, field)]
    assert found[0].allowed


def test_customers_come_in_order_of_first_appearance(model: ValueModel) -> None:
    users = ["zoe", "bob", "zoe", "ann", "bob", "eve", "ann"]
    rows = [row(user_id=user_id, transaction_date=f"2024-05-0{9 - number}") for number, user_id in enumerate(users)]
    found = answer(model, rows)
    assert found.user_ids == ["zoe", "bob", "ann", "eve"]
    for user_id in found.user_ids:
        assert bits(found)[user_id] == bits(answer(model, [one for one in rows if one["user_id"] == user_id]))[user_id]


def test_identifiers_are_told_apart_to_the_last_character(model: ValueModel) -> None:
    users = ["a", "A", "a ", "á", "a\u0301", "a\x00", "a\x00b", "😀", "1", "01"]
    assert answer(model, [row(user_id=user_id) for user_id in users]).user_ids == users


@settings(max_examples=examples(60))
@given(rows=strategies.ledgers(AS_OF))
def test_nobodys_score_depends_on_who_else_is_in_the_request(model: ValueModel, rows: list[Row]) -> None:
    """Bitwise: together, alone, and in the batch that scores files."""
    known = {one["user_id"] for one in rows if one["transaction_date"] <= iso(AS_OF)}
    rows = [one for one in rows if one["user_id"] in known]
    assume(rows)
    _created_in_time(rows)
    together = answer(model, rows, AS_OF)
    table = score_histories(model, read_histories(rows, model.rates), Scoring(AS_OF)).table
    assert together.user_ids == table["user_id"].to_list()
    for name in ("expected_value", "percentile", "score"):
        assert getattr(together.scores, name).tobytes() == table[name].to_numpy().tobytes(), name
    assert together.scores.category.tolist() == table["category"].to_list()
    for user_id in together.user_ids:
        alone = answer(model, [one for one in rows if one["user_id"] == user_id], AS_OF)
        assert bits(alone)[user_id] == bits(together)[user_id]


@settings(max_examples=examples(40))
@given(rows=strategies.ledgers(AS_OF, max_rows=12))
def test_an_explanation_adds_up_and_changes_no_score(model: ValueModel, rows: list[Row]) -> None:
    rows = [one for one in rows if one["transaction_date"] <= iso(AS_OF)]
    assume(rows)
    _created_in_time(rows)
    plain, explained = answer(model, rows, AS_OF), answer(model, rows, AS_OF, explained=True)
    assert plain.explanations is None
    assert explained.explanations is not None
    assert bits(plain) == bits(explained)
    for number, points in enumerate(explained.explanations.points.tolist()):
        assert abs(fsum([explained.explanations.base, *points]) - plain.scores.score[number]) <= 1e-9


def test_rows_are_not_changed_and_nothing_of_them_is_shared(model: ValueModel) -> None:
    rows = [row(transaction_date=iso(NOW + HOUR_US)), row(user_id="bob")]
    before = json.dumps(rows)
    first, second = answer(model, rows), answer(model, rows)
    assert json.dumps(rows) == before
    assert not np.shares_memory(first.matrix, second.matrix)


def _created_in_time(rows: list[Row]) -> None:
    """Make every account at least as old as its first transaction, as validation requires."""
    for taken in rows:
        first = min(one["transaction_date"] for one in rows if one["user_id"] == taken["user_id"])
        taken["user_created"] = min(taken["user_created"], first)
