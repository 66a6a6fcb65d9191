"""Rulesets: families in the order in which they are tried, each with a draft that publishers edit.

The first draft of a name makes its family, at the end of the order of its entity type. A call that saves a draft names
the revision that it edited, so that two people who edit at once do not overwrite each other unknowingly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.audit.bound_rows import Digests, digests, merge_digests
from fivefold.store.ingest.entities import type_named
from fivefold.store.rulesets.activations import ActivationChange, begin
from fivefold.store.rulesets.rulesets import (
    draft_of,
    families_of,
    family_named,
    family_or_none,
    last_revision,
    newest_version,
    next_position,
)
from fivefold.store.tables.rulesets import Draft, Family, RulesetVersion
from fivefold.usecases.accounts.flows_in_force import refuse_unusable_flows
from fivefold.usecases.accounts.purposes import refuse_feeding_commerce
from fivefold.usecases.accounts.settings import lock_settings
from fivefold.usecases.rulesets.life_cycle import (
    NO_DRAFT,
    names_in,
    refuse_other_newest,
    refuse_other_revision,
    write_draft,
)
from fivefold.usecases.rulesets.peers import refuse_peers_of_another
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True)
class DraftSaved:
    """A draft as it was saved; the next save, commit or discard sends its revision.

    Attributes:
        family: the ruleset's name.
        revision: the next call that saves, commits or discards must name it.
        editors: all who edited it.
    """

    family: str
    entity_type: str
    revision: int
    editors: tuple[str, ...]


def save_draft(
    context: Context, document: str, expected_revision: int = NO_DRAFT, expected_newest: int | None = None
) -> DraftSaved:
    """Save a draft as it is written. It may have faults, but must name its ruleset and its entity type.

    If one of its editors saves it again unchanged, the revision stays.

    Args:
        context: the actor, who becomes one of the draft's editors.
        document: YAML or JSON.
        expected_revision: the revision that was edited; 0 if the draft is new.
        expected_newest: for a new draft, the number of the newest version that the actor saw, 0 for none; None for any.

    Raises:
        InvalidRulesetError: the document is neither YAML nor JSON, or names no ruleset or entity type.
        NotFoundError: there is no such entity type.
        ConflictError: the draft was saved, committed or discarded in between; or the ruleset is of another type.
    """
    now = context.now()
    with context.writing() as session:
        return save_draft_in(session, context, document, expected_revision, now, expected_newest)


def save_draft_in(
    session: Session,
    context: Context,
    document: str,
    expected_revision: int,
    now_us: int,
    expected_newest: int | None = None,
) -> DraftSaved:
    """Save a draft in the caller's transaction, as `save_draft` does."""
    name, type_name = name_and_type_of(document)
    written = lock_settings(session, context.organisation_id, now_us)
    family, is_new = _family(session, context.organisation_id, name, type_name, now_us)
    if is_new:
        written = merge_digests(written, digests(session, "ruleset_families", [family.id]))
    draft = session.get(Draft, family.id)
    refuse_other_revision(name, draft, expected_revision)
    if draft is None:
        refuse_other_newest(name, newest_version(session, family.id), expected_newest)
        draft = Draft(family_id=family.id, revision=last_revision(session, family), editors=[])
        session.add(draft)
    if write_draft(draft, document, context.actor.name, now_us):
        _record_draft(session, context, "ruleset.draft_saved", family, draft.revision, written)
    return DraftSaved(name, type_name, draft.revision, tuple(draft.editors))


def discard_draft(context: Context, family: str, expected_revision: int) -> None:
    """Delete a draft; the versions stay.

    Raises:
        NotFoundError: the ruleset does not exist, or has no draft.
        ConflictError: the draft was saved or committed in between.
    """
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        row = family_named(session, context.organisation_id, family)
        draft = draft_of(session, row)
        refuse_other_revision(family, draft, expected_revision)
        discard_draft_in(session, context, row, draft)


def discard_draft_in(session: Session, context: Context, family: Family, draft: Draft) -> None:
    """Delete a draft in the caller's transaction, which has locked the settings of the organisation."""
    family.revision = draft.revision
    session.delete(draft)
    _record_draft(session, context, "ruleset.draft_discarded", family, family.revision)


def _record_draft(
    session: Session, context: Context, action: str, family: Family, revision: int, rows: Digests | None = None
) -> None:
    details = {"ruleset": family.name, "revision": revision}
    context.record(session, action, ("ruleset", family.id), details=details, rows=rows)


def name_and_type_of(document: str) -> tuple[str, str]:
    """Return the ruleset and the entity type that a document names; InvalidRulesetError if one is missing."""
    return names_in(document, "ruleset")


