"""The page of a validation: everything that was found, readable, and nothing that could run."""

from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.risk.governance.reports.page import ReportTable, as_html
from fivefold.risk.governance.validate import measures
from fivefold.usecases.monitoring.page import validation_sections
from fivefold.usecases.monitoring.validate import validate_levels
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases import platforms
from tests.usecases.planted import day, fill, planted


@filled_once
def validated(engine: Engine) -> dict[str, Any]:
    bank = planted(engine, levels=["low", "<b>medium</b>", "high"])
    fill(bank, 6, 200)
    bank.override(1, 1, day(20))
    made = validate_levels(Context(engine, bank.actor).at(platforms.NOW), day(0), day(90), "why", resamples=20)
    return dict(made.report)


@pytest.fixture
def report(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(measures, "LEAST_CONFIRMED", 3)
    return validated(engine)


def test_everything_that_was_found_is_on_the_page(report: dict[str, Any]) -> None:
    page = validation_sections(7, "the <quarter>", report)
    assert page.title == "Validation of levels 7"
    titles = [section.title for section in page.sections]
    assert titles == [
        "Triggers of a revalidation", "How well the levels predicted", "Levels and alerts, all",
        "Levels and alerts, retail 1", "Levels and alerts, retail 2", "Levels reached", "Overrides",
        "What was due when this was carried out",
    ]  # fmt: skip
    tables = {section.title: section.table for section in page.sections if section.table is not None}
    assert len(tables["Triggers of a revalidation"].rows) == len(report["triggers"])
    worth = tables["How well the levels predicted"]
    gini = report["groups"][0]["ranked"]["gini"]
    assert worth.rows[0][4] == f"{gini['estimate']:.3f} ({gini['low']:.3f} to {gini['high']:.3f})"
    level_gini = report["groups"][0]["ranked"]["level_gini"]
    assert worth.rows[0][5] == f"{level_gini['estimate']:.3f} ({level_gini['low']:.3f} to {level_gini['high']:.3f})"
    assert all(len(row) == len(table.columns) for table in tables.values() for row in table.rows)
    low = report["groups"][0]["levels"][0]
    assert tables["Levels and alerts, all"].rows[0][:2] == ["low", f"{low['began']:,}"]
    overall = report["groups"][0]["caught"]
    told = " ".join(page.cautions)
    assert f"Of the confirmed {overall['unassessed']:,} had no assessment in time before" in told
    assert f"{overall['known']:,} were confirmed before that time" in told


def test_no_figure_reads_as_the_limit_that_it_is_beside(report: dict[str, Any]) -> None:
    overall, triggers = report["groups"][0], {each["name"]: each for each in report["triggers"]}
    triggers["gini"].update(figure=0.5997, answer="reached")
    triggers["overrides"].update(figure=0.1002, answer="reached")
    report["overrides"].update(downward_share=0.1002)
    overall["drift"].update(index=0.2496, verdict="moving")
    page = validation_sections(7, "why", report)
    tables = {section.title: section.table for section in page.sections if section.table is not None}
    numbers = {row[0]: row[3] for row in tables["Triggers of a revalidation"].rows}
    assert (numbers["Gini"], numbers["Overrides"]) == ("0.5997", "0.1002")
    assert tables["How well the levels predicted"].rows[0][-1] == "moving (0.2496)"
    assert "; 10.02 % below what the rules said, of 10 % that may be." in "".join(one.words for one in page.sections)


def test_one_day_and_one_entity_are_in_the_singular(report: dict[str, Any]) -> None:
    report["overrides"].update(mean_age_days=1.2, with_level=1)
    words = "".join(one.words for one in validation_sections(7, "why", report).sections)
    assert "of the 1 entity with a level were overridden, 1 day old on average" in words


def test_a_validation_from_before_the_level_was_ranked_is_shown_without_that(report: dict[str, Any]) -> None:
    for group in report["groups"]:
        del group["ranked"]["level_gini"]
    worth = _worth(report)
    assert {row[5] for row in worth.rows} == {"not measured then"}


def test_who_is_left_aside_is_counted_by_reason(report: dict[str, Any]) -> None:
    overall, version = (group["ranked"] for group in report["groups"][:2])
    overall.update(known=0, under_way=0, under_another=0)
    version.update(known=1200, under_way=0, under_another=3)
    assert [row[3] for row in _worth(report).rows][:2] == ["none", "1,200 confirmed before; 3 under another version"]
    for each in (overall, version):
        del each["under_another"]
    assert [row[3] for row in _worth(report).rows][:2] == [
        "none", "1,200 confirmed before; under another version: not counted then",
    ]  # fmt: skip


def _worth(report: dict[str, Any]) -> ReportTable:
    table = next(one.table for one in validation_sections(7, "why", report).sections if "predicted" in one.title)
    assert table is not None
    return table


def test_the_page_is_html_with_all_text_escaped(report: dict[str, Any]) -> None:
    written = as_html(validation_sections(7, "the <quarter>", report))
    assert "<quarter>" not in written
    assert "<b>medium</b>" not in written
    assert "&lt;b&gt;medium&lt;/b&gt;" in written
    assert written == as_html(validation_sections(7, "the <quarter>", report)), "the same report is the same page"


def test_what_rests_on_too_few_says_so(engine: Engine) -> None:
    bank = planted(engine)
    made = validate_levels(Context(engine, bank.actor).at(platforms.NOW), day(0), day(90), resamples=20)
    written = as_html(validation_sections(1, "why", made.report))
    assert "too few (0)" in written
    assert "none" in written


def test_no_count_is_said_as_none(report: dict[str, Any]) -> None:
    report["groups"][0]["statuses"] = {}
    sections = {section.title: section for section in validation_sections(7, "why", report).sections}
    assert sections["Levels and alerts, all"].words.endswith("At the end: none.")
