"""`fivefold validate`: measure the levels of a past period, store the result and print it."""

from typing import Annotated

import typer

from fivefold.cli.rules.evidence import HtmlOption, JsonOption, show, write_evidence
from fivefold.cli.terminal import OrganisationOption, acting_in, open_current_database
from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import ConfigError

QuarterOption = Annotated[str | None, typer.Option("--quarter", help="Of a calendar year (UTC), such as 2026Q3.")]
FromOption = Annotated[str | None, typer.Option("--from", help="Or a date or time from which on is looked at,")]
UntilOption = Annotated[str | None, typer.Option("--until", help="until another one, which is not in it.")]
ConfirmedOption = Annotated[
    list[str] | None, typer.Option("--confirmed", help="An outcome that means confirmed; `confirmed` by default.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="validate")(validate_levels)


def validate_levels(
    quarter: QuarterOption = None,
    begins: FromOption = None,
    ends: UntilOption = None,
    organisation: OrganisationOption = "default",
    confirmed: ConfirmedOption = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with it.")] = "requested",
    html: HtmlOption = None,
    json: JsonOption = None,
) -> None:
    """Measure what levels were worth in a time that is over.

    Alerts and cases are held against the level that held just before each was opened. What is found is kept.
    """
    from fivefold.usecases.monitoring import validate as validation
    from fivefold.usecases.monitoring.history import CONFIRMED
    from fivefold.usecases.monitoring.page import validation_sections

    from_us, until_us = _period(quarter, begins, ends)
    engine = open_current_database()
    who, words = acting_in(engine, organisation), tuple(confirmed or [CONFIRMED])
    result = validation.validate_levels(who, from_us, until_us, reason, words)
    page = validation_sections(result.id, result.reason, result.report)
    show(page)
    write_evidence("level validation", result, page, html, json)


def _period(quarter: str | None, begins: str | None, ends: str | None) -> tuple[int, int]:
    from fivefold.usecases.shared.inputs import read_quarter

    if quarter is not None and begins is None and ends is None:
        period = read_quarter(quarter)
        return period.from_us, period.until_us
    if quarter is None and begins is not None and ends is not None:
        return parse_moment(begins, "--from"), parse_moment(ends, "--until")
    raise ConfigError("validate takes --quarter, or --from and --until")
