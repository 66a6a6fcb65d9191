"""The backtest of a proposal: all entities of a type by the present and the proposed rulesets, across all families."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import polars as pl
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.facts.portfolio import NamedList, Portfolio
from fivefold.risk.governance.backtest.compositions import (
    Composition,
    CompositionComparison,
    PriorState,
    compare_compositions,
    joined_comparisons,
)
from fivefold.store.changes.proposals import PROPOSED, newest_backtests, proposal_numbered
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.rulesets.activations import count_of_type
from fivefold.store.sql.database import reading, writing
from fivefold.store.sql.json_text import stored_report
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.rulesets import Backtest, Proposal
from fivefold.usecases.changes.contents import read_content
from fivefold.usecases.changes.effects import rehearse
from fivefold.usecases.changes.releasing import Releases, forget_releases, keep_releases, releases_of
from fivefold.usecases.levels.assess import held_before, with_releases
from fivefold.usecases.levels.portfolio import read_stored_portfolio
from fivefold.usecases.rulesets.deciding import Deciding, DecidingChange
from fivefold.usecases.rulesets.run_backtest import (
    Keep,
    Progress,
    named_families_before,
    parts_of_type,
    refuse_outdated,
    validity,
)
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class ProposalSetting:
    """The setting of a proposal's backtest.

    Attributes:
        until_id: entities that are added later are left out.
        attempt: from 1; each takes fewer entities together.
    """

    backtest_id: int
    organisation_id: int
    type_id: int
    reached: DecidingChange
    customers: int
    until_id: int
    as_of_us: int
    attempt: int


def proposal_setting(engine: Engine, number: int, as_of_us: int, attempt: int) -> ProposalSetting:
    """Read the present setting of a proposal's backtest; its fingerprint becomes the backtest's content.

    ConflictError if the proposal was decided, or cannot be applied any more, or changes nothing for this type.
    """
    with writing(engine) as session:
        row = session.get_one(Backtest, number)
        assert row.proposal_id is not None
        proposal = proposal_numbered(session, row.organisation_id, row.proposal_id)
        if proposal.state != PROPOSED:
            raise ConflictError(f"proposal {proposal.id} was {proposal.state} already")
        content = read_content(proposal.kind, proposal.content)
        context = Context(engine, Actor(row.organisation_id, proposal.proposed_by))
        type_id, reason = row.type_id, proposal.reason
        reached = rehearse(session, context, content, reason, as_of_us).get(type_id)
        if reached is None:
            raise ConflictError("the change makes no difference any more: the same rulesets decide without it")
        session.get_one(Backtest, number).content_hash = reached.fingerprint
        until_id = session.scalar(select(func.max(Entity.id)).where(Entity.type_id == type_id)) or 0
        customers = count_of_type(session, type_id, until_id)
        forget_releases(session, number)
        return ProposalSetting(
            backtest_id=number,
            organisation_id=row.organisation_id,
            type_id=type_id,
            reached=reached,
            customers=customers,
            until_id=until_id,
            as_of_us=as_of_us,
            attempt=attempt,
        )


def run_proposal_backtest(engine: Engine, setting: ProposalSetting, progress: Progress, keep: Keep | None) -> str:
    """Run the backtest of a proposal; the report is JSON. *keep* is called with the movers of each part.

    InvalidRulesetError if a ruleset lacks something that it needs.
    """
    before, after = _composition(setting.reached.before), _composition(setting.reached.after)
    rulesets = list(dict.fromkeys(analysed for side in (before, after) for analysed in side.rulesets.values()))
    comparison: CompositionComparison | None = None
    totals = _ReleaseTotals()
    of = (setting.type_id, setting.until_id, setting.customers, setting.attempt)
    earlier = setting.reached.releases is not None
    for part in parts_of_type(engine, *of):
        progress(part.done, setting.customers, part.words)
        with reading(engine) as session:
            whose = (setting.organisation_id, setting.type_id, list(part.ids))
            portfolio = read_stored_portfolio(session, *whose, rulesets, setting.as_of_us, earlier=earlier)
            standing = before_of(session, part.ids)
            then = replace(portfolio, lists=_in_force(setting, portfolio.lists))
            releases = _releases(session, part.ids, setting, after, then)
            going_on = standing if releases is None else _going_on(session, part.ids, standing, releases.rows)
        if releases is not None:
            totals.add(releases)
            with writing(engine) as session:
                keep_releases(session, setting.organisation_id, setting.backtest_id, releases.rows)
        compared = compare_compositions(before, after, portfolio, then, setting.as_of_us, standing, going_on, keep)
        comparison = compared if comparison is None else joined_comparisons([comparison, compared])
    progress(setting.customers, setting.customers, "")
    return _report(setting, comparison, totals)


@dataclass
class _ReleaseTotals:
    """The totals of releases, over all parts."""

    raised: int = 0
    released: int = 0
    unknown: int = 0

    def add(self, releases: Releases) -> None:
        self.raised += releases.raised
        self.released += len(releases.rows)
        self.unknown += releases.unknown


def _releases(
    session: Session, ids: Sequence[int], setting: ProposalSetting, after: Composition, portfolio: Portfolio
) -> Releases | None:
    version = setting.reached.releases
    return None if version is None else releases_of(session, ids, version, after, portfolio, setting.as_of_us)


def _going_on(session: Session, ids: Sequence[int], standing: PriorState, rows: pl.DataFrame) -> PriorState:
    return replace(standing, standing=held_before(with_releases(loading.current_levels(session, ids), rows)))


def _composition(what: Deciding) -> Composition:
    return Composition({version.family: analyse_canonical(version.canonical) for version in what.versions})


def before_of(session: Session, ids: Sequence[int]) -> PriorState:
    """Read the standings, and which families decided on each entity."""
    rows = loading.current_levels(session, ids)
    return PriorState(held_before(rows), named_families_before(session, rows))


def _in_force(setting: ProposalSetting, present: Mapping[str, NamedList]) -> dict[str, NamedList]:
    """Return the future lists; a version that lies ahead counts as if it were in force now."""
    return dict(present) | {
        name: _as_if_now(list_, present.get(name), setting.as_of_us)
        for name, list_ in setting.reached.after.lists.items()
    }


def _as_if_now(proposed_list: NamedList, present: NamedList | None, as_of_us: int) -> NamedList:
    """Return the list as it would be now if its proposed versions were in force."""
    present_versions = () if present is None else present.versions
    later = [
        version for version in proposed_list.versions if version not in present_versions and version.since > as_of_us
    ]
    if not later:
        return proposed_list
    past_versions = [version for version in proposed_list.versions if version.since < as_of_us]
    return proposed_list.model_copy(
        update={"versions": (*past_versions, later[-1].model_copy(update={"since": as_of_us}))}
    )


def _report(setting: ProposalSetting, comparison: CompositionComparison | None, totals: _ReleaseTotals) -> str:
    """Write the report of a proposal's backtest."""
    report = {
        **({} if setting.reached.releases is None else {"released": vars(totals)}),
        "basis": "customers",
        "as_of_us": setting.as_of_us,
        "content_hash": setting.reached.fingerprint,
        "validity": validity(setting.reached, setting.until_id),
        "customers": setting.customers,
        "decides": {
            "before": [[version.family, version.version_id] for version in setting.reached.before.versions],
            "after": [[version.family, version.version_id] for version in setting.reached.after.versions],
        },
        "changed": {which: 0 if comparison is None else _changed(comparison, which) for which in ("alone", "later")},
        "backtest": _EMPTY if comparison is None else asdict(comparison),
    }
    return stored_report(report)


