"""Tables that a ruleset may do without: absent is empty where the ruleset says so, and refused everywhere else."""

from datetime import date
from importlib.resources import files

import polars as pl
import pytest

from fivefold.domain.errors import InvalidRulesetError
from fivefold.domain.money import ecb_rates
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.risk.engine.assess import assess
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.language.reading import read_ruleset
from tests.risk.linted import lint

AS_OF = 1_800_000_000_000_000
RULE = """
ruleset: optional
entity_type: customer
case_fields: {kind: text}
%s
levels: [low, medium, high]
score: {points: {thresholds: [10, 20]}}
max_recompute_interval: 30 days
rationale: For a test.
rules:
  - id: watched
    title: Watched
    category: other
    rationale: For a test.
    input: {tag: watched}
    cases: [{when: present, points: 20}]
  - id: confirmed
    title: Confirmed
    category: other
    rationale: For a test.
    input: {count: cases, where: {all: [{field: outcome, equals: confirmed}, {field: kind, equals: fraud}]}, over: 90 days}
    cases: [{when: {at_least: 1}, points: 10}]
"""  # noqa: E501 (a line of YAML)


def ruleset(optional: str) -> AnalysedRuleset:
    return analyse_text(RULE % optional)


def portfolio(**tables: pl.DataFrame) -> Portfolio:
    return Portfolio(pl.DataFrame({"entity_id": ["a"]}), ecb_rates("EUR", date(2024, 1, 1)), **tables)  # type: ignore[arg-type]  # frames alone


def test_an_absent_table_is_empty_where_the_ruleset_says_so() -> None:
    found = assess(ruleset("optional_tables: [cases, tags]"), portfolio(), AS_OF)
    assert found.table()["level"].to_list() == ["low"]
    assert found.table()["status"].to_list() == ["assessed"]


def test_a_table_that_is_there_counts_although_it_is_optional() -> None:
    tags = pl.DataFrame({"entity_id": ["a"], "tag": ["watched"]})
    found = assess(ruleset("optional_tables: [cases, tags]"), portfolio(tags=tags), AS_OF)
    assert found.table()["level"].to_list() == ["high"]


def test_what_is_not_optional_is_refused_with_the_way_out() -> None:
    with pytest.raises(InvalidRulesetError) as refused:
        assess(ruleset("optional_tables: [cases]"), portfolio(), AS_OF)
    assert "tags" in str(refused.value)
    assert "`optional_tables: [tags]`" in str(refused.value)
    assert "cases:" not in str(refused.value)


def test_screenings_are_never_optional() -> None:
    with pytest.raises(InvalidRulesetError, match="screenings"):
        ruleset("optional_tables: [screenings]")


def test_the_content_hash_of_a_ruleset_without_optional_tables_is_as_before() -> None:
    assert "optional_tables" not in ruleset("").ruleset.canonical
    assert ruleset("") != ruleset("optional_tables: [tags]")


def test_an_optional_table_that_no_rule_reads_is_doubtful() -> None:
    doubts = [str(finding) for finding in lint(ruleset("optional_tables: [tags, alerts]"))]
    assert any("names alerts, which no rule reads" in doubt for doubt in doubts)
    assert not any("names tags, which no rule reads" in doubt for doubt in doubts)


def test_the_shipped_ruleset_needs_screenings_alone() -> None:
    text = (files("fivefold.risk") / "rulesets" / "fatf-retail.yaml").read_text("utf-8")
    assert read_ruleset(text).optional_tables == ("cases", "alerts", "tags")
