"""Exchange rates: those in force, each with the day that it is of, and an organisation's own tables."""

from typing import Annotated, Any

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import RequestModel, ResponseModel, Text
from fivefold.usecases.accounts import rate_tables
from fivefold.usecases.accounts.rate_tables import Rates, RateTableLine
from fivefold.usecases.changes import asks
from fivefold.usecases.changes.proposals import ProposalLine


class RatesGiven(RequestModel):
    """Rates as `currency`, `date` and `rate`: 1 unit of the currency buys `rate` units of the base currency.

    `reason` is needed once anything decides: then the table is proposed.
    """

    rates: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=rate_tables.MOST_ROWS)]
    source: Text
    reason: Text = ""


class RatesPut(ResponseModel):
    """The table that was added; or the proposal to add it."""

    table: RateTableLine | None
    proposal: ProposalLine | None


def read_rates(context: RequestContext) -> Rates:
    """Show the rates in force, each with the day that it is of."""
    return rate_tables.show_rates(context)


def list_rate_tables(context: RequestContext, query: PageQuery) -> Page[RateTableLine]:
    """List the organisation's own tables, the newest first."""
    return rate_tables.list_rate_tables(context, query.part)


def add_rates(context: RequestContext, body: RatesGiven) -> RatesPut:
    """Add a table of own rates, or propose it once anything decides; for what it lacks the ECB's go on holding."""
    rates = rate_tables.rates_from_rows(body.rates, body.source)
    outcome = asks.put_rates(context, rates, body.reason)
    return RatesPut.of({"table": outcome.result, "proposal": outcome.proposal})
