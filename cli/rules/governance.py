"""`fivefold rules backtest` and `validate`: a ruleset on a portfolio, before it decides."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from fivefold.cli.rules.evidence import DataOption, HtmlOption, JsonOption, SeedOption, show, write_evidence
from fivefold.cli.rules.options import (
    LabelOptions,
    LabelsOption,
    PartOptions,
    ResamplesOption,
    RulesetArgument,
    ValueOptions,
    portfolio_files,
    validation_options,
)
from fivefold.cli.terminal import AsOfOption, errors, past_moment
from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import ConfigError

RulesetsArgument = Annotated[
    list[str], typer.Argument(metavar="[A] B", help="The ruleset in force (may be left out), and the draft.")
]


def print_backtest(
    rulesets: RulesetsArgument,
    data: DataOption,
    parts: PartOptions,
    previous: Annotated[
        Path | None, typer.Option("--previous", help="Levels that stand: entity_id, rules_level, entered.")
    ] = None,
    entered: Annotated[
        str | None, typer.Option("--entered", help="Or: the levels of A stand, since this ISO date or time.")
    ] = None,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="So many entities at random; else all.")] = None,
    seed: SeedOption = 0,
    as_of: AsOfOption = None,
    *,
    value: ValueOptions,
    html: HtmlOption = None,
    json: JsonOption = None,
) -> None:
    """Compare what A and B make of a portfolio: levels, who moves, hits of every case, and what cannot be assessed."""
    from fivefold.risk.governance.reports.backtest import backtest_page
    from fivefold.usecases.portfolio_files.bundled import load_ruleset
    from fivefold.usecases.portfolio_files.governance import backtest_files

    if len(rulesets) > 2:
        raise ConfigError(f"{len(rulesets)} rulesets were given; it takes the one in force, or none, and the draft")
    if previous is not None and entered is not None:
        raise ConfigError("--previous and --entered both say which levels stand; give one of them")
    if entered is not None and len(rulesets) == 1:
        raise ConfigError("--entered says since when the levels of A stand; give A too, or the levels by --previous")
    *present, draft = (load_ruleset(source) for source in rulesets)
    at = past_moment(as_of)
    files = portfolio_files(data, parts, value)
    since = None if entered is None else _since(entered, at)
    # Shown with the first call: the files are read before.
    with tqdm(desc="assessed", file=errors.file, disable=not errors.is_terminal, leave=False, delay=0.001) as bar:

        def advance(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        result = backtest_files(
            draft,
            present[0] if present else None,
            files,
            at,
            previous=previous,
            entered=since,
            size=sample,
            seed=seed,
            progress=advance,
        )
    page = backtest_page(result)
    show(page)
    write_evidence("backtest", result, page, html, json)


def _since(entered: str, as_of: int) -> int:
    since = parse_moment(entered, "--entered")
    if since > as_of:
        raise ConfigError("--entered must not be after --as-of")
    return since


def print_validation(
    path: RulesetArgument,
    data: DataOption,
    labels: LabelsOption,
    parts: PartOptions,
    known: LabelOptions,
    as_of: AsOfOption = None,
    against: Annotated[str | None, typer.Option("--against", help="Another ruleset, to be compared with.")] = None,
    peer: Annotated[
        Path | None,
        typer.Option(
            "--peer", help="A peer's figures to put beside: JSON, as --json of a validation writes it, or a few."
        ),
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="As-of of the reference period, for drift.")
    ] = None,
    seed: SeedOption = 0,
    resamples: ResamplesOption = 1000,
    *,
    value: ValueOptions,
    html: HtmlOption = None,
    json: JsonOption = None,
) -> None:
    """Measure how well a ruleset ranks and catches what became known after as-of, against named floors."""
    from fivefold.risk.governance.reports.validation import validation_page
    from fivefold.usecases.portfolio_files.bundled import load_ruleset
    from fivefold.usecases.portfolio_files.governance import read_peer_file, validate_files

    rulesets = [load_ruleset(source) for source in (path, against) if source is not None]
    at = past_moment(as_of)
    files = portfolio_files(data, parts, value)
    options = validation_options(known, at, seed, resamples)
    if peer is not None:
        options = replace(options, peer=read_peer_file(peer))
    before = None if reference is None else _before(reference, at)
    result = validate_files(rulesets, files, labels, at, options, reference=before, undated_known=known.undated_known)
    page = validation_page(result)
    show(page)
    write_evidence("validation", result, page, html, json)


def _before(reference: str, at: int) -> int:
    before = parse_moment(reference, "--reference")
    if before >= at:
        raise ConfigError("--reference must be before --as-of")
    return before
