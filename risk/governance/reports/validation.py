"""The page of a validation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple

import polars as pl

from fivefold.charts.validation import capture, confirmed, stability
from fivefold.domain.text import apart_from, count_text, percent
from fivefold.models.drift import SHIFTED, STABLE, index_words
from fivefold.risk.governance.backtest.moves import FailedAssessment
from fivefold.risk.governance.reports.backtest import lists_words
from fivefold.risk.governance.reports.page import ReportPage, ReportSection, ReportTable
from fivefold.risk.governance.validate.measures import Capture, LevelRow
from fivefold.risk.governance.validate.peers import PeerComparison, is_share
from fivefold.risk.governance.validate.ranking import CONFIDENCE, AnotherRuleset, ConfidenceInterval, Paired
from fivefold.risk.governance.validate.run import Validation
from fivefold.risk.governance.validate.verdicts import LimitVerdict, interval_words

PICTURED_FACTORS = 25
SURE = 0.05
"""An adjusted p-value below this is called sure."""


def validation_page(result: Validation) -> ReportPage:
    """Lay out a validation for people: verdicts first, then their basis."""
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
    return ReportPage(f"Validation of {result.ruleset}", facts, result.cautions, list(sections(result)))


def sections(result: Validation) -> Iterator[ReportSection]:
    """Lay out the basis of one ruleset's verdicts."""
    yield verdicts_section(result.verdicts)
    if result.ranking is not None:
        yield _ranking(result)
    yield levels_section(result.levels, result.capture, result.population.confirmed / max(1, result.population.judged))
    yield _lifts(result)
    if result.additions:
        yield compared_section(
            "What each rule adds",
            "Gini of the total, less Gini without the rule, in the same resamples. About 0: the rule adds nothing to "
            f"the ranking; it may still be needed for its floor. {_multiplicity(result)}",
            [(added.rule, added.paired) for added in result.additions],
            "without it",
            {added.rule: added.adjusted_p_value for added in result.additions},
        )
    if result.singles:
        yield _singles(result)
    if result.other is not None:
        yield another_section(result.other, "total", "On the entities that both assess in full")
    if result.peer is not None:
        yield peer_section(result.peer)
    if result.stability:
        yield _stability(result)
    if result.failures:
        yield _failures(result.failures)


def verdicts_section(verdicts: Sequence[LimitVerdict]) -> ReportSection:
    """Show the verdicts against the floors."""
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
        for verdict in verdicts
    ]
    return ReportSection(
        "Verdicts", "", ReportTable(["what", "verdict", "asked", "measured", "remarks"], rows, words=5)
    )


def _ranking(result: Validation) -> ReportSection:
    assert result.ranking is not None
    ranking = result.ranking
    rows = [["Gini of the total", interval_words(ranking.gini)], ["AUC of the total", interval_words(ranking.auc)]]
    if result.level_ranking is not None:
        rows.append(["Gini of the level", interval_words(result.level_ranking.gini)])
    return ReportSection(
        "How well the total and the level rank",
        "Gini = 2 × AUC − 1: 0 is chance, 1 is perfect. Equal totals count as halves. The level is "
        "that by the rules, floors included, of the same entities: what floors catch shows there alone.",
        ReportTable(["", "estimate (interval)"], rows),
        capture(f"total of {result.ruleset}", result.curve, ranking.confirmed / ranking.entities),
    )


def levels_section(levels: Sequence[LevelRow], top: Capture | None, prevalence: float) -> ReportSection:
    """Show how many entities are at each level, how many of them are confirmed, and what the top levels hold."""
    rows = [
        [
            row.level,
            f"{row.entities:,}",
            percent(row.share),
            f"{row.confirmed:,}",
            "" if row.rate is None else interval_words(row.rate, percent=True),
            "" if row.of_confirmed is None else interval_words(row.of_confirmed, percent=True),
        ]
        for row in levels
    ]
    rates = [(None, None, None) if row.rate is None else astuple(row.rate) for row in levels]
    table = pl.DataFrame(
        [
            {"level": row.level, "entities": row.entities, "rate": rate, "low": low, "high": high}
            for row, (rate, low, high) in zip(levels, rates, strict=True)
        ],
        schema_overrides={"rate": pl.Float64, "low": pl.Float64, "high": pl.Float64},
    )
    words = "By the rules alone, floors included, without cooldown and overrides." + (
        ""
        if top is None
        else f" {' and '.join(top.top)} hold {interval_words(top.captured, percent=True)} of the "
        f"confirmed; with {percent(top.top_share)} of the portfolio and {percent(top.prevalence)} confirmed, "
        f"arithmetic allows at most {percent(top.possible)}."
    )
    columns = ["level", "entities", "share", "confirmed", "confirmed share (interval)", "of all confirmed (interval)"]
    return ReportSection("Levels", words, ReportTable(columns, rows), confirmed(table, prevalence))


