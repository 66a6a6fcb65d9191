"""A day on which a version of the value model predicted, and what came, as a worker would have stored it."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.predictions import PredictionDay
from tests.serving.v1.places import OURS, Place

FIRST_DAY = 20_000
"""4 October 2024."""


def add_predicted(place: Place, number: int, state: str, version: int = 1, customers: int = 400) -> None:
    """Add the day of that number; a worker has judged it, unless it is waiting."""
    day, waits = FIRST_DAY + number, state == "waiting"
    of = (EntityType.organisation_id == place.organisations[OURS], EntityType.name == "customer")
    with Session(place.engine) as session, session.begin():
        row = PredictionDay(
            organisation_id=place.organisations[OURS],
            type_id=session.scalars(select(EntityType.id).where(*of)).one(),
            model="fivefold-value",
            model_version=version,
            model_hash="0" * 64,
            day=day,
            as_of_us=day * DAY_US,
            horizon_ends_us=(day + 90) * DAY_US,
            valued=90_000,
            predicted=customers + 12,
            currency="EUR",
            interval_level_percent=80,
            judged_us=None if waits else (day + 90) * DAY_US,
            state=None if waits else state,
            reasons=None if waits else ["realised money is <b>0.60</b>"],
            figures=None if waits else figures(customers),
        )
        session.add(row)


def figures(customers: int) -> dict[str, Any]:
    """Figures of so many customers; of fewer than 30 there is their number alone."""
    ranking = {"normalised_gini": 0.8123, "spearman": 0.7}
    ranking = ranking if customers >= 30 else dict.fromkeys(ranking)
    tenths = [group("decile", str(number), customers // 10, 10.0 * number) for number in range(1, 11)]
    segments = [group("segment", name, customers // 4, 50.0) for name in ("low", "medium", "high", "top")]
    groups = [group("all", "all", customers, 55.0), *segments, *tenths]
    return {"customers": customers, "gone": 12, "interval_level_percent": 80, **ranking, "groups": groups}


def group(by: str, name: str, customers: int, predicted: float) -> dict[str, Any]:
    """Customers who brought six tenths of what was predicted."""
    said = {"predicted_mean": predicted, "realised_mean": 0.6 * predicted, "covered_share": 0.71}
    said |= {"ratio": 0.6, "ratio_low": 0.5, "ratio_high": 0.7}
    return {"by": by, "group": name, "customers": customers, **(said if customers >= 30 else dict.fromkeys(said))}
