"""A backtest as the worker runs it: all entities of the type, part by part, against what decides now.

Entities for which an earlier family decides are counted and left out: no version of this family reaches them. So are
entities to which neither the content nor the present version applies, if later families are tried on them. Present
levels and their dates are the stored ones, so each customer keeps their own cooldown. A ruleset that reaches no entity
is run on its own examples.

A backtest is valid for some days, while most entities are those it tested and the same versions and lists decide.
Activations and proposals check that alike.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import polars as pl
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.domain.errors import ConflictError, NotEnoughDataError
from fivefold.domain.text import count_text
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_canonical
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import STATUS, Status
from fivefold.risk.engine.deciding import decides_without_others
from fivefold.risk.facts.portfolio import ENTITY, ListVersion, NamedList, Portfolio
from fivefold.risk.governance.backtest.moves import MoveCount
from fivefold.risk.governance.backtest.run import BacktestResult, HeldLevels, backtest, joined_backtests
from fivefold.risk.governance.examples.facts import example_portfolio, previous_levels
from fivefold.risk.language.ruleset import Ruleset
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.rulesets.activations import count_of_type, entities_after
from fivefold.store.rulesets.backtests import count_transactions
from fivefold.store.rulesets.rulesets import families_of, names_of_families
from fivefold.store.sql.database import reading
from fivefold.store.sql.json_text import stored_report
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import Standing as StandingRow
from fivefold.store.tables.rulesets import Backtest as BacktestRow
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.usecases.accounts.lists import named_lists
from fivefold.usecases.levels.assess import families_before, held_before
from fivefold.usecases.levels.portfolio import read_stored_portfolio
from fivefold.usecases.rulesets.deciding import DecidingChange, reached_by

MOST_DAYS = 30
"""How long a backtest is valid: what is known about customers changes every day."""
LEAST_PERCENT = 90
"""A backtest is valid while it tested this share of the present entities: a portfolio grows by some every day."""


def validity(reached: DecidingChange, until_id: int) -> dict[str, Any]:
    """Return what a backtest's report keeps for `refuse_outdated`: what decided, and the number of the last entity."""
    return {"fingerprint": reached.fingerprint, "until_id": until_id}


def refuse_outdated(session: Session, backtest: BacktestRow, reached: DecidingChange, called: str, now_us: int) -> None:
    """Raise ConflictError if a finished backtest is no longer valid for a change; a type without entities needs none.

    *reached* is what decides before and after the change, as of now; *called* names the backtest's subject.
    """
    there = count_of_type(session, backtest.type_id)
    why = _why_outdated(session, backtest, reached, f"the backtest of {called}", now_us, there) if there else None
    if why is not None:
        raise ConflictError(f"{why}; request another one")


def _why_outdated(
    session: Session, backtest: BacktestRow, reached: DecidingChange, called: str, now_us: int, there: int
) -> str | None:
    report, type_name = json.loads(backtest.report or "{}"), session.get_one(EntityType, backtest.type_id).name
    validity_kept = report.get("validity")  # None in a report that an older program wrote
    if validity_kept is None or validity_kept["fingerprint"] != reached.fingerprint:
        return f"what decides on {type_name} has changed since {called}"
    as_of_us = report["as_of_us"]
    for list_name, version in _lists_of(session, backtest.organisation_id, reached):
        if as_of_us < version.since <= now_us:
            return f"a version of the list {list_name} came into force since {called}"
    if abs(now_us - as_of_us) > MOST_DAYS * DAY_US:  # a clock that was ahead makes no backtest younger
        return f"{called} is as of {from_microseconds(as_of_us).date()}, and a backtest counts for {MOST_DAYS} days"
    # Some entities were erased since; and rows under way then may have been committed with numbers below the last one.
    tested = min(report["customers"], count_of_type(session, backtest.type_id, validity_kept["until_id"]))
    if tested * 100 < there * LEAST_PERCENT:
        return (
            f"{called} looked at {tested:,} of the {there:,} entities of type {type_name} that there are now,"
            f" and at least {LEAST_PERCENT} % are needed"
        )
    return None


def _lists_of(session: Session, organisation_id: int, reached: DecidingChange) -> Iterator[tuple[str, ListVersion]]:
    """Yield the versions, as they are now, of every list that is read before or after a change, with its name."""
    lists = named_lists(session, organisation_id)
    for name in sorted({*reached.before.lists, *reached.after.lists} & {*lists}):
        yield from ((name, version) for version in lists[name].versions)


