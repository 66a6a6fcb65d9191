"""How a total becomes a level: points with thresholds, tiers, or weighted factors with bands."""

from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from fivefold.risk.language.base import Identifier, LanguageModel, Words
from fivefold.risk.language.expressions import Condition
from fivefold.risk.language.numbers import Percent, Points


def _level(value: Any) -> str | int:
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(  # noqa: TRY004 (pydantic takes a ValueError as a finding)
            "must be a level: its name, or its number from 1 (lowest)"
        )
    return value


LevelName = Annotated[str | int, Field(union_mode="left_to_right"), BeforeValidator(_level)]
"""A level by its name, or by its number from 1 (lowest)."""

Rising = Annotated[tuple[Points, ...], Field(min_length=2, max_length=5)]


class Thresholds(LanguageModel):
    """Totals that begin the levels above the lowest: a total equal to a threshold is in the upper level."""

    thresholds: Rising


class PointsScore(LanguageModel):
    """Points add up over rules; N levels have N − 1 strictly ascending thresholds."""

    points: Thresholds


class Tier(LanguageModel):
    """A named range of totals, both ends included, and the level that it means."""

    title: Words
    min: Points | None = None
    max: Points | None = None
    level: LevelName


class TiersScore(LanguageModel):
    """Named ranges in order: the first that contains the total wins; a total that none contains is unclassified."""

    tiers: Annotated[tuple[Tier, ...], Field(min_length=1)]


class UseWeights(LanguageModel):
    """Which column of weights is used when a condition on the entity holds; without one, for all others."""

    when: Condition | None = None
    use: Identifier


class Weighted(LanguageModel):
    """Factors score 1 to 100; the total is the sum of weight times factor score.

    Attributes:
        bands: totals that begin the levels above the lowest.
        weights: columns of weights in percent, by the rules' ids; each column totals 100.
        weights_by: tried in order, the first that holds chooses the column; none is a visible failure.
    """

    bands: Rising
    weights: Annotated[dict[Identifier, dict[Identifier, Percent]], Field(min_length=1)]
    weights_by: Annotated[tuple[UseWeights, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for column, weights in self.weights.items():
            total = sum(weights.values(), Decimal(0))
            if total != 100:
                raise ValueError(f"the weights of {column} total {total} %; they must total 100 %")
        return self


class WeightedScore(LanguageModel):
    """A weighted sum of factors, cut into levels by the rule of thresholds."""

    weighted: Weighted


Score = PointsScore | TiersScore | WeightedScore
