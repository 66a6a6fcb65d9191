"""Levels as people and programs read them: stored, refreshed behind the answer, or computed for it."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.clock import HOUR_US, day_text, from_microseconds
from fivefold.domain.errors import ConflictError, LockedError, NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.engine.assessments import NOT_IN_FULL, Status
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.look_back import LookBack
from fivefold.store.accounts.organisation import base_currency_of, levels_of
from fivefold.store.ingest.entities import entity_named, subject_of
from fivefold.store.ingest.transactions import has_other_currency
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.levels import levels
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.levels.failures import AssessmentFailure, assessment_failures
from fivefold.store.levels.markings import due_state
from fivefold.store.levels.overrides import is_of_override, live_override_id
from fivefold.store.rulesets.rulesets import names_of_families, rulesets_of_versions
from fivefold.store.sql.clocks import ahead_error, ahead_message, latest_us
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import Assessment, DueMark, Standing, Transition
from fivefold.store.tables.rulesets import RulesetVersion
from fivefold.usecases.levels.content.breakdowns import breakdown_of, gone_text, lines_of_records, stored_record
from fivefold.usecases.levels.groups.links import read_linked
from fivefold.usecases.levels.portfolio import parts_of
from fivefold.usecases.levels.records import NEVER_ASSESSED, families_in
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.levels.worker import BatchResult, assess_now
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.rates import rates_for, stale_days

FAILED = Status.FAILED.value
MARK_SECONDS: Final = 2.0
"""How long a reader waits for another transaction in order to mark a level for refresh behind the answer."""


class Freshness(StrEnum):
    """How fresh a level must be.

    STORED: as it stands. REFRESH: as it stands, and computed again behind the answer; at once where it never was, or
    an override began or ended since. NOW: computed for the answer.
    """

    STORED = "stored"
    REFRESH = "refresh"
    NOW = "now"


@schema("OverrideInForce")
@dataclass(frozen=True, kw_only=True)
class OverrideShown:
    """The override that holds."""

    id: int
    level: str
    reason: str
    until_us: Annotated[Moment | None, shown_as("until")]
    requested_by: str
    approved_by: str


@dataclass(frozen=True, kw_only=True)
class LevelView:
    """The level of an entity, and why.

    Attributes:
        level: the level in force; None for no level.
        rules_level: the level in force without an override.
        status: the status of the latest assessment, or never assessed.
        since_us: when the level was reached.
        may_move_down_us: from when a lower level can follow, where time alone holds the level; None where the rules
            give this level or a higher one, after that moment, while an override decides, and where the latest
            assessment was not made in full.
        assessed_us: when the level was computed.
        assessment: the number of that assessment, as `fivefold replay` takes it.
        source: the source of the level in force: override only while one decides; else what made its last change:
            rules, expiry, decay or time; rules where that was an override that no longer decides.
        ruleset: name and version of the ruleset that decided.
        kept_by: the names of other rulesets that keep the entity (`risk.engine.deciding`).
        refreshing: whether it is due or in progress, and so is about to be computed again; or could not be computed for
            this answer, or marked for refresh behind it.
        problem: why the last attempt to compute it failed.
        quarantined: whether that failed too often, so that workers leave it until something new happens.
        breakdown: why the level is what it is; None if it was erased, or there is none.
        stale_rates_days: the age of the newest exchange rate when the level was computed, if more than a week, where
            its ruleset reads amounts of transactions in the base currency, or an indicator, and one of these
            transactions is in another currency; else None.
    """

    entity_type: str
    external_id: str
    level: str | None = None
    rules_level: str | None = None
    status: str
    since_us: int | None = None
    may_move_down_us: int | None = None
    assessed_us: int | None = None
    assessment: str | None = None
    source: str | None = None
    ruleset: tuple[str, int] | None = None
    kept_by: tuple[str, ...] = ()
    override: OverrideShown | None = None
    refreshing: bool
    problem: str | None
    quarantined: bool = False
    breakdown: Any = None
    stale_rates_days: int | None = None

    @property
    def is_in_full(self) -> bool:
        """Whether its latest assessment was made in full, and no later attempt failed."""
        return self.problem is None and self.status not in NOT_IN_FULL


@dataclass(frozen=True, kw_only=True)
class HistoryLine:
    """One assessment in an entity's history; `reached` if it changed the level."""

    assessment: str
    at_us: int
    level: str | None
    rules_level: str | None
    status: str
    source: str
    ruleset: tuple[str, int] | None
    reached: bool
    line: str


