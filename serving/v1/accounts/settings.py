"""What an organisation decides for all of it: settings, types of entities, exchange rates of its own."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import WHOLE, ReasonIfAny, RequestModel, ResponseModel, Text
from fivefold.usecases.accounts import entity_types, rate_tables, settings
from fivefold.usecases.accounts.entity_types import TypeLine
from fivefold.usecases.accounts.rate_tables import Rates, RateTableLine
from fivefold.usecases.accounts.settings import Settings
from fivefold.usecases.changes import asks
from fivefold.usecases.changes.proposals import ProposalLine
from fivefold.usecases.shared.api_fields import schema


class LevelsGiven(RequestModel):
    """The names of the levels, the lowest first."""

    levels: Annotated[list[Text], Field(min_length=settings.FEWEST_LEVELS, max_length=settings.MOST_LEVELS)]


class SettingsGiven(RequestModel):
    """What is to change; what is not given stays. `reason` is needed once anything decides: then it is proposed."""

    base_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    override_cap_percent: Annotated[int, Field(ge=0, le=100), WHOLE] | None = None
    retention_days: Annotated[int, Field(ge=0, le=settings.MOST_RETENTION_DAYS), WHOLE] | None = None
    minimum_coverage_percent: Annotated[int, Field(ge=0, le=100), WHOLE] | None = None
    programs_lower_levels: bool | None = None
    two_people_promote: bool | None = None
    challenge_days: Annotated[int, Field(ge=1, le=settings.MOST_CHALLENGE_DAYS), WHOLE] | None = None
    outbox_days: Annotated[int, Field(ge=0, le=settings.MOST_RETENTION_DAYS), WHOLE] | None = None
    deliveries_days: Annotated[int, Field(ge=0, le=settings.MOST_RETENTION_DAYS), WHOLE] | None = None
    reports_days: Annotated[int, Field(ge=0, le=settings.MOST_RETENTION_DAYS), WHOLE] | None = None
    assessments_days: Annotated[int, Field(ge=0, le=settings.MOST_RETENTION_DAYS), WHOLE] | None = None
    flows_days: Annotated[int, Field(ge=0, le=settings.MOST_RETENTION_DAYS), WHOLE] | None = None
    lowest_alert_percent: Annotated[int, Field(ge=0, le=100), WHOLE] | None = None
    reason: ReasonIfAny = ""


@schema("SettingsAsked")
@dataclass(frozen=True, kw_only=True)
class SettingsAsked(Settings):
    """The settings as they are now, and the proposal to change them, where one was made."""

    proposal: ProposalLine | None


class FieldsGiven(RequestModel):
    """Typed fields and purposes, as rulesets declare them: of the entity, its transactions, its cases and alerts.

    `links` gives each type of link between entities its kind: `shared` or `directed`.
    """

    fields: dict[str, Any] = Field(default_factory=dict)
    transaction_fields: dict[str, Any] = Field(default_factory=dict)
    case_fields: dict[str, Any] = Field(default_factory=dict)
    purposes: dict[str, Any] = Field(default_factory=dict)
    links: dict[str, Any] = Field(default_factory=dict)


def read_settings(context: RequestContext) -> Settings:
    """Show the settings."""
    return settings.read_settings(context)


def choose_levels(context: RequestContext, body: LevelsGiven) -> Settings:
    """Choose the levels; refused once a ruleset was written for those that are there."""
    return settings.choose_levels(context, body.levels)


def change_settings(context: RequestContext, body: SettingsGiven) -> SettingsAsked:
    """Change settings, or propose it once anything decides."""
    change = settings.SettingsChange(**body.model_dump(exclude={"reason"}))
    outcome = asks.change_settings(context, change, body.reason)
    present = settings.read_settings(context)
    return SettingsAsked(**vars(present), proposal=outcome.proposal)


def list_types(context: RequestContext, query: PageQuery) -> Page[TypeLine]:
    """List the types of entities, by name."""
    return entity_types.list_types(context, query.part)


def define_type(context: RequestContext, name: Text, body: FieldsGiven) -> TypeLine:
    """Make a type of entity, or add fields to one; fields that are there stay as they are."""
    return entity_types.define_type(
        context, name, body.fields, body.transaction_fields, body.case_fields, body.purposes, body.links
    )


class RatesGiven(RequestModel):
    """Rates as `currency`, `date` and `rate`: 1 unit of the currency buys `rate` units of the base currency.

    `reason` is needed once anything decides: then the table is proposed.
    """

    rates: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=rate_tables.MOST_ROWS)]
    source: Text
    reason: ReasonIfAny = ""


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
