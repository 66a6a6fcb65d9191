"""Columns of transactions that a table may lack: they are unknown, and no rule may take that for no."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import InvalidRulesetError
from fivefold.domain.money import ecb_rates
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.explain.breakdown import explain
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.usecases.portfolio_files.bundled import bundled_lists, bundled_ruleset
from tests.risk.linted import lint

AS_OF = parse_moment("2026-11-20", "as of")
RULE = """
ruleset: optional
entity_type: customer
transaction_fields: {wallet: {one_of: [hosted, own]}, note: text}
%s
levels: [low, medium, high]
score: {points: {thresholds: [10, 20]}}
max_recompute_interval: 30 days
rationale: For a test.
rules:
  - id: wallets
    title: Wallets
    category: other
    rationale: For a test.
    input: {%s, over: 90 days}
    cases: [{when: {at_least: 0.5}, points: 20}]
    on_unknown: {points: 10}
"""
OWN = "where: {field: wallet, equals: own}"
SHARE, COUNT = f"share: amount, {OWN}", f"count: transactions, {OWN}"
RATIO = f"ratio: [{{{COUNT}}}, {{count: transactions, where: {{field: wallet, is: present}}}}]"
OPTIONAL = "optional_transaction_fields: [wallet, note]"


def ruleset(read: str, optional: str = OPTIONAL) -> AnalysedRuleset:
    text = RULE % (optional, read)
    return analyse_text(text.replace("], over: 90 days}", "]}") if read.startswith("ratio") else text)


def transactions(count: int = 2, **columns: Any) -> pl.DataFrame:
    every = {"user_id": "a", "transaction_amount": 50.0, "transaction_currency": "EUR"}
    rows = [{**every, "transaction_date": f"2026-11-0{number + 1}"} for number in range(count)]
    return pl.DataFrame(rows).with_columns(pl.Series(name, values) for name, values in columns.items())


def portfolio(rows: pl.DataFrame | pl.LazyFrame) -> Portfolio:
    return Portfolio(pl.DataFrame({"entity_id": ["a"]}), ecb_rates("EUR", date(2024, 1, 1)), rows)


def level(analysed: AnalysedRuleset, rows: pl.DataFrame | pl.LazyFrame) -> str:
    return str(assess(analysed, portfolio(rows), AS_OF).table()["level"].item())


@pytest.mark.parametrize("read", [SHARE, RATIO])
@pytest.mark.parametrize("count", [2, 5_000])  # one way by plain functions, and one by columns
def test_an_absent_column_is_unknown_and_not_no(read: str, count: int) -> None:
    rows = transactions(1).select(pl.all().repeat_by(count).explode())
    assert level(ruleset(read), rows) == "medium"
    assert level(ruleset(read), rows.lazy()) == "medium"


def test_a_column_that_is_there_counts_although_it_is_optional() -> None:
    assert level(ruleset(SHARE), transactions(wallet=["own", "hosted"])) == "high"
    assert level(ruleset(SHARE), transactions(wallet=["hosted", "hosted"])) == "low"
    assert level(ruleset(SHARE), transactions(wallet=[None, ""])) == "medium"


def test_what_is_not_optional_is_refused_with_the_ways_out() -> None:
    fields = ruleset(SHARE, "optional_transaction_fields: [note]")
    with pytest.raises(InvalidRulesetError, match="optional_transaction_fields, and then it is unknown"):
        assess(fields, portfolio(transactions()), AS_OF)
    with pytest.raises(InvalidRulesetError, match="perhaps Wallet is meant: --map Wallet=wallet"):
        assess(fields, portfolio(transactions(Wallet=["own", "own"])), AS_OF)


@pytest.mark.parametrize("column", ["Wallet", "walet", "wallett"])
def test_a_misspelt_optional_column_is_refused_and_not_unknown(column: str) -> None:
    rows = transactions(**{column: ["own", "own"]})
    for each in (rows, rows.lazy()):
        with pytest.raises(InvalidRulesetError, match=f"perhaps {column} is meant: --map {column}=wallet"):
            assess(ruleset(SHARE), portfolio(each), AS_OF)


def test_an_absent_optional_column_is_not_taken_for_a_column_that_is_somewhat_like_it() -> None:
    assert level(ruleset(SHARE), transactions(wallet_id=["own", "own"])) == "medium"


def test_a_column_of_another_declared_field_is_not_suggested() -> None:
    text = (RULE % ("", SHARE)).replace("note: text", "wallets: text")
    with pytest.raises(InvalidRulesetError, match="optional_transaction_fields, and then it is unknown"):
        assess(analyse_text(text), portfolio(transactions(wallets=["x", "y"])), AS_OF)


def test_a_field_that_is_not_declared_is_refused_with_the_nearest() -> None:
    diagnostics = ruleset(SHARE, "optional_transaction_fields: [walet]").diagnostics
    assert [each.problem for each in diagnostics] == [
        "walet is not under transaction_fields; there are wallet, note; perhaps wallet was meant"
    ]


def doubts(analysed: AnalysedRuleset) -> str:
    return "\n".join(map(str, lint(analysed)))


def test_lint_doubts_a_rule_that_takes_an_absent_column_for_no() -> None:
    assert "takes transactions of which wallet is unknown for none" in doubts(ruleset(COUNT))
    assert "for none" not in doubts(ruleset(COUNT, ""))
    assert not [read for read in (SHARE, RATIO, f"max: amount, {OWN}") if "for none" in doubts(ruleset(read))]


def test_lint_doubts_an_optional_field_that_no_rule_reads() -> None:
    found = doubts(ruleset(SHARE))
    assert "names note, which no rule reads" in found
    assert "names wallet, which no rule reads" not in found


def test_the_content_hash_of_a_ruleset_without_the_word_is_as_before() -> None:
    assert "optional_transaction_fields" not in ruleset(SHARE, "").ruleset.canonical
    assert ruleset(SHARE, "").ruleset.content_hash != ruleset(SHARE).ruleset.content_hash


SHIPPED = ("fatf-retail", "eu-bank-weighted")
NEW = ("transfer-information", "self-hosted-wallets")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_rules_of_transfers_are_unknown_without_their_columns_and_give_nothing(name: str) -> None:
    analysed = AnalysedRuleset(bundled_ruleset(name))
    rows = transactions(counterparty_id=["p", "q"], operation=["transfer"] * 2, purpose=["rent"] * 2)
    rows = rows.with_columns(pl.lit(-2000.0).alias("transaction_amount"), pl.lit("DE").alias("counterparty_country"))

    def outcome(more: dict[str, list[str]]) -> tuple[dict[str, Any], Any]:
        known = {"entity_id": "a", "kind": "person", "country": "DE", "resident": True, "products": []}
        fields = {field: known.get(field) for field in ("entity_id", *analysed.ruleset.fields)}
        held = Portfolio(
            pl.DataFrame([fields], schema_overrides={"products": pl.List(pl.String)}),
            ecb_rates("EUR", date(2024, 1, 1)),
            rows.with_columns(pl.Series(each, values) for each, values in more.items()),
            screenings=pl.DataFrame({"entity_id": ["a"], "screening": ["sanctions"], "found": [False]}),
            cases=pl.DataFrame(schema={"entity_id": pl.String, "opened": pl.String, "outcome": pl.String}),
            indicators=pl.DataFrame({"entity_id": ["a"], "account_age": [400.0], "regularity_365d": [0.5]}),
            lists=bundled_lists(),
        )
        found = explain(assess(analysed, held, AS_OF), 0)
        return {each.rule: each.case for each in found.rules if each.rule in NEW}, found.total

    unknown, total = outcome({})
    assert unknown == dict.fromkeys(NEW, "unknown")
    known, same = outcome({"transfer_information": ["complete"] * 2, "counterparty_wallet": ["hosted"] * 2})
    assert known == dict.fromkeys(NEW, "otherwise")
    assert total == same, "what is unknown gives no points"
