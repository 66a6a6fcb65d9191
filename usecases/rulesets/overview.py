"""Where each ruleset stands: what decides since when, by whom it was committed and activated, and what is edited."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.rulesets.activations import latest_activations
from fivefold.store.rulesets.backtests import newest_states
from fivefold.store.rulesets.rulesets import FamilyState, family_named, family_states, latest_versions, version_numbered
from fivefold.store.tables.rulesets import Activation, Family, RulesetVersion
from fivefold.usecases.shared.api_fields import row_as
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class Activated:
    """When a version began to decide the last time, by whom and why."""

    actor: str
    at_us: int
    reason: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class BacktestState:
    """How far the newest backtest of a content is; `done` of `total` entities."""

    id: int
    state: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class VersionState:
    """A committed version and what became of it.

    Attributes:
        active: it decides now.
        activated: None where it never decided.
        backtest: the newest of its content; None where there is none.
    """

    number: int
    content_hash: str
    active: bool
    editors: tuple[str, ...]
    committed_by: str
    committed_us: int
    activated: Activated | None
    backtest: BacktestState | None


@dataclass(frozen=True, kw_only=True)
class RulesetLine:
    """A ruleset and what decides in it.

    Attributes:
        position: among those of its type, from 1: the first that applies to an entity decides.
        active: the version that decides, without its backtest; None where none does.
        newest: the number of the version that was committed last; None before the first.
        draft_revision: None where nobody edits a draft; so are its editors, and when it was saved last.
    """

    name: str
    entity_type: str
    position: int
    enabled: bool
    active: VersionState | None
    newest: int | None
    draft_revision: int | None
    draft_editors: tuple[str, ...]
    drafted_us: int | None


def list_rulesets(context: Context, part: Part = WHOLE) -> Page[RulesetLine]:
    """List the rulesets of the organisation, by type in the order in which they are tried."""
    with context.reading() as session:
        return family_states(session, context.organisation_id, part).map(_line)


def read_ruleset(context: Context, family: str) -> RulesetLine:
    """Show where one ruleset stands; NotFoundError where there is none of that name."""
    with context.reading() as session:
        row = family_named(session, context.organisation_id, family)
        before = Part(1, (row.type_id, row.position, row.id - 1))
        return _line(family_states(session, context.organisation_id, before)[0])


def _line(row: FamilyState) -> RulesetLine:
    return RulesetLine(
        name=row.family.name,
        entity_type=row.entity_type,
        position=row.family.position,
        enabled=row.family.enabled,
        active=None if row.active is None else _version(row.active, row.family, row.activation, None),
        newest=row.newest,
        draft_revision=row.draft_revision,
        draft_editors=tuple(row.draft_editors or ()),
        drafted_us=row.drafted_us,
    )


def list_version_states(
    context: Context, family: str, part: Part = WHOLE, *, activated: bool = False
) -> Page[VersionState]:
    """List the versions of a ruleset, or those that were ever *activated*, the newest first.

    NotFoundError where there is none of that name.
    """
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        versions = latest_versions(session, family_row.id, part, activated=activated)
        states = _states(session, family_row, versions)
        return versions.map(lambda version: states[version.number])


def read_version_state(context: Context, family: str, number: int) -> VersionState:
    """Show what became of one version; NotFoundError where there is no such ruleset or version."""
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        return _states(session, family_row, [version_numbered(session, family_row, number)])[number]


def _states(session: Session, family: Family, versions: list[RulesetVersion]) -> Mapping[int, VersionState]:
    activations = latest_activations(session, [version.id for version in versions])
    backtests = newest_states(session, family.id, [version.content_hash for version in versions])
    states = {}
    for version in versions:
        newest = backtests.get(version.content_hash)
        backtest = None
        if newest is not None:
            backtest = row_as(BacktestState, newest)
        states[version.number] = _version(version, family, activations.get(version.id), backtest)
    return states


def _version(
    version: RulesetVersion, family: Family, activation: Activation | None, backtest: BacktestState | None
) -> VersionState:
    activated = None
    if activation is not None:
        activated = row_as(Activated, activation)
    return VersionState(
        number=version.number,
        content_hash=version.content_hash,
        active=version.id == family.active_version_id,
        editors=tuple(version.editors),
        committed_by=version.committed_by,
        committed_us=version.committed_us,
        activated=activated,
        backtest=backtest,
    )
