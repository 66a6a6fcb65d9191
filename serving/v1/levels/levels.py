"""Levels: programs are told the level, people why it is what it is, publishers everything."""

from typing import Annotated, Any, Self

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageAsked
from fivefold.serving.v1.route import Asked
from fivefold.serving.v1.schemas import Given, Moment, Shown, Text
from fivefold.usecases.levels import explain as views
from fivefold.usecases.levels import read as levels
from fivefold.usecases.levels.read import Freshness, LevelView
from fivefold.usecases.shared.actors import Role

SEE_EVERYTHING = frozenset({Role.PUBLISHER, Role.ADMIN})
"""Whoever writes rulesets knows what they ask."""


class RulesetNamed(Shown):
    """A version of a ruleset."""

    name: str
    version: int

    @classmethod
    def named(cls, pair: tuple[str, int] | None) -> Self | None:
        """Give the form of a name and a number."""
        return None if pair is None else cls(name=pair[0], version=pair[1])


class ValueSeen(Shown):
    """What a case looked at."""

    name: str
    value: str


class FiredRule(Shown):
    """A rule that gave something; `case` is the title of the case that held."""

    title: str
    rationale: str | None
    case: str | None
    values: list[ValueSeen]
    points: str
    floor: str | None


class Reasons(Shown):
    """What held; a ruleset's other cases, thresholds and conditions are not told."""

    line: str
    score: str
    rules: list[FiredRule]


class OverrideInForce(Shown):
    """The override that holds."""

    id: int
    level: str
    reason: str
    until: Moment | None = Field(validation_alias="until_us")
    requested_by: str
    approved_by: str


class LevelForApps(Shown):
    """Where an entity stands, as programs are told.

    `stale_rates_days`: how old the newest exchange rate was when money was converted for it; null up to a week.
    """

    type: str = Field(validation_alias="entity_type")
    external_id: str
    level: str | None
    status: str
    since: Moment | None = Field(validation_alias="since_us")
    may_move_down_on: Moment | None = Field(validation_alias="may_move_down_us")
    stale_rates_days: int | None


class LevelForPeople(LevelForApps):
    """Where an entity stands, what the rules say beneath an override, and why.

    `refreshing`: something happened since, and it is about to be computed again. `failing`: that could not be done.
    """

    rules_level: str | None
    assessed_at: Moment | None = Field(validation_alias="assessed_us")
    assessment: str | None
    source: str | None
    decided_by: RulesetNamed | None
    override: OverrideInForce | None
    refreshing: bool
    failing: bool
    reasons: Reasons | None


class LevelForPublishers(LevelForPeople):
    """The same with the whole breakdown, and the problem in its own words."""

    problem: str | None
    breakdown: dict[str, Any] | None


class HowFresh(Given):
    """`stored`: as it stands. `refresh`: the same, and computed again behind the answer. `now`: computed for it."""

    freshness: Freshness = Freshness.REFRESH


class HistoryLine(Shown):
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


class ReasonsOfAssessment(Shown):
    """Why an assessment came to what it did; null once that was erased."""

    assessment: str
    reasons: Reasons | None


LevelAnswer = LevelForApps | LevelForPeople | LevelForPublishers


def read_risk(asked: Asked, type_: Text, external_id: Text, query: HowFresh) -> LevelAnswer:
    """Tell the level of an entity, as fresh as it is asked for.

    One that was never assessed is assessed for the answer, unless the stored one is asked for. Programs are told level,
    status, since when it holds and from when a lower one may follow; people also why.
    """
    found = levels.read_level(asked.engine, asked.actor, type_, external_id, query.freshness, valuer=asked.valuer)
    return level_for(asked, found)


def level_for(asked: Asked, found: LevelView) -> LevelAnswer:
    """Give of a level what the role of whoever asks is told."""
    if asked.role is Role.APP:
        return LevelForApps.of(found)
    reasons = None if found.assessment is None else views.read_reasons(asked.engine, asked.actor, found.assessment)
    known = {
        **vars(found),
        "decided_by": RulesetNamed.named(found.ruleset),
        "failing": found.problem is not None,
        "reasons": reasons,
    }
    return (LevelForPublishers if asked.role in SEE_EVERYTHING else LevelForPeople).model_validate(known)


def read_history(asked: Asked, type_: Text, external_id: Text, query: PageAsked) -> Page[HistoryLine]:
    """List the assessments of an entity, the latest first."""
    return levels.level_history(asked.engine, asked.actor, type_, external_id, query.part).map(_history_line)


def _history_line(line: levels.HistoryLine) -> HistoryLine:
    known = {name: value for name, value in vars(line).items() if name in HistoryLine.model_fields}
    known |= {"at": line.at_us, "line": views.shown_line(line.status, line.line)}
    return HistoryLine(**known, decided_by=RulesetNamed.named(line.ruleset))


def read_reasons(asked: Asked, assessment: Annotated[Text, Field(max_length=30)]) -> ReasonsOfAssessment:
    """Tell why an assessment, such as 12.3, came to what it did."""
    found = views.read_reasons(asked.engine, asked.actor, assessment)
    return ReasonsOfAssessment.of({"assessment": assessment, "reasons": found})
