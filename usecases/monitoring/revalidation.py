"""Triggers of a revalidation of levels, each with its figure, its limit, and the source of the limit.

A material change in the register is a trigger too. It stays open until another person signs it off.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.models.drift import SHIFTED
from fivefold.risk.governance.validate.measures import Measure, above_cap, answer_by_interval
from fivefold.risk.governance.validate.verdicts import AcceptanceLimits
from fivefold.store.monitoring.revalidation import Reviews, change_numbered, changes_of, run_numbered
from fivefold.store.tables.events import MaterialChange
from fivefold.usecases.accounts.second_person import refuse_same_person
from fivefold.usecases.accounts.settings import LOWEST_ALERT_PERCENT
from fivefold.usecases.monitoring.people import OverrideFigures
from fivefold.usecases.monitoring.version_groups import VersionGroup
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import storable
from fivefold.usecases.shared.inputs import MAX_REASON_CHARACTERS, quarter_of

GUIDE = "Customer Risk Scoring Model Guide for EU Banks 2025"
INDEX = "Siddiqi, Credit Risk Scorecards (2006)"
OWN_CAP = "the organisation's cap on overrides; 10 % in the guide"

OWN_BOUND = f"the organisation's bound; {LOWEST_ALERT_PERCENT} % unless it sets another, as the guide says: modest"

GINI, MISSES, DRIFT, OVERRIDES, REVIEW, CHANGE = "gini", "misses", "drift", "overrides", "review", "material change"
LOWEST = "lowest level alerts"
TRIGGERS = (GINI, MISSES, DRIFT, LOWEST, OVERRIDES, REVIEW, CHANGE)

REACHED, NOT_REACHED, UNKNOWN = "reached", "not reached", "unknown"
EVERYTHING = "overall"


@dataclass(frozen=True, kw_only=True)
class RevalidationTrigger:
    """What asks for a revalidation: the figure, the limit, where that comes from, and whether it is reached.

    `about` is overall, or a ruleset and its version; `sure`: the whole interval says the same.

    Attributes:
        name: one of `TRIGGERS`.
        about: all rulesets (overall), or one, as `retail 3`.
        figure: the measured value; None if nothing could be measured.
        limit: the value from which on, or below which, the trigger is reached.
        rule: the limit in words.
        source: where the limit comes from.
        answer: reached, not reached, or unknown.
        sure: whether the whole interval gives that answer; otherwise it may be chance.
    """

    name: str
    about: str
    figure: float | None
    limit: float
    rule: str
    source: str
    answer: str
    sure: bool


def measured_triggers(
    groups: Iterable[VersionGroup], overrides: OverrideFigures, lowest_alert_percent: int = LOWEST_ALERT_PERCENT
) -> list[RevalidationTrigger]:
    """Compare measures with their limits, for all rulesets and for each version with entities at the end.

    Args:
        groups: the figures of all rulesets together, and of each version.
        overrides: the figures of overrides, with the organisation's cap.
        lowest_alert_percent: the most percent of the alerts that may be at the lowest level.
    """
    triggers: list[RevalidationTrigger] = []
    floors = AcceptanceLimits()
    for group in groups:
        if group.version is not None and not group.drift.ended:
            continue
        of = EVERYTHING if group.version is None else f"{group.ruleset} {group.version}"
        below = f"a Gini below {floors.recalibrate:.2f}"
        above = f"more than {floors.misses:.0%} of the confirmed below the upper levels"
        shifted = f"a population stability index of {SHIFTED} or more"
        modest = f"more than {lowest_alert_percent} % of the alerts at the lowest level, {group.levels[0].level}"
        of_alerts, bound = group.levels[0].of_alerts, lowest_alert_percent / 100
        index = group.drift.index
        triggers += [
            _measure_trigger(GINI, of, group.ranked.gini, floors.recalibrate, below),
            _measure_trigger(MISSES, of, group.caught.missed, floors.misses, above),
            RevalidationTrigger(
                name=DRIFT,
                about=of,
                figure=index,
                limit=SHIFTED,
                rule=shifted,
                source=INDEX,
                answer=_answer(None if index is None else index >= SHIFTED),
                sure=True,
            ),
            _measure_trigger(LOWEST, of, of_alerts, bound, modest, OWN_BOUND),
        ]
    return [*triggers, _overrides(overrides)]


def _measure_trigger(
    name: str, of: str, measure: Measure, limit: float, rule: str, source: str = GUIDE
) -> RevalidationTrigger:
    interval = measure.interval
    if interval is None:
        return RevalidationTrigger(
            name=name, about=of, figure=None, limit=limit, rule=rule, source=source, answer=UNKNOWN, sure=True
        )
    beyond, sure = answer_by_interval(interval, lambda value: value < limit if name == GINI else value > limit)
    return RevalidationTrigger(
        name=name,
        about=of,
        figure=interval.estimate,
        limit=limit,
        rule=rule,
        source=source,
        answer=_answer(beyond),
        sure=sure,
    )


def _overrides(figures: OverrideFigures) -> RevalidationTrigger:
    rule = f"more than {figures.cap_percent} % of the portfolio overridden downwards"
    has_levels = figures.downward_share is not None
    beyond = above_cap(figures.downward, figures.with_level, figures.cap_percent) if has_levels else None
    limit = figures.cap_percent / 100
    return RevalidationTrigger(
        name=OVERRIDES,
        about=EVERYTHING,
        figure=figures.downward_share,
        limit=limit,
        rule=rule,
        source=OWN_CAP,
        answer=_answer(beyond),
        sure=True,
    )


def triggers_now(reviews: Reviews, open_changes: int, now_us: int) -> list[RevalidationTrigger]:
    """Return the triggers that need no measures: the review of the last quarter, and open material changes.

    The figure of the review is how many days ago the latest period with a signed-off validation ended; its limit is how
    many days ago the last quarter ended.
    """
    ended_us = quarter_of(now_us).from_us
    signed_us = reviews.signed_until_us
    is_missing = (reviews.begins_us if signed_us is None else signed_us) < ended_us
    rule = "no validation up to the end of the last quarter was signed off"
    if reviews.begins_us >= ended_us:
        rule += "; the organisation began after that, so there is nothing to validate yet"
    changed = "a material change that nobody signed off"
    return [
        RevalidationTrigger(
            name=REVIEW,
            about=EVERYTHING,
            figure=None if signed_us is None else (now_us - signed_us) / DAY_US,
            limit=(now_us - ended_us) / DAY_US,
            rule=rule,
            source=GUIDE,
            answer=_answer(is_missing),
            sure=True,
        ),
        RevalidationTrigger(
            name=CHANGE,
            about=EVERYTHING,
            figure=open_changes,
            limit=0,
            rule=changed,
            source=GUIDE,
            answer=_answer(open_changes > 0),
            sure=True,
        ),
    ]


def _answer(beyond: bool | None) -> str:
    return UNKNOWN if beyond is None else REACHED if beyond else NOT_REACHED


def still_measured(report: Mapping[str, Any]) -> list[RevalidationTrigger]:
    """Return the triggers that a validation measured, from its report: these hold until the next validation."""
    return [RevalidationTrigger(**each) for each in report["triggers"] if each["name"] not in {REVIEW, CHANGE}]


def worst(triggers: Sequence[RevalidationTrigger], name: str) -> bool | None:
    """Return whether a trigger is reached for any ruleset; None if it is unknown for all."""
    answers = {trigger.answer for trigger in triggers if trigger.name == name}
    return True if REACHED in answers else False if NOT_REACHED in answers else None


KINDS: Final = ("product", "channel", "country", "regulator")


@schema("MaterialChangeLine")
@dataclass(frozen=True, kw_only=True)
class ChangeLine:
    """A material change; open until another person signed it off.

    Attributes:
        validation: the number of the validation with which it was signed off; None, like the next ones, while open.
        conclusion: what follows for the rulesets.
    """

    id: int
    kind: str
    description: str
    registered_by: str
    registered_us: Annotated[Moment, shown_as("registered_at")]
    validation: int | None
    signed_by: str | None
    signed_us: Annotated[Moment | None, shown_as("signed_at")]
    conclusion: str | None

    @property
    def is_open(self) -> bool:
        """Whether it is not signed off yet."""
        return self.signed_us is None


def register_change(context: Context, kind: str, description: str) -> ChangeLine:
    """Register a change of product, channel, country or regulation, which requires a revalidation from now on.

    ConfigError if the kind is unknown, or the description is empty.
    """
    now = context.now()
    if kind not in KINDS:
        raise ConfigError(f"kind is {kind!r}; it must be {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    change = MaterialChange(
        organisation_id=context.organisation_id,
        kind=kind,
        description=_checked(description, "description must say what changes"),
        registered_by=context.actor.name,
        registered_us=now,
    )
    with context.writing() as session:
        session.add(change)
        session.flush()
        line = _line(change)
        _record(session, context, "material_change.registered", change, {"description": change.description})
        return line


def _checked(text: str, must: str) -> str:
    words = text.strip() if isinstance(text, str) else ""
    if not 1 <= len(words) <= MAX_REASON_CHARACTERS or not storable(words):
        raise ConfigError(f"{must}, in 1 to {MAX_REASON_CHARACTERS} characters")
    return words


def sign_off(context: Context, change: int, validation: int, conclusion: str) -> ChangeLine:
    """Close a change with a later validation, and with the conclusion from that.

    Raises:
        NotFoundError: there is no such change or validation.
        ConfigError: the conclusion is empty.
        ConflictError: the actor registered the change; it is signed off already; or the validation is older.
    """
    now = context.now()
    why = _checked(conclusion, "conclusion must say what follows")
    with context.writing() as session:
        change_row = change_numbered(session, context.organisation_id, change)
        run = run_numbered(session, context.organisation_id, validation)
        if change_row.signed_us is not None:
            raise ConflictError(f"material change {change} was signed off already, by {change_row.signed_by}")
        what = f"registered material change {change}: another person signs it off"
        refuse_same_person(session, context.actor, (change_row.registered_by,), what)
        if run.made_us <= change_row.registered_us:
            raise ConflictError(
                f"validation {validation} is of {day_text(run.made_us)}, before the change was registered"
                f" on {day_text(change_row.registered_us)}; make another one"
            )
        change_row.validation_id, change_row.conclusion = validation, why
        change_row.signed_by, change_row.signed_us = context.actor.name, now
        line = _line(change_row)
        _record(session, context, "material_change.signed_off", change_row, {"conclusion": why})
        return line


def _record(session: Session, context: Context, action: str, change: MaterialChange, after: dict[str, str]) -> None:
    context.record(
        session,
        action,
        ("material change", change.id),
        after=after,
        details={"kind": change.kind, "validation_id": change.validation_id},
    )


def list_changes(
    context: Context, part: Part = WHOLE, *, signed: bool | None = None, oldest_first: bool = False
) -> Page[ChangeLine]:
    """List material changes as `changes_of` does."""
    with context.reading() as session:
        return changes_of(session, context.organisation_id, part, signed=signed, oldest_first=oldest_first).map(_line)


def _line(row: MaterialChange) -> ChangeLine:
    return row_as(ChangeLine, row, validation=row.validation_id)
