"""The page of a validation."""

from collections.abc import Iterator
from dataclasses import astuple

import polars as pl

from fivefold.charts.validation import capture, confirmed, stability
from fivefold.domain.text import percent
from fivefold.models.drift import SHIFTED, STABLE
from fivefold.risk.governance.backtest.moves import FailedAssessment
from fivefold.risk.governance.reports.backtest import lists_words
from fivefold.risk.governance.reports.page import ReportPage, Section, Table
from fivefold.risk.governance.validate.ranking import CONFIDENCE, Paired
from fivefold.risk.governance.validate.run import Validation
from fivefold.risk.governance.validate.verdicts import interval_words

PICTURED_FACTORS = 25


def validation_page(result: Validation) -> ReportPage:
    """Lay out a validation for people: verdicts first, then what they rest on."""
    who = result.population
    facts = [
        ("Ruleset", f"{result.ruleset} {result.content_hash}"),
        ("As of", result.as_of),
        (
            "Labels that became known",
            f"after that, up to {result.horizon}" if result.horizon else "at any time after that",
        ),
        (
            "Entities",
            f"{who.entities:,}: {who.judged:,} judged, {who.not_applicable:,} not applicable, {who.known:,} known",
        ),
        ("Confirmed among the judged", f"{who.confirmed:,}"),
        ("Assessed in full, so ranked", f"{who.ranked:,}, of them confirmed {who.ranked_confirmed:,}"),
        ("Lists", lists_words(result.lists)),
        ("Intervals", f"{percent(CONFIDENCE, 0)}, {result.resamples:,} resamples, seed {result.seed}"),
    ]
    return ReportPage(f"Validation of {result.ruleset}", facts, result.cautions, list(_sections(result)))


def _sections(result: Validation) -> Iterator[Section]:
    yield _verdicts(result)
    if result.ranking is not None:
        yield _ranking(result)
    yield _levels(result)
    yield _lifts(result)
    if result.additions:
        yield _compared(
            "What each rule adds",
            "Gini of the total, less Gini without the rule, in the same resamples. About 0: the rule adds nothing to "
            "the ranking; it may still be needed for its floor.",
            [(added.rule, added.paired) for added in result.additions],
            "without it",
        )
    if result.singles:
        yield _singles(result)
    if result.other is not None:
        name, paired = result.other
        yield _compared(
            "Beside another ruleset", "On the entities that both assess in full.", [(name, paired)], "its Gini"
        )
    if result.stability:
        yield _stability(result)
    if result.failures:
        yield _failures(result.failures)


def _verdicts(result: Validation) -> Section:
    rows = [
        [
            verdict.what,
            verdict.answer.value,
            verdict.floor,
            verdict.measured,
            "; ".join(
                filter(
                    None, ["" if verdict.sure else "not sure: the interval reaches across the floor", verdict.because]
                )
            ),
        ]
        for verdict in result.verdicts
    ]
    return Section("Verdicts", "", Table(["what", "verdict", "asked", "measured", "remarks"], rows, words=5))


def _ranking(result: Validation) -> Section:
    assert result.ranking is not None
    ranking = result.ranking
    rows = [["Gini", interval_words(ranking.gini)], ["AUC", interval_words(ranking.auc)]]
    return Section(
        "How well the total ranks",
        "Gini = 2 × AUC − 1: 0 is chance, 1 is perfect. Equal totals count as halves.",
        Table(["", "estimate (interval)"], rows),
        capture(f"total of {result.ruleset}", result.curve, ranking.confirmed / ranking.entities),
    )


def _levels(result: Validation) -> Section:
    rows = [
        [
            row.level,
            f"{row.entities:,}",
            percent(row.share),
            f"{row.confirmed:,}",
            "" if row.rate is None else interval_words(row.rate, percent=True),
        ]
        for row in result.levels
    ]
    rates = [(None, None, None) if row.rate is None else astuple(row.rate) for row in result.levels]
    table = pl.DataFrame(
        [
            {"level": row.level, "entities": row.entities, "rate": rate, "low": low, "high": high}
            for row, (rate, low, high) in zip(result.levels, rates, strict=True)
        ],
        schema_overrides={"rate": pl.Float64, "low": pl.Float64, "high": pl.Float64},
    )
    prevalence = result.population.confirmed / max(1, result.population.judged)
    top = result.capture
    words = "By the rules alone, floors included, without cooldown and overrides." + (
        ""
        if top is None
        else f" {' and '.join(top.top)} hold {interval_words(top.captured, percent=True)} of the "
        f"confirmed; with {percent(top.top_share)} of the portfolio and {percent(top.prevalence)} confirmed, "
        f"arithmetic allows at most {percent(top.possible)}."
    )
    columns = ["level", "entities", "share", "confirmed", "confirmed share (interval)"]
    return Section("Levels", words, Table(columns, rows), confirmed(table, prevalence))


def _lifts(result: Validation) -> Section:
    rows = [
        [
            lift.rule,
            str(lift.case),
            lift.asked,
            f"{lift.entities:,}",
            f"{lift.confirmed:,}",
            percent(lift.of_confirmed),
            "" if lift.lift is None else f"{lift.lift.estimate:.2f} ({lift.lift.low:.2f} to {lift.lift.high:.2f})",
        ]
        for lift in result.lifts
    ]
    columns = ["rule", "case", "asks", "entities", "confirmed", "of all confirmed", "lift (interval)"]
    words = "Lift: how many times as often those who get a case are confirmed as everyone. 1 is no difference."
    return Section("Lift of every rule and case", words, Table(columns, rows, words=3))


def _compared(title: str, words: str, pairs: list[tuple[str, Paired]], other: str) -> Section:
    rows = [
        [
            name,
            f"{paired.first:.3f}",
            f"{paired.second:.3f}",
            interval_words(paired.difference),
            percent(paired.share_above),
        ]
        for name, paired in pairs
    ]
    columns = ["", "Gini of the total", other, "difference (interval)", "resamples above"]
    return Section(title, words, Table(columns, rows))


def _singles(result: Validation) -> Section:
    return _compared(
        "Beside single inputs",
        "Each column as if it were the whole model, in the direction that suits it, known only with hindsight. A "
        "ruleset that ranks no better than its best column adds nothing to the ranking.",
        [
            (f"{single.column}{' (suspected leak)' if single.suspected else ''}", single.paired)
            for single in result.singles
            if single.paired is not None
        ],
        "column alone",
    )


def _stability(result: Validation) -> Section:
    rows = [
        [line.factor, line.sort, line.verdict, "" if line.index is None else f"{line.index:.3f}"]
        for line in result.stability
    ]
    pictured = result.stability[:PICTURED_FACTORS]
    table = pl.DataFrame(
        [{"factor": line.factor, "index": line.index, "verdict": line.verdict} for line in pictured],
        schema_overrides={"index": pl.Float64},
    )
    return Section(
        "Drift since the reference period",
        f"Population stability index: below {STABLE:g} stable, above {SHIFTED:g} to be looked into. Rules by the case "
        "that came, inputs and the total by tenths of the reference.",
        Table(["factor", "sort", "verdict", "PSI"], rows, words=3),
        stability(table, (STABLE, SHIFTED)),
    )


def _failures(failures: tuple[FailedAssessment, ...]) -> Section:
    rows = [[failure.entity, failure.rule, failure.problem] for failure in failures]
    return Section("Not assessed in full", "The first of them.", Table(["entity", "rule", "problem"], rows, words=3))
