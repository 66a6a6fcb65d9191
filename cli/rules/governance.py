"""`fivefold rules backtest` and `validate`: a ruleset on a portfolio, before it decides."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tqdm import tqdm

from fivefold.cli.rules.evidence import DataOption, HtmlOption, JsonOption, SeedOption, show_evidence
from fivefold.cli.rules.options import (
    BesideOptions,
    EngineOptions,
    LabelOptions,
    LabelsOption,
    PartOptions,
    ResamplesOption,
    RulesetArgument,
    ThenOption,
    ValueOptions,
    portfolio_files,
    validation_options,
)
from fivefold.cli.terminal import AsOfOption, errors, past_moment
from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import ConfigError

if TYPE_CHECKING:
    from fivefold.risk.governance.backtest.families import FamiliesBacktest
    from fivefold.risk.governance.backtest.run import BacktestResult
    from fivefold.usecases.portfolio_files.governance import Draw, StandingLevels
    from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles

RulesetsArgument = Annotated[
    list[str], typer.Argument(metavar="[A] B", help="The ruleset in force (optional), and the draft.")
]


@dataclass(frozen=True, kw_only=True)
class StandingOptions:
    """What is in force before the draft: the levels, and the rulesets beside the one in question."""

    previous: Annotated[
        Path | None, typer.Option("--previous", help="Levels in force: entity_id, rules_level, entered.")
    ] = None
    entered: Annotated[
        str | None,
        typer.Option(
            "--entered", help="Instead of --previous: the levels of A are in force since this ISO date or time."
        ),
    ] = None
    first: Annotated[
        list[str] | None,
        typer.Option("--first", help="A ruleset that is tried before A and B on both sides; repeatable."),
    ] = None
    then: ThenOption = None


def print_backtest(
    rulesets: RulesetsArgument,
    data: DataOption,
    parts: PartOptions,
    standing: StandingOptions,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, help="Compare this many random entities; by default all.")
    ] = None,
    seed: SeedOption = 0,
    as_of: AsOfOption = None,
    *,
    value: ValueOptions,
    html: HtmlOption = None,
    json: JsonOption = None,
    engine: EngineOptions,
) -> None:
    """Compare the results of A and B on a portfolio: levels, moves, hits of every case, and what cannot be assessed.

    With --first and --then several rulesets are used on both sides; the draft takes the place of A.
    """
    from fivefold.risk.governance.backtest.families import FamiliesBacktest
    from fivefold.risk.governance.reports.backtest import backtest_page
    from fivefold.risk.governance.reports.families import families_backtest_page
    from fivefold.usecases.portfolio_files.bundled import load_ruleset
    from fivefold.usecases.portfolio_files.families import backtest_beside
    from fivefold.usecases.portfolio_files.governance import Draw

    at = past_moment(as_of)
    before = _standing_levels(rulesets, standing, at)
    engine.require(parts.transactions, json)
    in_force = load_ruleset(rulesets[0]) if len(rulesets) > 1 else None
    draft = load_ruleset(rulesets[-1])
    beside = BesideOptions(first=standing.first, then=standing.then).load()
    files = portfolio_files(data, parts, value)
    backtest: BacktestResult | FamiliesBacktest
    if engine.is_spark:
        backtest = _on_spark(rulesets, standing, files, at, before, Draw(sample, seed), engine, json)
    else:
        with _progress() as progress:
            backtest = backtest_beside(draft, in_force, beside, files, at, before, Draw(sample, seed, progress))
    if isinstance(backtest, FamiliesBacktest):
        show_evidence("families-backtest", backtest, families_backtest_page(backtest), html, json)
    else:
        show_evidence("backtest", backtest, backtest_page(backtest), html, json)


def _on_spark(
    rulesets: list[str],
    standing: StandingOptions,
    files: "PortfolioFiles",
    at: int,
    before: "StandingLevels",
    drawn: "Draw",
    engine: EngineOptions,
    json: Path | None,
) -> "BacktestResult | FamiliesBacktest":
    """Read all but the transactions here, and have workers do the rest."""
    from fivefold.usecases.portfolio_files.by_parts.backtest import BacktestByParts, FamiliesByParts, FamilyTexts
    from fivefold.usecases.portfolio_files.by_parts.portfolio import RulesetText

    beside = standing.first, standing.then
    *present, draft = (RulesetText.read(source) for source in rulesets)
    in_force = present[0] if present else None
    first, then = ([RulesetText.read(source) for source in sources or ()] for sources in beside)
    by_parts: BacktestByParts | FamiliesByParts
    if first or then:
        families = FamilyTexts(draft=draft, present=in_force, first=first, then=then)
        by_parts = FamiliesByParts.read(families, files, at, before, drawn)
    else:
        by_parts = BacktestByParts.read(draft, in_force, files, at, before, drawn)
    with engine.opened(json) as workers:
        return by_parts.on(workers)


def _standing_levels(rulesets: list[str], standing: StandingOptions, at: int) -> "StandingLevels":
    """Give the levels that stand before the draft decides; ConfigError where the options contradict each other."""
    from fivefold.usecases.portfolio_files.governance import StandingLevels

    if len(rulesets) > 2:
        raise ConfigError(
            f"{len(rulesets)} rulesets were given; allowed: the draft, or the one in force and the draft. Give "
            "rulesets that decide beside them by --first and --then"
        )
    entered = None if standing.entered is None else parse_moment(standing.entered, "--entered")
    levels = StandingLevels(standing.previous, entered)
    levels.check(at, has_present=len(rulesets) > 1)
    return levels


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show with the first call how many entities are assessed: the files are read before."""
    with tqdm(desc="assessed", file=errors.file, disable=not errors.is_terminal, leave=False, delay=0.001) as bar:

        def advance(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        yield advance


@dataclass(frozen=True, kw_only=True)
class ValidatedParts(PartOptions):
    """The files beside the entities, and the moment that drift is measured since: both are references."""

    references: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference",
            help="As-of of the reference period, for drift; or a reference portfolio, as `fivefold rules "
            "reference` writes it. Repeatable.",
        ),
    ] = None

    def split(self, at: int) -> tuple[PartOptions, int | None]:
        """Give the files alone, and the moment; ConfigError where there are several, or it is not before *at*."""
        paths = self.references or []
        files, others = [path for path in paths if path.exists()], [str(path) for path in paths if not path.exists()]
        moments = [_reference_moment(text) for text in others]
        if len(moments) > 1:
            raise ConfigError(f"--reference has the moments {' and '.join(others)}; drift is measured since one")
        if moments and moments[0] >= at:
            raise ConfigError("--reference must be before --as-of")
        return replace(self, references=files), moments[0] if moments else None


