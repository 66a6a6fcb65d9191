"""Who counts as a second person, wherever two are needed.

A person is a member, whichever of their tokens they use. An account of the machine is not a known person: the same
person may have both, so an act by one never counts as a second person, nor as a first one.
"""

from collections.abc import Collection

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.store.accounts.organisation import lock_organisation
from fivefold.store.accounts.tokens import has_live_token
from fivefold.store.audit.log import entries_about_member
from fivefold.store.changes.proposals import needs_two_people
from fivefold.store.tables.accounts import Member
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.usecases.accounts.settings import Settings, set_sole_operator_in, settings_of
from fivefold.usecases.shared.actors import SYSTEM, Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason

_MEMBER, _PROGRAM = "member:", "token:"
ADDED, RETURNED = "member.added", "member.returned"
"""The actions by which the audit log records that a member came."""


def is_member(name: str) -> bool:
    """Return whether an actor is a known person.

    >>> is_member("member:3"), is_member("cli:ana"), is_member("token:12")
    (True, False, False)
    """
    return name.startswith(_MEMBER)


def is_program(name: str) -> bool:
    """Return whether an actor is a program with a token of its own."""
    return name.startswith(_PROGRAM)


def has_sole_operator(session: Session, organisation_id: int) -> bool:
    """Return whether one person may approve their own proposals, as the organisation chose before anything decided."""
    row = session.get(OrganisationSettings, organisation_id)
    return row is not None and row.sole_operator_us is not None


def refuse_same_person(session: Session, checker: Actor, makers: Collection[str], what: str) -> None:
    """Raise ConflictError unless the approver is another person than everyone who took part.

    Args:
        session: to read with.
        checker: who approves.
        makers: everyone who took part, as the audit log names them. The platform, which proposes thresholds, is not a
            person: only those who took its proposal further count.
        what: what the approver did before; it follows their name in the message.
    """
    if has_sole_operator(session, checker.organisation_id):
        return
    if checker.name in makers:
        raise ConflictError(f"{checker.name} {what}")
    refuse_nobody(session, checker)
    unknown = sorted(name for name in set(makers) - {SYSTEM} or makers if not is_member(name))
    if unknown:
        raise ConflictError(
            f"{unknown[0]} is not a member, so it is unknown whether {checker.name} is another person;"
            " let a member propose it, with their own token"
        )


def refuse_nobody(session: Session, actor: Actor) -> None:
    """Raise ConflictError if two people are needed and the actor is not a known person."""
    if not is_member(actor.name) and not has_sole_operator(session, actor.organisation_id):
        raise ConflictError(
            f"{actor.name} is not a member: two people change what decides, and an account of the machine or a"
            " program's token does not identify a person; use a member's own token"
        )


def is_vouched_for(session: Session, member: Member, now_us: int) -> bool:
    """Return whether two administrators, or the operator of the machine, know a member as a person.

    Either a token of theirs is live that two administrators, or the operator, made; or the operator alone added them
    and gave them their roles. A sole operator makes no exception, as for tokens: that choice can be revoked.
    """
    if has_live_token(session, member.id, now_us):
        return True
    for entry in entries_about_member(session, member.organisation_id, member.id):
        if is_member(entry.actor):
            return False
        if entry.action in (ADDED, RETURNED):
            return True
    return False


def allow_sole_operator(context: Context, reason: str) -> Settings:
    """Let one person approve what they proposed: for a try-out, or a company of one.

    Raises:
        ConfigError: the reason is empty.
        ConflictError: the levels were not defined yet, or two people decided already: one person cannot undo that.
    """
    now = context.now()
    why = checked_reason(reason)
    with context.writing() as session:
        lock_organisation(session, context.organisation_id)
        if needs_two_people(session, context.organisation_id) and not has_sole_operator(
            session, context.organisation_id
        ):
            raise ConflictError(
                "two people decided on a ruleset of this organisation; a sole operator can be allowed only before that"
            )
        return set_sole_operator_in(session, context, now, why)


def require_two_people(context: Context, reason: str) -> Settings:
    """Require two people from now on; ConfigError if the reason is empty."""
    why = checked_reason(reason)
    with context.writing() as session:
        lock_organisation(session, context.organisation_id)
        settings = settings_of(session, context.organisation_id)
        if settings.sole_operator_us is None:
            return settings
        return set_sole_operator_in(session, context, None, why)
