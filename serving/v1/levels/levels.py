"""Levels: programs see the level, people also the reasons, publishers everything."""

from typing import Annotated, Self

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import RequestModel, ResponseModel, Text
from fivefold.usecases.levels import explain as views
from fivefold.usecases.levels import read as levels
from fivefold.usecases.levels.explain import Reasons
from fivefold.usecases.levels.read import Freshness, LevelView, OverrideShown
from fivefold.usecases.portfolio import differences
from fivefold.usecases.portfolio import sources as behind
from fivefold.usecases.portfolio.differences import AssessmentDifference
from fivefold.usecases.portfolio.sources import AssessmentSources
from fivefold.usecases.shared.actors import OF_VERSIONS, Role
from fivefold.usecases.shared.api_fields import Moment, StoredObject

Numbered = Annotated[Text, Field(max_length=30)]


class RulesetNamed(ResponseModel):
    """A version of a ruleset."""

    name: str
    version: int

    @classmethod
    def named(cls, pair: tuple[str, int] | None) -> Self | None:
        """Give the form of a name and a number."""
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
    """The reasons of an assessment; null once they were erased."""

    assessment: str
    reasons: Reasons | None


class SourcesOfAssessment(ResponseModel):
    """From where the values of an assessment's reasons are, and how old; null once the reasons were erased."""

    assessment: str
    sources: AssessmentSources | None


LevelAnswer = LevelForApps | LevelForPeople | LevelForPublishers


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
    return ReasonsOfAssessment.of({"assessment": assessment, "reasons": reasons})


def read_sources(context: RequestContext, assessment: Numbered) -> SourcesOfAssessment:
    """Show from where each value of an assessment's reasons is, and since when, as it was known then."""
    sources = behind.sources_of(context, assessment)
    return SourcesOfAssessment.of({"assessment": assessment, "sources": sources})


class ComparedAssessment(RequestModel):
    """The earlier assessment; by default the one before."""

    earlier: Numbered | None = None


def read_difference(context: RequestContext, assessment: Numbered, query: ComparedAssessment) -> AssessmentDifference:
    """Show what changed from an earlier assessment of the same entity: factors, points and level."""
    return differences.compare_assessments(context, assessment, query.earlier)
