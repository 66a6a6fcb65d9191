"""Rulesets as publishers read them: families in order, drafts and versions as written, and the state of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.governance.diff import diff
from fivefold.risk.governance.differences import DocumentDifference
from fivefold.store.ingest.entities import type_named
from fivefold.store.rulesets.activations import latest_activations
from fivefold.store.rulesets.backtests import newest_states
from fivefold.store.rulesets.rulesets import (
    FamilyState,
    draft_of,
    family_named,
    family_states,
    latest_versions,
    version_numbered,
)
from fivefold.store.tables.rulesets import Activation, Family, RulesetVersion
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class FamilyLine:
    """A ruleset and its versions; the first in order that applies to an entity decides.

    Attributes:
        active: the number of the version that decides; None where none does.
        newest: the number of the version that was committed last; None before the first.
        draft_revision: of its draft; None where it has none.
    """

    name: str
    entity_type: str
    position: int
    enabled: bool
    active: int | None
    newest: int | None
    draft_revision: int | None


@schema("Draft")
@dataclass(frozen=True, kw_only=True)
class DraftShown:
    """A draft as it was written."""

    family: str
    revision: int
    document: str
    editors: tuple[str, ...]
    edited_us: Annotated[Moment, shown_as("edited_at")]


@dataclass(frozen=True, kw_only=True)
class VersionLine:
    """A committed version."""

    number: int
    content_hash: str
    active: bool
    editors: tuple[str, ...]
    committed_by: str
    committed_us: Annotated[Moment, shown_as("committed_at")]


@schema("Version")
@dataclass(frozen=True, kw_only=True)
class VersionView(VersionLine):
    """A committed version as it was written, what it is for, and the results of its examples."""

    purpose: str
    document: str
    tests: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Activated:
    """The last activation of a version: when, by whom and why."""

    actor: str
    at_us: int
    reason: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class BacktestState:
    """The progress of the newest backtest of a content: `done` of `total` entities."""

    id: int
    state: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class VersionState:
    """A committed version, its last activation and its newest backtest.

    Attributes:
        active: whether it decides now.
        activated: its last activation; None if it never decided.
        backtest: the newest backtest of its content; None if there is none.
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
    """A ruleset and the version that decides in it.

    Attributes:
        position: its place among the rulesets of its type, from 1: the first that applies to an entity decides.
        active: the version that decides, without its backtest; None if none does.
        newest: the number of the version that was committed last; None before the first.
        draft_revision: the revision of its draft; None if it has none.
        draft_editors: the editors of its draft; empty if it has none.
        drafted_us: when its draft was saved last; None if it has none.
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


def list_families(context: Context, type_name: str | None = None, part: Part = WHOLE) -> Page[FamilyLine]:
    """List the families of a type, or of all types; NotFoundError if the type does not exist."""
    with context.reading() as session:
        of = context.organisation_id
        kind = None if type_name is None else type_named(session, of, type_name).id
        return family_states(session, of, part, kind).map(_family)


def _family(state: FamilyState) -> FamilyLine:
    return FamilyLine(
        name=state.family.name,
        entity_type=state.entity_type,
        position=state.family.position,
        enabled=state.family.enabled,
        active=None if state.active is None else state.active.number,
        newest=state.newest,
        draft_revision=state.draft_revision,
    )


def read_draft(context: Context, family: str) -> DraftShown:
    """Return a draft; NotFoundError if there is no such family, or no draft of it."""
    with context.reading() as session:
        draft = draft_of(session, family_named(session, context.organisation_id, family))
        return row_as(DraftShown, draft, family=family, editors=tuple(draft.editors))


def list_versions(context: Context, family: str, part: Part = WHOLE) -> Page[VersionLine]:
    """List the versions of a family, the newest first; NotFoundError if it does not exist."""
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        return latest_versions(session, family_row.id, part).map(
            lambda version: row_as(VersionLine, version, **_standing(version, family_row))
        )


def read_version(context: Context, family: str, number: int) -> VersionView:
    """Return a version; NotFoundError if there is no such family or version."""
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        version = version_numbered(session, family_row, number)
        purpose = analyse_canonical(version.canonical).ruleset.purpose
        return row_as(VersionView, version, **_standing(version, family_row), purpose=purpose)


def compare_versions(context: Context, family: str, number: int, before: int) -> DocumentDifference:
    """Return what changed from version *before* to version *number*; NotFoundError if one or the family is missing."""
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        texts = [version_numbered(session, family_row, each).canonical for each in (before, number)]
    return diff(*(analyse_canonical(text).ruleset for text in texts))


def _standing(version: RulesetVersion, family: Family) -> dict[str, Any]:
    return {"active": version.id == family.active_version_id, "editors": tuple(version.editors)}


def list_rulesets(context: Context, part: Part = WHOLE) -> Page[RulesetLine]:
    """List the rulesets of the organisation, by type in the order in which they are tried."""
    with context.reading() as session:
        return family_states(session, context.organisation_id, part).map(_line)


def read_ruleset(context: Context, family: str) -> RulesetLine:
    """Return the state of one ruleset; NotFoundError if none has that name."""
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
    """List the versions of a ruleset, or only those ever *activated*, the newest first.

    NotFoundError if it does not exist.
    """
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        versions = latest_versions(session, family_row.id, part, activated=activated)
        states = _states(session, family_row, versions)
        return versions.map(lambda version: states[version.number])


def read_version_state(context: Context, family: str, number: int) -> VersionState:
    """Return the state of one version; NotFoundError if there is no such ruleset or version."""
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        return _states(session, family_row, [version_numbered(session, family_row, number)])[number]


def _states(session: Session, family: Family, versions: list[RulesetVersion]) -> Mapping[int, VersionState]:
    activations = latest_activations(session, [version.id for version in versions])
    backtests = newest_states(session, family.id, [version.content_hash for version in versions])
    states = {}
    for version in versions:
        newest = backtests.get(version.content_hash)
        backtest = None if newest is None else row_as(BacktestState, newest)
        states[version.number] = _version(version, family, activations.get(version.id), backtest)
    return states


def _version(
    version: RulesetVersion, family: Family, activation: Activation | None, backtest: BacktestState | None
) -> VersionState:
    return VersionState(
        number=version.number,
        content_hash=version.content_hash,
        active=version.id == family.active_version_id,
        editors=tuple(version.editors),
        committed_by=version.committed_by,
        committed_us=version.committed_us,
        activated=None if activation is None else row_as(Activated, activation),
        backtest=backtest,
    )
