"""Rulesets as publishers read them: families in order, drafts and versions as they were written."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.governance.diff import diff
from fivefold.risk.governance.differences import DocumentDifference
from fivefold.store.ingest.entities import type_named
from fivefold.store.rulesets.rulesets import (
    draft_of,
    families_of,
    family_named,
    latest_versions,
    newest_version,
    version_numbered,
)
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.rulesets import Draft, Family, RulesetVersion
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


def list_families(context: Context, type_name: str | None = None, part: Part = WHOLE) -> Page[FamilyLine]:
    """List the families of a type, or of all; NotFoundError where there is no such type."""
    with context.reading() as session:
        of = context.organisation_id
        kind = None if type_name is None else type_named(session, of, type_name).id
        return families_of(session, of, kind, part).map(partial(_family, session))


def _family(session: Session, family: Family) -> FamilyLine:
    active = None if family.active_version_id is None else session.get_one(RulesetVersion, family.active_version_id)
    newest = newest_version(session, family.id)
    draft = session.get(Draft, family.id)
    return FamilyLine(
        name=family.name,
        entity_type=session.get_one(EntityType, family.type_id).name,
        position=family.position,
        enabled=family.enabled,
        active=None if active is None else active.number,
        newest=None if newest is None else newest.number,
        draft_revision=None if draft is None else draft.revision,
    )


def read_draft(context: Context, family: str) -> DraftShown:
    """Show a draft; NotFoundError where there is no such family, or no draft of it."""
    with context.reading() as session:
        draft = draft_of(session, family_named(session, context.organisation_id, family))
        return row_as(DraftShown, draft, family=family, editors=tuple(draft.editors))


def list_versions(context: Context, family: str, part: Part = WHOLE) -> Page[VersionLine]:
    """List the versions of a family, the newest first; NotFoundError where there is no such family."""
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        return latest_versions(session, family_row.id, part).map(
            lambda version: row_as(VersionLine, version, **_standing(version, family_row))
        )


def read_version(context: Context, family: str, number: int) -> VersionView:
    """Show a version; NotFoundError where there is no such family or version."""
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        version = version_numbered(session, family_row, number)
        purpose = analyse_canonical(version.canonical).ruleset.purpose
        return row_as(VersionView, version, **_standing(version, family_row), purpose=purpose)


def compare_versions(context: Context, family: str, number: int, before: int) -> DocumentDifference:
    """Tell what changed between two versions of a family; NotFoundError where there is no such family or version."""
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        texts = [version_numbered(session, family_row, each).canonical for each in (before, number)]
    return diff(*(analyse_canonical(text).ruleset for text in texts))


def _standing(version: RulesetVersion, family: Family) -> dict[str, Any]:
    return {"active": version.id == family.active_version_id, "editors": tuple(version.editors)}
