"""Named groups: one person proposes a version and another approves it; from then on it defines the members."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, Finding, InvalidRulesetError, NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.domain.text import perhaps
from fivefold.flows.groups.analysis import AnalysedGroup, analyse_canonical_group, lint_group
from fivefold.flows.groups.language import Group, tag_of_group
from fivefold.flows.groups.membership import run_group_examples
from fivefold.risk.language.documents import Document
from fivefold.risk.language.reading import read_document
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.audit.bound_rows import Digests, digests, merge_digests
from fivefold.store.audit.chain import unchanged_canonical
from fivefold.store.groups import groups as stored
from fivefold.store.groups.groups import GroupVersionRow
from fivefold.store.ingest.entities import type_named
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.levels.markings import mark_everybody
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.groups import GroupVersion, NamedGroup
from fivefold.store.tables.versions import ACTIVE, PROPOSED
from fivefold.usecases.accounts.flows_in_force import refuse_groups_awaited, refuse_unusable_flows
from fivefold.usecases.accounts.lists import named_lists
from fivefold.usecases.accounts.purposes import (
    declared_of,
    refuse_feeding_commerce,
    refuse_tags_of_aml_groups,
    refuse_tags_of_flows,
)
from fivefold.usecases.accounts.settings import lock_settings
from fivefold.usecases.audit.search import VersionEnd, ends_of_versions
from fivefold.usecases.rulesets.life_cycle import about_version, approve_version, end_version, next_number, reviewed
from fivefold.usecases.rulesets.review import (
    OrganisationContext,
    context_of_type,
    organisation_findings,
    refuse_misfits,
)
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason

SOURCE = "the group"
MOST_GROUPS = 200
"""The most groups of an organisation: each is evaluated whenever an entity of its type is assessed."""


@schema("GroupVersion")
@dataclass(frozen=True, kw_only=True)
class GroupLine:
    """A version of a group; one of a name is active at most, and its author never approved it.

    Attributes:
        number: counted from 1 in each group.
        purpose: what membership is used for; the same in all versions.
        state: proposed, active or retired.
        approved_by: who approved it, or None.
    """

    name: str
    title: str
    entity_type: str
    purpose: str
    number: int
    state: str
    content_hash: str
    written_by: str
    written_us: Annotated[Moment, shown_as("written_at")]
    approved_by: str | None
    approved_us: Annotated[Moment | None, shown_as("approved_at")]


@dataclass(frozen=True)
class GroupView(GroupLine):
    """A version of a group as it was written, and what lint doubts in it."""

    document: str
    doubts: tuple[Finding, ...]


def name_of_group(document: str) -> str:
    """Return the name of a group from its text; InvalidRulesetError if the text cannot be read."""
    return _read(document)[0].group.name


def check_group(context: Context, document: str) -> tuple[Finding, ...]:
    """Return the errors and warnings of a group, with the checks of a proposal; nothing is stored.

    NotFoundError if the entity type does not exist.
    """
    return tuple(_review(context, document)[1])


def propose_group(
    context: Context, document: str, reason: str, accept_warnings: str = "", expected_newest: int | None = None
) -> GroupLine:
    """Propose a version of a group; another person approves it.

    Args:
        context: who writes it, and so cannot approve it.
        document: YAML or JSON.
        reason: why.
        accept_warnings: why it is proposed in spite of lint's warnings.
        expected_newest: the number of the newest version while it was written, 0 for none; None for no check.

    Raises:
        InvalidRulesetError: it cannot be read or used, does not fit the organisation, or an example fails; or there are
            warnings not accepted.
        ConfigError: there is no reason.
        NotFoundError: there is no such entity type.
        ConflictError: the newest version has the same content, and is not retired; or it is not the expected one; or
            the group is of another type or purpose; or there are too many groups.
    """
    now = context.now()
    look = partial(_review, context, document)
    group, why = reviewed(look, reason, accept_warnings, SOURCE)  # takes a while, so before the transaction
    with context.writing() as session:
        written = lock_settings(session, context.organisation_id, now)
        kind = type_named(session, context.organisation_id, group.entity_type)
        refuse_misfits(group, context_of_type(session, kind), SOURCE)  # levels may have been chosen anew
        row = _row(session, context, group, kind, document, now, expected_newest)
        _record(session, context, "group.proposed", row, why, others=written)
        return group_line(row)


def _review(context: Context, text: str) -> tuple[Group, list[Finding]]:
    analysed, document = _read(text)
    group = analysed.group
    with context.reading() as session:
        around = context_of_type(session, type_named(session, context.organisation_id, group.entity_type))
    findings = [
        *organisation_findings(group, around),
        *lint_group(analysed, around.lists, document, around.declared),
    ]
    if not any(finding.fatal for finding in findings):
        findings += _examples(analysed, around, context.now())
    return group, findings


def _examples(analysed: AnalysedGroup, around: OrganisationContext, now_us: int) -> list[Finding]:
    """Return findings for examples that fail or cannot be run."""
    try:
        results = run_group_examples(analysed, around.lists, now_us)
    except InvalidRulesetError as wrong:
        return list(wrong.findings)
    return [
        Finding(f"example {each.name}", f"is {each.actual}, not {each.expected}") for each in results if not each.passed
    ]


def _read(text: str) -> tuple[AnalysedGroup, Document]:
    document = Document(text, SOURCE)
    return AnalysedGroup(read_document(Group, document, SOURCE)), document


def _row(
    session: Session,
    context: Context,
    group: Group,
    kind: EntityType,
    document: str,
    now_us: int,
    expected_newest: int | None,
) -> GroupVersionRow:
    named = stored.find_group(session, context.organisation_id, group.name)
    if named is None:
        if stored.count_groups(session, context.organisation_id) >= MOST_GROUPS:
            raise ConflictError(
                f"there are {MOST_GROUPS} groups, and no organisation has more; propose another version of one of them"
            )
        named = NamedGroup(
            organisation_id=context.organisation_id,
            type_id=kind.id,
            name=group.name,
            purpose=group.purpose,
            created_us=now_us,
        )
        session.add(named)
        session.flush()
    if named.type_id != kind.id:
        raise ConflictError(f"the group {group.name} is of another entity type than {group.entity_type}, for good")
    if named.purpose != group.purpose:
        raise ConflictError(
            f"the purpose of the group {group.name} is {named.purpose}, for good: members were chosen for it"
        )
    newest = next(iter(stored.versions_of(session, context.organisation_id, group.name, Part(1))), None)
    last = None if newest is None else newest.version
    row = GroupVersion(
        group_id=named.id,
        organisation_id=context.organisation_id,
        number=next_number(last, group.name, group.content_hash, expected_newest),
        document=document,
        canonical=group.canonical,
        content_hash=group.content_hash,
        state=PROPOSED,
        written_by=context.actor.name,
        written_us=now_us,
    )
    session.add(row)
    session.flush()
    return GroupVersionRow(row, named, kind.name)


def approve_group(
    context: Context,
    name: str,
    number: int,
    reason: str,
    expected_active: int | None = None,
    expected_hash: str | None = None,
) -> GroupLine:
    """Activate a proposed version in place of the one before.

    All entities of the type become due, part by part. *expected_active*: the number of the version that was active
    while this one was read, 0 for none; None for no check.
    *expected_hash*: the content hash of the version that was read; None for no check.

    Raises:
        ConfigError: there is no reason.
        NotFoundError: there is no such version.
        ConflictError: it is not proposed any more, the actor wrote it, or a newer one or another one than expected is
            active; or it is for commerce, and reads what has become `aml` since, or flows gave its tag because of that;
            or it is for `aml`, and the type says that its tag is for commerce; or flows, or runs that have yet to end,
            put entities into the group, and it now has a condition of its own; or its stored text was changed.
    """
    now = context.now()
    why = checked_reason(reason)
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        row = stored.version_numbered(session, context.organisation_id, name, number)
        before = stored.active_version(session, row.group.id)
        replaced = approve_version(session, context, row.version, before, name, now, expected_active, expected_hash)
        unchanged_canonical(row.version, f"the group {name}")
        refuse_feeding_commerce(session, context.organisation_id)
        refuse_tags_of_aml_groups(session, session.get_one(EntityType, row.group.type_id), [tag_of_group(name)])
        _refuse_tag_of_aml(session, row)
        refuse_unusable_flows(session, context.organisation_id)
        refuse_groups_awaited(session, context.organisation_id)
        touched = _mark(session, context, row, now)
        others = None if before is None else digests(session, "group_versions", [before.id])
        about = {"replaced": replaced, "touched": touched}
        _record(session, context, "group.approved", row, {"reason": why}, others=others, **about)
        return group_line(row)


def _refuse_tag_of_aml(session: Session, row: GroupVersionRow) -> None:
    """Refuse a group for commerce that flows keep by a tag, if they gave that tag because of what is `aml`."""
    group = analyse_canonical_group(row.version.canonical).group
    if group.kept_by is not None and group.purpose != "aml":
        kind = session.get_one(EntityType, row.group.type_id)
        refuse_tags_of_flows(session, kind, [tag_of_group(group.name)])


def _mark(session: Session, context: Context, row: GroupVersionRow, now_us: int) -> int:
    """Mark all entities of the type due; facts that follow links wait until the group's version is committed."""
    kind = type_named(session, context.organisation_id, row.entity_type, locked=True)
    return mark_everybody(session, kind, Reason.GROUP, now_us, now_us)


