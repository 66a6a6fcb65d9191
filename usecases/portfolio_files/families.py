"""Families of rulesets on a portfolio from files: each entity is assessed by the ruleset that decides on it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.facts.portfolio import NamedList, Portfolio
from fivefold.risk.governance.backtest.compositions import Composition, Decisions, PriorState, decide
from fivefold.risk.governance.backtest.families import FamiliesBacktest, backtest_families
from fivefold.risk.governance.backtest.run import BacktestResult
from fivefold.risk.governance.beside import ALONE, Beside, composed, require_same_kind
from fivefold.risk.governance.validate.families import FamiliesValidation, validate_families
from fivefold.risk.governance.validate.run import ValidationOptions
from fivefold.usecases.portfolio_files.governance import (
    Draw,
    LabelledFile,
    StandingLevels,
    backtest_files,
    drift_reference,
)
from fivefold.usecases.portfolio_files.levels import read_deciding_rulesets
from fivefold.usecases.portfolio_files.portfolio import (
    PortfolioFiles,
    read_portfolio,
    read_with_warnings,
    warn_about_portfolio,
)


def backtest_beside(
    draft: AnalysedRuleset,
    present: AnalysedRuleset | None,
    beside: Beside,
    files: PortfolioFiles,
    as_of: int,
    standing: StandingLevels,
    drawn: Draw,
) -> BacktestResult | FamiliesBacktest:
    """Compare a draft with what decides now; if other rulesets decide *beside* it, as `backtest_families_of_files`."""
    if beside == ALONE:
        return backtest_files(draft, present, files, as_of, standing, drawn)
    return backtest_families_of_files(draft, present, beside.first, beside.then, files, as_of, standing, drawn)


def backtest_families_of_files(
    draft: AnalysedRuleset,
    present: AnalysedRuleset | None,
    first: Sequence[AnalysedRuleset],
    then: Sequence[AnalysedRuleset],
    files: PortfolioFiles,
    as_of: int,
    standing: StandingLevels,
    drawn: Draw,
) -> FamiliesBacktest:
    """Compare the families that decide now with the same families and a draft, which replaces one or is added.

    Args:
        draft: the ruleset that would decide.
        present: the ruleset that it replaces; None for a new family.
        first: the families that are tried before it.
        then: the families that are tried after it.
        files: the portfolio.
        as_of: the moment, microseconds.
        standing: the levels until now.
        drawn: which entities are assessed.

    Raises:
        ConfigError: rulesets cannot decide side by side, or a file cannot be used.
    """
    before, after, family = compositions_of(draft, present, first, then, files.lists)
    rulesets = [*before.rulesets.values(), draft]
    portfolio = read_with_warnings(files, rulesets, as_of)
    previous = standing.previous
    decided = {} if previous is None else read_deciding_rulesets(previous, rulesets, files.warn)
    held_levels = standing.read(draft.ruleset.levels, as_of)
    draw = drawn.size, drawn.seed, drawn.progress
    return backtest_families(before, after, family, portfolio, as_of, held_levels, decided, *draw)


def compositions_of(
    draft: AnalysedRuleset,
    present: AnalysedRuleset | None,
    first: Sequence[AnalysedRuleset],
    then: Sequence[AnalysedRuleset],
    lists: Mapping[str, NamedList],
) -> tuple[Composition, Composition, str]:
    """Return what decides now, what would decide, and the family of the draft; *lists* are all that they may name.

    The other arguments are those of `backtest_families_of_files`.

    ConfigError if rulesets cannot decide side by side.
    """
    if present is not None:
        require_same_kind(present.ruleset, draft.ruleset)
    before = composed([*first, *([] if present is None else [present]), *then], lists)
    family = (present or draft).ruleset.name
    composed([*first, draft, *then], lists)
    named = [(each.ruleset.name, each) for each in first], [(each.ruleset.name, each) for each in then]
    return before, Composition(dict([*named[0], (family, draft), *named[1]])), family


def validate_families_of_files(
    rulesets: Sequence[AnalysedRuleset],
    other: AnalysedRuleset | None,
    files: PortfolioFiles,
    labels: Path,
    as_of: int,
    options: ValidationOptions,
    *,
    reference: int | None,
    undated_known: bool,
) -> FamiliesValidation:
    """Validate families of rulesets, each on the entities that it decides on, and all families together.

    Args:
        rulesets: in the order in which they are tried.
        other: a ruleset to compare with, in place of the first; None for no comparison.
        files: the portfolio.
        labels: a file of the confirmed entities, and when that became known.
        as_of: the moment, microseconds.
        options: which labels count, seed and resamples.
        reference: the earlier moment to measure drift from, microseconds; None for no drift.
        undated_known: whether undated tags and screenings were known at as-of.

    Raises:
        ConfigError: rulesets cannot decide side by side, or a file cannot be used.
    """
    composition = composed(rulesets, files.lists)
    compared = None if other is None else composed([other, *rulesets[1:]], files.lists)
    if other is not None:
        require_same_kind(rulesets[0].ruleset, other.ruleset)
    all_rulesets = [*rulesets, *([] if other is None else [other])]
    labelled = LabelledFile(files, labels, undated_known=undated_known)
    portfolio, cautions = labelled.dated(read_portfolio(files, all_rulesets, as_of))
    warn_about_portfolio(files, portfolio, all_rulesets, as_of)
    earlier = None
    reference, without_drift = drift_reference(rulesets, files, reference)
    if reference is not None:
        then = labelled.dated(read_portfolio(files, rulesets, reference))[0]
        earlier = _decide(composition, then, reference)
    theirs = None if compared is None or other is None else (other.ruleset.name, _decide(compared, portfolio, as_of))
    options = replace(options, cautions=(*cautions, *labelled.cautions, *without_drift))
    decisions = _decide(composition, portfolio, as_of)
    return validate_families(tuple(composition.rulesets), decisions, labelled.labels, as_of, options, earlier, theirs)


def _decide(what: Composition, portfolio: Portfolio, as_of: int) -> Decisions:
    return decide(what, portfolio, as_of, PriorState())
