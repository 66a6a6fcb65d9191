"""Lists of current levels over HTTP."""

from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from fivefold.domain.paging import Page
from fivefold.serving.v1.levels.levels import RulesetNamed
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import MomentGiven, ResponseModel, Text
from fivefold.store.portfolio.current_levels import Order
from fivefold.usecases.portfolio import current_levels as current
from fivefold.usecases.portfolio.current_levels import LevelFilters
from fivefold.usecases.shared.api_fields import Moment


def _names(text: object) -> object:
    return tuple(filter(None, text.split(","))) if isinstance(text, str) else text


Names = Annotated[
    tuple[Text, ...],
    BeforeValidator(_names),
    WithJsonSchema({"type": "string", "description": "One or several, with commas between them"}),
]


class PageOfLevels(PageQuery):
    """Whose levels, and in which order; without a filter everybody's of the type.

    `order`: `risk` has the highest level and score first, `latest` the level reached last, `value` the highest
    expected value, without those who have none. `since`: the level was reached then or later.
    """

    type: Text
    order: Order = Order.RISK
    level: Names = ()
    segment: Names = ()
    status: Names = ()
    ruleset: Text | None = None
    since: MomentGiven | None = None


class CurrentLevel(ResponseModel):
    """Where an entity stands: its level and score, the value beside them, since when, and when it is computed again.

    `score`: the points of the rules; null where no ruleset decided. `value_score`, `segment`, `expected_value` and
    `currency`: null where the value model knows no value.
    """

    external_id: str
    level: str | None
    rules_level: str | None
    overridden: bool
    status: str
    score: float | None
    value_score: float | None
    segment: str | None
    expected_value: float | None
    currency: str | None
    since: Moment | None = Field(validation_alias="since_us")
    assessed_at: Moment = Field(validation_alias="assessed_us")
    due_at: Moment | None = Field(validation_alias="due_us")
    assessment: str
    source: str
    decided_by: RulesetNamed | None


def list_current_levels(context: RequestContext, query: PageOfLevels) -> Page[CurrentLevel]:
    """List where the entities of a type stand, as it is stored: nobody is assessed for it."""
    filters = LevelFilters(
        levels=query.level,
        segments=query.segment,
        statuses=query.status,
        ruleset=query.ruleset,
        since_us=query.since,
    )
    return current.list_current_levels(context, query.type, filters, query.order, query.part).map(_line)


def _line(line: current.CurrentLevel) -> CurrentLevel:
    return CurrentLevel.of({**vars(line), "decided_by": RulesetNamed.named(line.ruleset)})