def read_level_of_profile(
    context: Context, type_name: str, external_id: str, *, valuer: EntityScorer | None = None
) -> LevelView:
    """Return an entity's level for a person's view, computed anew if anything happened since, or an hour passed."""
    refresh_level_of_profile(context, type_name, external_id, valuer=valuer)
    return _stored_level(context, type_name, external_id, context.now())


def refresh_level_of_profile(
    context: Context,
    type_name: str,
    external_id: str,
    *,
    valuer: EntityScorer | None,
    busy_seconds: float | None = None,
) -> None:
    """Compute an entity's level for a person's view, if anything happened since, or an hour passed.

    Raises:
        NotFoundError: the organisation does not have the entity.
        ConflictError: others kept assessing it.
        StoreError: the database cannot store it; a LockedError where another transaction held it for *busy_seconds*.
    """
    now = context.now()
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        standing = levels.current_level(session, entity.id)
        mark, is_marked_later = due_state(session, entity.id, now)
        old = standing is None or now - standing.assessed_us > HOUR_US
        subject = subject_of(entity)
    if old or is_marked_later or _waits(mark, now):
        assess_now(
            context.engine,
            subject,
            clock=context.now,
            valuer=valuer,
            actor=context.actor.name,
            busy_seconds=busy_seconds,
        )


def read_level(
    context: Context,
    type_name: str,
    external_id: str,
    freshness: Freshness = Freshness.REFRESH,
    *,
    valuer: EntityScorer | None = None,
) -> LevelView:
    """Return an entity's level for a program, as fresh as it requests.

    ConflictError if it is to be computed now, and the entity was erased.
    """
    now = context.now()
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        subject, erased = subject_of(entity), entity.erased_us is not None
        if erased and freshness is Freshness.NOW:
            day = day_text(entity.erased_us or 0)
            raise ConflictError(f"{type_name} {external_id} was erased on {day}, so no level can be computed")
        standing = levels.current_level(session, subject.entity_id)
        live = session.scalar(select(live_override_id(subject.entity_id, now)))
    behind = not is_of_override(standing, live)
    if freshness is Freshness.NOW or (freshness is Freshness.REFRESH and behind):
        result = assess_now(context.engine, subject, clock=context.now, valuer=valuer, actor=context.actor.name)
        view = _stored_level(context, type_name, external_id, context.now())
        return replace(view, refreshing=view.refreshing or could_not_be_computed(result))
    if freshness is Freshness.REFRESH and not erased:
        try:
            with context.writing(MARK_SECONDS) as session:
                due.mark(session, [subject], Reason.VIEW, now)
        except LockedError:  # the stored level can be read all the same
            return replace(_stored_level(context, type_name, external_id, context.now()), refreshing=True)
    return _stored_level(context, type_name, external_id, context.now())


def could_not_be_computed(result: BatchResult | None) -> bool:
    """Return whether a level that was to be computed at once could not be, so that it lacks the newest facts."""
    return result is not None and result.without_result > 0


