"""Stored figures and verdicts on the predictions of a version on the platform, by day."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.monitoring import predictions as store
from fivefold.store.monitoring.predictions import PredictionDayRow, days_of, deciding_days
from fivefold.store.sql.database import reading
from fivefold.usecases.models.read import OpenRegistry, require_version
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context

if TYPE_CHECKING:
    from fivefold.training.judging.due import DueVerdict

WAITING: Final = "waiting"
"""The state of a day whose horizon has not passed, or that no worker has judged since it passed."""


@schema("RealisedGroup")
@dataclass(frozen=True, kw_only=True)
class RealisedGroup:
    """Predicted and realised money of some customers. Of fewer than 30 all but their number is null.

    Attributes:
        by: all, segment or decile.
        group: all; a segment, as predicted then; a tenth by prediction, from 1, the lowest, to 10.
        ratio: realised over predicted money, with its interval.
        covered_share: the share of values that lay in the interval of the prediction.
    """

    by: str
    group: str
    customers: int
    predicted_mean: float | None
    realised_mean: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    covered_share: float | None


@schema("RealisedFigures")
@dataclass(frozen=True, kw_only=True)
class RealisedFigures:
    """What came of the predictions of a day.

    Attributes:
        customers: how many customers were predicted and compared.
        gone: how many predicted customers are in no figure: they were erased since, or own or owned one that was, or a
            transaction lacks a balance or is in a currency without an exchange rate.
        normalised_gini: of the ranking; null for fewer than 30 customers, as `spearman`.
        interval_level_percent: the level of the intervals; null if there are none.
        groups: all first, then segments, then tenths.
    """

    customers: int
    gone: int
    normalised_gini: float | None
    spearman: float | None
    interval_level_percent: int | None
    groups: tuple[RealisedGroup, ...]

    def by(self, name: str) -> tuple[RealisedGroup, ...]:
        """Return the groups of one kind."""
        return tuple(group for group in self.groups if group.by == name)


@schema("RealisedDay")
@dataclass(frozen=True, kw_only=True)
class RealisedLine:
    """What a version predicted of the customers of a type on one day (UTC), and what came.

    Attributes:
        day: the day of the predictions, all of which are as of one moment.
        horizon_ends_us: from when the realised values are known.
        valued: how many customers had a value then; `predicted` of them are the sample that is followed.
        state: waiting; due for training; holds; unknown.
        reasons: the reasons for the state, a sentence each.
        judged_us: when it was compared last; null while it waits.
        figures: the comparison; null if nothing could be compared.
    """

    model: str
    version: int
    entity_type: str
    day: str
    as_of_us: Annotated[Moment, shown_as("as_of")]
    horizon_ends_us: Annotated[Moment, shown_as("horizon_ends_at")]
    valued: int
    predicted: int
    currency: str
    state: str
    reasons: tuple[str, ...]
    judged_us: Annotated[Moment | None, shown_as("judged_at")]
    figures: RealisedFigures | None

    @property
    def day_us(self) -> int:
        """Midnight UTC of the day, microseconds."""
        return self.as_of_us // DAY_US * DAY_US


@dataclass(frozen=True, kw_only=True)
class RealisedVerdict:
    """The verdict on a version for one type of entities.

    Attributes:
        line: the day that decides: the latest that could be compared, or the latest judged if none could.
        unknown_from_us: midnight UTC of the first later day whose state is unknown; None if there is none.
    """

    line: RealisedLine
    unknown_from_us: int | None


def list_realised(
    context: Context, open_registry: OpenRegistry, version: int, part: Part = WHOLE
) -> Page[RealisedLine]:
    """List the days on which a version predicted for the organisation, the latest first.

    The first that is due or holds is the verdict on the version, for each type of entities; if there is none, the
    verdict is unknown. The registry is read only if there are no days: a version that it lost keeps its figures.

    Raises:
        NotFoundError: there are no days, and there is no version of that number.
        StoreError: there are no days, and the registry does not answer.
    """
    with context.reading() as session:
        days = days_of(session, context.organisation_id, version, part).map(_line)
    if not days and part.after is None:
        require_version(open_registry, version)
    return days


def verdicts_on(context: Context, version: int) -> tuple[RealisedVerdict, ...]:
    """Return the verdicts on a version, by type of entities with a judged day, in the order of type names."""
    with context.reading() as session:
        days = deciding_days(session, context.organisation_id, version)
        return tuple(
            RealisedVerdict(
                line=_line(PredictionDayRow(row.day, row.entity_type)),
                unknown_from_us=None if row.unknown_from is None else row.unknown_from * DAY_US,
            )
            for row in days
        )


def verdict_of_all(engine: Engine, model: str, hashes: Mapping[int, str]) -> "DueVerdict":
    """Return the verdict on a model over all organisations and types whose predictions were compared.

    It is due if it is due for one of them, and holds if it holds for all with a known verdict.

    Args:
        engine: the database.
        model: the name of the registered model.
        hashes: the content hash of each version that predicts as the model does, by number, as another registry has
            another model under the same number. The highest version whose predictions were compared counts.
    """
    from fivefold.training.judging.due import DueVerdict  # noqa: PLC0415 (imports LightGBM)

    with reading(engine) as session:
        of_versions = {number: store.verdicts_on(session, model, number, hashes[number]) for number in sorted(hashes)}
        has_days = any(store.has_days(session, model, *each) for each in hashes.items())
    judged = max((number for number, verdicts in of_versions.items() if verdicts), default=0)
    by_version = f", version {judged}" if len(hashes) > 1 else ""
    states: tuple[Literal["due", "holds", "unknown"], ...] = ("due", "holds", "unknown")
    for state in states:
        verdicts_of_state = [each for each in of_versions.get(judged, ()) if each.state == state]
        if verdicts_of_state:
            reasons = [
                f"{each.organisation}, {each.entity_type}{by_version}: {reason}"
                for each in verdicts_of_state
                for reason in each.reasons
            ]
            return DueVerdict(state, tuple(reasons))
    if has_days:
        return DueVerdict("waiting", ("no horizon of the predictions that workers kept has passed",))
    numbers = ", ".join(map(str, sorted(hashes)))
    versions = f"this version {numbers}" if len(hashes) == 1 else f"these versions {numbers}"
    return DueVerdict("unknown", (f"the workers of the platform kept no predictions by {versions} of {model}",))


def _line(row: PredictionDayRow) -> RealisedLine:
    day, figures = row.day, row.day.figures
    return row_as(
        RealisedLine,
        day,
        version=day.model_version,
        entity_type=row.entity_type,
        day=day_text(day.day * DAY_US),
        state=day.state or WAITING,
        reasons=tuple(day.reasons or ()),
        figures=None
        if figures is None
        else RealisedFigures(**{**figures, "groups": tuple(RealisedGroup(**group) for group in figures["groups"])}),
    )
