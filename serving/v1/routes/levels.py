"""Levels: programs see the level, people also the reasons, publishers everything.

An entity for people: its facts, its timeline, its transactions by day; and overrides, requested by one person and
decided by another.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import (
    BigNumber,
    DayGiven,
    MomentGiven,
    Names,
    Reason,
    ReasonIfAny,
    RequestModel,
    ResponseModel,
    Text,
)
from fivefold.store.levels.timeline import Clock
from fivefold.usecases.changes import asks
from fivefold.usecases.changes.proposals import ProposalLine
from fivefold.usecases.levels import entity_profile as facts
from fivefold.usecases.levels import explain as views
from fivefold.usecases.levels import overrides
from fivefold.usecases.levels import read as levels
from fivefold.usecases.levels.entity_profile import (
    EntityLine,
    LinkLine,
    RecordLine,
    RelatedLine,
    ScreeningLine,
    TagLine,
    TransactionLine,
)
from fivefold.usecases.levels.explain import Reasons
from fivefold.usecases.levels.overrides import OverrideCap, OverrideLine
from fivefold.usecases.levels.read import ASSESSMENT_NUMBER, Freshness, LevelView, OverrideShown
from fivefold.usecases.portfolio import differences, lists_by_time, timeline
from fivefold.usecases.portfolio import sources as behind
from fivefold.usecases.portfolio.differences import AssessmentDifference
from fivefold.usecases.portfolio.lists_by_time import OverrideFilters, OverrideFound
from fivefold.usecases.portfolio.sources import AssessmentSources
from fivefold.usecases.portfolio.timeline import TimelineEvent
from fivefold.usecases.portfolio.transaction_days import TransactionDay, list_days
from fivefold.usecases.shared.actors import OF_VERSIONS, Role
from fivefold.usecases.shared.api_fields import Moment, StoredObject, schema

Numbered = Annotated[Text, Field(max_length=30)]


class RulesetNamed(ResponseModel):
    """A version of a ruleset."""

    name: str
    version: int

    @classmethod
    def named(cls, pair: tuple[str, int] | None) -> Self | None:
        """Return the form of a name and a number."""
        return None if pair is None else cls(name=pair[0], version=pair[1])


class LevelForApps(ResponseModel):
    """An entity's level, as programs see it.

    `may_move_down_on`: from when a lower level can follow, where time alone holds the level; null where the rules say
    this level or a higher one, once that moment is there, while an override decides, and where the last assessment was
    not made in full.
    `stale_rates_days`: how old the newest exchange rate was, where its ruleset reads amounts of transactions in
    the base currency, or an indicator, and one is in another currency; null up to a week, and where nothing is.
    `refreshing`: something happened since, and it is about to be computed again; or it was to be computed for the
    answer, and could not be. `failing`: the last time that it was to be computed again it could not be.
    """

    type: str = Field(validation_alias="entity_type")
    external_id: str
    level: str | None
    status: str
    since: Moment | None = Field(validation_alias="since_us")
    may_move_down_on: Moment | None = Field(validation_alias="may_move_down_us")
    stale_rates_days: int | None
    refreshing: bool
    failing: bool


class LevelForPeople(LevelForApps):
    """An entity's level, the level of the rules beneath an override, and the reasons.

    `kept_by`: the names of other rulesets that keep the entity, until it is known that they do not apply.
    `source`: what the level rests on: override only while one decides; else what made its last change: rules, expiry,
    decay or time; rules where that was an override, which decides no more.
    """

    rules_level: str | None
    assessed_at: Moment | None = Field(validation_alias="assessed_us")
    assessment: str | None
    source: str | None
    decided_by: RulesetNamed | None
    kept_by: tuple[str, ...]
    override: OverrideShown | None
    reasons: Reasons | None


class LevelForPublishers(LevelForPeople):
    """The same with the whole breakdown, and the problem in its own words."""

    problem: str | None
    breakdown: StoredObject | None


class HowFresh(RequestModel):
    """`stored`: as it stands. `refresh`: the same, and computed again behind the answer. `now`: computed for it."""

    freshness: Freshness = Freshness.REFRESH


class HistoryLine(ResponseModel):
    """An assessment; `reached` says whether the level became another one."""

    assessment: str
    at: Moment
    level: str | None
    rules_level: str | None
    status: str
    source: str
    decided_by: RulesetNamed | None
    reached: bool
    line: str


class ReasonsOfAssessment(ResponseModel):
    """The reasons of an assessment; null once they were erased, or removed by the retention policy: `gone` says how."""

    assessment: str
    reasons: Reasons | None
    gone: str | None = None


class SourcesOfAssessment(ResponseModel):
    """From where the values of an assessment's reasons are, and how old; null once those went: `gone` says how."""

    assessment: str
    sources: AssessmentSources | None
    gone: str | None = None