def level_history(context: Context, type_name: str, external_id: str, part: Part = WHOLE) -> Page[HistoryLine]:
    """List an entity's assessments, the latest first; NotFoundError where there is no such entity."""
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        names = (None, *levels_of(session, context.organisation_id))
        page = levels.assessments_of(session, entity.id, part)
        records = [stored_record(row, content) for row, _, content in page]
        lines = lines_of_records(session, context.organisation_id, records)
        rulesets = rulesets_of_versions(session, sorted({row.version_id for row, _, _ in page if row.version_id}))

        def line(row: tuple[Assessment, Transition | None, str | None]) -> HistoryLine:
            assessment, transition, _ = row
            return HistoryLine(
                assessment=f"{assessment.entity_id}.{assessment.number}",
                at_us=assessment.as_of_us,
                level=names[assessment.level or 0],
                rules_level=names[assessment.rules_level or 0],
                status=assessment.status,
                source=assessment.source,
                ruleset=rulesets.get(assessment.version_id or 0),
                reached=transition is not None,
                line=lines.get((entity.id, assessment.number), ""),
            )

        return page.map(line)


@dataclass(frozen=True, kw_only=True)
class AssessmentShown:
    """One assessment with its entity, moment and ruleset, so that it can be read without the customer's page.

    Attributes:
        level: the level in force then; None for no level.
        rules_level: the level in force then without an override.
        ruleset: name and version of the ruleset that decided; None where none did.
        gone: how its inputs went, in words; None where they are still there.
    """

    entity_type: str
    external_id: str
    at_us: int
    level: str | None
    rules_level: str | None
    status: str
    ruleset: tuple[str, int] | None
    gone: str | None


def read_assessment(context: Context, name: str) -> AssessmentShown:
    """Return an assessment by its number, such as 12.3; NotFoundError if it does not exist."""
    with context.reading() as session:
        row = find_assessment(session, context.actor, name)
        entity = session.get_one(Entity, row.entity_id)
        names = (None, *levels_of(session, context.organisation_id))
        return AssessmentShown(
            entity_type=session.get_one(EntityType, entity.type_id).name,
            external_id=entity.external_id,
            at_us=row.as_of_us,
            level=names[row.level or 0],
            rules_level=names[row.rules_level or 0],
            status=row.status,
            ruleset=levels.ruleset_named(session, row.version_id),
            gone=gone_text(session, row) if row.breakdown is None else None,
        )


def find_assessment(session: Session, actor: Actor, name: str) -> Assessment:
    """Find an assessment row by the number that people use, such as 12.3; NotFoundError if it does not exist."""
    numbers = re.fullmatch(ASSESSMENT_NUMBER, name)
    if not numbers:
        raise NotFoundError(f"there is no assessment {name!r}; one is written as 12.3")
    assessment_row = levels.assessment_of(session, actor.organisation_id, int(numbers[1]), int(numbers[2]))
    if assessment_row is None:
        raise NotFoundError(f"there is no assessment {name!r}")
    return assessment_row


ASSESSMENT_NUMBER: Final = r"([0-9]{1,9})\.([0-9]{1,9})"
"""How people write the number of an assessment, with fewer digits than a database's integers hold."""


def _waits(mark: DueMark | None, now: int) -> bool:
    """Check whether a level is due; a quarantined one counts too, as a person's view may try it again."""
    return mark is not None and ((mark.due_us is not None and mark.due_us <= now) or mark.quarantined)


