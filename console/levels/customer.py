"""One customer, shown and taken away: worth and risk, why, what people did about it, and all that happened."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from pydantic import TypeAdapter

from fivefold.charts.bars import Bar, LevelStep, floor_path, level_steps
from fivefold.console.filters import Listing, listing_of
from fivefold.console.levels.difference import ChangeHalf, change_since_before, marked_title, points_waterfall
from fivefold.console.levels.values import ValueHalf, value_half
from fivefold.console.queue.place import QueueBar, queue_bar
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Download, FieldError, Redirect, Rendered, Visit, address
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError, StoreError
from fivefold.domain.paging import WHOLE, Page, Part, first_page
from fivefold.store.levels.timeline import LABELS, Clock
from fivefold.store.recourse.challenges import OPEN
from fivefold.usecases.accounts.readings import ReadRecord, note_opened, readings_of
from fivefold.usecases.accounts.settings import read_levels
from fivefold.usecases.changes import asks, facts
from fivefold.usecases.changes.proposals import ChangeOutcome
from fivefold.usecases.changes.search import ProposalWaiting, waiting_about
from fivefold.usecases.flows.runs.reading import EntityActions, RunFilters, RunLine, entity_actions, search_runs
from fivefold.usecases.groups.members import EntityGroup, groups_of_entity
from fivefold.usecases.ingest.tags import is_tag_read, tags_named
from fivefold.usecases.levels import entity_profile, overrides, read
from fivefold.usecases.levels.entity_profile import (
    EntityShown,
    LinkLine,
    RecordLine,
    ScreeningLine,
    TagLine,
    TransactionLine,
)
from fivefold.usecases.levels.explain import Reasons, read_reasons
from fivefold.usecases.levels.overrides import OverrideLine
from fivefold.usecases.levels.read import Freshness, HistoryLine, LevelView
from fivefold.usecases.levels.value_scores import read_value
from fivefold.usecases.monitoring.operations import WorkerSeen, last_worker
from fivefold.usecases.portfolio.export import CustomerExport, ExportedChallenge, export_customer
from fivefold.usecases.portfolio.scale import ScoreScale, read_scale
from fivefold.usecases.portfolio.sources import AssessmentSources, sources_of
from fivefold.usecases.portfolio.timeline import TimelineEvent, list_events
from fivefold.usecases.recourse.challenges import ChallengeFilters, ChallengeSummary, summarise_challenges
from fivefold.usecases.shared.inputs import digits

DECIDERS = ("POST /v1/entities/{type}/{external_id}/overrides", "POST /v1/overrides/{override}/approve")
"""Who may do one of these: that they open the reasons is noted, and nothing of other members."""
SETS_TAGS = "PUT /v1/entities/{type}/{external_id}/tags/{tag}"
READS_THRESHOLDS = "GET /v1/rulesets/{family}/versions/{number}"
SHORT_LIST = Part(10)
"""A customer's page shows the first rows of each list, and leads to the whole of it: `?all=` and its name."""


@dataclass(frozen=True, kw_only=True)
class RiskHalf:
    """How risky a customer is.

    Attributes:
        reasons: what held; None where there is no assessment, or it was erased.
        sources: from where the values of the reasons are; None with these.
        steps: the scale of levels.
        scale: where the score stands among them; None where no score gave a level.
        floor: the step of SVG from the score's level to that of the floor; empty where no floor raised it.
        change: since the assessment before; None for the first one.
        bars: the points of the rules that gave some.
    """

    level: LevelView
    reasons: Reasons | None
    sources: AssessmentSources | None
    steps: tuple[LevelStep, ...]
    scale: ScoreScale | None
    floor: str
    bars: tuple[Bar, ...]
    change: ChangeHalf | None