def retire_group(
    context: Context,
    name: str,
    number: int,
    reason: str,
    expected_state: str | None = None,
    expected_hash: str | None = None,
) -> GroupLine:
    """Refuse or withdraw a proposed version, or retire the active one: then its members leave, part by part.

    *expected_state* and *expected_hash* are of the version that was read; None for no check.

    Raises:
        ConfigError: there is no reason.
        NotFoundError: there is no such version.
        ConflictError: it is retired already, is not the expected one, or is in another state; or it is active, and a
            flow that acts or runs as a shadow names it, or an unfinished run of an earlier version may put entities
            into it.
    """
    now = context.now()
    why = checked_reason(reason)
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        row = stored.version_numbered(session, context.organisation_id, name, number)
        was = end_version(session, row.version, name, expected_state, expected_hash)
        if was == ACTIVE:
            refuse_unusable_flows(session, context.organisation_id)
            refuse_groups_awaited(session, context.organisation_id)
        touched = _mark(session, context, row, now) if was == ACTIVE else 0
        _record(session, context, "group.retired", row, {"reason": why}, was=was, touched=touched)
        return group_line(row)


def groups_of_organisation(
    context: Context, name: str | None = None, part: Part = WHOLE, *, with_aml: bool
) -> Page[GroupLine]:
    """List the versions of one group, or of all, by name, the newest first; those for `aml` only if *with_aml*."""
    with context.reading() as session:
        return stored.versions_of(session, context.organisation_id, name, part, with_aml=with_aml).map(group_line)


