"""Commit: a draft of a flow becomes a version that never changes again, with the results of its examples."""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.audit.bound_rows import digests, merge_digests
from fivefold.store.flows.flows import draft_of_flow, flow_named
from fivefold.store.flows.versions import newest_flow_version
from fivefold.store.tables.flows import FlowDraft, FlowRow, FlowVersion
from fivefold.usecases.accounts.flows_in_force import Asked
from fivefold.usecases.flows.review import FlowCheck, context_of_flow, review_flow
from fivefold.usecases.rulesets.life_cycle import (
    about_version,
    number_to_commit,
    refuse_other_revision,
    refuse_uncommittable,
)
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason


@dataclass(frozen=True)
class FlowCommitted:
    """A version of a flow that was committed.

    Attributes:
        number: of the version, from 1 in each flow.
        content_hash: of its canonical form.
        editors: those who edited the draft; neither they nor who committed it may activate it.
    """

    flow: str
    number: int
    content_hash: str
    editors: tuple[str, ...]


def commit_flow(context: Context, flow: str, expected_revision: int, accept_warnings: str = "") -> FlowCommitted:
    """Make a version of a draft, and remove the draft.

    Args:
        context: who commits; this person cannot activate the version.
        flow: its name.
        expected_revision: the revision of the draft that the caller saw.
        accept_warnings: why it is committed despite the doubts of lint; kept with the version, as are the doubts.

    Raises:
        NotFoundError: there is no such flow, or no draft of it.
        InvalidRulesetError: it cannot be read or run, does not fit the organisation, or fails its examples; the
            examples take too few of its ways; or there are warnings that were not accepted.
        ConflictError: the draft was saved or committed in between; something that it asks was approved anew; or the
            newest version has this content already.
    """
    now = context.now()
    why = checked_reason(accept_warnings, "accept_warnings") if accept_warnings else ""
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        draft = draft_of_flow(session, row)
        refuse_other_revision(f"the flow {flow}", draft, expected_revision)
        document, fits = draft.document, context_of_flow(session, row)
    # It takes a while, so it comes before the transaction.
    looked, analysed = review_flow(document, fits, now)
    why = refuse_uncommittable(looked.errors, looked.warnings, why, flow, expected_revision)
    assert analysed is not None  # what cannot be read has errors
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        row = flow_named(session, context.organisation_id, flow)
        present = session.get(FlowDraft, row.id)
        refuse_other_revision(f"the flow {flow}", present, expected_revision)
        assert present is not None
        if context_of_flow(session, row).pinned(analysed) != looked.pinned:
            raise ConflictError(f"what the flow {flow} asks was approved or retired in between; check it again")
        newest = newest_flow_version(session, row.id)
        version = FlowVersion(
            organisation_id=row.organisation_id,
            flow_id=row.id,
            number=number_to_commit(newest, analysed.flow.content_hash, f"the flow {flow}"),
            document=present.document,
            canonical=analysed.flow.canonical,
            content_hash=analysed.flow.content_hash,
            pinned=_pinned(looked.pinned),
            tests=_tests(looked, present.revision, why, now),
            editors=present.editors,
            committed_by=context.actor.name,
            committed_us=now,
        )
        session.add(version)
        row.revision = present.revision
        session.delete(present)
        session.flush()
        _record(session, context, row, version, why)
        return FlowCommitted(flow, version.number, version.content_hash, tuple(version.editors))


def _pinned(versions_asked: Asked) -> dict[str, Any]:
    return {kind: {name: asdict(each) for name, each in versions.items()} for kind, versions in versions_asked.items()}


def _tests(looked: FlowCheck, revision: int, why: str, now_us: int) -> dict[str, Any]:
    return {
        "revision": revision,
        "as_of_us": now_us,
        "examples": [{"name": each.name, "ends": each.ends, "actions": list(each.actions)} for each in looked.examples],
        "ways_percent": looked.ways_percent,
        "not_taken": list(looked.not_taken),
        "warnings": [str(warning) for warning in looked.warnings],
        "warnings_accepted": why,
    }


def _record(session: Session, context: Context, row: FlowRow, version: FlowVersion, why: str) -> None:
    written = merge_digests(digests(session, "flows", [row.id]), digests(session, "flow_versions", [version.id]))
    context.record(
        session,
        "flow.committed",
        ("flow", row.id),
        after={"accept_warnings": why},
        details=about_version("flow", row.name, version),
        rows=written,
    )