@dataclass(frozen=True, kw_only=True)
class CustomerPage:
    """One customer; `bar` says which item of the queue the person came for, and where it leads next.

    `tags_named` are offered to those who may set a tag: what decides now names them.

    Attributes:
        worker: that runs, or was seen last; None where none was there in the last day, or the level is not due.
        levels: that an override may ask for.
        is_floor_live: a floor keeps the first of them, so lower ones are left out.
        waiting_beside: the numbers of overrides that wait beside another one.
        changes: of the customer, that wait for another person; none for those who may not see them.
        waiting: all of these, also where the list shows the first ones.
        challenges: the open ones, ordered by due date; none for those who may not see them.
    """

    bar: QueueBar | None
    entity: EntityShown
    address: str
    risk: RiskHalf
    value: ValueHalf | None
    groups: tuple[EntityGroup, ...]
    worker: WorkerSeen | None
    levels: tuple[str, ...]
    is_floor_live: bool
    overrides: Page[OverrideLine]
    waiting_beside: set[int]
    readings: dict[int, list[ReadRecord]]
    links: Page[LinkLine]
    tags: Page[TagLine]
    tags_named: tuple[str, ...]
    screenings: Page[ScreeningLine]
    cases: Page[RecordLine]
    alerts: Page[RecordLine]
    transactions: Page[TransactionLine]
    events: Page[TimelineEvent]
    changes: Page[ProposalWaiting]
    waiting: Sequence[ProposalWaiting]
    challenges: Sequence[ChallengeSummary]
    standing: EntityActions
    runs: Page[RunLine]


def refresh_level(visit: Visit) -> None:
    """Compute a customer's level where anything happened since, or an hour passed; else the stored one is shown."""
    with suppress(ConflictError, StoreError):  # what is stored can be read all the same, and says that it is behind
        read.refresh_level_of_profile(*_customer(visit), valuer=visit.valuer, busy_seconds=read.MARK_SECONDS)


def show_customer(visit: Visit) -> Rendered:
    """Show a customer as stored; nothing is computed for it but the picture of the value."""
    of = _customer(visit)
    entity = entity_profile.read_entity(*of)
    level = read.read_level(*of, Freshness.STORED)
    levels = read_levels(visit)
    reasons = None if level.assessment is None else read_reasons(visit, level.assessment)
    if reasons is not None and level.assessment is not None and any(map(visit.may, DECIDERS)):
        note_opened(visit, visit.session.id, level.assessment)
    lowest = overrides.lowest_level(*of)
    listed = overrides.overrides_of(*of, part=_part(visit, "overrides"))
    waiting = waiting_about(*of, visit.role)
    page = CustomerPage(
        bar=queue_bar(visit),
        entity=entity,
        address=address("entities", entity.entity_type, entity.external_id),
        risk=_risk_half(visit, level, reasons, levels),
        value=value_half(read_value(*of, valuer=visit.valuer)),
        groups=groups_of_entity(*of, with_aml=True),
        worker=last_worker(visit) if level.refreshing else None,
        levels=levels[lowest - 1 :],
        is_floor_live=lowest > 1,
        overrides=listed,
        waiting_beside=overrides.waiting_beside(visit, [each.id for each in listed]),
        readings=readings_of(visit, [each.id for each in listed]),
        links=entity_profile.list_links(*of, _part(visit, "links")),
        tags=entity_profile.list_tags(*of, _part(visit, "tags")),
        tags_named=tags_named(visit) if visit.may(SETS_TAGS) else (),
        screenings=entity_profile.list_screenings(*of, _part(visit, "screenings")),
        cases=entity_profile.list_records(*of, "case", _part(visit, "cases")),
        alerts=entity_profile.list_records(*of, "alert", _part(visit, "alerts")),
        transactions=entity_profile.list_transactions(*of, SHORT_LIST),
        events=list_events(*of, SHORT_LIST),
        changes=first_page(waiting, lambda line: (line.id,), _part(visit, "changes").most),
        waiting=waiting,
        challenges=open_challenges(*of),
        standing=entity_actions(*of),
        runs=search_runs(visit, RunFilters(entity=of[1:]), SHORT_LIST),
    )
    return Rendered(template="levels/customer.html", title=entity.external_id, page=page)


def open_challenges(visit: Visit, type_name: str, external_id: str) -> Sequence[ChallengeSummary]:
    """List the open challenges of a customer, ordered by due date; none for those who may not see them."""
    if not visit.may("GET /v1/challenges"):
        return ()
    return summarise_challenges(visit, ChallengeFilters(state=OPEN, entity=(type_name, external_id)))


def _risk_half(visit: Visit, level: LevelView, reasons: Reasons | None, levels: tuple[str, ...]) -> RiskHalf:
    scale = None
    if level.assessment is not None:
        scale = read_scale(visit, level.assessment, with_thresholds=visit.may(READS_THRESHOLDS))
    steps = level_steps(levels, level.level, level.rules_level, () if scale is None else scale.begins)
    return RiskHalf(
        level=level,
        reasons=reasons,
        sources=None if level.assessment is None else sources_of(visit, level.assessment),
        steps=steps,
        scale=scale,
        floor=floor_path(steps, scale.score_level, scale.floor) if scale and scale.floor else "",
        bars=() if reasons is None else point_bars(reasons),
        change=change_since_before(visit, level.assessment),
    )


