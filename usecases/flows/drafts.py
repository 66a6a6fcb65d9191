"""Drafts of flows: what publishers edit, saved as it is written.

The first draft of a name makes its flow, for one type of entity for good. A call that saves a draft names the revision
that it began with: two people who edit at once do not overwrite each other unknowingly.
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.audit.bound_rows import Digests, digests, merge_digests
from fivefold.store.flows.flows import draft_of_flow, flow_named, flow_or_none
from fivefold.store.flows.versions import newest_flow_version
from fivefold.store.ingest.entities import type_named
from fivefold.store.tables.flows import FlowDraft, FlowRow
from fivefold.usecases.accounts.settings import lock_settings
from fivefold.usecases.rulesets.life_cycle import (
    NO_DRAFT,
    names_in,
    refuse_other_newest,
    refuse_other_revision,
    write_draft,
)
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True)
class FlowDraftSaved:
    """A draft of a flow as it was saved; the next save or commit sends its revision.

    Attributes:
        flow: its name.
        revision: the next call that saves, discards or commits must name it.
        editors: all who edited it.
    """

    flow: str
    entity_type: str
    revision: int
    editors: tuple[str, ...]


def save_flow_draft(
    context: Context, document: str, expected_revision: int = NO_DRAFT, expected_newest: int | None = None
) -> FlowDraftSaved:
    """Save a draft as it is written: it may still be wrong, as long as it names its flow and its entity type.

    Saving a draft again unchanged, by one of its editors, keeps its revision.

    Args:
        context: who saves; becomes one of the draft's editors.
        document: YAML or JSON.
        expected_revision: the revision that was edited; 0 if there was no draft.
        expected_newest: for a new draft, the number of the newest version when it was begun, 0 for none; None for any.

    Raises:
        InvalidRulesetError: it is neither YAML nor JSON, or does not name its flow and its entity type.
        NotFoundError: there is no such entity type.
        ConflictError: it was saved or committed in between; or the flow is of another type.
    """
    now = context.now()
    name, type_name = names_of_flow(document)
    with context.writing() as session:
        written = lock_settings(session, context.organisation_id, now)
        flow, is_new = _flow(session, context.organisation_id, name, type_name, now)
        if is_new:
            written = merge_digests(written, digests(session, "flows", [flow.id]))
        draft = session.get(FlowDraft, flow.id)
        refuse_other_revision(f"the flow {name}", draft, expected_revision)
        if draft is None:
            refuse_other_newest(f"the flow {name}", newest_flow_version(session, flow.id), expected_newest)
            draft = FlowDraft(flow_id=flow.id, revision=flow.revision, editors=[])
            session.add(draft)
        if write_draft(draft, document, context.actor.name, now):
            _record(session, context, "flow.draft_saved", flow, draft.revision, written)
        return FlowDraftSaved(name, type_name, draft.revision, tuple(draft.editors))


def discard_flow_draft(context: Context, flow: str, expected_revision: int) -> None:
    """Remove a draft; the versions stay.

    Raises:
        NotFoundError: there is no such flow, or no draft of it.
        ConflictError: it was saved or committed in between.
    """
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        row = flow_named(session, context.organisation_id, flow)
        draft = draft_of_flow(session, row)
        refuse_other_revision(f"the flow {flow}", draft, expected_revision)
        row.revision = draft.revision
        session.delete(draft)
        _record(session, context, "flow.draft_discarded", row, row.revision, digests(session, "flows", [row.id]))


def _record(session: Session, context: Context, action: str, flow: FlowRow, revision: int, rows: Digests) -> None:
    details = {"flow": flow.name, "revision": revision}
    context.record(session, action, ("flow", flow.id), details=details, rows=rows)


def names_of_flow(document: str) -> tuple[str, str]:
    """Return the names of the flow and of the entity type of a document; InvalidRulesetError if it has none."""
    return names_in(document, "flow")


def _flow(session: Session, organisation_id: int, name: str, type_name: str, now_us: int) -> tuple[FlowRow, bool]:
    """Find a flow, or make it; return it, and whether it was made."""
    kind = type_named(session, organisation_id, type_name)
    flow = flow_or_none(session, organisation_id, name)
    if flow is not None:
        if flow.type_id != kind.id:
            raise ConflictError(f"the flow {name} is of another entity type than {type_name}, for good")
        return flow, False
    flow = FlowRow(organisation_id=organisation_id, type_id=kind.id, name=name, revision=0, created_us=now_us)
    session.add(flow)
    session.flush()
    return flow, True
