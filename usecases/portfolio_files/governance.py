"""Governance on a portfolio from files: backtests, validations with labels, proposals, what-if."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import polars as pl

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError
from fivefold.domain.text import perhaps
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.governance.backtest.run import BacktestResult, HeldLevels, backtest
from fivefold.risk.governance.beside import Beside, assess_decided
from fivefold.risk.governance.points.draft import draft_text as points_draft
from fivefold.risk.governance.points.propose import PointsProposal, propose_points
from fivefold.risk.governance.thresholds.draft import draft_text, thresholds_alone
from fivefold.risk.governance.thresholds.propose import ThresholdProposal, movers, propose_thresholds
from fivefold.risk.governance.validate.labels import dated_only, match_labels
from fivefold.risk.governance.validate.peers import PeerFigures, read_peer_text
from fivefold.risk.governance.validate.run import Validation, ValidationOptions, validate
from fivefold.risk.governance.what_if.answers import WhatIf, what_if
from fivefold.risk.governance.what_if.search import ChangedAssessment, WantedDirection
from fivefold.risk.language.reading import read_ruleset
from fivefold.usecases.portfolio_files.assess import assess_portfolio, before_of
from fivefold.usecases.portfolio_files.bundled import ruleset_text
from fivefold.usecases.portfolio_files.levels import read_held_levels
from fivefold.usecases.portfolio_files.portfolio import (
    PortfolioFiles,
    read_portfolio,
    read_with_warnings,
    warn_about_portfolio,
)
from fivefold.usecases.portfolio_files.tables import read_labels


@dataclass(frozen=True)
class StandingLevels:
    """The levels that entities hold before a draft decides.

    Attributes:
        previous: a file of these levels; its column `ruleset` names what decided.
        entered: without a file, the moment since which the levels of the ruleset in force count as held, microseconds.
    """

    previous: Path | None = None
    entered: int | None = None

    def check(self, as_of: int, *, has_present: bool) -> None:
        """Raise ConfigError if both are given, or `entered` is later than *as_of* or without a ruleset in force."""
        if self.previous is not None and self.entered is not None:
            raise ConfigError("--previous and --entered both say which levels stand; give one of them")
        if self.entered is not None and not has_present:
            raise ConfigError(
                "--entered says since when the levels of the ruleset in force stand; give that ruleset too, or the "
                "levels by --previous"
            )
        if self.entered is not None and self.entered > as_of:
            raise ConfigError("--entered must not be after --as-of")

    def read(self, levels: tuple[str, ...], as_of: int) -> HeldLevels:
        """Read the levels; ConfigError if the file cannot be used."""
        held_levels = None if self.previous is None else read_held_levels(self.previous, levels, as_of)
        return HeldLevels(held_levels, self.entered)


@dataclass(frozen=True)
class Draw:
    """The entities to assess: a sample of *size*, or all for None; and a callback for how many are done."""

    size: int | None = None
    seed: int = 0
    progress: Callable[[int, int], None] | None = None


def backtest_files(
    draft: AnalysedRuleset,
    present: AnalysedRuleset | None,
    files: PortfolioFiles,
    as_of: int,
    standing: StandingLevels,
    drawn: Draw,
) -> BacktestResult:
    """Compare a draft with the ruleset in force."""
    rulesets = [draft] if present is None else [draft, present]
    portfolio = read_with_warnings(files, rulesets, as_of)
    held_levels = standing.read(draft.ruleset.levels, as_of)
    return backtest(draft, portfolio, as_of, present, held_levels, drawn.size, drawn.seed, drawn.progress)


@dataclass(frozen=True)
class ThresholdDraft:
    """A proposal, the draft's text, and the entities whose level would change."""

    proposal: ThresholdProposal
    text: str
    movers: pl.DataFrame