MOST_ENTITIES = 5_000
"""How many entities are assessed together: enough for one frame to pay."""
MOST_TRANSACTIONS = 100_000
"""How many transactions are read together: about 200 MB. An entity that has more is a part of its own."""
SMALLER = 4
"""The factor by which each further attempt makes its parts smaller: the one before may have run out of memory."""

Progress = Callable[[int, int, str], None]
"""Called with how many entities are done, the total, and which part is assessed next, in words."""
Keep = Callable[[pl.DataFrame], None]
"""Called with the entities of a part whose level would change: `risk.governance.backtest.moves.moved`."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a content is tested against.

    Attributes:
        reached: what decides on the type now, and with the content.
        present: the version of the family that decides now; None if none does.
        before: names and versions of the families that are tried before it.
        has_later: whether families are tried after it.
        customers: how many entities of the type there are, up to `until_id`.
        until_id: the number of the last entity; entities added later are left out.
        has_standings: whether any entity has a level.
        known_then: whether `as_of_us` is past and what became known after it is left out; see `read_stored_portfolio`.
        attempt: from 1.
    """

    organisation_id: int
    type_id: int
    draft: AnalysedRuleset
    reached: DecidingChange
    present: RulesetVersion | None
    before: tuple[tuple[str, AnalysedRuleset], ...]
    has_later: bool
    lists: dict[str, NamedList]
    customers: int
    until_id: int
    has_standings: bool
    as_of_us: int
    known_then: bool
    attempt: int = 1


def setting_of(
    session: Session, family: Family, canonical: str, as_of_us: int, attempt: int = 1, *, known_then: bool = False
) -> Setting:
    """Read what a content of a family is tested against, as it is now."""
    reached = reached_by(session, family, canonical)  # first: any change after this makes the backtest outdated
    before, present, has_later = [], None, False
    for other in families_of(session, family.organisation_id, family.type_id):
        if other.enabled and other.active_version_id is not None:
            version = session.get_one(RulesetVersion, other.active_version_id)
            if other.id == family.id:
                present = version
            elif other.position < family.position:
                before.append((other.name, analyse_canonical(version.canonical)))
            else:
                has_later = True
    until_id = session.scalar(select(func.max(Entity.id)).where(Entity.type_id == family.type_id)) or 0
    standing = select(StandingRow.entity_id).where(
        StandingRow.type_id == family.type_id, StandingRow.rules_level.is_not(None)
    )
    return Setting(
        organisation_id=family.organisation_id,
        type_id=family.type_id,
        draft=analyse_canonical(canonical),
        reached=reached,
        present=present,
        before=tuple(before),
        has_later=has_later,
        lists=named_lists(session, family.organisation_id),
        customers=count_of_type(session, family.type_id, until_id),
        until_id=until_id,
        has_standings=session.scalar(standing.limit(1)) is not None,
        as_of_us=as_of_us,
        known_then=known_then,
        attempt=attempt,
    )


def run_backtest(engine: Engine, setting: Setting, progress: Progress, keep: Keep | None = None) -> str:
    """Run a backtest and return its report as JSON. *keep* is called with the movers of each part.

    Raises:
        InvalidRulesetError: a ruleset lacks something that it needs.
        NotEnoughDataError: the ruleset reaches no customer and has no examples.
    """
    total = setting.customers or len(setting.draft.ruleset.examples)
    progress(0, total, "")
    result, decided_before, not_reached = _on_customers(engine, setting, progress, keep)
    on = "customers"
    if result is None:
        on, result = "examples", _on_examples(setting)
    progress(total, total, "")
    report = {
        "basis": on,
        "as_of_us": setting.as_of_us,
        "content_hash": setting.draft.ruleset.content_hash,
        "validity": validity(setting.reached, setting.until_id),
        "present_version": None if setting.present is None else setting.present.number,
        "customers": setting.customers,
        "decided_before": decided_before,
        "not_reached": not_reached,
        "changed": {"alone": _changed(result.alone), "later": None if result.later is None else _changed(result.later)},
        "backtest": _with_names(asdict(result), setting.draft.ruleset) if on == "examples" else asdict(result),
    }
    return stored_report(report)


