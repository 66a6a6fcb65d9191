"""`fivefold rules validate`: a ruleset against later confirmed outcomes."""

from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.rules.evidence import DataOption, HtmlOption, JsonOption, SeedOption, show, write_evidence
from fivefold.cli.rules.options import PartOptions, RulesetArgument, ValueOptions, portfolio_files, with_options
from fivefold.cli.terminal import AsOfOption, moment
from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import ConfigError

LEAST_RESAMPLES = 100


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="validate")(with_options(print_validation))


def print_validation(
    path: RulesetArgument,
    data: DataOption,
    labels: Annotated[Path, typer.Option("--labels", help="entity_id, confirmed, and at: when it became known.")],
    parts: PartOptions,
    as_of: AsOfOption = None,
    until: Annotated[str | None, typer.Option("--until", help="Later labels do not count: ISO date or time.")] = None,
    undated: Annotated[bool, typer.Option("--undated-later", help="Undated labels became known after as-of.")] = False,
    undated_known: Annotated[
        bool, typer.Option("--undated-known", help="Undated tags and screenings were known at as-of.")
    ] = False,
    banned: Annotated[
        list[str] | None, typer.Option("--banned", help="A name that no input may have; repeat it.")
    ] = None,
    elsewhere: Annotated[
        bool, typer.Option("--labels-from-elsewhere", help="The labels are not made of the cases and alerts given.")
    ] = False,
    against: Annotated[str | None, typer.Option("--against", help="Another ruleset, to be compared with.")] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="As-of of the reference period, for drift.")
    ] = None,
    seed: SeedOption = 0,
    resamples: Annotated[int, typer.Option("--resamples", min=LEAST_RESAMPLES, help="Of every interval.")] = 1000,
    *,
    value: ValueOptions,
    html: HtmlOption = None,
    json: JsonOption = None,
) -> None:
    """Measure how well a ruleset ranks and catches what became known after as-of, against named floors."""
    from fivefold.risk.governance.reports.validation import validation_page
    from fivefold.risk.governance.validate.labels import LABELS_ARE
    from fivefold.risk.governance.validate.run import Options
    from fivefold.usecases.portfolio_files.bundled import load_ruleset
    from fivefold.usecases.portfolio_files.governance import validate_files

    rulesets = [load_ruleset(source) for source in (path, against) if source is not None]
    at = moment(as_of, "--as-of")
    files = portfolio_files(data, parts, value)
    options = Options(
        banned=tuple(banned or ()),
        made_of=() if elsewhere else LABELS_ARE,
        until=None if until is None else _after(until, at),
        undated_are_later=undated,
        seed=seed,
        resamples=resamples,
    )
    before = None if reference is None else _before(reference, at)
    result = validate_files(rulesets, files, labels, at, options, reference=before, undated_known=undated_known)
    page = validation_page(result)
    show(page)
    write_evidence("validation", result, page, html, json)


def _before(reference: str, at: int) -> int:
    before = parse_moment(reference, "--reference")
    if before >= at:
        raise ConfigError("--reference must be before --as-of")
    return before


def _after(until: str, at: int) -> int:
    last = parse_moment(until, "--until")
    if last <= at:
        raise ConfigError("--until must be after --as-of: labels count that became known between the two")
    return last