LevelAnswer = LevelForPublishers | LevelForPeople | LevelForApps
"""The fullest form comes first: a generated client takes the first that fits, and drops the fields of a fuller one."""


def read_risk(context: RequestContext, type_: Text, external_id: Text, query: HowFresh) -> LevelAnswer:
    """Show the level of an entity, as fresh as requested.

    An entity without an assessment is assessed first, unless `stored` is requested. Programs see level, status, since
    when it holds, from when a lower one may follow, and whether it could not be computed; people also the reasons.
    409 where `now` is requested and what was personal of the entity was erased.
    """
    level = levels.read_level(context, type_, external_id, query.freshness, valuer=context.valuer)
    return level_for(context, level)


def level_for(context: RequestContext, level: LevelView) -> LevelAnswer:
    """Give the fields of a level that the caller's role may see."""
    fields = {**vars(level), "failing": level.problem is not None}
    if context.role is Role.APP:
        return LevelForApps.model_validate(fields)
    reasons = None if level.assessment is None else views.read_reasons(context, level.assessment)
    fields |= {"decided_by": RulesetNamed.named(level.ruleset), "reasons": reasons}
    return (LevelForPublishers if context.role in OF_VERSIONS else LevelForPeople).model_validate(fields)


def read_history(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[HistoryLine]:
    """List the assessments of an entity, the latest first."""
    return levels.level_history(context, type_, external_id, query.part).map(_history_line)


def _history_line(line: levels.HistoryLine) -> HistoryLine:
    fields = {name: value for name, value in vars(line).items() if name in HistoryLine.model_fields}
    fields |= {"at": line.at_us, "line": views.shown_line(line.status, line.line)}
    return HistoryLine(**fields, decided_by=RulesetNamed.named(line.ruleset))


def read_reasons(context: RequestContext, assessment: Numbered) -> ReasonsOfAssessment:
    """Show the reasons of an assessment, such as 12.3."""
    reasons = views.read_reasons(context, assessment)
    return ReasonsOfAssessment.of(
        {"assessment": assessment, "reasons": reasons, "gone": _how_gone(context, assessment, reasons)}
    )


def _how_gone(context: RequestContext, assessment: str, content: Reasons | AssessmentSources | None) -> str | None:
    return levels.read_assessment(context, assessment).gone if content is None else None


def read_sources(context: RequestContext, assessment: Numbered) -> SourcesOfAssessment:
    """Show from where each value of an assessment's reasons is, and since when, as it was known then."""
    sources = behind.sources_of(context, assessment)
    return SourcesOfAssessment.of(
        {"assessment": assessment, "sources": sources, "gone": _how_gone(context, assessment, sources)}
    )


class ComparedAssessment(RequestModel):
    """The earlier assessment; by default the one before."""

    earlier: Numbered | None = None


def read_difference(context: RequestContext, assessment: Numbered, query: ComparedAssessment) -> AssessmentDifference:
    """Show what changed from an earlier assessment of the same entity: factors, points and level."""
    return differences.compare_assessments(context, assessment, query.earlier)


class EntityNamed(ResponseModel):
    """An entity by its type and its identifier."""

    type: str = Field(validation_alias="entity_type")
    external_id: str


class Profile(EntityNamed):
    """An entity: its attributes, who owns it or did, what it owns or did, and where it stands."""

    owners: tuple[RelatedLine, ...]
    owns: tuple[RelatedLine, ...]
    attributes: dict[str, Any]
    created_at: Moment
    known_at: Moment | None
    erased_at: Moment | None
    risk: LevelForPublishers | LevelForPeople


class PageOfEntities(PageQuery):
    """Which entities: of one level or of all."""

    level: Text | None = None


class PageOfTransactions(PageQuery):
    """Which transactions: from `since` until before `until`."""

    since: MomentGiven | None = None
    until: MomentGiven | None = None


def view_entity(context: RequestContext, type_: Text, external_id: Text) -> Profile:
    """Show an entity with its level, computed for the view where anything happened since, or an hour passed."""
    entity = facts.read_entity(context, type_, external_id)
    viewed = levels.read_level_of_profile(context, type_, external_id, valuer=context.valuer)
    return Profile.model_validate(
        {
            "entity_type": type_,
            "external_id": external_id,
            "owners": entity.owners,
            "owns": entity.owns,
            "attributes": entity.attributes,
            "created_at": entity.created_us,
            "known_at": entity.known_us,
            "erased_at": entity.erased_us,
            "risk": level_for(context, viewed),
        }
    )


def list_entities(context: RequestContext, type_: Text, query: PageOfEntities) -> Page[EntityLine]:
    """List entities of a type and where they stand, in the order in which they were added."""
    return facts.list_entities(context, type_, query.part, query.level)


def list_tags(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[TagLine]:
    """List the tags that an entity has or had, the newest first."""
    return facts.list_tags(context, type_, external_id, query.part)


def list_screenings(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[ScreeningLine]:
    """List an entity's screenings, those that were made last first."""
    return facts.list_screenings(context, type_, external_id, query.part)


def list_links(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[LinkLine]:
    """List the links from and to an entity, those that ended and those to come among them, the newest first."""
    return facts.list_links(context, type_, external_id, query.part)


def list_cases(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[RecordLine]:
    """List the cases about an entity, those that were opened last first."""
    return facts.list_records(context, type_, external_id, "case", query.part)


def list_alerts(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[RecordLine]:
    """List the alerts about an entity, those that were opened last first."""
    return facts.list_records(context, type_, external_id, "alert", query.part)


def list_transactions(
    context: RequestContext, type_: Text, external_id: Text, query: PageOfTransactions
) -> Page[TransactionLine]:
    """List the transactions that an entity's level reads, the latest first: its own, and of what it owned then."""
    period = {"since_us": query.since, "until_us": query.until}
    return facts.list_transactions(context, type_, external_id, query.part, **period)


class PageOfEvents(PageQuery):
    """Which events, by which clock.

    `kind`: kinds of events, or the groups facts, levels, scores, overrides, decisions and people. `clock`: `known`
    orders by when it was known here, `happened` by when it happened.
    """

    kind: Names = ()
    clock: Clock = Clock.KNOWN


def list_events(context: RequestContext, type_: Text, external_id: Text, query: PageOfEvents) -> Page[TimelineEvent]:
    """List what happened about an entity, the latest first; `kind=attributes` is the history of its attributes."""
    return timeline.list_events(context, type_, external_id, query.part, kinds=query.kind, clock=query.clock)


class RangeOfDays(RequestModel):
    """Whole days in UTC, from `since` until before `until`; by default the last 90 days."""

    since: DayGiven | None = None
    until: DayGiven | None = None


def list_transaction_days(
    context: RequestContext, type_: Text, external_id: Text, query: RangeOfDays
) -> list[TransactionDay]:
    """List sums of an entity's transactions by day, those of what it owned then included, with the balance."""
    return list_days(context, type_, external_id, query.since, query.until)


class OverrideGiven(RequestModel):
    """The requested level, why, and until when it is to hold; without an end by default."""

    level: Text
    reason: Reason
    until: MomentGiven | None = None


class ApprovalGiven(RequestModel):
    """Why, which may be empty, and what was looked at: what is left out is not checked.

    `expected_assessment` is the assessment whose reasons were looked at, such as 12.3; 0 for none. 409 where the level,
    the level without the override or the floor is another one by now, or that assessment is kept no more.
    `expected_requested_at` is the override's `requested_at`, as after a restore another override may have its number.
    """

    reason: ReasonIfAny = ""
    expected_assessment: Annotated[str, Field(pattern=f"^(0|{ASSESSMENT_NUMBER})$")] | None = None
    expected_requested_at: MomentGiven | None = None


class WhyEnded(RequestModel):
    """Why, and which override was looked at: where it is left out, that is not checked.

    `expected_requested_at` is its `requested_at`, as after a restore another override may have its number.
    """

    reason: Reason
    expected_requested_at: MomentGiven | None = None


@schema("Revocation")
@dataclass(frozen=True, kw_only=True)
class Revocation(OverrideLine):
    """The override, and the proposal to end it; null where it is revoked already, as that raises the level."""

    proposal: ProposalLine | None


def list_overrides(context: RequestContext, query: PageQuery) -> Page[OverrideLine]:
    """List all overrides, the newest first."""
    return overrides.overrides_of(context, part=query.part)


def read_cap(context: RequestContext) -> OverrideCap:
    """Show how much of the portfolio is overridden below the levels of the rules."""
    return overrides.cap_of(context)


def list_overrides_of(context: RequestContext, type_: Text, external_id: Text, query: PageQuery) -> Page[OverrideLine]:
    """List the overrides of an entity, the newest first."""
    return overrides.overrides_of(context, type_, external_id, part=query.part)


def request_override(context: RequestContext, type_: Text, external_id: Text, body: OverrideGiven) -> OverrideLine:
    """Request a level; nothing changes until another person approves it."""
    return overrides.request_override(context, type_, external_id, body.level, body.reason, body.until)


def approve_override(context: RequestContext, override: BigNumber, body: ApprovalGiven) -> OverrideLine:
    """Approve a level that another person requested."""
    return overrides.approve_override(
        context,
        override,
        body.reason,
        expected_assessment=body.expected_assessment,
        expected_requested_us=body.expected_requested_at,
    )


def refuse_override(context: RequestContext, override: BigNumber, body: WhyEnded) -> OverrideLine:
    """Refuse a level that another person requested."""
    return overrides.refuse_override(context, override, body.reason, expected_requested_us=body.expected_requested_at)


def revoke_override(context: RequestContext, override: BigNumber, body: WhyEnded) -> Revocation:
    """End an override that holds, at once where that raises the level; where it may lower it, propose that."""
    outcome = asks.revoke_override(context, override, body.reason, body.expected_requested_at)
    line = overrides.read_override(context, override)
    return Revocation(**vars(line), proposal=outcome.proposal)


class PageOfOverrides(PageQuery):
    """Which overrides: asked for from `since` until before `until`; without a filter all.

    `external_id` is of an entity of the `type`. `requested_by`: such as member:3, or the name of a member.
    """

    state: Literal["requested", "live", "expired", "refused", "revoked"] | None = None
    type: Text = "customer"
    external_id: Text | None = None
    requested_by: Text | None = None
    since: MomentGiven | None = None
    until: MomentGiven | None = None


def search_overrides(context: RequestContext, query: PageOfOverrides) -> Page[OverrideFound]:
    """List overrides, those asked for last first, with the names of members."""
    filters = OverrideFilters(
        state=query.state,
        entity=None if query.external_id is None else (query.type, query.external_id),
        requested_by=query.requested_by,
        since_us=query.since,
        until_us=query.until,
    )
    return lists_by_time.search_overrides(context, filters, query.part)