def _lifts(result: Validation) -> ReportSection:
    rows = [
        [
            lift.rule,
            str(lift.case),
            lift.asked,
            f"{lift.entities:,}",
            f"{lift.confirmed:,}",
            percent(lift.of_confirmed),
            "" if lift.lift is None else interval_words(lift.lift, beside=(1,), decimals=2),
        ]
        for lift in result.lifts
    ]
    columns = ["rule", "case", "asks", "entities", "confirmed", "of all confirmed", "lift (interval)"]
    words = "Lift: how many times as often those who get a case are confirmed as everyone. 1 means no difference."
    return ReportSection("Lift of every rule and case", words, ReportTable(columns, rows, words=3))


def _multiplicity(result: Validation) -> str:
    """Write how many rules are judged at once, and for how many the difference is still sure."""
    count = len(result.additions)
    sure = sum(added.adjusted_p_value < SURE for added in result.additions)
    return (
        f"{count_text(count, 'rule')} judged at once: of twenty that add nothing one would pass at {percent(SURE, 0)} "
        "by chance, so p is adjusted by Holm's method, which holds whatever the rules have in common. "
        f"Below {SURE:g}: {sure}."
    )


def peer_section(peer: PeerComparison) -> ReportSection:
    """Show each figure beside the peer's, and why other figures of the peer have no counterpart."""
    rows = [
        [
            peer_figure_words(line.figure),
            *(_figure(side, line.figure) for side in (line.own, line.peer)),
            "no interval given" if line.difference is None else _figure(line.difference, line.figure),
        ]
        for line in peer.lines
    ]
    rows += [
        [peer_figure_words(gap.figure), "not compared", _figure(gap.peer, gap.figure), gap.why] for gap in peer.gaps
    ]
    words = (
        "The peer's figures rest on other customers, other labels and another horizon, so a difference gives no "
        "verdict on the ruleset. Its interval follows from both intervals (Newcombe's method)."
    )
    return ReportSection(
        f"Beside the figures of {peer.name}", words, ReportTable(["", "here", "peer", "difference (interval)"], rows)
    )


_PEER_FIGURES = {
    "gini": "Gini of the total",
    "level_gini": "Gini of the level",
    "captured": "confirmed in the top levels",
    "missed": "confirmed below them",
    "shares": "share of the level {}",
    "conversion": "alerts confirmed at the level {}",
}


def peer_figure_words(figure: str) -> str:
    """Name a figure of a peer.

    >>> peer_figure_words("captured"), peer_figure_words("shares.high")
    ('confirmed in the top levels', 'share of the level high')
    """
    kind, _, level = figure.partition(".")
    return _PEER_FIGURES[kind].format(level)


def _figure(interval: ConfidenceInterval, figure: str) -> str:
    if interval.low == interval.high:
        return percent(interval.estimate) if is_share(figure) else f"{interval.estimate:.3f}"
    return interval_words(interval, percent=is_share(figure))


def compared_section(
    title: str,
    words: str,
    pairs: list[tuple[str, Paired]],
    other: str,
    adjusted: Mapping[str, float] | None = None,
    *,
    of: str = "total",
) -> ReportSection:
    """Show paired differences of one Gini and others, each by its name."""
    rows = [
        [
            name,
            f"{paired.first:.3f}",
            f"{paired.second:.3f}",
            interval_words(paired.difference, beside=(0,)),
            percent(paired.share_above),
            *([] if adjusted is None else [apart_from(adjusted[name], (0, SURE), 3)]),
        ]
        for name, paired in pairs
    ]
    columns = ["", f"Gini of the {of}", other, "difference (interval)", "resamples above"]
    columns += [] if adjusted is None else ["p (Holm)"]
    return ReportSection(title, words, ReportTable(columns, rows))


def another_section(other: AnotherRuleset, of: str, words: str) -> ReportSection:
    """Show another ruleset, and the entities behind the difference; or why it is not measured. *words* names these."""
    title = "Beside another ruleset"
    if other.paired is None:
        return ReportSection(title, f"Not measured: {other.because}.")
    words = f"{words}: {other.entities:,}, {other.confirmed:,} of them confirmed."
    return compared_section(title, words, [(other.ruleset, other.paired)], "its Gini", of=of)


def _singles(result: Validation) -> ReportSection:
    return compared_section(
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


def _stability(result: Validation) -> ReportSection:
    rows = [
        [line.factor, line.sort, line.verdict, "" if line.index is None else index_words(line.index)]
        for line in result.stability
    ]
    pictured = result.stability[:PICTURED_FACTORS]
    table = pl.DataFrame(
        [{"factor": line.factor, "index": line.index, "verdict": line.verdict} for line in pictured],
        schema_overrides={"index": pl.Float64},
    )
    return ReportSection(
        "Drift since the reference period",
        f"Population stability index: below {STABLE:g} stable, above {SHIFTED:g} to be looked into. Rules by the case "
        "that came, inputs and the total by tenths of the reference.",
        ReportTable(["factor", "sort", "verdict", "PSI"], rows, words=3),
        stability(table, (STABLE, SHIFTED)),
    )


def _failures(failures: tuple[FailedAssessment, ...]) -> ReportSection:
    rows = [[failure.entity, failure.rule, failure.problem] for failure in failures]
    return ReportSection(
        "Not assessed in full", "The first of them.", ReportTable(["entity", "rule", "problem"], rows, words=3)
    )
