"""One entity assessed by a ruleset that does not decide yet, beside the active version; nothing is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_canonical
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.deciding import decides_without_others
from fivefold.risk.engine.explain.breakdown import Explanation, explain
from fivefold.risk.engine.explain.rules import RuleOutcome, signed
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.store.ingest.entities import entity_named, type_named
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.rulesets.rulesets import draft_of, families_of, family_named
from fivefold.store.tables.rulesets import RulesetVersion
from fivefold.usecases.levels.assess import held_before
from fivefold.usecases.levels.explain import names_in_words, renamed
from fivefold.usecases.levels.portfolio import read_stored_portfolio
from fivefold.usecases.rulesets.drafts import name_and_type_of
from fivefold.usecases.rulesets.life_cycle import refuse_other_name
from fivefold.usecases.rulesets.review import context_of_type, read_matching_ruleset
from fivefold.usecases.rulesets.run_backtest import named_families_before
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context


@schema("RuleTried")
@dataclass(frozen=True, kw_only=True)
class RuleTried:
    """What a rule gives an entity by one text.

    Attributes:
        points: exact, with their sign.
        floor: the name of the level below which the entity does not come; empty for none.
        sentence: what was seen, which case held and what it gives, in words.
    """

    points: str
    floor: str
    sentence: str


@schema("LevelTried")
@dataclass(frozen=True, kw_only=True)
class LevelTried:
    """What one text says of an entity.

    Attributes:
        status: assessed, or why there is no level.
        level: what would hold without an override, the cooldown counted; empty where there is none.
        withheld: the lower level that the cooldown withholds; empty where it withholds none.
        score: the total of the points, as it is shown.
        line: the arithmetic in one line.
    """

    status: str
    level: str
    withheld: str
    score: str
    line: str


@schema("FactorTried")
@dataclass(frozen=True, kw_only=True)
class FactorTried:
    """A rule by both texts; None on the side that has no such rule, or no ruleset.

    Attributes:
        rule: its id.
        same: it gives the same points and floor by both.
    """

    rule: str
    title: str
    same: bool
    active: RuleTried | None
    tried: RuleTried | None


@schema("EntityTried")
@dataclass(frozen=True, kw_only=True)
class EntityTried:
    """An entity by a text beside what the active version of the same ruleset says, both as of now.

    Attributes:
        active_version: the number of the version that decides; None where none does.
        active: what it says.
        tried: what the text says.
        decided_before: the ruleset before it in order that decides on this entity, so that neither is asked.
        factors: rules that give points or a floor by one of the two, in the order of the text.
    """

    entity_type: str
    external_id: str
    as_of_us: Annotated[Moment, shown_as("as_of")]
    active_version: int | None
    active: LevelTried | None
    tried: LevelTried
    decided_before: str | None
    factors: tuple[FactorTried, ...]


def try_text(context: Context, family: str, external_id: str, document: str | None = None) -> EntityTried:
    """Assess one entity by a text, or by the saved draft if *document* is None, from its present level and cooldown.

    Raises:
        InvalidRulesetError: the text cannot be run, does not fit the organisation, or is of another ruleset.
        NotFoundError: there is no such entity of the ruleset's type, or it was erased; or there is no draft.
    """
    now = context.now()
    with context.reading() as session:
        if document is None:
            document = draft_of(session, family_named(session, context.organisation_id, family)).document
        refuse_other_name(document, "ruleset", family)
        type_name = name_and_type_of(document)[1]
        kind = type_named(session, context.organisation_id, type_name)
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        around, entity_id, type_id = context_of_type(session, kind), entity.id, kind.id
    tried = AnalysedRuleset(read_matching_ruleset(document, around))  # takes a while
    with context.reading() as session:
        before, version = _deciding(session, context.organisation_id, type_id, family)
        active = None if version is None else analyse_canonical(version.canonical)
        rulesets = [tried, *([] if active is None else [active]), *(ruleset for _, ruleset in before)]
        whose = (context.organisation_id, type_id, [entity_id])
        portfolio = read_stored_portfolio(session, *whose, rulesets, now)
        current = loading.current_levels(session, [entity_id])
        families = named_families_before(session, current)
    if not len(portfolio.entities):
        raise NotFoundError(f"nothing is known of {type_name} {external_id!r} any more")
    held_levels = held_before(current.drop_nulls(["rules_level", "entered_us"]))
    assessments = [(each, assess(each, portfolio, now, held_levels)) for each in (tried, active) if each is not None]
    with context.reading() as session:
        reads = [(Needs.of(each).everything(), of.inputs.row(0, named=True)) for each, of in assessments]
        names = names_in_words(session, reads)
    by_tried, by_active = explain(assessments[0][1], 0), None if active is None else explain(assessments[1][1], 0)
    return EntityTried(
        entity_type=type_name,
        external_id=external_id,
        as_of_us=now,
        active_version=None if version is None else version.number,
        active=None if by_active is None else _level(by_active),
        tried=_level(by_tried),
        decided_before=_decides(before, portfolio, now, families),
        factors=tuple(_factors(by_tried, by_active, names)),
    )


def _deciding(
    session: Session, organisation_id: int, type_id: int, family: str
) -> tuple[list[tuple[str, AnalysedRuleset]], RulesetVersion | None]:
    """Return the rulesets tried before a family, with their names, and the family's active version."""
    before: list[tuple[str, AnalysedRuleset]] = []
    for other in families_of(session, organisation_id, type_id):
        version = None
        if other.enabled and other.active_version_id is not None:
            version = session.get_one(RulesetVersion, other.active_version_id)
        if other.name == family:
            return before, version
        if version is not None:
            before.append((other.name, analyse_canonical(version.canonical)))
    return before, None


def _decides(
    rulesets: Sequence[tuple[str, AnalysedRuleset]],
    portfolio: Portfolio,
    now_us: int,
    families: Mapping[str, Sequence[str]],
) -> str | None:
    for name, ruleset in rulesets:
        own = [entity for entity, decided_by in families.items() if name in decided_by]
        if decides_without_others(assess(ruleset, portfolio, now_us), own)[0]:
            return name
    return None


def _level(explanation: Explanation) -> LevelTried:
    return row_as(LevelTried, explanation, level=explanation.rules_level)


def _factors(tried: Explanation, active: Explanation | None, names: Mapping[str, str]) -> list[FactorTried]:
    sides = [{outcome.rule: outcome for outcome in side.rules} for side in (tried, active) if side is not None]
    here, there = sides[0], sides[1] if len(sides) == 2 else {}
    factors = []
    for rule in dict.fromkeys((*here, *there)):
        both = [here.get(rule), there.get(rule)]
        if not any(outcome is not None and _gives(outcome) for outcome in both):
            continue
        effects = [None if outcome is None else (outcome.points, outcome.floor) for outcome in both]
        title = next(outcome.title for outcome in both if outcome is not None)
        factors.append(
            FactorTried(
                rule=rule,
                title=title,
                same=effects[0] == effects[1],
                tried=_rule(both[0], names),
                active=_rule(both[1], names),
            )
        )
    return factors


def _gives(outcome: RuleOutcome) -> bool:
    return bool(outcome.points or outcome.floor or outcome.errors)


def _rule(outcome: RuleOutcome | None, names: Mapping[str, str]) -> RuleTried | None:
    if outcome is None:
        return None
    return RuleTried(points=signed(outcome.points), floor=outcome.floor, sentence=renamed(outcome.sentence, names))