_EMPTY = {"entities": 0, "movers": [], "draft": {"failures": []}, "present": {"failures": []}}


def _changed(comparison: CompositionComparison, which: str) -> int:
    return sum(cell.entities for cell in getattr(comparison, which) if cell.before != cell.after)


def backtests_that_count(
    session: Session,
    row: Proposal,
    finished: Mapping[int, Backtest],
    rehearsed: Mapping[int, DecidingChange],
    now_us: int,
) -> list[int]:
    """Return the backtests that count; ConflictError if a type of the change has none."""
    for type_id, pair in rehearsed.items():
        _refuse_untested(session, row, finished, type_id, pair, now_us)
    return [finished[type_id].id for type_id in rehearsed if type_id in finished]


def untested(
    session: Session, row: Proposal, rehearsed: Mapping[int, DecidingChange], now_us: int
) -> dict[int, DecidingChange]:
    """Return what would decide on each type for which no finished backtest of a proposal counts."""
    finished = newest_backtests(session, row.id, finished=True)
    pairs = {}
    for type_id, pair in rehearsed.items():
        try:
            _refuse_untested(session, row, finished, type_id, pair, now_us)
        except ConflictError:
            pairs[type_id] = pair
    return pairs


def _refuse_untested(
    session: Session,
    row: Proposal,
    finished: Mapping[int, Backtest],
    type_id: int,
    pair: DecidingChange,
    now_us: int,
) -> None:
    if type_id in finished:
        refuse_outdated(session, finished[type_id], pair, f"proposal {row.id}", now_us)
    elif count_of_type(session, type_id):
        name = session.get_one(EntityType, type_id).name
        raise ConflictError(f"proposal {row.id} has no finished backtest on {name}; read one first")
