"""The versions of the value model: which one serves, since when and why, and how far its customers have drifted."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.models.version import serving_of
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit
from fivefold.domain.clock import DAY_US
from fivefold.domain.paging import Page, Part
from fivefold.models.drift import LEAST_CUSTOMERS
from fivefold.usecases.changes.promotions import roll_back_by_member, roll_back_warnings, values_others
from fivefold.usecases.models.read import (
    ModelVersionLine,
    PromotionLine,
    asking,
    list_promotions,
    list_versions,
    present,
)
from fivefold.usecases.monitoring.drift import ColumnDrift, drift_key, measure_drift, week_of
from fivefold.usecases.monitoring.realised.read import RealisedVerdict, verdicts_on

VERSIONS, CHANGES = 20, 20
DRIFT_DAYS: Final = 30
DRIFT_SHOWN: Final = 10


@dataclass(frozen=True, kw_only=True)
class DriftHalf:
    """How far the customers that were scored lately are from those of the training.

    Attributes:
        since: the Monday of the first week that counts.
        customers: so many at least were scored in one of these weeks.
        least: so many must have been, for a comparison.
        furthest: the columns that moved most.
    """

    version: int
    since: str
    customers: int
    least: int
    furthest: list[ColumnDrift]


@dataclass(frozen=True, kw_only=True)
class VersionsPage:
    """The versions, the newest first.

    Attributes:
        serving: since when the champion serves; None where none does.
        drift: None where no model serves, or `counts_others`.
        counts_others: the customers of other organisations are in the counts too, so they are not shown.
        warnings: of other money that a rollback would give; none for those who may not roll back.
        verdicts: on the champion, of each type of entities whose predictions were judged.
    """

    versions: Page[ModelVersionLine]
    next: str | None
    promotions: Page[PromotionLine]
    next_promotions: str | None
    serving: PromotionLine | None
    warnings: list[str]
    drift: DriftHalf | None
    counts_others: bool
    verdicts: tuple[RealisedVerdict, ...]


def show_versions(visit: Visit) -> Rendered:
    """List the versions, with what the gate said of each, and every change of the one that serves."""
    versions = list_versions(visit.registry, visit.part("versions", VERSIONS))
    part = visit.part("changes", CHANGES, beside=True)
    promotions = list_promotions(visit.registry, part)
    newest = promotions if part.after is None else list_promotions(visit.registry, Part(1))
    serving = next(iter(newest), None)
    counts_others = values_others(visit)
    page = VersionsPage(
        versions=versions,
        next=visit.next_of("versions", versions),
        promotions=promotions,
        next_promotions=visit.next_of("changes", promotions, beside=True),
        serving=serving,
        warnings=_warnings(visit) if serving and visit.may("POST /v1/model-promotions/rollback") else [],
        drift=None if counts_others else _drift(visit),
        counts_others=counts_others,
        verdicts=verdicts_on(visit, serving.version) if serving else (),
    )
    return Rendered(template="models/versions.html", title=text("Models"), page=page)


def _warnings(visit: Visit) -> list[str]:
    with asking(visit.registry) as registry:
        return roll_back_warnings(visit, present(registry))


def _drift(visit: Visit) -> DriftHalf | None:
    """Compare what was counted of scored customers with the reference of the model that serves."""
    serving = visit.valuer
    if serving is None:
        return None
    since = week_of(visit.now() - DRIFT_DAYS * DAY_US)
    key = drift_key(serving.name, serving.model)
    columns = measure_drift(visit.engine, serving.model.reference, key, serving.version, since)
    return DriftHalf(
        version=serving.version,
        since=since,
        customers=max((column.customers for column in columns), default=0),
        least=LEAST_CUSTOMERS,
        furthest=columns[:DRIFT_SHOWN],
    )


def roll_back(visit: Visit) -> Answer:
    """Make the version that served before serve again."""
    reason = visit.typed("reason", text("Reason"))
    with asking(visit.registry) as registry:
        roll_back_by_member(visit, present(registry), reason, serving=serving_of(visit))
    return Redirect(visit.path, "model-rolled-back")