def _customer(visit: Visit) -> tuple[Visit, str, str]:
    """Give what use cases of one customer take first."""
    return visit, visit.parts["type"], visit.parts["external_id"]


def _part(visit: Visit, list_name: str) -> Part:
    return WHOLE if visit.query.get("all") == list_name else SHORT_LIST


def history_of(visit: Visit, part: Part) -> Page[HistoryLine]:
    """List a customer's assessments, the latest first."""
    return read.level_history(*_customer(visit), part)


def point_bars(reasons: Reasons) -> tuple[Bar, ...]:
    """Place the points of the rules that gave some; nothing where none did."""
    return points_waterfall("0", [(marked_title(rule), rule.points) for rule in reasons.rules])[1:]


def recompute(visit: Visit) -> Answer:
    """Compute a customer's level now, and say where that was not done in full."""
    of = _customer(visit)
    level = read.read_level(*of, Freshness.NOW, valuer=visit.valuer)
    return Redirect(visit.path + visit.trail, "assessed" if level.is_in_full else "failed-again")


def request_override(visit: Visit) -> Answer:
    """Request a level for a customer, with a reason and an end; the same form sent twice requests it once."""
    of = _customer(visit)
    level, reason = visit.typed("level", text("Level")), visit.typed("reason", text("Reason"))
    until_us = visit.moment_if_any("until", text("Ends on"))
    line = overrides.request_override(*of, level, reason, until_us, read_in=visit.session.id)
    is_beside = bool(overrides.waiting_beside(visit, [line.id]))
    return Redirect(visit.path + visit.trail, "override-requested-beside" if is_beside else "override-requested")


def approve_override(visit: Visit) -> Answer:
    """Approve an override that another person requested, unless the page showed other reasons than hold now."""
    overrides.approve_override(
        visit,
        _override(visit),
        visit.form.get("reason", "").strip(),
        read_in=visit.session.id,
        expected_assessment=visit.typed("seen_assessment", text("What the page showed")),
        expected_requested_us=visit.shown_moment("requested"),
    )
    return Redirect(visit.path + visit.trail, "override-approved")


def refuse_override(visit: Visit) -> Answer:
    """Refuse an override that another person requested."""
    overrides.refuse_override(
        visit,
        _override(visit),
        visit.typed("reason", text("Reason")),
        read_in=visit.session.id,
        expected_requested_us=visit.shown_moment("requested"),
    )
    return Redirect(visit.path + visit.trail, "override-refused")


def revoke_override(visit: Visit) -> Answer:
    """End an override; proposed where that may lower the level."""
    reason = visit.typed("reason", text("Reason"))
    outcome = asks.revoke_override(visit, _override(visit), reason, visit.shown_moment("requested"))
    return Redirect(visit.path + visit.trail, _notice(outcome, "override-revoked"))


def _notice(outcome: ChangeOutcome, done: str) -> str:
    """Name what is shown to who asked for a change; *done*: where it was done at once."""
    if outcome.proposal is None:
        return done
    return "change-proposed-anew" if outcome.replaces else "change-proposed"


def _override(visit: Visit) -> int:
    typed = visit.typed("override", text("Override"))
    number = digits(typed)
    if number is None:
        raise ConfigError(text("{number} is not the number of an override", number=repr(typed[:40])))
    override = overrides.read_override(visit, number)
    if (override.entity_type, override.external_id) != (visit.parts["type"], visit.parts["external_id"]):
        raise NotFoundError(text("override {number} belongs to another customer", number=number))
    return override.id


def set_tag(visit: Visit) -> Answer:
    """Set a tag on a customer; proposed where a level would fall. Say where nothing reads it."""
    notice = "tag-set" if is_tag_read(visit, visit.form.get("tag", "").strip()) else "tag-unread"
    outcome = _tag_outcome(visit, facts.request_tag)
    tag = visit.form["tag"].strip()
    if not outcome.changes:
        (there,) = entity_profile.list_tags(*_customer(visit), Part(1), tag)
        if (there.set_by, there.set_reason or "") == (visit.actor.name, visit.form.get("reason", "").strip()):
            return Redirect(visit.path + visit.trail, "tag-there")
        wrong = text(
            "{name} already has the tag {tag}. To give another reason, end it and set it again",
            name=visit.parts["external_id"],
            tag=tag,
        )
        raise ConflictError(wrong)
    return Redirect(visit.path + visit.trail, _notice(outcome, notice))


