"""What customers are worth, and nothing of how risky they are: also for people who may not know a level."""

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.portfolio.distribution import WhichType
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import Names, ResponseModel, Text
from fivefold.usecases.portfolio import values
from fivefold.usecases.portfolio.values import CustomerValue, PortfolioValue
from fivefold.usecases.shared.api_fields import Moment


class PageOfValues(PageQuery):
    """Whose values: of one segment or several, or of all."""

    type: Text
    segment: Names = ()


class PageOfValueSearch(PageQuery):
    """Who is looked for: by beginnings of words of identifiers, and by nothing else."""

    type: Text
    text: Text = Field(min_length=1, max_length=200)


class PartOfValue(ResponseModel):
    """What one indicator adds to the score, in points; below zero where it takes away."""

    name: str
    family: str
    value: float | str | None
    unit: str
    points: float
    sentence: str


class BreakdownOfValue(ResponseModel):
    """The score of the average prediction, and what each indicator adds to it; together they are the score."""

    base: float
    contributions: tuple[PartOfValue, ...]


class ValueOfEntity(ResponseModel):
    """What an entity is worth, from 1 to 5 and in money, since which day the value model says so, and why.

    `score`, `segment` and `expected_value`: null where there is no value any more. `breakdown`: null without a score,
    or where it cannot be explained. `unexplained`: the reason of either. `horizon_days`: null where that model does not
    serve now. `superseded_by`: the version that serves, where another one said so and it is yet to say its own.
    `model_version`: 0 where no model was loaded when the transactions had changed, so the score is null. Of a
    hundred customers `interval_level_percent` are to bring between `expected_value_low` and `expected_value_high`: null
    where the model keeps no interval.
    """

    type: str
    external_id: str
    score: float | None
    segment: str | None
    expected_value: float | None
    expected_value_low: float | None
    expected_value_high: float | None
    interval_level_percent: int | None
    currency: str
    as_of: Moment
    horizon_days: int | None
    model: str
    model_version: int
    superseded_by: int | None
    breakdown: BreakdownOfValue | None
    unexplained: str


def read_segments(context: RequestContext, query: WhichType) -> PortfolioValue:
    """Count the customers of a type, and add up their expected values, by segment."""
    return values.value_by_segment(context, query.type)


def list_values(context: RequestContext, query: PageOfValues) -> Page[CustomerValue]:
    """List the customers of a type by what they are expected to bring, the highest first."""
    return values.list_values(context, query.type, query.segment, query.part)


def search_values(context: RequestContext, query: PageOfValueSearch) -> Page[CustomerValue]:
    """List whose identifiers have words that begin so, with what they are worth."""
    return values.search_values(context, query.type, query.text, query.part)


def read_value(context: RequestContext, type_: Text, external_id: Text) -> ValueOfEntity | None:
    """Show what an entity is worth, and why; nothing where it never had a value, or what was personal was erased."""
    value = values.read_value_alone(context, type_, external_id, valuer=context.valuer)
    if value is None:
        return None
    named = {"type": type_, "external_id": external_id, "as_of": value.as_of_us}
    return ValueOfEntity.model_validate({**vars(value), **named})
