"""The model card: what it must say, whatever the run."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.money import Rate, RateTable, rounded_form
from fivefold.domain.text import percent
from fivefold.training.judging.evaluate import ScoreStability
from fivefold.training.judging.gate import GateVerdict
from fivefold.training.report.card import CardTable, frame_table
from fivefold.training.report.model_card import CAUTION, Lineage, model_card
from tests.training.conftest import Runs


@pytest.fixture(scope="module")
def card(runs: Runs) -> str:
    first = runs.first
    return model_card(first.model, first.evaluation, first.lineage, first.verdict).markdown()


def test_it_warns_before_anything_else(card: str) -> None:
    assert "an analytical prediction, to be weighed with other checks" in CAUTION
    lines = card.splitlines()
    assert lines[0] == "# fivefold-value"
    assert lines[2] == f"> {CAUTION}"


def test_it_says_what_the_score_means(card: str, runs: Runs) -> None:
    model = runs.first.model
    assert "The value of a customer over the next 90 days in EUR: 0.005 × settled deposits" in card
    assert "+ 0.02 a year × mean positive balance" in card
    assert f"among the {model.curve.customers:,} customers known on {day_text(model.test_as_of)}" in card
    assert "Segments (low, medium, high, top) are cut at 2, 3, 4." in card


def test_it_says_what_every_figure_of_the_ranking_is_and_of_whom(card: str, runs: Runs) -> None:
    assert "Top-decile capture: what the tenth of the customers with the highest prediction came to be worth" in card
    assert "Normalised Gini: the Gini of the realised value with the customers in the order of the prediction" in card
    assert "Spearman: the correlation of the ranks by prediction and by value." in card
    for name in runs.first.evaluation.by_name:
        assert f"| {name} | " in card
        assert re.search(rf"The rows are .*\b{name}: ", card)


def test_it_says_between_which_days_scores_moved(card: str, runs: Runs) -> None:
    spacing = runs.first.lineage.config.snapshots.spacing_days
    share = percent(runs.first.evaluation.stability.same_segment_share)
    assert f"Of the customers known {spacing} days before the window too, {share} had the same segment then" in card


def test_it_says_what_was_learnt_from(card: str, runs: Runs) -> None:
    lineage = runs.first.lineage
    assert Path(lineage.source).is_absolute()
    assert f"- Data: {Path(lineage.source).name}, " in card, "no folders of the machine"
    assert f"{lineage.summary.rows:,} rows of 400 customers" in card
    assert f"digest `{lineage.summary.digest}`" in card
    assert f"{len(lineage.rows.values):,} rows at 6 dates" in card
    assert "of the customers;" not in card
    assert "no value window reaches into the test window" in card
    assert runs.first.model.fingerprint[:12] in card
    assert "objective tweedie" in card
    assert "rounds 40" in card
    assert "seed 1; fivefold 0" in card


def test_it_says_how_many_repeats_were_left_out(card: str, runs: Runs) -> None:
    first = runs.first
    summary = replace(first.lineage.summary, quality=replace(first.lineage.summary.quality, removed=1_200))
    written = model_card(first.model, first.evaluation, replace(first.lineage, summary=summary), first.verdict)
    assert "- Left out: 1,200 exact repeats of rows with the same transaction_id." in written.markdown().splitlines()
    assert '"removed_rows": 1200' in written.to_json() or '"removed_rows":1200' in written.to_json()
    assert "Left out" not in card


def test_it_says_how_well_it_does_and_what_the_gate_said(card: str, runs: Runs) -> None:
    evaluation = runs.first.evaluation
    for name, found in evaluation.by_name.items():
        numbers = f"{found.normalised_gini:.4f} | {found.top_decile_capture:.4f} | {found.spearman:.4f}"
        assert f"| {name} | {numbers} |" in card
    seen, low = evaluation.registered_metrics()["calibration_error"], evaluation.comparisons.calibration
    assert f"off by {percent(seen)} of the realised, the tenths taken together, and by at least {percent(low)}" in card
    assert f"The gate: {runs.first.verdict}." in card
    assert (
        f"On {evaluation.customers:,} customers, 2024-10-02 to 2024-12-31, from which its trees learnt nothing:" in card
    )
    for segment in ("low", "medium", "high", "top"):
        assert f"\n| {segment} | " in card
    assert "## Limits" in card
    looks = card[card.index("## What it looks at") : card.index("## Exchange rates")]
    shares = [float(line.split("|")[2].strip(" %<>")) for line in looks.splitlines() if line.endswith(" % |")]
    assert len(shares) == 10
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 100.5


def test_groups_of_customers_are_beside_each_other(card: str, runs: Runs) -> None:
    groups = runs.first.evaluation.groups
    assert {"tenure", "channel", "currency"} <= set(groups["by"])
    assert groups.group_by("by").agg(pl.col("customers").sum())["customers"].unique().to_list() == [
        runs.first.evaluation.customers
    ]
    assert "## By groups of customers" in card
    row = groups.row(0, named=True)
    assert f"| {row['by']} | {row['group']} | {row['customers']} | {row['predicted_mean']:,.2f} |" in card
    alike = replace(runs.first.evaluation, groups=groups.clear())
    assert "## By groups" not in model_card(runs.first.model, alike, runs.first.lineage, runs.first.verdict).markdown()


def test_of_a_group_of_too_few_customers_the_card_gives_no_figure(runs: Runs) -> None:
    row = runs.first.evaluation.groups.row(0, named=True)
    one = dict.fromkeys(row) | {"by": "currency", "group": "others", "customers": 1}
    groups = pl.concat([runs.first.evaluation.groups, pl.DataFrame([one], schema=runs.first.evaluation.groups.schema)])
    card = model_card(
        runs.first.model, replace(runs.first.evaluation, groups=groups), runs.first.lineage, runs.first.verdict
    ).markdown()
    assert "| currency | others | 1 |" + " too few |" * (len(row) - 3) in card
    assert "only the number is given where they are fewer than 30" in card
    of_run = runs.first.evaluation.groups.filter(pl.col("customers") < 30).height
    assert card.count(" too few |") == (1 + of_run) * (len(row) - 3)


def test_a_sample_is_told(runs: Runs) -> None:
    first = runs.first
    sampled = replace(first.lineage, rows=replace(first.lineage.rows, share=0.125))
    card = model_card(first.model, first.evaluation, sampled, first.verdict).markdown()
    assert "12.5 % of the customers" in card


def test_rates_older_than_a_year_are_marked_stale(runs: Runs, card: str) -> None:
    first = runs.first
    day = date(2024, 6, 30)
    old = RateTable("EUR", day, {"HRK": Rate(0.13, date(2022, 12, 30)), "USD": Rate(0.93, day)}, "tests")
    stale = model_card(replace(first.model, rates=old), first.evaluation, first.lineage, first.verdict).markdown()
    assert "**Stale** (last known more than a year before): HRK." in stale
    assert "last known rate on 2024-06-30, source: tests; 3 currencies" in stale
    fresh = RateTable("EUR", day, {"USD": Rate(0.93, day)}, "tests")
    assert (
        "Stale"
        not in model_card(replace(first.model, rates=fresh), first.evaluation, first.lineage, first.verdict).markdown()
    )
    assert "the operator's table rates.csv" in card


def test_undefined_figures_are_no_obstacle(runs: Runs) -> None:
    first = runs.first
    nan = float("nan")
    bare = replace(first.evaluation, stability=ScoreStability(nan, nan, nan), floored_share=0.25)
    card = model_card(first.model, bare, first.lineage, GateVerdict(False, True, ("it lost",))).markdown()
    assert "The gate: it lost." in card
    assert "25.0 % of the customers in the test window" in card


def test_a_table_in_markdown_has_a_caption_and_as_many_cells_in_every_line(card: str) -> None:
    blocks = card.split("\n\n")
    tables = [number for number, block in enumerate(blocks) if block.startswith("|")]
    assert len(tables) == 9
    for number in tables:
        assert len({line.count("|") for line in blocks[number].splitlines()}) == 1
    captions = [blocks[number - 1] for number in tables]
    assert len(set(captions)) == 9, "tables are told apart by what stands above them"
    assert all(caption.startswith("**") and caption.endswith("**") for caption in captions)
    least = "fifth of those whose consistency is known, least consistent first"
    assert f"**Values in the interval, by {least}**" in captions


def test_it_says_where_the_intervals_come_from_and_what_they_held(card: str, runs: Runs) -> None:
    table, judged = runs.first.model.intervals, runs.first.evaluation.coverage
    assert table is not None
    assert judged is not None
    days = " and ".join(map(day_text, table.as_ofs))
    assert f"They follow from {sum(table.customers):,} predictions as of {days}" in card
    alike = "predictions and consistency" if len(table.customers) > len(table.parts) else "predictions"
    assert f"in {len(table.customers)} groups of similar {alike}. Low" in card
    assert max(table.as_ofs) + 90 * DAY_US <= runs.first.model.test_as_of
    assert f"{percent(judged.covered_share)} lay in intervals of 80 %, which are" in card
    for row in [*judged.segments.to_dicts(), *judged.tenths.to_dicts(), *judged.fifths.to_dicts()]:
        cells = (row["customers"], *(percent(row[f"{name}_share"]) for name in ("covered", "expected", "zero")))
        assert f"| {' | '.join(map(str, cells))} | {row['low_mean']:,.2f} | {row['high_mean']:,.2f} |" in card


def test_it_says_where_there_is_no_interval_and_where_none_was_judged(runs: Runs) -> None:
    first = runs.first
    none, unjudged = replace(first.model, intervals=None), replace(first.evaluation, coverage=None)
    card = model_card(none, unjudged, first.lineage, first.verdict).markdown()
    assert f"There is none: {first.lineage.lack_served}." in card
    card = model_card(first.model, unjudged, first.lineage, first.verdict).markdown()
    assert "How many values they hold on later customers was not yet seen." in card


def test_numbers_in_tables_are_readable() -> None:
    table = pl.DataFrame({"customers": [1200], "share": [0.5], "money": [1234567.891]})
    forms = {"share": "percent", "money": rounded_form("EUR")}
    assert frame_table(table, "Figures", forms=forms).markdown()[-1] == "| 1200 | 50.0 % | 1,234,567.89 |"


def test_money_has_the_decimals_of_its_currency(runs: Runs) -> None:
    first = runs.first
    for code, decimals in {"JPY": 0, "EUR": 2, "KWD": 3}.items():
        model = replace(first.model, rates=RateTable(code, date(2024, 6, 30), {}, "tests"))
        card = model_card(model, first.evaluation, first.lineage, first.verdict)
        tables = [block for section in card.sections for block in section.blocks if isinstance(block, CardTable)]
        means = {column.form for table in tables for column in table.columns if column.name.endswith("_mean")}
        assert means == {f"z,.{decimals}f"}
        assert re.search(rf"which are [\d,]+{r'[.]' if decimals else ''}\d{{{decimals}}} {code} wide", card.markdown())


def test_the_lineage_keeps_what_the_card_needs(runs: Runs) -> None:
    assert isinstance(runs.first.lineage, Lineage)
    assert runs.first.lineage.trees.rounds == 40
