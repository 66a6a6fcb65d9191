"""Members: the people of an organisation, and the roles that each of them has.

A member is known by number for good. Who leaves and comes back is the same one, so that nobody can approve under a
second name what they asked for under the first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import ActionRefused, ConfigError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.accounts.members import end_tokens, member_held, member_named, members_of, roles_of, written_roles
from fivefold.store.sql.database import add_alone, writing
from fivefold.store.tables.accounts import NAME_CHARACTERS
from fivefold.store.tables.events import Member
from fivefold.usecases.audit import record as audit
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.roles import OF_MEMBERS


@dataclass(frozen=True)
class MemberLine:
    """A member as it is listed.

    Attributes:
        roles: in the order of their names.
        left_us: when they left, microseconds; None for whoever is there.
    """

    id: int
    name: str
    roles: tuple[str, ...]
    created_us: int
    left_us: int | None


def add_member(engine: Engine, actor: Actor, name: str, roles: Sequence[str], now_us: int | None = None) -> MemberLine:
    """Add a member; whoever left and has the same name comes back, without the tokens that they had.

    Raises:
        ConfigError: the name cannot be kept, or a role is none.
        ActionRefused: there is a member of that name.
    """
    now = now_microseconds() if now_us is None else now_us
    wanted = _checked(roles)
    if not 1 <= len(name) <= NAME_CHARACTERS or name != name.strip() or not name.isprintable():
        raise ConfigError(
            f"the name {name!r} cannot be kept; it must have 1 to {NAME_CHARACTERS} characters, in one line and"
            " without spaces around them"
        )
    with writing(engine) as session:
        found = member_named(session, actor.organisation_id, name)
        if found is not None and found.left_us is None:
            raise ActionRefused(f"there is a member {name!r} already")
        back = found is not None
        if found is None:
            found = Member(organisation_id=actor.organisation_id, name=name, created_us=now)
        found.roles, found.left_us = written_roles(wanted), None
        add_alone(session, found)
        _record(session, actor, found, "member.returned" if back else "member.added", after={"name": name})
        return _line(found)


def set_roles(
    engine: Engine, actor: Actor, member_id: int, roles: Sequence[str], now_us: int | None = None
) -> MemberLine:
    """Give a member these roles and no others; their tokens of other roles end at once.

    Raises:
        NotThere: the organisation has no such member.
        ConfigError: a role is none.
        ActionRefused: the member has left.
    """
    now = now_microseconds() if now_us is None else now_us
    wanted = _checked(roles)
    with writing(engine) as session:
        found = _present(session, actor, member_id)
        before = set(roles_of(found))
        if wanted == before:
            return _line(found)
        lost = before - wanted
        found.roles = written_roles(wanted)
        ended = end_tokens(session, found.id, lost, now)
        _record(session, actor, found, "member.roles_set", lost=sorted(lost), ended=ended)
        return _line(found)


def leave(engine: Engine, actor: Actor, member_id: int, now_us: int | None = None) -> MemberLine:
    """Note that a member has left; all their tokens end at once.

    Raises:
        NotThere: the organisation has no such member.
        ActionRefused: the member has left already.
    """
    now = now_microseconds() if now_us is None else now_us
    with writing(engine) as session:
        found = _present(session, actor, member_id)
        found.left_us = now
        ended = end_tokens(session, found.id, OF_MEMBERS, now)
        _record(session, actor, found, "member.left", ended=ended)
        return _line(found)


def list_members(engine: Engine, actor: Actor, part: Part = WHOLE) -> Page[MemberLine]:
    """List the members, those who left too, the oldest first."""
    with Session(engine) as session:
        return members_of(session, actor.organisation_id, part).map(_line)


def _checked(roles: Iterable[str]) -> set[str]:
    wanted = set(roles)
    if not wanted or not wanted <= OF_MEMBERS:
        raise ConfigError(
            f"the roles are {', '.join(sorted(wanted)) or 'none'}; a member has one or more of"
            f" {', '.join(sorted(OF_MEMBERS))}"
        )
    return wanted


def _present(session: Session, actor: Actor, member_id: int) -> Member:
    found = member_held(session, actor.organisation_id, member_id)
    if found.left_us is not None:
        raise ActionRefused(f"member {member_id} has left; to come back they are added again, by the same name")
    return found


def _record(
    session: Session,
    actor: Actor,
    member: Member,
    action: str,
    *,
    after: dict[str, str] | None = None,
    lost: Sequence[str] = (),
    ended: Sequence[int] = (),
) -> None:
    """Record what was done; the name alone is personal."""
    details = {"roles": list(roles_of(member)), "roles_lost": list(lost), "tokens_ended": list(ended)}
    subject = ("member", member.id)
    audit.record(session, actor.organisation_id, action, subject, actor=actor.name, after=after, details=details)


def _line(member: Member) -> MemberLine:
    return MemberLine(member.id, member.name, roles_of(member), member.created_us, member.left_us)