def _family(session: Session, organisation_id: int, name: str, type_name: str, now_us: int) -> tuple[Family, bool]:
    """Find a family or make it; return it, and whether it was made."""
    kind = type_named(session, organisation_id, type_name)
    family = family_or_none(session, organisation_id, name)
    if family is not None:
        if family.type_id != kind.id:
            raise ConflictError(f"the ruleset {name} is of another entity type than {type_name}, for good")
        return family, False
    family = Family(
        organisation_id=organisation_id,
        type_id=kind.id,
        name=name,
        position=next_position(session, kind.id),
        enabled=True,
        created_us=now_us,
    )
    session.add(family)
    session.flush()
    return family, True


def order_families_in(
    session: Session, context: Context, type_name: str, names: Sequence[str], why: str, per_second: int, now_us: int
) -> tuple[str, ...]:
    """Order the families of a type, of which the first that applies assesses, in the transaction that approves this.

    All entities of the type are then assessed again gradually, unless the families in force keep their order. A change
    that needs two people is proposed first (`usecases.changes`).

    Raises:
        ConfigError: the names are not those of all families of the type, each once.
        NotFoundError: there is no such type.
        ConflictError: `aml` data would decide which entities a ruleset for commerce decides on.
    """
    kind = type_named(session, context.organisation_id, type_name)
    families = families_of(session, context.organisation_id, kind.id)
    before = [family.name for family in families]
    if sorted(before) != sorted(names):
        raise ConfigError(f"the families of {type_name} are {', '.join(before)}; name each of them once, in order")
    in_force = _in_force(families)
    positions = {family: list(names).index(family.name) + 1 for family in families}
    written = [family.id for family, position in positions.items() if family.position != position]
    for family, position in positions.items():
        family.position = position
    refuse_feeding_commerce(session, context.organisation_id)
    moved = _moved(in_force, _in_force(sorted(families, key=lambda family: family.position)))
    rows = digests(session, "ruleset_families", written)
    if moved is not None:
        active = moved.active_version_id
        activation = begin(
            session,
            moved,
            ActivationChange(
                kind="activation",
                version_id=active,
                previous_version_id=active,
                reason=why,
                actor=context.actor.name,
                per_second=per_second,
                now_us=now_us,
            ),
        )
        rows = merge_digests(rows, digests(session, "activations", [activation.id]))
    change = ("rulesets.ordered", kind.id)
    _record_change(session, context, change, {"order": before}, {"order": list(names)}, why, rows)
    return tuple(names)


def _in_force(families: Sequence[Family]) -> list[Family]:
    return [family for family in families if family.enabled and family.active_version_id is not None]


def _moved(before: Sequence[Family], after: Sequence[Family]) -> Family | None:
    """Return the first family in force whose place changed; None if no place changed."""
    return next((now for was, now in zip(before, after, strict=True) if was is not now), None)


def switch_family_in(
    session: Session, context: Context, family: str, on: bool, why: str, per_second: int, now_us: int
) -> None:
    """Switch a family on or off, gradually as above: while it is off, other families assess its entities.

    Raises:
        NotFoundError: there is no such family.
        ConflictError: the family is on or off already; it is for commerce, and reads data that has become `aml` since;
            a flow asks it and could not run without it; or its reference is built for another ruleset.
    """
    family_row = family_named(session, context.organisation_id, family)
    if family_row.enabled == on:
        raise ConflictError(f"{family} is {'on' if on else 'off'} already")
    family_row.enabled = on
    refuse_feeding_commerce(session, context.organisation_id)
    refuse_unusable_flows(session, context.organisation_id)
    rows = digests(session, "ruleset_families", [family_row.id])
    active = family_row.active_version_id
    if on and active is not None:
        refuse_peers_of_another(session, session.get_one(RulesetVersion, active))
    if active is not None:
        kind, version, previous = ("activation", active, None) if on else ("off", None, active)
        activation = begin(
            session,
            family_row,
            ActivationChange(
                kind=kind,
                version_id=version,
                previous_version_id=previous,
                reason=why,
                actor=context.actor.name,
                per_second=per_second,
                now_us=now_us,
            ),
        )
        rows = merge_digests(rows, digests(session, "activations", [activation.id]))
    _record_change(session, context, ("ruleset.switched", family_row.id), {"on": not on}, {"on": on}, why, rows)


def _record_change(
    session: Session,
    context: Context,
    change: tuple[str, int],
    before: dict[str, object],
    after: dict[str, object],
    why: str,
    rows: Digests,
) -> None:
    """Record a change in the audit log. *change* is the action and its subject's number, *rows* digests of its rows."""
    action, number = change
    kind = "entity type" if action == "rulesets.ordered" else "ruleset"
    context.record(
        session,
        action,
        (kind, number),
        before=before,
        after={**after, "reason": why},
        details=after,
        rows=rows,
    )
