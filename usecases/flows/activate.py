"""Which version of a flow acts: a person who did not write it activates it; a shadow takes no action.

Two people are needed to let a version act, for the first time or again. One alone may have a version run as a shadow,
and may switch a flow off, so stopping it takes no second person. What was done before stays as it is.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.audit.bound_rows import digests, merge_digests
from fivefold.store.flows.flows import flow_named
from fivefold.store.flows.replays import newest_done_replay, newest_replay_beside
from fivefold.store.flows.versions import (
    ACTIVE,
    OFF,
    ROLLBACK,
    SHADOW,
    SHADOW_OFF,
    FlowActivationRow,
    acted_before,
    activations_of_flow,
    flow_version_numbered,
    latest_beginnings,
)
from fivefold.store.tables.flows import FlowActivation, FlowReplay, FlowRow, FlowVersion
from fivefold.usecases.accounts.flows_in_force import flow_of_version, missing_groups, refuse_unusable_flows
from fivefold.usecases.accounts.purposes import refuse_feeding_commerce
from fivefold.usecases.flows.registrations import refuse_unanswered
from fivefold.usecases.flows.runs.schedules import keep_schedules
from fivefold.usecases.rulesets.life_cycle import about_version, objections, refuse_author
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason, refuse_unseen, refuse_unseen_content

_DONE = {
    ACTIVE: "flow.activated",
    ROLLBACK: "flow.rolled_back",
    OFF: "flow.switched_off",
    SHADOW: "flow.shadowed",
    SHADOW_OFF: "flow.shadow_ended",
}
"""What the audit log calls each kind of change."""


@dataclass(frozen=True, kw_only=True)
class FlowActivationLine:
    """A change of what acts, or runs as a shadow.

    Attributes:
        kind: active, rollback, off, shadow or shadow_off.
        version: its number; None where none acts, or runs as a shadow, from then on.
        previous: the number of the version before.
        replay: the number of the replay of that version, beside the one that acted until then, which was there when it
            was activated; None for other changes.
        warning: what stands against it all the same, such as that there was no replay; None for nothing.
    """

    kind: str
    version: int | None
    previous: int | None
    reason: str
    actor: str
    at_us: Annotated[Moment, shown_as("at")]
    replay: int | None
    warning: str | None


WITHOUT_REPLAY: Final = "activated without a replay over history"
"""Kept with an activation, and shown before it, if no finished replay compares the version with the active one.

