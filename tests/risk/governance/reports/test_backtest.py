"""The page of a backtest says what the backtest found."""

import pytest

from fivefold.risk.governance.backtest.moves import FailedAssessment
from fivefold.risk.governance.backtest.run import HeldLevels, backtest
from fivefold.risk.governance.reports.backtest import backtest_page, failures_section
from fivefold.risk.governance.reports.page import ReportSection, as_html
from tests.risk.governance.making import AS_OF, DAY, TEXT, analysed, mixed, ruleset

DRAFT = TEXT.replace("[20, 40, 60]", "[25, 50, 60]").replace("{equals: ZW}, points: 25}", "{equals: ZM}, points: 22}")


def section(sections: list[ReportSection], title: str) -> list[list[str]]:
    found = next(each for each in sections if each.title == title)
    assert found.table is not None
    return [list(row) for row in found.table.rows]


def test_everything_that_was_found_is_there() -> None:
    found = backtest(
        analysed(DRAFT),
        mixed(50),
        AS_OF,
        analysed(),
        HeldLevels(entered=AS_OF - 10 * DAY),
        size=40,
        seed=3,
    )
    page = backtest_page(found)
    sections = list(page.sections)
    assert [each.title for each in sections] == [
        "Who would be where",
        "From where to where, by the rules alone",
        "From where to where, after the cooldown",
        "Who changes most",
        "What every rule and case comes to",
        "Not assessed in full, in force",
        "Not assessed in full, draft",
    ]
    assert dict(page.facts)["Entities"] == "40 of 50 (80.0 %), drawn with seed 3"
    assert dict(page.facts)["Draft"] == f"retail {ruleset(DRAFT).content_hash}"
    rows = section(sections, "From where to where, by the rules alone")
    assert sum(int(cell.replace(",", "")) for row in rows for cell in row[1:]) == 40
    hits = {(row[0], row[1]): row[2:] for row in section(sections, "What every rule and case comes to")}
    assert hits["country", "2"][:2] == ["it is ZW → it is ZM", "25 → 22"]
    assert hits["country", "1"][:2] == ["it is ZA", "45, at least high"]
    assert "<svg" in as_html(page)


def test_a_rule_that_one_side_lacks_is_not_there() -> None:
    new = TEXT[TEXT.index("  - id: income") :].replace("income", "wealth", 1)
    found = backtest(analysed(TEXT + new), mixed(10), AS_OF, analysed())
    hits = {
        (row[0], row[1]): row[2:]
        for row in section(list(backtest_page(found).sections), "What every rule and case comes to")
    }
    assert hits["wealth", "1"][2] == "not there"
    assert hits["wealth", "1"][3] != "not there"


@pytest.mark.parametrize("standing", [None, HeldLevels(entered=AS_OF - 10 * DAY)])
def test_who_moves_has_a_level_after_the_cooldown_only_where_it_is_known(standing: HeldLevels | None) -> None:
    page = backtest_page(backtest(analysed(DRAFT), mixed(50), AS_OF, analysed(), standing))
    ((table, words),) = [(each.table, each.words) for each in page.sections if each.title == "Who changes most"]
    assert table is not None
    assert len(table.rows) == 20, "so the page says that these are not all"
    assert words.endswith("20 at most.")
    assert ("after cooldown" in table.columns) is (standing is not None)
    assert {len(row) for row in table.rows} == {len(table.columns)}


@pytest.mark.parametrize("days", [None, 40])
def test_a_cooldown_that_keeps_nobody_is_said_and_not_drawn_again(days: int | None) -> None:
    standing = None if days is None else HeldLevels(entered=AS_OF - days * DAY)
    page = backtest_page(backtest(analysed(DRAFT), mixed(20), AS_OF, analysed(), standing))
    after = [each for each in page.sections if each.title == "After the cooldown"]
    assert bool(after) == (days is not None)
    assert bool(page.cautions) == (days is None)


def test_a_draft_alone_has_nothing_to_be_compared_with() -> None:
    page = backtest_page(backtest(analysed(), mixed(20), AS_OF))
    assert dict(page.facts)["In force"] == "none"
    assert not any("From where" in each.title for each in page.sections)
    assert dict(page.facts)["Entities"] == "all 20"


def test_one_entity_that_failed_is_one_entity() -> None:
    failures = [FailedAssessment("e1", "income", "is text")]
    (one,) = failures_section("draft", 1, failures)
    (two,) = failures_section("draft", 2, failures)
    assert one.words.startswith("1 entity; 1 of them is listed. ")
    assert two.words.startswith("2 entities; 1 of them is listed. ")