def _stored_level(context: Context, type_name: str, external_id: str, now: int) -> LevelView:
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        standing = levels.current_level(session, entity.id)
        mark, is_marked_later = due_state(session, entity.id, now)
        waits = levels.is_refreshing(mark, now, is_marked_later=is_marked_later)
        problem, quarantined = (None, False) if mark is None else (mark.error, mark.quarantined)
        ahead = None if standing is None else ahead_error(session, standing.assessed_us, now)
        if standing is None:
            return LevelView(
                entity_type=type_name,
                external_id=external_id,
                status=NEVER_ASSESSED,
                refreshing=waits,
                problem=problem,
                quarantined=quarantined,
            )
        names = (None, *levels_of(session, context.organisation_id))
        assessment = levels.assessment_of(session, context.organisation_id, entity.id, standing.number)
        view = LevelView(
            entity_type=type_name,
            external_id=external_id,
            level=names[standing.level or 0],
            rules_level=names[standing.rules_level or 0],
            status=standing.status if ahead is None else FAILED,
            since_us=levels.level_since(session, entity.id),
            may_move_down_us=standing.may_move_down_us,
            assessed_us=standing.assessed_us,
            assessment=f"{entity.id}.{standing.number}",
            source=standing.level_source,
            ruleset=levels.ruleset_named(session, standing.version_id),
            kept_by=tuple(sorted(names_of_families(session, families_in(standing.kept_by)).values())),
            override=_override(session, standing, names),
            refreshing=waits,
            problem=ahead or problem,
            quarantined=quarantined,
            breakdown=None if assessment is None else breakdown_of(session, assessment),
            stale_rates_days=_stale_rates_days(session, standing),
        )
        return view if _is_held_by_time(view, now) else replace(view, may_move_down_us=None)


def _is_held_by_time(view: LevelView, now: int) -> bool:
    """Return whether time alone holds a level up: it withholds a lower one, and nothing else does."""
    may_move_down = view.may_move_down_us is not None and view.may_move_down_us > now
    is_lower_withheld = bool((view.breakdown or {}).get("withheld"))
    return may_move_down and is_lower_withheld and view.is_in_full and view.override is None


def _stale_rates_days(session: Session, standing: Standing) -> int | None:
    """Return the age in days of an assessment's newest rate if it was too old and money was converted; else None."""
    if standing.version_id is None:
        return None
    day = from_microseconds(standing.assessed_us).date()
    base = base_currency_of(session, standing.organisation_id)
    days = stale_days(rates_for(session, standing.organisation_id, base, day), day)
    return days if days is not None and _converted(session, standing, base) else None


def _converted(session: Session, standing: Standing, base: str) -> bool:
    """Check whether the ruleset converted amounts, and could see one in another currency than the base."""
    version = session.get_one(RulesetVersion, standing.version_id)
    analysed = analyse_canonical(version.canonical)
    if not Needs.of(analysed).converts and "indicators" not in parts_of(analysed):
        return False
    back, at = LookBack.of([analysed]), standing.assessed_us
    type_id = session.get_one(Entity, standing.entity_id).type_id
    linked = read_linked(session, type_id, [standing.entity_id], [analysed], at)
    whose = loading.fact_owners(session, [standing.entity_id] if linked is None else linked.everyone())
    opens_us = None if back.summary else back.opens_us(at)
    return has_other_currency(session, whose["fact_of"].unique().to_list(), base, opens_us, at)


def _override(session: Session, standing: Standing, names: tuple[str | None, ...]) -> OverrideShown | None:
    if standing.override_id is None:
        return None
    override = levels.override_in_force(session, standing.override_id)
    return OverrideShown(
        id=override.id,
        level=names[override.level] or "",
        reason=override.reason,
        until_us=override.until_us,
        requested_by=override.requested_by,
        approved_by=override.decided_by or "",
    )


def list_failed(context: Context, part: Part = WHOLE) -> Page[tuple[str, str, str]]:
    """List the entities that could not be assessed in full: type, external id and why, in the order of their creation.

    These are failed, unclassified or undetermined, had an error at the last attempt, or have an assessment dated after
    now.
    """
    with context.reading() as session:
        failures = assessment_failures(session, context.organisation_id, latest_us(session, context.now()), part)
        return failures.map(lambda failure: (failure.entity_type, failure.external_id, failure_problem(failure)))


def failure_problem(failure: AssessmentFailure) -> str:
    """Return in words what is wrong with an assessment."""
    if failure.error is not None:
        tried = f"quarantined after {failure.attempts} attempts" if failure.quarantined else "failed, to be tried again"
        return f"{tried}: {failure.error}"
    return ahead_message(failure.assessed_us) if failure.assessed_us is not None else str(failure.status)
