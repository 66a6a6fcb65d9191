"""Figures for operators: queue depths, levels, and the findings of the last validations."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.store.accounts.organisation import base_currency_of
from fivefold.store.flows.run_search import RunCounts, run_counts
from fivefold.store.monitoring import statistics as figures
from fivefold.store.monitoring.operations import last_added_us
from fivefold.store.monitoring.predictions import DUE, UNKNOWN, verdicts_now
from fivefold.store.monitoring.revalidation import Reviews, reviews_by_organisation
from fivefold.store.sql.clocks import clock_of, latest_us
from fivefold.store.sql.database import reading
from fivefold.store.webhooks.endpoints import counted_deliveries
from fivefold.usecases.accounts.settings import NO_LEVEL, means_no_level
from fivefold.usecases.monitoring.revalidation import TRIGGERS, still_measured, triggers_now, worst
from fivefold.usecases.shared.rates import rates_for


@dataclass(frozen=True, kw_only=True)
class LastValidation:
    """The findings of an organisation's last validation over all its rulesets; None where it rests on too few.

    Attributes:
        conversion: the share of alerts that were confirmed, by level.
        false_positives: the share of alerts that were not confirmed, by level.
    """

    number: int
    made_us: int
    gini: float | None
    captured: float | None
    missed: float | None
    drift: float | None
    conversion: Mapping[str, float | None]
    false_positives: Mapping[str, float | None]
    report: Mapping[str, Any]


@dataclass(kw_only=True)
class OrganisationFigures:
    """The figures of one organisation.

    Attributes:
        oldest_us: since when the first due entity is due.
        levels: the number of entities by type and level; `NO_LEVEL` for those without one, or an empty text if a level
            has that name.
        rates_age_days: the age of the newest exchange rate.
        added_us: when transactions were last added; None if there never were any.
        ahead: entities whose last assessment is dated after now, and that are not assessed again until it is mended.
        with_level: the number of entities with a level, of all types.
        overrides: the number of live overrides.
        downward: how many of these are below the level by the rules.
        runs: runs of flows: late, failed in the last day, quarantined; None if there are none of these.
        due_models: by type of entities, whether the serving version is due for training; None if that is not known.
            Types without judged predictions are left out.
    """

    number: int
    due: int = 0
    oldest_us: int | None = None
    quarantined: int = 0
    ahead: int = 0
    levels: dict[tuple[str, str], int] = field(default_factory=dict)
    with_level: int = 0
    overrides: int = 0
    downward: int = 0
    waiting: int = 0
    dead: int = 0
    open_changes: int = 0
    runs: RunCounts | None = None
    due_models: dict[str, bool | None] = field(default_factory=dict)
    rates_age_days: int = 0
    added_us: int | None = None
    validation: LastValidation | None = None
    reviews: Reviews = field(default_factory=lambda: Reviews(0, None))

    def triggers(self, now_us: int) -> dict[str, bool | None]:
        """Return by name whether each trigger of a revalidation is reached; None if it is unknown."""
        measured = [] if self.validation is None else still_measured(self.validation.report)
        triggers = [*measured, *triggers_now(self.reviews, self.open_changes, now_us)]
        return {name: worst(triggers, name) for name in TRIGGERS}


class PlatformFigures:
    """Reads the figures of all organisations; the findings of each validation are read once."""

    def __init__(self, engine: Engine, clock: Callable[[], int] | None = None) -> None:
        """Read nothing yet; *clock* is the database's by default."""
        self._engine = engine
        self.now_us = clock or clock_of(engine).now_us
        self._validations: dict[tuple[int, int], LastValidation] = {}
        """By number and moment: after a failover that lost commits a number may come again."""

    def read(self) -> list[OrganisationFigures]:
        """Read the figures of all organisations that have any, ordered by number.

        StoreError where the database is out of reach.
        """
        now = self.now_us()
        with reading(self._engine) as session:
            names = dict(figures.organisations_with_levels(session))
            by_organisation = _FiguresByOrganisation(names)
            for counted in figures.level_counts(session):
                _add_level(by_organisation[counted.organisation_id], counted, names[counted.organisation_id])
            for number, due, oldest_us in figures.due_counts(session, now):
                by_organisation[number].due, by_organisation[number].oldest_us = due, oldest_us
            for number, overrides, downward in figures.override_counts(session, now):
                by_organisation[number].overrides, by_organisation[number].downward = overrides, downward
            _add_counts(by_organisation, session, now)
            day = from_microseconds(now).date()
            for number in names:
                newest = rates_for(session, number, base_currency_of(session, number), day).newest
                by_organisation[number].rates_age_days = (day - newest).days
                by_organisation[number].added_us = last_added_us(session, number)
            for number, reviews in reviews_by_organisation(session).items():
                if number in by_organisation:
                    by_organisation[number].reviews = reviews
            for number, validation in self._last(session).items():
                by_organisation[number].validation = validation
        return [by_organisation[number] for number in sorted(by_organisation)]

    def clock_ahead_us(self) -> int:
        """Return by how much this machine's clock was ahead of the database's when they were last compared."""
        return clock_of(self._engine).ahead_us

    def _last(self, session: Session) -> dict[int, LastValidation]:
        latest = figures.latest_runs(session)
        known_runs = {key: self._validations[key] for key in latest.values() if key in self._validations}
        new = [number for number, made_us in latest.values() if (number, made_us) not in known_runs]
        for run in figures.runs(session, new):
            known_runs[run.id, run.made_us] = last_validation(run.id, run.made_us, run.report)
        self._validations = known_runs
        return {organisation_id: known_runs[key] for organisation_id, key in latest.items()}


