"""The pages of families of rulesets: a backtest with a draft among them, and a validation of all of them."""

from collections.abc import Iterator
from dataclasses import replace

from fivefold.domain.text import percent
from fivefold.risk.governance.backtest.compositions import NOBODY
from fivefold.risk.governance.backtest.families import FamiliesBacktest, FamilyHits
from fivefold.risk.governance.backtest.run import MOVERS
from fivefold.risk.governance.reports.backtest import (
    MOVED_NUMBERS,
    differs,
    distribution,
    failures_section,
    hits_section,
    lists_words,
    migration_section,
    moved_columns,
    moved_numbers,
    moved_places,
)
from fivefold.risk.governance.reports.page import ReportPage, ReportSection, ReportTable
from fivefold.risk.governance.reports.validation import (
    another_section,
    levels_section,
    peer_section,
    sections,
    verdicts_section,
)
from fivefold.risk.governance.validate.families import FamiliesValidation
from fivefold.risk.governance.validate.ranking import CONFIDENCE
from fivefold.risk.governance.validate.verdicts import interval_words


def families_backtest_page(result: FamiliesBacktest) -> ReportPage:
    """Lay out a backtest of families for people: deciders, distribution, migration, movers, hits and failures."""
    drawn = f"all {result.entities:,}"
    if result.drawn < result.entities:
        share = percent(result.drawn / result.entities)
        drawn = f"{result.drawn:,} of {result.entities:,} ({share}), drawn with seed {result.seed}"
    lists = {name: days for each in (*result.present, *result.draft) for name, days in each.lists.items()}
    facts = [
        ("Would decide", _names(result.draft)),
        ("In force", _names(result.present)),
        ("As of", result.as_of),
        ("Entities", drawn),
        ("Standing levels", result.standing),
        ("Lists", lists_words(lists)),
    ]
    title = f"Backtest of {result.draft_family} among {', '.join(each.family for each in result.draft)}"
    return ReportPage(title, facts, result.cautions, list(_backtest_sections(result)))


def _names(families: tuple[FamilyHits, ...]) -> str:
    return "; then ".join(f"{each.ruleset} {each.content_hash}" for each in families)


def _backtest_sections(result: FamiliesBacktest) -> Iterator[ReportSection]:
    places, _ = result.orders
    families = [*dict.fromkeys(each.family for each in (*result.present, *result.draft)), NOBODY]
    yield migration_section("Which ruleset decides", result.deciders, families, families, result.drawn)
    now, then = result.present_side, result.draft_side

    def ordered(counts: dict[str, int]) -> dict[str, int]:
        return {place: counts[place] for place in places if place in counts}

    has_cooldown = result.later is not None
    sides = [
        (name, ordered(side.alone), ordered(side.later) if has_cooldown else None)
        for name, side in (("in force", now), ("draft", then))
    ]
    yield distribution(sides, result.drawn)
    yield migration_section("From where to where, by the rules alone", result.alone, places, places, result.drawn)
    if result.later is not None and differs(result.alone, result.later):
        yield migration_section("From where to where, after the cooldown", result.later, places, places, result.drawn)
    elif result.later is not None:
        words = "The cooldown keeps nobody at a higher level: all is as by the rules alone."
        yield ReportSection("After the cooldown", words)
    if result.movers:
        yield _movers(result)
    present = {each.family: each.hits for each in result.present}
    for each in result.draft:
        named = [("in force", present[each.family])] if each.family in present else []
        title = f"What every rule and case of {each.family} comes to"
        yield hits_section(title, [*named, ("draft", each.hits)])
    for name, side in (("in force", now), ("draft", then)):
        yield from failures_section(name, side.failed, side.failures)


def _movers(result: FamiliesBacktest) -> ReportSection:
    is_later_known = result.later is not None
    rows = [
        [
            *moved_places(mover, is_later_known),
            " → ".join(dict.fromkeys((mover.decided_before, mover.decided_after))),
            "; ".join(mover.reasons),
            *moved_numbers(mover),
        ]
        for mover in result.movers
    ]
    places = moved_columns(is_later_known)
    table = ReportTable([*places, "decided by", "why", *MOVED_NUMBERS], rows, words=len(places) + 2)
    return ReportSection("Who changes most", f"By levels; {MOVERS} at most.", table)


def families_validation_page(result: FamiliesValidation) -> ReportPage:
    """Lay out a validation of families for people: all of them together, then each by itself."""
    who = (
        f"{result.entities:,}: {result.judged:,} judged, {result.undecided:,} on whom no ruleset decides, "
        f"{result.known:,} known"
    )
    facts = [
        ("Rulesets", "; then ".join(each.family for each in result.families)),
        ("As of", result.as_of),
        (
            "Labels that became known",
            f"after that, up to {result.horizon}" if result.horizon else "at any time after that",
        ),
        ("Entities", who),
        ("Confirmed among the judged", f"{result.confirmed:,}"),
        ("Assessed in full, so ranked", f"{result.ranked:,}"),
        ("Intervals", f"{percent(CONFIDENCE, 0)}, {result.resamples:,} resamples, seed {result.seed}"),
    ]
    title = f"Validation of {', '.join(each.family for each in result.families)}"
    return ReportPage(title, facts, result.cautions, list(_validation_sections(result)))


def _validation_sections(result: FamiliesValidation) -> Iterator[ReportSection]:
    yield verdicts_section(result.verdicts)
    yield _ginis(result)
    yield levels_section(result.levels, result.capture, result.confirmed / max(1, result.judged))
    if result.other is not None:
        place = f"With {result.other.ruleset} in the place of {result.families[0].family}"
        yield another_section(result.other, "level", f"{place}, on the entities that are assessed in full both ways")
    if result.peer is not None:
        yield peer_section(result.peer)
    for each in result.families:
        if each.validation is not None:
            facts = f"{each.family} {each.validation.content_hash}; lists: {lists_words(each.validation.lists)}"
            yield ReportSection(f"{each.family} by itself", facts)
            for section in sections(each.validation):
                yield replace(section, title=f"{each.family}: {section.title}")


def _ginis(result: FamiliesValidation) -> ReportSection:
    everybody = result.level_ranking
    rows = [
        [
            "everybody",
            f"{result.judged:,}",
            f"{result.confirmed:,}",
            "not comparable",
            "not measured" if everybody is None else interval_words(everybody.gini),
            "not measured" if result.capture is None else interval_words(result.capture.captured, percent=True),
        ]
    ]
    for each in result.families:
        of = each.validation
        rankings = (None, None) if of is None else (of.ranking, of.level_ranking)
        captured = None if of is None or of.capture is None else of.capture.captured
        rows.append(
            [
                each.family,
                "0" if of is None else f"{of.population.judged:,}",
                "0" if of is None else f"{of.population.confirmed:,}",
                *("not measured" if one is None else interval_words(one.gini) for one in rankings),
                "not measured" if captured is None else interval_words(captured, percent=True),
            ]
        )
    columns = ["ruleset", "judged", "confirmed", "Gini of the total", "Gini of the level", "captured"]
    words = (
        "Each ruleset on those on whom it decides. Totals of different rulesets are different numbers, so everybody is "
        "ranked by the level alone."
    )
    return ReportSection("How well each ruleset ranks", words, ReportTable(columns, rows))
