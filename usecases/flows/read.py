"""Flows as publishers read them: by name, drafts and versions as they were written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.flows.analysis import analyse_canonical_flow
from fivefold.flows.governance.diff import diff_flows
from fivefold.risk.governance.differences import DocumentDifference
from fivefold.store.flows.flows import FlowState, draft_of_flow, flow_named, flow_states, next_runs
from fivefold.store.flows.versions import (
    ACTIVE,
    OFF,
    ROLLBACK,
    activations_of_flow,
    flow_version_numbered,
    flow_versions_of,
)
from fivefold.store.ingest.entities import type_named
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.flows import FlowRow, FlowVersion
from fivefold.usecases.audit.search import VersionEnd
from fivefold.usecases.rulesets.life_cycle import refuse_other_name
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context


@schema("Flow")
@dataclass(frozen=True, kw_only=True)
class FlowLine:
    """A flow and its versions.

    Attributes:
        title: of the version that acts; None where none does.
        purpose: what that version is for; None where none acts.
        active: the number of the version that acts; None where none does.
        shadow: the number of the version that runs as a shadow; None where none does.
        newest: the number of the version that was committed last; None before the first.
        draft_revision: of its draft; None where it has none.
        next_us: when the version that acts runs next by a schedule; None where it has none.
    """

    name: str
    entity_type: str
    title: str | None
    purpose: str | None
    active: int | None
    shadow: int | None
    newest: int | None
    draft_revision: int | None
    next_us: Annotated[Moment | None, shown_as("next_run_at")]


@schema("FlowDraft")
@dataclass(frozen=True, kw_only=True)
class FlowDraftShown:
    """A draft of a flow as it was written."""

    flow: str
    revision: int
    document: str
    editors: tuple[str, ...]
    edited_us: Annotated[Moment, shown_as("edited_at")]


@dataclass(frozen=True, kw_only=True)
class FlowVersionLine:
    """A committed version of a flow."""

    number: int
    content_hash: str
    active: bool
    shadow: bool
    editors: tuple[str, ...]
    committed_by: str
    committed_us: Annotated[Moment, shown_as("committed_at")]


@schema("FlowVersion")
@dataclass(frozen=True, kw_only=True)
class FlowVersionView(FlowVersionLine):
    """A committed version as it was written.

    `pinned` has the versions of what it asked when it was committed, by kind and name; `tests` what its examples came
    to.

    Attributes:
        canonical: its text, from which its hash is made.
        pinned: the versions of what it asked when it was committed, by kind and name.
        tests: what its examples came to, and the doubts that were accepted.
    """

    title: str
    purpose: str
    document: str
    canonical: str
    pinned: Mapping[str, Any]
    tests: Mapping[str, Any]


def list_flows(context: Context, type_name: str | None = None, part: Part = WHOLE) -> Page[FlowLine]:
    """List the flows of a type, or all, by name; NotFoundError where there is no such type."""
    with context.reading() as session:
        of = context.organisation_id
        kind = None if type_name is None else type_named(session, of, type_name).id
        states = flow_states(session, of, kind, part)
        following = next_runs(session, [state.flow.id for state in states])
        return states.map(lambda state: _flow(state, following.get(state.flow.id)))


def read_flow_line(context: Context, flow: str) -> FlowLine:
    """Show one flow as `list_flows` does; NotFoundError if there is none."""
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        state = flow_states(session, context.organisation_id, name=row.name)[0]
        return _flow(state, next_runs(session, [row.id]).get(row.id))


def _flow(state: FlowState, next_us: int | None) -> FlowLine:
    acting = None if state.active is None else analyse_canonical_flow(state.active.canonical).flow
    return FlowLine(
        name=state.flow.name,
        entity_type=state.entity_type,
        title=None if acting is None else acting.title,
        purpose=None if acting is None else acting.purpose,
        active=None if state.active is None else state.active.number,
        shadow=state.shadow,
        newest=state.newest,
        draft_revision=state.draft_revision,
        next_us=next_us,
    )


def read_flow_draft(context: Context, flow: str) -> FlowDraftShown:
    """Show a draft; NotFoundError where there is no such flow, or no draft of it."""
    with context.reading() as session:
        draft = draft_of_flow(session, flow_named(session, context.organisation_id, flow))
        return row_as(FlowDraftShown, draft, flow=flow, editors=tuple(draft.editors))


def text_or_draft(context: Context, flow: str, document: str | None) -> str:
    """Return the unsaved text of a flow, or, if there is none, its draft.

    Raises:
        NotFoundError: there is no such flow, or no draft of it.
        InvalidRulesetError: the text does not say what it is of, or is of another flow.
    """
    if document is None:
        return read_flow_draft(context, flow).document
    with context.reading() as session:
        flow_named(session, context.organisation_id, flow)
    refuse_other_name(document, "flow", flow)
    return document


def type_of_flow(session: Session, row: FlowRow, written: str) -> EntityType:
    """Return the type that a flow is about; ConflictError if its text names another one, *written*."""
    kind = session.get_one(EntityType, row.type_id)
    if written != kind.name:
        raise ConflictError(f"the flow {row.name} is about {kind.name}; the text is about {written}")
    return kind


def list_flow_versions(
    context: Context, flow: str, part: Part = WHOLE, *, acted: bool = False
) -> Page[FlowVersionLine]:
    """List the versions of a flow, or those that ever *acted*, the newest first.

    NotFoundError where there is no such flow.
    """
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        versions = flow_versions_of(session, row.id, part, acted=acted)
        return versions.map(lambda version: row_as(FlowVersionLine, version, **_standing(version, row)))


def read_flow_version(context: Context, flow: str, number: int) -> FlowVersionView:
    """Show a version; NotFoundError where there is no such flow or version."""
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        version = flow_version_numbered(session, row, number)
        written = analyse_canonical_flow(version.canonical).flow
        about = {**_standing(version, row), "title": written.title, "purpose": written.purpose}
        return row_as(FlowVersionView, version, **about)


def how_flow_version_ended(context: Context, flow: str, number: int) -> tuple[int, VersionEnd] | None:
    """Return when a version that does not act now last began to, and how that ended; None if it never acted.

    NotFoundError for an unknown flow.
    """
    with context.reading() as session:
        rows = activations_of_flow(session, flow_named(session, context.organisation_id, flow).id)
    acting = [row for row in rows if row.activation.kind in {ACTIVE, ROLLBACK, OFF}]
    began = next((row.activation for row in acting if row.version == number), None)
    ended = next((row for row in acting if row.previous == number), None)
    if began is None or ended is None:
        return None
    by, replaced_by = ended.activation, ended.version
    end = VersionEnd(at_us=by.at_us, actor=by.actor, reason=by.reason, was_active=True, replaced_by=replaced_by)
    return began.at_us, end


def compare_flow_versions(context: Context, flow: str, number: int, before: int) -> DocumentDifference:
    """Return the changes between two versions of a flow; NotFoundError if there is no such flow or version."""
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        texts = [flow_version_numbered(session, row, each).canonical for each in (before, number)]
    return diff_flows(*(analyse_canonical_flow(text).flow for text in texts))


def _standing(version: FlowVersion, flow: FlowRow) -> dict[str, Any]:
    is_active, is_shadow = version.id == flow.active_version_id, version.id == flow.shadow_version_id
    return {"active": is_active, "shadow": is_shadow, "editors": tuple(version.editors)}
