"""Organisations and their members. All stored data belong to one organisation.

A member keeps their number for good. One who leaves and comes back is the same member, so nobody can approve under a
second name what they requested under the first.
"""

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Annotated, Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.likeness import look_alike
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.accounts import tokens as accounts
from fivefold.store.accounts.organisation import lock_organisation
from fivefold.store.accounts.tokens import (
    end_tokens,
    locked_member,
    member_named,
    member_numbered,
    members_of,
    organisations_with_members,
)
from fivefold.store.audit import log
from fivefold.store.audit.bound_rows import digests, merge_digests
from fivefold.store.ingest.entities import missing_type, organisations_with, types_of_organisation
from fivefold.store.sql.clocks import clock_of
from fivefold.store.sql.database import add_alone, reading, writing
from fivefold.store.tables.accounts import NAME_CHARACTERS, Member
from fivefold.usecases.accounts.second_person import ADDED, RETURNED
from fivefold.usecases.shared.actors import OF_MEMBERS, SYSTEM, Actor, Role
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context

MOST_NAMED = 3
"""The most other organisations that a hint names."""
_UNSEEN: Final = (
    *("VARIATION SELECTOR", "JOINER", "FILLER"),
    *("PATTERN BLANK", "FULL BLANK", "HALF BLANK", "NULL NOTEHEAD", "VOWEL INHERENT"),
)
"""Words in Unicode's names of signs that are invisible though printable."""
_EAST_ASIAN: Final = frozenset({"Cjk", "Ideographic", "Hiragana", "Katakana", "Hangul", "Bopomofo"})
"""Alphabets, by the first words of Unicode's names of letters, that people write in one word with each other and with
Latin ones; `domain.likeness` knows those of their letters that look most like Latin ones."""


def actor_in(engine: Engine, organisation: str, who: str) -> Actor:
    """Return the actor of a name in the organisation of a name; ConfigError if there is no such organisation."""
    with reading(engine) as session:
        row = accounts.organisation_of(session, organisation)
        if row is None:
            raise ConfigError(
                f"there is no organisation {organisation!r}; it is created by its first member or token,"
                " or by an import's set-up"
            )
        return Actor(row.id, who)


def actor_in_new(engine: Engine, organisation: str, who: str) -> Actor:
    """Return the actor of a name in an organisation, which is created if missing; ConfigError for an invalid name."""
    refuse_long_name("organisation", organisation)
    with writing(engine) as session:
        return Actor(accounts.organisation_named(session, organisation, clock_of(engine).now_us()).id, who)


def elsewhere(engine: Engine, type_name: str | None = None, external_id: str | None = None) -> str:
    """Describe which other organisations have members, a type, or an entity of a type; empty if none has.

    It is for the terminal, where a person may name any organisation.
    """
    with reading(engine) as session:
        if type_name is None:
            names = organisations_with_members(session)
        else:
            names = organisations_with(session, type_name, external_id)
    what = "there are some" if type_name is None else "there is one"
    options = " or ".join(f"--organisation {quote(name)}" for name in names[:MOST_NAMED])
    return f"{what} in {', '.join(names[:MOST_NAMED])}: {options}" if names else ""


def require_type(context: Context, type_name: str, external_id: str | None = None) -> None:
    """Raise NotFoundError if the organisation lacks a type of entity, with what a person at the terminal can do.

    Organisations that have the entity *external_id* are named rather than others that have the type.
    """
    with context.reading() as session:
        names = [kind.name for kind in types_of_organisation(session, context.organisation_id)]
    if type_name not in names:
        hint = elsewhere(context.engine, type_name, external_id) or elsewhere(context.engine, type_name)
        hint = hint or "`fivefold import setup RULESET` declares that of a ruleset"
        raise NotFoundError(f"{missing_type(type_name, names)}; {hint}")


def refuse_long_name(what: str, name: str) -> None:
    """Raise ConfigError if a name is too long."""
    if len(name) > NAME_CHARACTERS:
        raise ConfigError(f"{what} has {len(name)} characters; at most {NAME_CHARACTERS} are allowed")


