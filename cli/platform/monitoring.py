"""`fivefold backtests` and `validate`: what rulesets would decide, and how good the levels of a past period were."""

from functools import partial
from typing import Annotated

import typer

from fivefold.cli.parameters import command_group
from fivefold.cli.rules.evidence import HtmlOption, JsonOption, show_evidence
from fivefold.cli.terminal import OrganisationOption, acting_in, echo, show_table
from fivefold.domain.clock import day_text, parse_moment
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import every_row

QuarterOption = Annotated[
    str | None, typer.Option("--quarter", help="A quarter of a calendar year (UTC), such as 2026Q3.")
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", help="With --until, instead of --quarter: the date or time at which the period begins."),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", help="With --from: the date or time before which the period ends.")
]
ConfirmedOption = Annotated[
    list[str] | None, typer.Option("--confirmed", help="An outcome that means confirmed; `confirmed` by default.")
]


def list_(
    family: Annotated[str, typer.Argument(metavar="RULESET", help="The name of the ruleset.")],
    organisation: OrganisationOption = "default",
) -> None:
    """List the backtests of a ruleset, the newest first."""
    from fivefold.usecases.changes.backtests import list_backtests

    lines = list(every_row(partial(list_backtests, acting_in(organisation), family)))
    rows = [
        [
            str(line.id),
            line.state,
            "draft" if line.version is None else str(line.version),
            day_text(line.requested_us)[:10],
            f"{line.done:,} of {line.total:,}",
            str(line.attempts),
        ]
        for line in lines
    ]
    show_table(f"Backtests of {family}", ("id", "state", "version", "requested", "done", "attempts"), rows, left=4)
    for line in lines:
        if note := line.part or line.error:
            echo(f"{line.id}: {note}")


def cancel(
    number: Annotated[int, typer.Argument(metavar="BACKTEST", help="The number in `fivefold backtests list`.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it is cancelled.")],
    organisation: OrganisationOption = "default",
) -> None:
    """Cancel a backtest that waits or runs; its worker stops at the next part."""
    from fivefold.usecases.changes.backtests import cancel_backtest

    line = cancel_backtest(acting_in(organisation), number, reason)
    echo(f"Backtest {line.id} of {line.family} is {line.state}.")


def validate_levels(
    quarter: QuarterOption = None,
    begins: FromOption = None,
    ends: UntilOption = None,
    organisation: OrganisationOption = "default",
    confirmed: ConfirmedOption = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; stored with the result.")] = "requested",
    html: HtmlOption = None,
    json: JsonOption = None,
) -> None:
    """Measure how good the levels of a past period were.

    Alerts and cases are compared with the level just before each was opened. The result is stored.
    """
    from fivefold.usecases.monitoring import validate as validation
    from fivefold.usecases.monitoring.history import CONFIRMED
    from fivefold.usecases.monitoring.page import validation_sections

    from_us, until_us = _period(quarter, begins, ends)
    who, words = acting_in(organisation), tuple(confirmed or [CONFIRMED])
    result = validation.validate_levels(who, from_us, until_us, reason, words)
    page = validation_sections(result.id, result.reason, result.report)
    show_evidence("level validation", result, page, html, json)


def _period(quarter: str | None, begins: str | None, ends: str | None) -> tuple[int, int]:
    """Read the period from the options: a quarter, or its two ends."""
    from fivefold.usecases.shared.inputs import read_quarter

    if quarter is not None and begins is None and ends is None:
        period = read_quarter(quarter)
        return period.from_us, period.until_us
    if quarter is None and begins is not None and ends is not None:
        return parse_moment(begins, "--from"), parse_moment(ends, "--until")
    raise ConfigError("validate takes --quarter, or --from and --until")


BACKTESTS = command_group(
    "Backtests of rulesets, which workers run.",
    {"list": list_, "cancel": cancel},
)