def propose_from_files(
    text: str,
    name: str,
    files: PortfolioFiles,
    as_of: int,
    shares: Sequence[float] | None,
    *,
    within: float | None,
    earlier: Sequence[Path],
    labels: Path | None,
    options: ValidationOptions | None,
    beside: Beside,
) -> ThresholdDraft:
    """Propose thresholds that bring a ruleset's levels to *shares* of the entities that it decides on.

    Args:
        text: the text of the ruleset.
        name: the name of the text in messages.
        files: the portfolio.
        as_of: the moment, microseconds.
        shares: the target share of each level, lowest first; None for the middles of the usual shares.
        within: thresholds stay while every share is within this distance of its target.
        earlier: drafts of earlier quarters; a threshold is the mean of theirs and this portfolio's.
        labels: a file of confirmed entities, to measure the draft's effect on them.
        options: which labels count, seed and resamples.
        beside: the rulesets that decide beside it.
    """
    _refuse_twice(earlier)
    ruleset, options = analyse_text(text, name), options or ValidationOptions()
    portfolio = read_with_warnings(files, beside.around(ruleset), as_of)
    decided = assess_decided(ruleset, beside, portfolio, as_of)
    assessments = decided.assessments
    matched = None
    if labels is not None:
        rows, _ = read_labels(files.table("labels", labels))
        later = options.undated_are_later
        matched = match_labels(rows, assessments.outcomes, options.until, undated_are_later=later)
        everyone = set(portfolio.entities[ENTITY].cast(pl.String))  # those whom another ruleset assesses, too
        matched = replace(matched, strangers=tuple(name for name in matched.strangers if name not in everyone))
    draws = {"seed": options.seed, "resamples": options.resamples}
    past = [_thresholds_of(path, ruleset.ruleset.name) for path in earlier]
    proposal = propose_thresholds(assessments, shares, within=within, earlier=past, labels=matched, **draws)
    proposal = replace(proposal, cautions=(*proposal.cautions, *decided.cautions()))
    return ThresholdDraft(proposal, draft_text(text, ruleset.ruleset, proposal), movers(assessments, proposal))


def _refuse_twice(earlier: Sequence[Path]) -> None:
    """Raise ConfigError if a draft is named twice: it would count for two quarters."""
    files = [path.resolve() for path in earlier]
    for number, path in enumerate(earlier):
        if files[number] in files[:number]:
            raise ConfigError(f"--earlier names {path} twice; each draft of an earlier quarter counts once")


def _thresholds_of(path: Path, name: str) -> list[Decimal]:
    """Return the thresholds of an earlier draft's portfolio alone; ConfigError if the draft is of another ruleset."""
    text = ruleset_text(str(path))
    draft = read_ruleset(text, str(path))
    if draft.name != name:
        raise ConfigError(f"--earlier {path} is of the ruleset {draft.name}, not of {name}")
    return thresholds_alone(text)


def validate_files(
    rulesets: Sequence[AnalysedRuleset],
    files: PortfolioFiles,
    labels: Path,
    as_of: int,
    options: ValidationOptions,
    *,
    reference: int | None,
    undated_known: bool,
) -> Validation:
    """Validate the first ruleset, beside the second if given; *reference* is the earlier moment to measure drift from.

    Entities with an unreadable label are left out: their outcome is unknown.
    """
    labelled = LabelledFile(files, labels, undated_known=undated_known)

    def as_of_reference(moment: int) -> Assessments:
        return assess(rulesets[0], labelled.dated(read_portfolio(files, rulesets[:1], moment))[0], moment)

    reference, without_drift = drift_reference(rulesets[:1], files, reference)
    portfolio, cautions = labelled.dated(read_portfolio(files, rulesets, as_of))
    warn_about_portfolio(files, portfolio, rulesets, as_of)
    earlier = None if reference is None else as_of_reference(reference)
    assessed = [assess(ruleset, portfolio, as_of) for ruleset in rulesets]
    options = replace(options, cautions=(*cautions, *labelled.cautions, *without_drift))
    return validate(assessed[0], labelled.labels, options, earlier, assessed[1] if len(assessed) > 1 else None)


def drift_reference(
    rulesets: Sequence[AnalysedRuleset], files: PortfolioFiles, reference: int | None
) -> tuple[int | None, tuple[str, ...]]:
    """Return the moment to measure drift from; None, and cautions, if a reference portfolio has no version by then."""
    if reference is None:
        return None, ()
    needed = {name for ruleset in rulesets for name in ruleset.references & files.lists.keys()}
    young = sorted(name for name in needed if files.lists[name].in_force(reference) is None)
    cautions = tuple(
        f"Drift since {day_text(reference)} is not measured: the reference portfolio {name} has no version before "
        f"{day_text(files.lists[name].versions[0].since)}. Write it anew with fivefold rules reference, first with "
        f"--as-of {day_text(reference)}, then with each later moment."
        for name in young
    )
    return (None if young else reference), cautions