def end_tag(visit: Visit) -> Answer:
    """End a tag of a customer, unless it was set anew since the page was opened; proposed where a level would fall."""
    outcome = _tag_outcome(visit, partial(facts.request_tag_end, expected_from_us=visit.shown_moment("since")))
    return Redirect(visit.path + visit.trail, _notice(outcome, "tag-ended"))


def _tag_outcome(visit: Visit, request: Callable[..., ChangeOutcome]) -> ChangeOutcome:
    of = _customer(visit)
    try:
        return request(*of, visit.typed("tag", text("Tag")), reason=visit.form.get("reason", "").strip())
    except facts.ReasonMissingError as missing:
        raise FieldError("reason", str(missing).replace("`reason`", text("Reason"))) from missing


@dataclass(frozen=True, kw_only=True)
class TimelinePage:
    """A part of what happened, the latest first.

    Attributes:
        group: of events that are shown, as it was chosen; empty for all.
        clock: by which they are ordered.
    """

    external_id: str
    customer: str
    groups: tuple[str, ...]
    group: str
    clock: str
    listing: Listing[TimelineEvent]
    next: str | None


def show_timeline(visit: Visit) -> Rendered:
    """Show what happened about a customer, all of it or one group, by one of the clocks."""
    clocks = tuple(each.value for each in Clock)[::-1]
    chosen = visit.filters(("group", "clock"))
    of = visit.parts["type"], visit.parts["external_id"]

    def events(part: Part) -> Page[TimelineEvent]:
        group, clock = visit.choice("group", ("", *LABELS)), visit.choice("clock", clocks)
        return list_events(visit, *of, part, kinds=(group,) if group else (), clock=Clock(clock))

    listing = listing_of(events, visit.part("timeline"), wrong=(ConfigError,))
    if listing.problem:
        entity_profile.read_entity(visit, *of)  # a customer who is not there has no page, whatever is asked for
    page = TimelinePage(
        external_id=of[1],
        customer=address("entities", *of),
        groups=tuple(LABELS),
        group=chosen["group"],
        clock=chosen["clock"] or clocks[0],
        listing=listing,
        next=visit.next_of("timeline", listing.rows),
    )
    title = text("Timeline of {name}", name=of[1])
    return Rendered(template="levels/timeline.html", title=title, page=page, status=listing.status)


_JSON: Final = TypeAdapter(CustomerExport)


def export_json(visit: Visit) -> Download:
    """Give the customer as JSON."""
    export = _export(visit, "json")
    return Download(_name(export, "json"), "application/json", _JSON.dump_json(export, by_alias=True, indent=2))


def export_pdf(visit: Visit) -> Download:
    """Give the customer as a PDF."""
    from fivefold.console.levels.pdf import pdf_of  # noqa: PLC0415 (imports ReportLab, for a rare request)

    export = _export(visit, "pdf")
    return Download(_name(export, "pdf"), "application/pdf", pdf_of(export, visit.session.zone))


def _export(visit: Visit, form: Literal["json", "pdf"]) -> CustomerExport:
    of = _customer(visit)

    def contested() -> tuple[ExportedChallenge, ...]:
        return tuple(
            ExportedChallenge(
                id=line.id,
                assessment=line.assessment,
                words=line.words,
                received_us=line.received_us,
                due_us=line.due_us,
                overdue=line.overdue,
            )
            for line in open_challenges(*of)
        )

    return export_customer(
        *of,
        by=visit.session.member,
        form=form,
        valuer=visit.valuer,
        site=visit.site,
        person=visit.person,
        open_challenges=contested,
    )


def _name(export: CustomerExport, ending: str) -> str:
    plain = "".join(each if _may_stand(each) else "_" for each in export.external_id)
    return f"{plain[:60]}.{ending}"


def _may_stand(character: str) -> bool:
    """Tell whether a character may stand in the name of a file on every system: of ASCII the plain ones alone."""
    return character.isalnum() or character in "-_." if character.isascii() else character.isprintable()