def _changed(cells: tuple[MoveCount, ...]) -> int:
    return sum(cell.entities for cell in cells if cell.before != cell.after)


def _on_customers(
    engine: Engine, setting: Setting, progress: Progress, keep: Keep | None
) -> tuple[BacktestResult | None, dict[str, int], int]:
    """Run it on the entities that the family reaches; count the others: by earlier family, and those left to later."""
    result: BacktestResult | None = None
    left_out, not_reached = LeftOut.none_of(setting), 0
    present = None if setting.present is None else analyse_canonical(setting.present.canonical)
    rulesets = [setting.draft, *([] if present is None else [present])]
    for part, remaining in reached_portfolios(engine, setting, rulesets, left_out, progress):
        there = _applied_to(remaining, rulesets, setting.as_of_us) if setting.has_later else remaining
        not_reached += len(remaining.entities) - len(there.entities)
        if not len(there.entities):
            continue
        with reading(engine) as session:
            standing = HeldLevels(_levels(session, part.ids) if setting.has_standings else None)
        part_result = backtest(setting.draft, there, setting.as_of_us, present, standing, keep=keep)
        result = part_result if result is None else joined_backtests([result, part_result])
    if result is not None and setting.has_later:
        result = replace(result, cautions=(*result.cautions, *_left_to_later(result)))
    return result, left_out.decided, not_reached


def _applied_to(portfolio: Portfolio, rulesets: Sequence[AnalysedRuleset], as_of_us: int) -> Portfolio:
    """Leave out entities to which none of *rulesets* applies: later families decide on them, before and after."""
    if any(each.ruleset.applies_to is None for each in rulesets):
        return portfolio
    reached_ids = pl.concat(
        assess(each, portfolio, as_of_us).outcomes.filter(pl.col(STATUS) != Status.NOT_APPLICABLE.value)[ENTITY]
        for each in rulesets
    )
    return replace(portfolio, entities=portfolio.entities.filter(pl.col(ENTITY).is_in(reached_ids.implode())))


def _left_to_later(result: BacktestResult) -> Iterator[str]:
    """Yield a caution for each of the two versions that does not apply to some customers, with how many they are."""
    for side, which in ((result.draft, "the draft"), (result.present, "the version in force")):
        count = 0 if side is None else side.alone[f"({Status.NOT_APPLICABLE.value})"]
        if count:
            yield (
                f"{count_text(count, 'customer')} to whom {which} does not apply: the rulesets after it are tried on"
                " them, which this backtest leaves out."
            )


@dataclass
class LeftOut:
    """How many entities a reading leaves out.

    Attributes:
        decided: by the name of a family tried before, how many entities it decides on.
        later: how many were taken in only after the setting's moment.
    """

    decided: dict[str, int]
    later: int = 0

    @classmethod
    def none_of(cls, setting: Setting) -> Self:
        """Begin with zero counts."""
        return cls(dict.fromkeys((name for name, _ in setting.before), 0))


def reached_portfolios(
    engine: Engine,
    setting: Setting,
    rulesets: Sequence[AnalysedRuleset],
    left_out: LeftOut,
    progress: Progress,
) -> Iterator[tuple["EntitiesTogether", Portfolio]]:
    """Read all entities that a family reaches, part by part, with what *rulesets* and the families before it read.

    *left_out* counts entities on which a family before it decides, and those taken in after a past moment.
    """
    everything = [*rulesets, *(ruleset for _, ruleset in setting.before)]
    # Only a ruleset with a condition on its entities can leave unknown whether it applies.
    may_keep = any(each.ruleset.applies_to is not None for _, each in setting.before)
    for part in parts_of_type(engine, setting.type_id, setting.until_id, setting.customers, setting.attempt):
        progress(part.done, setting.customers, part.words)
        with reading(engine) as session:
            of = (setting.organisation_id, setting.type_id, list(part.ids))
            portfolio = read_stored_portfolio(session, *of, everything, setting.as_of_us, known_then=setting.known_then)
            families = named_families_before(session, _levels_then(session, part.ids, setting)) if may_keep else {}
        if setting.known_then:
            left_out.later += len(part.ids) - len(portfolio.entities)
        remaining = _without_decided(portfolio, setting, left_out.decided, families)
        if len(remaining.entities):
            yield part, remaining