def _reference_moment(text: str) -> int:
    try:
        return parse_moment(text, "--reference")
    except ConfigError as problem:
        raise ConfigError(f"{problem}, or a file that is there") from None


def print_validation(
    path: RulesetArgument,
    data: DataOption,
    labels: LabelsOption,
    parts: ValidatedParts,
    label_options: LabelOptions,
    then: ThenOption = None,
    as_of: AsOfOption = None,
    against: Annotated[str | None, typer.Option("--against", help="Another ruleset to compare with.")] = None,
    peer: Annotated[
        Path | None,
        typer.Option(
            "--peer", help="A peer's figures to compare with: JSON, as --json of a validation writes it, or some of it."
        ),
    ] = None,
    seed: SeedOption = 0,
    resamples: ResamplesOption = 1000,
    *,
    value: ValueOptions,
    html: HtmlOption = None,
    json: JsonOption = None,
) -> None:
    """Measure how well a ruleset ranks and detects what became known after --as-of, against named floors.

    With --then several rulesets are used: each is judged on the entities on which it decides, then all together.
    """
    from fivefold.risk.governance.reports.families import families_validation_page
    from fivefold.risk.governance.reports.validation import validation_page
    from fivefold.usecases.portfolio_files.bundled import load_ruleset
    from fivefold.usecases.portfolio_files.families import validate_families_of_files
    from fivefold.usecases.portfolio_files.governance import read_peer_file, validate_files

    rulesets = [load_ruleset(source) for source in (path, *(then or ()))]
    other = None if against is None else load_ruleset(against)
    at = past_moment(as_of)
    tables, before = parts.split(at)
    files = portfolio_files(data, tables, value)
    options = validation_options(label_options, at, seed, resamples)
    if peer is not None:
        options = replace(options, peer=read_peer_file(peer))
    undated = label_options.undated_known
    if then:
        of_all = validate_families_of_files(
            rulesets, other, files, labels, at, options, reference=before, undated_known=undated
        )
        show_evidence("families-validation", of_all, families_validation_page(of_all), html, json)
        return
    both = rulesets if other is None else [*rulesets, other]
    result = validate_files(both, files, labels, at, options, reference=before, undated_known=undated)
    show_evidence("validation", result, validation_page(result), html, json)
