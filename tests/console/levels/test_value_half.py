"""What a customer is worth, by indicator: the customer's number, the reference portfolio's median, and the year."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from fivefold.charts.text.numbers import typeset
from fivefold.console.levels.values import value_half, value_year
from fivefold.console.rendering import HERE, environment
from fivefold.domain.clock import DAY_US, from_microseconds, now_microseconds
from fivefold.domain.errors import ConflictError
from fivefold.features.reading.sources import read_histories
from fivefold.models.explain import breakdown, explain
from fivefold.models.value_model import ValueModel
from fivefold.store.levels.champions import begin_champion
from fivefold.store.sql.database import writing
from fivefold.store.tables.entities import Entity
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.levels.read import Freshness, read_level
from fivefold.usecases.levels.value_scores import (
    EntityScorer,
    IndicatorLine,
    ValueView,
    indicator_year,
    moments_of_year,
    read_value,
)
from fivefold.usecases.levels.worker import run_batch
from fivefold.usecases.shared.context import Context
from tests.console.test_queries import count
from tests.console.visitors import Visitor, pages
from tests.models.making import converting_model, interval_table
from tests.serving.v1.places import Place
from tests.usecases.platforms import transaction

PAYER = "/console/entities/customer/payer"
YEAR = f"{PAYER}/value"
MARKUP = "<b>&{{ 7*7 }}"
NOW = now_microseconds()


@pytest.fixture(scope="module")
def model() -> ValueModel:
    return converting_model(intervals=interval_table())


@pytest.fixture
def valuer(place: Place, model: ValueModel, monkeypatch: pytest.MonkeyPatch) -> EntityScorer:
    """The model that serves; it has scored a customer who has paid in for a hundred days."""
    made = EntityScorer(model, "fivefold-value", 3)
    monkeypatch.setattr(pages()[1], "_valuer", lambda: made)
    place.good("PUT", "/v1/entities/customer/payer", {}, role="app")
    pay(place, made, range(500, 510))
    return made


def paid(numbers: range) -> list[dict[str, Any]]:
    """Deposits of customer payer, every ten days until yesterday."""
    whole = {"user_balance": 500.0, "user_created": "2025-01-01", "user_category": "WEB"}
    moments = [from_microseconds(NOW - (1 + 10 * back) * DAY_US) for back in range(len(numbers))]
    return [
        transaction(
            number, "payer", transaction_date=at.isoformat()[:19], transaction_amount=10.0 * (back + 1), **whole
        )
        for back, (number, at) in enumerate(zip(numbers, moments, strict=True))
    ]


def pay(place: Place, valuer: EntityScorer, numbers: range) -> None:
    place.good("POST", "/v1/transactions", paid(numbers), role="app")
    while (done := run_batch(place.engine, valuer=valuer)) is not None and done.assessed:
        pass


def explained(model: ValueModel) -> ValueView:
    """The value of the same customer, without a database."""
    rows = [{name: one for name, one in row.items() if name != "operation"} for row in paid(range(1, 11))]
    moments = moments_of_year(NOW)
    taken = model.snapshots(read_histories(rows, model.rates), moments)
    parts = breakdown(explain(model, taken.values[:1, -1]), 0, model.currency)
    return ValueView(
        score=parts.total,
        segment="high",
        expected_value=10.0,
        expected_value_low=0.0,
        expected_value_high=31.4,
        interval_level_percent=80,
        currency=model.currency,
        as_of_us=NOW,
        model="fivefold-value",
        model_version=3,
        superseded_by=None,
        horizon_days=90,
        breakdown=parts,
        unexplained="",
        unexplained_alone="",
        indicators=indicator_year(model, taken, moments),
    )


def test_an_interval_is_said_in_words_and_nothing_is_said_where_there_is_none(model: ValueModel) -> None:
    value = explained(model)
    said = {
        (0.0, 31.4, 80): "between 0 and 31 EUR, 80 % sure",
        (0.25, 7.5, 90): "between 0.25 and 7.50 EUR, 90 % sure",
        (0.0, None, 80): "0 EUR or more, 80 % sure",
        (3.6, None, 80): "3.60 EUR or more, 80 % sure",
        (None, None, None): "",
    }
    for (low, high, level), words in said.items():
        ends = {"expected_value_low": low, "expected_value_high": high, "interval_level_percent": level}
        half = value_half(replace(value, **ends))
        assert half is not None
        assert half.between == words


def test_each_indicator_has_its_number_the_median_and_the_year(place: Place, valuer: EntityScorer) -> None:
    investigator = Context(place.engine, place.actor("investigator"))
    value = read_value(investigator, "customer", "payer", valuer=valuer)
    half = value_half(value)
    assert value is not None
    assert value.breakdown is not None
    assert half is not None
    assert half.between.endswith(" EUR, 80 % sure")
    medians = {row.part.name: row.median for family in half.families for row in family.rows}
    moving = [part for part in value.breakdown.contributions if part.points]
    assert {part.name for part in moving} == set(medians)
    visitor = Visitor(place).sign_in("investigator")
    few = count(visitor, PAYER), count(visitor, YEAR)
    for address in (PAYER, YEAR):
        text = visitor.go(address).page.text
        assert (f", {half.between}.</p>" in text) == (address == PAYER)
        rows = re.findall(r'(?s)<tr><th scope="row">(\w+)<(.*?)</tr>', text)
        for part in moving:
            shown = f'<td class="number">{typeset(part.seen)}</td><td class="number">{medians[part.name]}</td>'
            assert [row for name, row in rows if name == part.name and shown in row], part.name
        assert f"Median: in the reference portfolio of {half.reference}," in visitor.text
    assert YEAR in visitor.go(PAYER).links()
    assert PAYER in visitor.go(YEAR).links()
    text = visitor.page.text
    identifiers = re.findall(r'id="(spark-[^"]+)"', text)
    assert len(identifiers) == len(set(identifiers)) == 2 * text.count('<svg class="spark" role="img"') > 0
    months = re.findall(r'<th scope="col" class="number">(\d{4}-\d\d)</th>', text)
    assert len(months) == 12 * sum(bool(family.rows) for family in half.families)
    assert f'<th scope="col" class="number">{from_microseconds(value.as_of_us).date()}</th>' in text
    pay(place, valuer, range(510, 539))
    assert (count(visitor, PAYER), count(visitor, YEAR)) == few
    assert few[1] < few[0] <= 40
    assert 'class="spark"' in visitor.page.text


def test_closed_families_stay_off_the_paper_of_a_customer_which_names_the_page_of_them(
    place: Place, valuer: EntityScorer
) -> None:
    page = Visitor(place).sign_in("investigator").go(PAYER).page.text
    assert '<details class="long">' in page
    assert f'<p class="paper">Every indicator: https://bank.example{YEAR}</p>' in page


def test_without_the_model_and_of_who_was_erased_no_indicator_is_shown(
    place: Place, valuer: EntityScorer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pages()[1], "_valuer", lambda: None)
    visitor = Visitor(place).sign_in("investigator")
    for address in (PAYER, YEAR):
        visitor.go(address)
        assert f"Version {valuer.version} of {valuer.name} gave it, which does not serve now." in visitor.text
        assert 'class="indicators"' not in visitor.page.text
        assert "Median: in" not in visitor.text
    assert YEAR not in visitor.go(PAYER).links()
    with writing(place.engine) as session:
        begin_champion(session, valuer.name, valuer.version, NOW, "the hash of another model")
    visitor.go(PAYER)
    assert "Another model has this number now, and has not scored this customer yet." in visitor.text
    assert f"Version {valuer.version} of {valuer.name} gave it, and another model has this number now." in visitor.text
    with writing(place.engine) as session:
        begin_champion(session, valuer.name, valuer.version + 1, NOW)
    assert f"Version {valuer.version + 1} of the value model serves now" in visitor.go(PAYER).text
    assert "There is no value" in visitor.go("/console/entities/company/acme/value").text
    monkeypatch.setattr(pages()[1], "_valuer", lambda: valuer)
    later = Context(place.engine, place.actor("admin")).at(NOW + 2_000 * DAY_US)
    erase_entity(later, "customer", "payer", tmp_path / "erased.jsonl")
    assert visitor.go(YEAR).page.status_code == 404
    with writing(place.engine) as session:
        name = session.scalars(select(Entity.external_id).where(Entity.erased_us.is_not(None))).one()
    visitor.go(f"/console/entities/customer/{name}")
    assert "Personal data were erased on" in visitor.text
    assert "Compute again now" not in visitor.text
    assert "The inputs of the assessment were deleted." in visitor.text
    assert visitor.text.count("Personal data were erased on") == 3, "at the top, of the value, and of flows"
    assert "no model has scored this customer" not in visitor.text
    assert "Personal data were erased on" in visitor.go(f"/console/entities/customer/{name}/what-if").text
    with pytest.raises(ConflictError, match=rf"customer {name} was erased on .*, so no level can be computed"):
        read_level(later, "customer", name, Freshness.NOW)


def test_months_before_the_first_transaction_are_dashes(model: ValueModel) -> None:
    page = value_year("payer", PAYER, explained(model))
    first = min(row["transaction_date"] for row in paid(range(1, 11)))[:7]
    empty = sum(month < first for month in page.moments[:-1])
    assert 8 <= empty <= 10, "the ninety-first day before today is of the second, third or fourth month before"
    courses = [course for _, courses in page.families for course in courses]
    assert courses
    for course in courses:
        assert [month == "–" for month in course.months] == [place < empty for place in range(13)]
        assert course.months[-1] == typeset(course.row.part.seen)
        if course.line is not None:
            since, until = re.findall(r"\((\d{4}[-\d]+)", course.description)
            assert since >= first
            assert until == page.moments[-1]


def written_pages(value: ValueView) -> list[str]:
    """The half of the value, and the indicators over the year, as they are written."""
    visit = SimpleNamespace(trail="", site="https://bank.example")
    half = SimpleNamespace(value=value_half(value), address=PAYER)
    source = '{% from "shared/macros.html" import waterfall with context %}{% include "levels/value_half.html" %}'
    year = (HERE / "levels" / "templates" / "value_year.html").read_text(encoding="utf-8").partition("\n")[2]
    return [
        environment().from_string(template).render(page=page, visit=visit, now_us=0)
        for template, page in ((source, half), (year, value_year("payer", PAYER, value)))
    ]


def test_a_number_below_zero_has_the_minus_of_points_wherever_it_stands(model: ValueModel) -> None:
    value = explained(model)
    assert value.breakdown is not None
    assert value.indicators is not None
    seen = "-965.66 EUR"
    part = replace(value.breakdown.contributions[0], seen=seen, sentence=f"Net: {seen}; lowers it.", points=-0.643)
    line = IndicatorLine(unit="money", values=(-965.66,) * 13, median=(-965.66, -965.66))
    breakdown = replace(value.breakdown, contributions=(part,))
    indicators = replace(value.indicators, lines={part.name: line})
    for written in written_pages(replace(value, breakdown=breakdown, indicators=indicators, currency="EUR")):
        assert "−965.66 EUR" in written
        assert "−0.643" in written
        assert "-965.66" not in written


def test_currency_and_names_are_never_markup(model: ValueModel) -> None:
    value = explained(model)
    assert value.breakdown is not None
    assert value.indicators is not None
    parts = tuple(
        replace(part, name=f"{MARKUP}{number}", family=MARKUP, sentence=MARKUP, seen=MARKUP, label=MARKUP, points=0.1)
        for number, part in enumerate(value.breakdown.contributions)
    )
    lines = {part.name: line for part, line in zip(parts, value.indicators.lines.values(), strict=True)}
    stored = {"currency": MARKUP, "segment": MARKUP, "model": MARKUP}
    found = replace(value.indicators, lines=lines)
    crafted = replace(value, breakdown=replace(value.breakdown, contributions=parts), indicators=found, **stored)
    for written in written_pages(crafted):
        assert 'class="indicators"' in written
        assert "<b>" not in written
        assert "{{ 7*7 }}" in written


@pytest.mark.parametrize(
    ("median", "shown"),
    [
        (None, "–"),
        ((2.0, 2.0), "2"),
        ((2.0, 9.0), "2 to 9"),
        ((2.0, float("inf")), "above 2"),
        ((float("-inf"), 0.0), "below 0"),
    ],
)
def test_a_median_that_is_not_known_is_a_dash_and_one_of_which_bounds_are_known_says_so(
    model: ValueModel, median: tuple[float, float] | None, shown: str
) -> None:
    value = explained(model)
    assert value.breakdown is not None
    assert value.indicators is not None
    moving = next(part.name for part in value.breakdown.contributions if part.points)
    line = replace(value.indicators.lines[moving], unit="count", median=median)
    half = value_half(
        replace(value, indicators=replace(value.indicators, lines={**value.indicators.lines, moving: line}))
    )
    assert half is not None
    assert [row.median for family in half.families for row in family.rows if row.part.name == moving] == [shown]


def test_both_pages_say_why_there_is_no_value(model: ValueModel) -> None:
    nothing = {"score": None, "segment": None, "expected_value": None, "breakdown": None, "indicators": None}
    why = "No transaction of the customer counts by then."
    for written in written_pages(replace(explained(model), **nothing, unexplained=why)):
        assert "There has been no value since" in written
        assert why in written