def _levels_then(session: Session, ids: Sequence[int], setting: Setting) -> pl.DataFrame:
    """Read which version decided last on each entity, as of the setting's moment if `known_then`, else now."""
    if setting.known_then:
        return loading.versions_then(session, ids, setting.as_of_us)
    return loading.current_levels(session, ids)


@dataclass(frozen=True)
class EntitiesTogether:
    """Entities that are assessed together.

    Attributes:
        ids: their numbers, ascending.
        done: how many entities came before them.
        words: which they are, for people.
    """

    ids: tuple[int, ...]
    done: int
    words: str


def parts_of_type(
    engine: Engine, type_id: int, until_id: int, total: int, attempt: int = 1, behind: tuple[int, int] = (0, 0)
) -> Iterator[EntitiesTogether]:
    """Divide the entities of a type, up to *until_id*, into parts bounded by entities and by transactions.

    *behind* is the number of the last entity that earlier parts had, and how many they had; (0, 0) to begin.
    """
    smaller = SMALLER ** (attempt - 1)
    most, most_transactions = max(1, MOST_ENTITIES // smaller), max(1, MOST_TRANSACTIONS // smaller)
    reached, done = behind
    while reached < until_id:
        with reading(engine) as session:
            subjects = entities_after(session, type_id, reached, most)
            ids = [subject.entity_id for subject in subjects if subject.entity_id <= until_id]
            counts = count_transactions(session, ids)
        entities, transactions = 0, 0
        while entities < len(ids) and (
            not entities or transactions + counts.get(ids[entities], 0) <= most_transactions
        ):
            transactions += counts.get(ids[entities], 0)
            entities += 1
        if not entities:
            return
        words = f"customers {done + 1:,} to {done + entities:,} of {total:,} ({transactions:,} transactions)"
        yield EntitiesTogether(tuple(ids[:entities]), done, words)
        done, reached = done + entities, ids[entities - 1]


def _levels(session: Session, ids: Sequence[int]) -> pl.DataFrame:
    """Read the levels that the rules gave, without overrides, and since when they are held."""
    return held_before(loading.current_levels(session, ids).drop_nulls(["rules_level", "entered_us"]))


def named_families_before(session: Session, levels: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return the names of the families that `families_before` reads; *levels* are current, or those of a moment."""
    before = families_before(session, levels)
    numbers = {family_id for families in before.values() for family_id in families}
    names = names_of_families(session, numbers)
    return {entity: tuple(names[family_id] for family_id in families) for entity, families in before.items()}


def _without_decided(
    portfolio: Portfolio, setting: Setting, decided: dict[str, int], families: Mapping[str, Sequence[str]]
) -> Portfolio:
    """Leave out entities on which an earlier family decides, and count them.

    While it is unknown whether a family applies, or it cannot read an entity, it keeps the entities it decided on, as
    `risk.engine.deciding` says; on others the next family is tried. This ignores that its floors count for those.
    """
    for name, ruleset in setting.before:
        if not len(portfolio.entities):
            break
        assessments = assess(ruleset, portfolio, setting.as_of_us)
        own = [entity for entity, decided_by in families.items() if name in decided_by]
        decided_ids = assessments.outcomes.filter(decides_without_others(assessments, own))[ENTITY]
        decided[name] += len(decided_ids)
        remaining = portfolio.entities.filter(~pl.col(ENTITY).is_in(decided_ids.implode()))
        portfolio = replace(portfolio, entities=remaining)
    return portfolio


def _on_examples(setting: Setting) -> BacktestResult:
    draft = setting.draft.ruleset
    if not draft.examples:
        raise NotEnoughDataError(f"{draft.name} reaches no customer, and has no examples to run on; give it some")
    moments = [setting.as_of_us if example.as_of is None else example.as_of for example in draft.examples]
    previous = previous_levels(draft)
    return backtest(
        setting.draft,
        example_portfolio(setting.draft, setting.lists, setting.as_of_us),
        pl.Series("as_of", moments, dtype=pl.Int64),
        standing=HeldLevels(previous if len(previous) else None),
    )


def _with_names(report: dict[str, Any], draft: Ruleset) -> dict[str, Any]:
    """Replace the numbers of examples by their names."""
    for row in (*report["movers"], *report["draft"]["failures"]):
        row["entity"] = draft.examples[int(row["entity"])].name
    return report
