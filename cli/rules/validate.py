"""`fivefold rules validate`: a ruleset against later confirmed outcomes."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer

from fivefold.cli.portfolio.bundled import lists_with
from fivefold.cli.portfolio.columns import PortfolioColumns, PortfolioMapOption
from fivefold.cli.portfolio.files import PortfolioFiles, read_labels, read_portfolio
from fivefold.cli.portfolio.input_warnings import print_input_warnings
from fivefold.cli.rules.evidence import DataOption, HtmlOption, JsonOption, SeedOption, show, write_evidence
from fivefold.cli.rules.options import (
    AlertsOption,
    BaseOption,
    CasesOption,
    ListsOption,
    RatesOption,
    RulesetArgument,
    ScreeningsOption,
    TagsOption,
    TransactionsOption,
    load_ruleset,
)
from fivefold.cli.terminal import AsOfOption, ModelOption, NameOption, moment
from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import ConfigError
from fivefold.training.config import DEFAULT_NAME

if TYPE_CHECKING:
    from fivefold.risk.compiler.analysis import AnalysedRuleset
    from fivefold.risk.engine.assessments import Assessments
    from fivefold.risk.facts.portfolio import Portfolio

LEAST_RESAMPLES = 100


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="validate")(validate_files)


def validate_files(
    path: RulesetArgument,
    data: DataOption,
    labels: Annotated[Path, typer.Option("--labels", help="entity_id, confirmed, and at: when it became known.")],
    transactions: TransactionsOption = None,
    cases: CasesOption = None,
    alerts: AlertsOption = None,
    tags: TagsOption = None,
    screenings: ScreeningsOption = None,
    lists: ListsOption = None,
    names: PortfolioMapOption = None,
    as_of: AsOfOption = None,
    until: Annotated[str | None, typer.Option("--until", help="Later labels do not count: ISO date or time.")] = None,
    undated: Annotated[bool, typer.Option("--undated-later", help="Undated labels became known after as-of.")] = False,
    known: Annotated[
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
    base: BaseOption = "EUR",
    rates: RatesOption = None,
    model: ModelOption = None,
    name: NameOption = DEFAULT_NAME,
    html: HtmlOption = None,
    json: JsonOption = None,
) -> None:
    """Measure how well a ruleset ranks and catches what became known after as-of, against named floors."""
    from fivefold.risk.governance.reports.validation import validation_page  # noqa: PLC0415 (imports what draws pictures)
    from fivefold.risk.governance.validate.labels import LABELS_ARE  # noqa: PLC0415 (as the first)
    from fivefold.risk.governance.validate.run import Options, validate  # noqa: PLC0415 (as the first)

    rulesets = [load_ruleset(given) for given in (path, against) if given is not None]
    at, named = moment(as_of, "--as-of"), lists_with(lists)
    files = PortfolioFiles(
        data, transactions, cases, alerts, tags, screenings, base, rates, PortfolioColumns(names or [])
    )
    labelled, unread = read_labels(labels, files.rename("labels"))
    settings: dict[str, Any] = {
        "made_of": () if elsewhere else LABELS_ARE,
        "undated_are_later": undated,
        "seed": seed,
        "resamples": resamples,
    }
    last = None if until is None else _after(until, at)
    before = None if reference is None else _before(reference, at)
    found, earlier, compared, cautions = _assessed(files, rulesets, named, at, before, model, name, unread, known=known)
    options = Options(banned=tuple(banned or ()), until=last, cautions=cautions, **settings)
    result = validate(found, labelled, options, earlier, compared)
    show(page := validation_page(result))
    write_evidence("validation", result, page, html, json)


def _assessed(
    files: PortfolioFiles,
    rulesets: "list[AnalysedRuleset]",
    named: Any,
    at: int,
    before: int | None,
    model: str | None,
    name: str,
    unread: pl.Series,
    *,
    known: bool,
) -> "tuple[Assessments, Assessments | None, Assessments | None, tuple[str, ...]]":
    """Assess as of now, as of the reference period, and by the other ruleset; give cautions about missing dates.

    Entities with an unreadable label, *unread*, are left out: their outcome is unknown.
    """
    aside = unread.drop_nulls().unique()
    from fivefold.risk.engine.assess import assess  # noqa: PLC0415 (imports Polars)
    from fivefold.risk.governance.validate.dates import dated_only  # noqa: PLC0415 (as above)

    def read(of: "list[AnalysedRuleset]", when: int) -> "tuple[Portfolio, tuple[str, ...]]":
        read = read_portfolio(files, of, named, when, model, name)
        entities = read.entities.filter(~read.entities["entity_id"].cast(pl.String).is_in(aside.implode()))
        return dated_only(replace(read, entities=entities), undated_known=known)

    portfolio, cautions = read(rulesets, at)
    print_input_warnings(files, portfolio, *rulesets)
    earlier = None if before is None else assess(rulesets[0], read(rulesets[:1], before)[0], before)
    compared = None if len(rulesets) == 1 else assess(rulesets[1], portfolio, at)
    cautions += _unread(len(aside), unread.null_count())
    return assess(rulesets[0], portfolio, at), earlier, compared, cautions


def _unread(aside: int, nameless: int) -> tuple[str, ...]:
    """Describe how unreadable labels are treated."""
    cautions = []
    if aside:
        cautions.append(f"{aside:,} entities have a label that cannot be read, and are left out.")
    if nameless:
        cautions.append(f"{nameless:,} labels cannot be read and name no entity: they count as not confirmed.")
    return tuple(cautions)


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