@schema("Member")
@dataclass(frozen=True, kw_only=True)
class MemberLine:
    """A member; one who left has no tokens any more.

    Attributes:
        roles: in the order of their names.
        left_us: when they left, microseconds; None for present members.
    """

    id: int
    name: str
    roles: tuple[str, ...]
    created_us: Annotated[Moment, shown_as("created_at")]
    left_us: Annotated[Moment | None, shown_as("left_at")]


def add_member(context: Context, name: str, roles: Sequence[str]) -> MemberLine:
    """Add a member. A former member of the same name comes back, without their old tokens.

    Only new names are compared with names that look like them.

    Raises:
        ConfigError: the name cannot be stored, or there is no such role.
        ConflictError: there is a member of that name; or it is new, and there is or was one whose name looks like it.
    """
    now = context.now()
    role_set = _checked(roles)
    _refuse_unstorable(name)
    with context.writing() as session:
        lock_organisation(session, context.organisation_id)
        member = member_named(session, context.organisation_id, name)
        if member is not None and member.left_us is None:
            raise ConflictError(f"there is a member {name!r} already")
        back = member is not None
        if member is None:
            _refuse_misread(session, context, name)
            member = Member(organisation_id=context.organisation_id, name=name, created_us=now)
        member.roles, member.left_us = sorted(role_set), None
        add_alone(session, member)
        _record(session, context, member, RETURNED if back else ADDED, after={"name": name})
        return _line(member)


def read_member(context: Context, member_id: int) -> MemberLine:
    """Show a member; NotFoundError if the organisation has none of that number."""
    with context.reading() as session:
        return _line(member_numbered(session, context.organisation_id, member_id))


def set_roles(
    context: Context, member_id: int, roles: Sequence[str], expected_roles: Collection[str] | None = None
) -> MemberLine:
    """Give a member these roles and no others; their tokens of other roles end at once.

    Args:
        context: who gives them.
        member_id: of the member.
        roles: one or more.
        expected_roles: the roles that the member had when this was decided; None for no check.

    Raises:
        NotFoundError: the organisation has no such member.
        ConfigError: there is no such role.
        ConflictError: the member has left; or has other roles by now than were expected; or no administrator would be
            left.
    """
    now = context.now()
    role_set = _checked(roles)
    with context.writing() as session:
        member = _present(session, context, member_id)
        before = set(member.roles)
        if expected_roles is not None and set(expected_roles) != before:
            present = ", ".join(member.roles)
            raise ConflictError(f"another person changed the roles of {member.name}: they are {present} now")
        if role_set == before:
            return _line(member)
        lost_roles = before - role_set
        _keep_an_administrator(session, context, member, lost_roles)
        member.roles = sorted(role_set)
        ended_tokens = end_tokens(session, member.id, lost_roles, now)
        _record(session, context, member, "member.roles_set", lost=sorted(lost_roles), ended=ended_tokens)
        return _line(member)


def end_membership(context: Context, member_id: int) -> MemberLine:
    """Record that a member left; all their tokens end at once.

    Raises:
        NotFoundError: the organisation has no such member.
        ConflictError: the member has left already; or no administrator would be left.
    """
    now = context.now()
    with context.writing() as session:
        member_row = _present(session, context, member_id)
        _keep_an_administrator(session, context, member_row, set(member_row.roles))
        member_row.left_us, member_row.account = now, None
        ended_tokens = end_tokens(session, member_row.id, OF_MEMBERS, now)
        _record(session, context, member_row, "member.left", ended=ended_tokens)
        return _line(member_row)


def list_members(context: Context, part: Part = WHOLE) -> Page[MemberLine]:
    """List the members, including those who left, the oldest first."""
    with context.reading() as session:
        return members_of(session, context.organisation_id, part).map(_line)


