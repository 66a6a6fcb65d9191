"""The page of a validation says what the validation found."""

from datetime import date

import polars as pl

from fivefold.risk.engine.assess import assess
from fivefold.risk.governance.reports.page import as_html
from fivefold.risk.governance.reports.validation import compared_section, validation_page
from fivefold.risk.governance.validate.ranking import ConfidenceInterval, Paired
from fivefold.risk.governance.validate.run import ValidationOptions, validate
from tests.risk.governance.making import AS_OF, DAY, TEXT, analysed, mixed


def labels(size: int) -> pl.DataFrame:
    hit = [number % 10 in {3, 4} for number in range(size)]
    names = [f"e{number:04d}" for number in range(size)]
    return pl.DataFrame({"entity_id": names, "confirmed": hit, "at": [date(2024, 9, 1)] * size})


def test_everything_that_was_found_is_there() -> None:
    side, other = (assess(analysed(text), mixed(600), AS_OF) for text in (TEXT, TEXT.replace("10.5", "11")))
    earlier = assess(analysed(), mixed(700), AS_OF - 90 * DAY)
    made = validate(side, labels(600), ValidationOptions(resamples=100, until=AS_OF + 365 * DAY), earlier, other)
    page = validation_page(made)
    assert [section.title for section in page.sections] == [
        "Verdicts",
        "How well the total and the level rank",
        "Levels",
        "Lift of every rule and case",
        "What each rule adds",
        "Beside single inputs",
        "Beside another ruleset",
        "Drift since the reference period",
        "Not assessed in full",
    ]
    said = as_html(page)
    assert said.count("<svg") == 3
    assert "after that, up to 2025-07-01" in said
    assert "arithmetic allows at most" in said
    verdicts = page.sections[0].table
    assert verdicts is not None
    assert [row[1] for row in verdicts.rows] == [verdict.answer.value for verdict in made.verdicts]


def test_without_labels_the_page_says_too_few() -> None:
    none = labels(600).filter(pl.col("entity_id") == "nobody")
    made = validate(assess(analysed(), mixed(600), AS_OF), none, ValidationOptions(resamples=100))
    page = validation_page(made)
    assert [section.title for section in page.sections] == [
        "Verdicts",
        "Levels",
        "Lift of every rule and case",
        "Not assessed in full",
    ]
    assert as_html(page).count("too few labels") == 3


def test_what_is_beside_its_limit_is_not_written_as_the_limit() -> None:
    """A difference that is surely above 0, and a p that counts as below 0.05."""
    barely = Paired(0.7204, 0.7, ConfidenceInterval(0.0204, 0.0004, 0.04), 0.99, 0.0124)
    table = compared_section("", "", [("a", barely)], "without it", {"a": 0.0496}).table
    assert table is not None
    assert table.rows[0][3:] == ["0.020 (0.0004 to 0.040)", "99.0 %", "0.0496"]
