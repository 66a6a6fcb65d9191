"""Options that several `fivefold rules` commands share: ruleset, lists, portfolio."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.portfolio.bundled import bundled_rulesets, bundled_text
from fivefold.domain.errors import ConfigError

if TYPE_CHECKING:
    from fivefold.risk.compiler.analysis import AnalysedRuleset

RulesetArgument = Annotated[
    str, typer.Argument(metavar="RULESET", help="A ruleset's file, or the name of one that ships.")
]
ListsOption = Annotated[
    Path | None, typer.Option("--lists", help="A folder of named lists, beside those that ship; its own come first.")
]

TransactionsOption = Annotated[Path | None, typer.Option("--transactions", help="Transactions, as the API has them.")]
CasesOption = Annotated[Path | None, typer.Option("--cases", help="Cases: entity_id, opened, closed, outcome.")]
AlertsOption = Annotated[Path | None, typer.Option("--alerts", help="Alerts: entity_id, opened, closed, outcome.")]
TagsOption = Annotated[Path | None, typer.Option("--tags", help="Tags: entity_id, tag, from, until.")]
ScreeningsOption = Annotated[
    Path | None, typer.Option("--screenings", help="Screenings, clean ones too: entity_id, screening, found, at.")
]
BaseOption = Annotated[str, typer.Option("--base", help="The currency that money is in.")]
RatesOption = Annotated[
    Path | None,
    typer.Option(
        "--rates",
        help="Your own rates: CSV with currency, date, rate (1 of the currency = rate of --base), or the ECB's file"
        " eurofxref-hist.csv; else the ECB's as they are shipped.",
    ),
]


def ruleset_text(given: str) -> str:
    """Read the text of a ruleset's file, or of one that ships; ConfigError where it is neither."""
    path = Path(given)
    if given in bundled_rulesets() and not path.exists():
        return bundled_text(given)
    if not path.is_file():
        raise ConfigError(f"{given} is neither a file nor a bundled ruleset ({', '.join(bundled_rulesets())})")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{given} is not text in UTF-8") from None


def load_ruleset(given: str) -> "AnalysedRuleset":
    """Read a ruleset; InvalidRulesetError names everything that is wrong with it."""
    from fivefold.risk.compiler.analysis import analyse_text  # noqa: PLC0415 (imports Polars and the indicators)

    return analyse_text(ruleset_text(given), given)