def _checked(roles: Iterable[str]) -> set[str]:
    role_set = set(roles)
    if not role_set or not role_set <= OF_MEMBERS:
        raise ConfigError(
            f"the roles are {', '.join(sorted(role_set)) or 'none'}; a member has one or more of"
            f" {', '.join(sorted(OF_MEMBERS))}"
        )
    return role_set


def _refuse_unstorable(name: str) -> None:
    """Raise ConfigError if a name is not one of a person."""
    if not 1 <= len(name) <= NAME_CHARACTERS or name != name.strip() or not name.isprintable():
        raise ConfigError(
            f"the name {name!r} cannot be stored; it must have 1 to {NAME_CHARACTERS} characters, in one line and"
            " without spaces around them"
        )
    if ":" in name or name == SYSTEM:
        raise ConfigError(f"a member cannot be named {name!r}: the audit log uses such names for programs")


def _refuse_misread(session: Session, context: Context, name: str) -> None:
    """Refuse a new name that people may read as another one.

    Raises:
        ConfigError: it has signs that are not seen, or mixes alphabets in a word.
        ConflictError: there is or was a member whose name looks like it.
    """
    if any(unseen in unicodedata.name(sign, "") for sign in name for unseen in _UNSEEN):
        raise ConfigError(f"the name {name!a} cannot be stored: it has a sign that is not seen")
    for word in unicodedata.normalize("NFKC", name).split():
        letters = [letter for letter in word if _has_case(letter) or unicodedata.category(letter) in {"Lo", "Nl"}]
        alphabets = {unicodedata.name(letter, "none").split()[0].capitalize() for letter in letters} - _EAST_ASIAN
        if len(alphabets) > 1 and any(map(_has_case, letters)):
            raise ConfigError(
                f"the name {name!r} cannot be stored: {word!r} mixes letters of {' and '.join(sorted(alphabets))}, so"
                " it may be taken for another name; write them as two words"
            )
    for other in members_of(session, context.organisation_id):
        if look_alike(other.name, name):
            raise ConflictError(f"there is, or was, a member {other.name!r}, whose name looks like {name!r}")


def _has_case(letter: str) -> bool:
    return unicodedata.category(letter) in ("Lu", "Ll", "Lt")


def _present(session: Session, context: Context, member_id: int) -> Member:
    lock_organisation(session, context.organisation_id)  # if two end each other's membership, one remains
    member = locked_member(session, context.organisation_id, member_id)
    if member.left_us is not None:
        raise ConflictError(f"member {member_id} has left; to bring them back, add them again by the same name")
    return member


def _keep_an_administrator(session: Session, context: Context, member: Member, lost_roles: Collection[str]) -> None:
    """Refuse that the only administrator gives up the role; the operator of the machine alone could add another."""
    if Role.ADMIN not in lost_roles or context.actor.name != f"member:{member.id}":
        return
    others = (each for each in members_of(session, context.organisation_id) if each.id != member.id)
    if not any(each.left_us is None and Role.ADMIN in each.roles for each in others):
        raise ConflictError(
            f"{member.name} is the only administrator: give another member the role {Role.ADMIN} first, or let the "
            "operator do this at the machine by `fivefold members`"
        )


def _record(
    session: Session,
    context: Context,
    member: Member,
    action: str,
    *,
    after: dict[str, str] | None = None,
    lost: Sequence[str] = (),
    ended: Sequence[int] = (),
) -> None:
    """Record a change of a member; only the name is personal."""
    if context.actor.token_id in ended:  # the actor ended their own token just now
        session.info.pop(log.REQUIRED, None)
    details = {"roles": member.roles, "roles_lost": list(lost), "tokens_ended": list(ended)}
    subject = ("member", member.id)
    rows = merge_digests(digests(session, "members", [member.id]), digests(session, "tokens", ended))
    context.record(session, action, subject, after=after, details=details, rows=rows)


def _line(member: Member) -> MemberLine:
    return row_as(MemberLine, member, roles=tuple(member.roles))