It does not prevent an activation, unlike a missing backtest of a ruleset: a flow that runs by calls alone, on what came
with the call, has no history to replay.
"""


def activation_warning(kind: str, replay_id: int | None) -> str | None:
    """Return the warning of a first activation without a replay; None for other changes."""
    return WITHOUT_REPLAY if kind == ACTIVE and replay_id is None else None


def activate_flow(
    context: Context,
    flow: str,
    version: int,
    reason: str,
    expected_active: int | None = None,
    expected_replay: int | None = None,
    expected_hash: str | None = None,
) -> None:
    """Let a version act from now on, in place of the one before. If it ran as a shadow, that ends.

    The last finished replay of that version beside the active one is kept with the activation; so is a missing one.

    Args:
        context: who activates it.
        flow: its name.
        version: its number.
        reason: why.
        expected_active: the number of the version that acted when the caller looked, 0 for none; None for no check.
        expected_replay: the number of the replay that is to be kept with it, 0 for none; None for no check.
        expected_hash: the content hash of the version that the caller saw; None for no check.

    Raises:
        ConfigError: there is no reason.
        NotFoundError: there is no such flow or version.
        ConflictError: it is active; the actor edited or committed it; the active version or the replay is not the
            expected one; it, or a flow that asks it, could not run with what it asks now, here or outside; or one of
            them is for commerce, and reads what has become `aml` since.
    """
    _let_act(context, flow, version, reason, ACTIVE, expected_active, expected_replay, expected_hash)


def roll_back_flow(
    context: Context,
    flow: str,
    version: int,
    reason: str,
    expected_active: int | None = None,
    expected_hash: str | None = None,
) -> None:
    """Activate a version again that acted before; errors as of `activate_flow`, and ConflictError if it never acted."""
    _let_act(context, flow, version, reason, ROLLBACK, expected_active, expected_hash=expected_hash)


def _let_act(
    context: Context,
    name: str,
    number: int,
    reason: str,
    kind: str,
    expected_active: int | None,
    expected_replay: int | None = None,
    expected_hash: str | None = None,
) -> None:
    now, why = context.now(), checked_reason(reason)
    refuse_unanswered(context, name, number)
    with context.writing() as session:
        flow, version = _locked_version(session, context, name, number)
        refuse_unseen_content(f"version {number} of the flow {name}", expected_hash, version.content_hash)
        if flow.active_version_id == version.id:
            raise ConflictError(f"version {number} of the flow {name} is active already")
        if kind == ROLLBACK and not acted_before(session, version):
            raise ConflictError(f"version {number} of the flow {name} never acted; it needs to be activated")
        refuse_author(session, context, version, f"the flow {name}")
        was = flow.active_version_id
        _refuse_unseen_version(session, f"the version of the flow {name} that acts", expected_active, was)
        replay = newest_replay_beside(session, version.id, was) if kind == ACTIVE else None
        counts = f"the replay of version {number} of the flow {name} beside the one that acts"
        refuse_unseen(counts, expected_replay, None if replay is None else replay.id)
        _refuse_unusable(session, version)
        flow.active_version_id = version.id
        activations = [_noted(session, context, flow, (kind, version.id, was), why, now, replay)]
        if flow.shadow_version_id == version.id:
            flow.shadow_version_id = None
            activations.append(_noted(session, context, flow, (SHADOW_OFF, None, version.id), why, now))
        refuse_feeding_commerce(session, context.organisation_id)
        refuse_unusable_flows(session, context.organisation_id)
        keep_schedules(session, flow, now)
        _record(session, context, flow, version, activations, _about_replay(kind, replay))


def _about_replay(kind: str, replay: FlowReplay | None) -> dict[str, Any]:
    """Return what the audit log says of the replay of an activation."""
    if replay is None:
        warning = activation_warning(kind, None)
        return {} if warning is None else {"warning": warning}
    return {"replay": replay.id, "replay_hash": replay.report_hash}


def switch_flow_off(context: Context, flow: str, reason: str, expected_active: int | None = None) -> None:
    """Switch a flow off: no version acts any more; its shadow goes on.

    *expected_active*: the number of the version that was active when the caller looked; None for no check.

    Raises:
        ConfigError: there is no reason.
        NotFoundError: there is no such flow.
        ConflictError: no version acts, or another one than was expected; or another flow that acts or runs as a shadow
            asks this one.
    """
    now, why = context.now(), checked_reason(reason)
    with context.writing() as session:
        row = _locked(session, context, flow)
        if row.active_version_id is None:
            raise ConflictError(f"no version of the flow {flow} is active")
        was = row.active_version_id
        _refuse_unseen_version(session, f"the version of the flow {flow} that acts", expected_active, was)
        row.active_version_id = None
        activation = _noted(session, context, row, (OFF, None, was), why, now)
        refuse_unusable_flows(session, context.organisation_id)
        keep_schedules(session, row, now)
        _record(session, context, row, session.get_one(FlowVersion, was), [activation])


def shadow_flow(
    context: Context,
    flow: str,
    version: int,
    reason: str,
    expected_shadow: int | None = None,
    expected_hash: str | None = None,
) -> None:
    """Let a version run as a shadow, in place of another one: its runs are recorded, and take no action.

    *expected_shadow*: the number of the version that ran as a shadow when the caller looked, 0 for none; None for no
    check. *expected_hash*: the content hash of the version that the caller saw; None for no check.

    Raises:
        ConfigError: there is no reason.
        NotFoundError: there is no such flow or version.
        ConflictError: it acts, or runs as a shadow already; it, or the shadow, is not the expected one; it could not
            run with what it asks now; or it is for commerce, and reads what has become `aml` since.
    """
    now, why = context.now(), checked_reason(reason)
    with context.writing() as session:
        row, version_row = _locked_version(session, context, flow, version)
        refuse_unseen_content(f"version {version} of the flow {flow}", expected_hash, version_row.content_hash)
        if version_row.id in {row.active_version_id, row.shadow_version_id}:
            how = "is active" if version_row.id == row.active_version_id else "runs as a shadow"
            raise ConflictError(f"version {version} of the flow {flow} {how} already")
        was = row.shadow_version_id
        _refuse_unseen_version(session, f"the shadow of the flow {flow}", expected_shadow, was)
        _refuse_unusable(session, version_row)
        row.shadow_version_id = version_row.id
        activation = _noted(session, context, row, (SHADOW, version_row.id, was), why, now)
        refuse_feeding_commerce(session, context.organisation_id)
        keep_schedules(session, row, now)
        _record(session, context, row, version_row, [activation])


def end_flow_shadow(context: Context, flow: str, reason: str, expected_shadow: int | None = None) -> None:
    """End the shadow of a flow: no version runs as a shadow any more.

    *expected_shadow*: the number of the version that ran as a shadow when the caller looked; None for no check.

    Raises:
        ConfigError: there is no reason.
        NotFoundError: there is no such flow.
        ConflictError: no version runs as a shadow, or another one than was expected.
    """
    now, why = context.now(), checked_reason(reason)
    with context.writing() as session:
        row = _locked(session, context, flow)
        if row.shadow_version_id is None:
            raise ConflictError(f"no version of the flow {flow} runs as a shadow")
        was = row.shadow_version_id
        _refuse_unseen_version(session, f"the shadow of the flow {flow}", expected_shadow, was)
        row.shadow_version_id = None
        activation = _noted(session, context, row, (SHADOW_OFF, None, was), why, now)
        keep_schedules(session, row, now)
        _record(session, context, row, session.get_one(FlowVersion, was), [activation])


def what_stands_against_flow(context: Context, flow: str, version: int) -> tuple[str, ...]:
    """Return why `activate_flow` would refuse a version that is not active; empty if it would not.

    NotFoundError if there is no such flow or version.
    """
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        version_row = flow_version_numbered(session, row, version)
        against = objections(
            partial(refuse_author, session, context, version_row, f"the flow {flow}"),
            partial(_refuse_unusable, session, version_row),
            partial(refuse_feeding_commerce, session, context.organisation_id, flow=version_row),
        )
    return against + objections(partial(refuse_unanswered, context, flow, version))


class ReplaysOfVersion(NamedTuple):
    """The numbers of the newest finished replays of a version; None for none.

    Attributes:
        newest: the newest of all.
        beside_active: the newest beside the version that acts now, or alone if none does: `activate_flow` keeps it.
    """

    newest: int | None
    beside_active: int | None


def replays_of_version(context: Context, flow: str, version: int) -> ReplaysOfVersion:
    """Find the finished replays of a version; NotFoundError if there is no such flow or version."""
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        version_id = flow_version_numbered(session, row, version).id
        replays = (
            newest_done_replay(session, version_id),
            newest_replay_beside(session, version_id, row.active_version_id),
        )
        return ReplaysOfVersion(*(None if replay is None else replay.id for replay in replays))


def list_flow_activations(context: Context, flow: str, part: Part = WHOLE) -> Page[FlowActivationLine]:
    """List the changes of what acts or runs as a shadow, the newest first; NotFoundError if there is no such flow."""
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        return activations_of_flow(session, row.id, part).map(_line)


def latest_flow_beginnings(context: Context, flow: str, numbers: Collection[int]) -> dict[int, FlowActivationLine]:
    """Return when each of these versions last began to act, by its number, without those that never did."""
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        lines = map(_line, latest_beginnings(session, row.id, numbers))
        return {line.version: line for line in lines if line.version is not None}


def _line(row: FlowActivationRow) -> FlowActivationLine:
    activation = row.activation
    return FlowActivationLine(
        kind=activation.kind,
        version=row.version,
        previous=row.previous,
        reason=activation.reason,
        actor=activation.actor,
        at_us=activation.at_us,
        replay=activation.replay_id,
        warning=activation_warning(activation.kind, activation.replay_id),
    )


def _locked(session: Session, context: Context, name: str) -> FlowRow:
    """Find and lock a flow; others that change what decides wait."""
    settings_row(session, context.organisation_id, locked=True)
    return flow_named(session, context.organisation_id, name)


def _locked_version(session: Session, context: Context, name: str, number: int) -> tuple[FlowRow, FlowVersion]:
    flow = _locked(session, context, name)
    return flow, flow_version_numbered(session, flow, number)


def _refuse_unseen_version(session: Session, what: str, expected: int | None, present_id: int | None) -> None:
    refuse_unseen(what, expected, None if present_id is None else session.get_one(FlowVersion, present_id).number)


def _refuse_unusable(session: Session, version: FlowVersion) -> None:
    """Raise ConflictError if a version cannot run with what it asks now."""
    standing = flow_of_version(session, version.id)
    for finding in (*standing.analysed.errors, *missing_groups(session, standing.flow, standing.analysed)):
        called = f"version {version.number} of the flow {standing.flow.name}"
        raise ConflictError(f"{called} cannot run now: {finding.where}: {finding.problem}")


def _noted(
    session: Session,
    context: Context,
    flow: FlowRow,
    change: tuple[str, int | None, int | None],
    why: str,
    now_us: int,
    replay: FlowReplay | None = None,
) -> FlowActivation:
    """Store a change, given as its kind, the version and the one before, with the *replay* of an activation."""
    kind, version_id, previous_id = change
    row = FlowActivation(
        organisation_id=flow.organisation_id,
        flow_id=flow.id,
        version_id=version_id,
        previous_version_id=previous_id,
        kind=kind,
        reason=why,
        actor=context.actor.name,
        at_us=now_us,
        replay_id=None if replay is None else replay.id,
    )
    session.add(row)
    session.flush()
    return row


def _record(
    session: Session,
    context: Context,
    flow: FlowRow,
    version: FlowVersion,
    activations: list[FlowActivation],
    details: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    first = activations[0]
    context.record(
        session,
        _DONE[first.kind],
        ("flow", flow.id),
        before={"version_id": first.previous_version_id},
        after={"version_id": first.version_id, "reason": first.reason},
        details={**about_version("flow", flow.name, version), **details},
        rows=merge_digests(
            digests(session, "flows", [flow.id]),
            digests(session, "flow_activations", [each.id for each in activations]),
        ),
    )