class _FiguresByOrganisation(dict[int, OrganisationFigures]):
    """Figures by organisation, for organisations that chose their levels or have anything to count."""

    def __init__(self, numbers: Iterable[int]) -> None:
        super().__init__({number: OrganisationFigures(number=number) for number in numbers})

    def __missing__(self, number: int) -> OrganisationFigures:
        self[number] = OrganisationFigures(number=number)
        return self[number]


def _add_counts(figures_of: _FiguresByOrganisation, session: Session, now: int) -> None:
    for name, counts in (
        ("ahead", figures.ahead_counts(session, latest_us(session, now))),
        ("quarantined", figures.quarantined_counts(session)),
        ("open_changes", figures.open_change_counts(session)),
    ):
        for number, count in counts:
            setattr(figures_of[number], name, count)
    for number, deliveries in counted_deliveries(session).items():
        figures_of[number].waiting, figures_of[number].dead = deliveries.waiting, deliveries.dead
    for runs in run_counts(session, now, now - DAY_US):
        figures_of[runs.organisation_id].runs = runs
    for verdict in verdicts_now(session):
        is_due = None if verdict.state == UNKNOWN else verdict.state == DUE
        figures_of[verdict.organisation_id].due_models[verdict.entity_type] = is_due


def _add_level(figures_of: OrganisationFigures, counted: figures.LevelCount, names: list[str]) -> None:
    no_level = NO_LEVEL if means_no_level(NO_LEVEL, names) else ""
    level = no_level if counted.level is None else names[counted.level - 1]
    figures_of.levels[counted.type_name, level] = counted.entities
    figures_of.with_level += 0 if counted.level is None else counted.entities


def last_validation(number: int, made_us: int, report: Mapping[str, Any]) -> LastValidation:
    """Return the findings of a validation over all rulesets, from its report."""
    overall = report["groups"][0]
    levels = [level for level in overall["levels"] if level["level"] in report["levels"]]
    return LastValidation(
        number=number,
        made_us=made_us,
        gini=overall["ranked"]["gini"]["estimate"],
        captured=overall["caught"]["captured"]["estimate"],
        missed=overall["caught"]["missed"]["estimate"],
        drift=overall["drift"]["index"],
        conversion={level["level"]: level["conversion"]["estimate"] for level in levels},
        false_positives={level["level"]: level["false_positives"]["estimate"] for level in levels},
        report=report,
    )