def active_number(context: Context, name: str) -> int | None:
    """Return the number of the active version of a group; None if there is none."""
    with context.reading() as session:
        group = stored.find_group(session, context.organisation_id, name)
        row = None if group is None else stored.active_version(session, group.id)
        return None if row is None else row.number


def how_versions_ended(context: Context, name: str) -> Mapping[int, VersionEnd]:
    """Return who ended each retired version of a group, when and why, by version number."""
    with context.reading() as session:
        group = stored.group_named(session, context.organisation_id, name)
        return ends_of_versions(session, context.organisation_id, "group", [group.id])


def show_group(context: Context, name: str, number: int) -> GroupView:
    """Return a version as it was written, with lint's present findings; NotFoundError if it does not exist."""
    with context.reading() as session:
        row = stored.version_numbered(session, context.organisation_id, name, number)
        line, text = group_line(row), row.version.document
        lists = named_lists(session, context.organisation_id)
        declared = declared_of(session, type_named(session, context.organisation_id, line.entity_type))
    analysed, document = _read(text)
    return GroupView(**vars(line), document=text, doubts=tuple(lint_group(analysed, lists, document, declared)))


def visible_group(session: Session, context: Context, name: str, *, with_aml: bool) -> NamedGroup:
    """Find a group; NotFoundError if there is none, or it is for `aml` and *with_aml* is false."""
    row = stored.find_group(session, context.organisation_id, name)
    if row is None or (not with_aml and row.purpose == "aml"):
        groups = stored.groups_of_organisation(session, context.organisation_id)
        names = [group.name for group in groups if with_aml or group.purpose != "aml"]
        raise NotFoundError(f"there is no group {name!r}{perhaps(name, names)}")
    return row


def group_line(row: GroupVersionRow) -> GroupLine:
    """Return a version as it is listed."""
    version, group, entity_type = row
    return row_as(
        GroupLine,
        version,
        name=group.name,
        title=analyse_canonical_group(version.canonical).group.title,
        entity_type=entity_type,
        purpose=group.purpose,
    )


def _record(
    session: Session,
    context: Context,
    action: str,
    row: GroupVersionRow,
    after: dict[str, Any],
    others: Digests | None = None,
    **details: Any,
) -> None:
    version, group, _ = row
    context.record(
        session,
        action,
        ("group", group.id),
        after=after,
        details={**about_version("group", group.name, version), **details},
        rows=merge_digests(digests(session, "group_versions", [version.id]), others or {}),
    )