def propose_points_from_files(
    text: str,
    name: str,
    files: PortfolioFiles,
    labels: Path,
    as_of: int,
    options: ValidationOptions,
    *,
    learn_as_of: int | None,
    undated_known: bool,
    beside: Beside,
) -> tuple[PointsProposal, str]:
    """Propose points for a ruleset's *text* from later confirmed labels; return the proposal and the draft's text.

    Points are learnt from one half of the customers that it decides on, as of *learn_as_of* or else of *as_of*, and
    judged on the other half. *beside* are the rulesets that decide beside it.
    """
    ruleset = analyse_text(text, name)
    rulesets = beside.around(ruleset)
    labelled = LabelledFile(files, labels, undated_known=undated_known)
    portfolio, cautions = labelled.dated(read_with_warnings(files, rulesets, as_of))
    decided = assess_decided(ruleset, beside, portfolio, as_of)
    judging, learning = decided.assessments, None
    if learn_as_of is not None:
        earlier = labelled.dated(read_portfolio(files, rulesets, learn_as_of))[0]
        learning = assess_decided(ruleset, beside, earlier, learn_as_of).assessments
    options = replace(options, cautions=(*cautions, *labelled.cautions, *decided.cautions()))
    proposal, learnt_ruleset = propose_points(judging, labelled.labels, options, learning)
    return proposal, points_draft(text, judging.program, learnt_ruleset, proposal)


def what_if_of_file(
    ruleset: AnalysedRuleset,
    files: PortfolioFiles,
    as_of: int,
    entity: str,
    direction: WantedDirection,
    level: str | None,
    *,
    previous: Path | None,
    overrides: Path | None,
    beside: Beside,
) -> tuple[WhatIf, str]:
    """Find what would move the level of one entity of a file; return that, and the ruleset that decides on it.

    Other entities are not assessed. If no ruleset applies, the result is that of the first one.

    Raises:
        ConfigError: there is no such entity, or no such level; or the rulesets cannot decide side by side.
    """
    rulesets = beside.around(ruleset)
    portfolio = read_with_warnings(files, rulesets, as_of)
    before = before_of(rulesets, files, portfolio, as_of, previous, overrides)
    alone = portfolio.entities.filter(portfolio.entities[ENTITY] == entity)
    if alone.is_empty():
        raise ConfigError(f"there is no entity {entity} among the {len(portfolio.entities):,} that were read")
    (assessments,) = assess_portfolio(rulesets, replace(portfolio, entities=alone), as_of, before).parts
    decides = assessments.program.ruleset
    place = [each.ruleset.name for each in rulesets].index(decides.name)
    others = Beside(tuple(rulesets[:place]), tuple(rulesets[place + 1 :]))
    subject = ChangedAssessment.of(assessments, 0, before.standing, before.overrides, others)
    wished = None if level is None else level_wished(level, decides.levels)
    return what_if(subject, direction, wished), decides.name


def level_wished(level: str, levels: tuple[str, ...]) -> int:
    """Return the number of a level, from 1; ConfigError if none has that name."""
    if level not in levels:
        raise ConfigError(f"there is no level {level!r}; there are {', '.join(levels)}{perhaps(level, levels)}")
    return levels.index(level) + 1


class LabelledFile:
    """Labels from a file; entities with an unreadable label are left out, as their outcome is unknown."""

    def __init__(self, files: PortfolioFiles, path: Path, *, undated_known: bool) -> None:
        self.labels, unread = read_labels(files.table("labels", path))
        self._unreadable = unread.drop_nulls().unique()
        self._undated_known = undated_known
        self.cautions = _unread(len(self._unreadable), unread.null_count())

    def dated(self, portfolio: Portfolio) -> tuple[Portfolio, tuple[str, ...]]:
        """Return the portfolio with what was known at as-of alone, and cautions about data without a date."""
        named = portfolio.entities[ENTITY].cast(pl.String).is_in(self._unreadable.implode())
        entities = portfolio.entities.filter(~named)
        return dated_only(replace(portfolio, entities=entities), undated_known=self._undated_known)


def _unread(entities: int, nameless: int) -> tuple[str, ...]:
    """Return cautions on how unreadable labels are treated."""
    cautions = []
    if entities:
        cautions.append(f"Entities whose label cannot be read are left out: {entities:,}.")
    if nameless:
        cautions.append(f"Labels that cannot be read and name no entity count as not confirmed: {nameless:,}.")
    return tuple(cautions)


def read_peer_file(path: Path) -> PeerFigures:
    """Read a peer's figures from JSON; ConfigError if they cannot be read."""
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as problem:  # no such file, or not UTF-8
        raise ConfigError(f"{path} cannot be read as JSON: {problem}") from None
    return read_peer_text(text, str(path))
