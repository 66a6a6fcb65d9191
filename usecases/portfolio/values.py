"""Values of customers, without anything about their risk: by segment, one by one, and by identifier.

They are for people who may not know a level, so nothing here is a level, or follows from one. A value is computed
together with the level, so only the day of its moment is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, nan
from typing import Annotated, Final

from sqlalchemy.orm import Session

from fivefold.domain.breakdown import Breakdown, Contribution
from fivefold.domain.clock import DAY_US, start_of_day
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.domain.segments import SEGMENTS
from fivefold.features.catalogue.indicator import MOVES_WITH_TIME, Indicator
from fivefold.models.explain import contribution
from fivefold.store.ingest.entities import type_named
from fivefold.store.levels.levels import counted_cells
from fivefold.store.portfolio.search import MOST_COUNTED, EntityFilter, FoundRow, count_found, entities_found
from fivefold.store.portfolio.values import ValueRow, since_when, values_of
from fivefold.store.portfolio.words import WordPlace, beginnings_in
from fivefold.usecases.levels.value_scores import EntityScorer, ValueView, read_value
from fivefold.usecases.portfolio.matrix import Money
from fivefold.usecases.portfolio.search import MOST_WORDS, EntitiesCounted
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import require_known

_EXACT: Final = 1e-9
"""The tolerance of a sum of parts of days, in days."""


@schema("SegmentValue")
@dataclass(frozen=True, kw_only=True)
class SegmentValue:
    """The customers of one segment.

    Attributes:
        segment: the name of the segment; None for customers without a value.
        entities: the number of customers.
        worth: their expected value, by currency.
    """

    segment: str | None
    entities: int
    worth: list[Money]


@schema("PortfolioValue")
@dataclass(frozen=True, kw_only=True)
class PortfolioValue:
    """The value of the customers of a type.

    Attributes:
        entities: the number of customers in all segments, and without a value.
        segments: all segments, the highest first; at the end the customers without a value.
    """

    entity_type: Annotated[str, shown_as("type")]
    entities: int
    segments: list[SegmentValue]


@schema("CustomerValue")
@dataclass(frozen=True, kw_only=True)
class CustomerValue:
    """The value of one customer; all fields but the identifier are null if the value model knows no value.

    Attributes:
        score: from 1 to 5.
        expected_value: in `currency`, over the horizon of the model.
        as_of_us: the day, at midnight UTC, since which it has this value.
        superseded_by: the serving version of the model, if another one gave the value and it has yet to give its own.
    """

    external_id: str
    score: float | None
    segment: str | None
    expected_value: float | None
    currency: str | None
    as_of_us: Annotated[Moment | None, shown_as("as_of")]
    superseded_by: int | None


def value_by_segment(context: Context, type_name: str) -> PortfolioValue:
    """Count customers and add up their expected values by segment; NotFoundError if there is no such type."""
    with context.reading() as session:
        kind = type_named(session, context.organisation_id, type_name)
        counts = counted_cells(session, context.organisation_id, kind.id)
    segments = []
    for segment in (*reversed(SEGMENTS), ""):
        cells = [cell for cell in counts if cell.segment == segment]
        cents = dict.fromkeys(sorted({cell.currency for cell in cells if cell.currency}), 0)
        for cell in cells:
            if cell.currency:
                cents[cell.currency] += cell.cents
        segments.append(
            SegmentValue(
                segment=segment or None,
                entities=sum(cell.entities for cell in cells),
                worth=[Money(amount=amount / 100, currency=currency) for currency, amount in cents.items()],
            )
        )
    return PortfolioValue(entity_type=type_name, entities=sum(each.entities for each in segments), segments=segments)


def list_values(
    context: Context, type_name: str, segments: Sequence[str] = (), part: Part = WHOLE
) -> Page[CustomerValue]:
    """List the customers of a type who have a value, of some segments or of all, the highest expected value first.

    NotFoundError if there is no such type; ConfigError if there is no such segment.
    """
    require_known("segment", segments, SEGMENTS)
    with context.reading() as session:
        kind = type_named(session, context.organisation_id, type_name)
        return values_of(session, kind.id, sorted(set(segments or SEGMENTS)), part).map(_customer_value)


def search_values(context: Context, type_name: str, text: str, part: Part = WHOLE) -> Page[CustomerValue]:
    """List customers whose identifiers have words with the prefixes of a *text*, in the order of the words found.

    Only identifiers are searched: names and other attributes may reveal the risk of a customer. NotFoundError if there
    is no such type; ConfigError if no word, or too many of them, are given.
    """
    with context.reading() as session:
        page = entities_found(session, _identifier_filter(session, context, type_name, text), part)
        assessed = [row.entity.id for row in page if row.standing is not None]
        since = since_when(session, assessed)
        return page.map(lambda row: _found_value(row, since.get(row.entity.id)))


def count_values(context: Context, type_name: str, text: str) -> EntitiesCounted:
    """Count the customers that `search_values` lists, up to `MOST_COUNTED`; errors as there."""
    with context.reading() as session:
        count = count_found(session, _identifier_filter(session, context, type_name, text))
        return EntitiesCounted(count=min(count, MOST_COUNTED), more=count > MOST_COUNTED)


def _identifier_filter(session: Session, context: Context, type_name: str, text: str) -> EntityFilter:
    """Return the filter of a search in identifiers only."""
    kind = type_named(session, context.organisation_id, type_name)
    words = beginnings_in(text)
    if not words:
        raise ConfigError("the search text has no letter or digit")
    if len(words) > MOST_WORDS:
        raise ConfigError(f"the search text has {len(words)} words; at most {MOST_WORDS} are allowed")
    return EntityFilter(
        organisation_id=context.organisation_id,
        type_id=kind.id,
        now_us=context.now(),
        words=words,
        places=(WordPlace.IDENTIFIER,),
    )


def _found_value(row: FoundRow, as_of_us: int | None) -> CustomerValue:
    name, standing = row.entity.external_id, row.standing
    if standing is None or standing.value_score is None:
        return _customer_value(ValueRow(name, None, None, None, None, None, row.superseded_by))
    value = (standing.value_score, standing.segment, standing.expected_value, standing.value_currency)
    return _customer_value(ValueRow(name, *value, as_of_us, row.superseded_by))


def _customer_value(row: ValueRow) -> CustomerValue:
    since_us = None if row.as_of_us is None else start_of_day(row.as_of_us)
    return CustomerValue(**{**vars(row), "as_of_us": since_us})


def read_value_alone(
    context: Context, type_name: str, external_id: str, *, valuer: EntityScorer | None = None
) -> ValueView | None:
    """Return an entity's latest value as `read_value` does, by day: the hour would reveal when it was assessed.

    Why there is none is explained without details of transactions. Indicators that change with the hour have their
    points, and a value only if it is an age, in whole calendar days: from other values, and from the time of a
    transaction, the hour could be computed.
    """
    value = read_value(context, type_name, external_id, valuer=valuer)
    if value is None:
        return None
    by_day = replace(value, as_of_us=start_of_day(value.as_of_us), unexplained=value.unexplained_alone)
    if value.breakdown is None:
        return by_day
    assert valuer is not None, "a model that serves explained it"
    indicators = {each.name: each for each in valuer.model.catalogue.indicators}
    parts = (_without_hour(part, indicators[part.name], value) for part in value.breakdown.contributions)
    return replace(by_day, breakdown=Breakdown(value.breakdown.base, tuple(parts)))


def _without_hour(part: Contribution, indicator: Indicator, value: ValueView) -> Contribution:
    """Return an indicator's contribution in a form that reveals only the day on which it was computed."""
    if not MOVES_WITH_TIME & set(indicator.parameters) or isinstance(part.value, str):
        return part
    is_age = indicator.unit == "days" and indicator.window_days is None
    days = nan
    if is_age and part.value is not None:
        into_the_day = (value.as_of_us - start_of_day(value.as_of_us)) / DAY_US
        days = max(float(ceil(part.value - into_the_day - _EXACT)), 0.0)
    return contribution(indicator, days, part.points, value.currency, tells_value=is_age)
