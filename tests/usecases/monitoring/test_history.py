"""What is looked back on: the level just before, what came of an alert, and nothing that became known later."""

import polars as pl
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.store.monitoring.validation import RECORDS
from fivefold.usecases.monitoring.history import (
    CONFIRMED,
    ValidationPeriod,
    alert_outcomes,
    known_by,
    read_level_histories,
)
from tests.store.filling import filled_once
from tests.usecases.planted import Given, Planted, Step, day, planted

Row = tuple[str, int, int | None, str | None]


def records(*rows: Row) -> pl.DataFrame:
    """Cases and alerts about one entity: kind, opened, closed, outcome."""
    made = [(number, kind, 7, 7, opened, closed, outcome, 1, 1, 1, 1) for number, (kind, opened, closed, outcome) in enumerate(rows)]  # fmt: skip # noqa: E501 (a row of the table)
    return pl.DataFrame(made, schema=dict(RECORDS), orient="row")


def came_of(*rows: Row, until_us: int = 100) -> tuple[str, int | None]:
    """What came of the one alert among these, and when that was known."""
    known = known_by(records(*rows), until_us)
    alerts, cases = (known.filter(pl.col("kind") == kind) for kind in ("alert", "case"))
    (row,) = alert_outcomes(alerts, cases, [CONFIRMED]).iter_rows(named=True)
    return row["answer"], row["decided_us"]


ANSWERS: dict[str, tuple[list[Row], tuple[str, int | None]]] = {
    "closed as confirmed": ([("alert", 10, 20, "confirmed")], ("confirmed", 20)),
    "closed as something else": ([("alert", 10, 20, "cleared")], ("not confirmed", 20)),
    "closed without a word": ([("alert", 10, 20, None)], ("without outcome", 20)),
    "still open": ([("alert", 10, None, None)], ("open", None)),
    "closed at the end, which is not in it": ([("alert", 10, 100, "confirmed")], ("open", None)),
    "a case was opened meanwhile, and is": (
        [("alert", 10, 20, "escalated"), ("case", 15, None, None)],
        ("open", None),
    ),
    "a case was opened as it was closed, and confirmed": (
        [("alert", 10, 20, "escalated"), ("case", 20, 50, "confirmed")],
        ("confirmed", 50),
    ),
    "a case was opened as it was opened, and came to nothing": (
        [("alert", 10, 20, "escalated"), ("case", 10, 50, "cleared")],
        ("not confirmed", 50),
    ),
    "the case was confirmed before it was closed": (
        [("alert", 10, 60, "done"), ("case", 20, 50, "confirmed")],
        ("confirmed", 50),
    ),
    "a case from before": ([("alert", 10, 20, "cleared"), ("case", 9, 50, "confirmed")], ("not confirmed", 20)),
    "a case from after": ([("alert", 10, 20, "cleared"), ("case", 21, 50, "confirmed")], ("not confirmed", 20)),
    "one of two cases is confirmed, the other open": (
        [("alert", 10, 20, None), ("case", 12, 40, "confirmed"), ("case", 13, None, None)],
        ("confirmed", 40),
    ),
    "a case that is confirmed too late": (
        [("alert", 10, 20, "escalated"), ("case", 15, 100, "confirmed")],
        ("open", None),
    ),
    "the case alone has an outcome": ([("alert", 10, 20, None), ("case", 12, 40, "cleared")], ("not confirmed", 40)),
}


@pytest.mark.parametrize("words", ANSWERS)
def test_what_came_of_an_alert(words: str) -> None:
    rows, answer = ANSWERS[words]
    assert came_of(*rows) == answer


def test_an_alert_about_an_account_has_what_came_of_it_under_its_next_owner() -> None:
    first, second, account = 7, 8, 9
    columns = ["id", "kind", "about", "entity", "opened_us", "closed_us", "outcome"]
    alert, case = (1, "alert", account, first, 10, 20, "escalated"), (2, "case", account, second, 15, 50, "confirmed")
    other = (3, "case", 10, second, 16, None, None)
    alerts, cases = (
        pl.DataFrame(rows, schema={name: RECORDS[name] for name in columns}, orient="row")
        for rows in ([alert], [case, other])
    )
    (row,) = alert_outcomes(alerts, cases, [CONFIRMED]).iter_rows(named=True)
    assert (row["answer"], row["decided_us"]) == ("confirmed", 50)


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Planted:
    return planted(engine)


def test_everybody_is_looked_at_where_they_stood(bank: Planted) -> None:
    """The assessment at the very beginning held then; those after the end are not read."""
    version = bank.versions[0]
    steps = [Step(day(number), version, level, level) for number, level in ((-9, 1), (0, 2), (5, 3), (90, 1), (91, 2))]
    one, other = bank.add_all([steps, [Step(day(95), version, 1, 1)]])
    with Session(bank.engine) as session:
        found = read_level_histories(
            session, bank.actor.organisation_id, ValidationPeriod(day(0), day(90)), [CONFIRMED]
        )
    assert found.began.select("entity", "number", "level").rows() == [(one, 2, 2)]
    assert found.ended.select("entity", "number", "level").rows() == [(one, 4, 1)]
    assert found.first.select("entity", "number").rows() == [(one, 2)]
    assert other not in found.ended["entity"]


def test_any_outcome_may_mean_confirmed(bank: Planted) -> None:
    one = bank.add(Step(day(-1), bank.versions[0], 1, 1))
    bank.record(Given("case", one, day(1), day(2), "reported"), Given("case", one, day(1), day(2), "confirmed"))
    with Session(bank.engine) as session:
        for words, count in ((["reported"], 1), (["confirmed", "reported"], 2), (["other"], 0)):
            found = read_level_histories(session, bank.actor.organisation_id, ValidationPeriod(day(0), day(90)), words)
            assert len(found.cases) == count
