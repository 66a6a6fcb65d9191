"""Policies: one person proposes a version and another approves it; then it is the only one of its name that decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, Finding
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.risk.compiler.analysis import AnalysedPolicy, analyse_canonical_policy
from fivefold.risk.governance.lint.policy import lint_policy
from fivefold.risk.language import policy as language
from fivefold.risk.language.documents import Document
from fivefold.risk.language.reading import read_document
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.audit.bound_rows import Digests, digests, merge_digests
from fivefold.store.audit.chain import unchanged_canonical
from fivefold.store.decisions import active_policy, policy_numbered, policy_versions
from fivefold.store.ingest.entities import type_named
from fivefold.store.tables.events import Policy
from fivefold.store.tables.versions import ACTIVE, PROPOSED
from fivefold.usecases.accounts.flows_in_force import refuse_unusable_flows
from fivefold.usecases.accounts.lists import named_lists
from fivefold.usecases.accounts.purposes import declared_of, refuse_feeding_commerce
from fivefold.usecases.accounts.settings import lock_settings
from fivefold.usecases.audit.search import VersionEnd, ends_of_versions
from fivefold.usecases.rulesets.life_cycle import (
    about_version,
    approve_version,
    end_version,
    next_number,
    refuse_ended,
    reviewed,
)
from fivefold.usecases.rulesets.review import (
    OrganisationContext,
    context_of_type,
    organisation_findings,
    refuse_misfits,
)
from fivefold.usecases.shared.api_fields import Moment, row_as, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason

SOURCE = "the policy"


@dataclass(frozen=True, kw_only=True)
class PolicyLine:
    """A version of a policy; one version of a name is active at most, and its author never approved it.

    Attributes:
        number: counted from 1 in each policy.
        purpose: the purpose of the policy and of its actions, unless the text of an action names another.
        state: proposed, active or retired.
        approved_by: who approved it, or None.
    """

    name: str
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
class PolicyView(PolicyLine):
    """A version of a policy as it was written, and what lint doubts in it."""

    document: str
    doubts: tuple[Finding, ...]


def name_of_policy(document: str) -> str:
    """Return the name of a policy from its text; InvalidRulesetError if the text cannot be read."""
    return _read(document)[0].policy.name


def check_policy(context: Context, document: str) -> tuple[Finding, ...]:
    """Return the errors and warnings of a policy, with the checks of a proposal; nothing is stored.

    NotFoundError if the entity type does not exist.
    """
    return tuple(_review(context, document)[1])


def propose_policy(
    context: Context, document: str, reason: str, accept_warnings: str = "", expected_newest: int | None = None
) -> PolicyLine:
    """Propose a version of a policy; another person approves it.

    Args:
        context: who writes it, and so cannot approve it.
        document: YAML or JSON.
        reason: why.
        accept_warnings: why it is proposed in spite of lint's warnings.
        expected_newest: the number of the newest version while it was written, 0 for none; None for no check.

    Raises:
        InvalidRulesetError: it cannot be read or run, or does not fit the organisation; or there are warnings not
            accepted.
        ConfigError: there is no reason.
        NotFoundError: there is no such entity type.
        ConflictError: the newest version has the same content, and is not retired; or it is not the expected one; or
            the policy is of another entity type.
    """
    now = context.now()
    look = partial(_review, context, document)
    policy, why = reviewed(look, reason, accept_warnings, SOURCE)  # takes a while, so before the transaction
    with context.writing() as session:
        written = lock_settings(session, context.organisation_id, now)
        refuse_misfits(policy, _surroundings(session, context, policy), SOURCE)  # levels may have been chosen anew
        row = _row(session, context, policy, document, now, expected_newest)
        session.add(row)
        session.flush()
        _record(session, context, "policy.proposed", row, why, (row,), written)
        return policy_line(row)


def _review(context: Context, text: str) -> tuple[language.Policy, list[Finding]]:
    analysed, document = _read(text)
    with context.reading() as session:
        around = _surroundings(session, context, analysed.policy)
    findings = lint_policy(analysed, around.lists, document, around.declared)
    return analysed.policy, [*organisation_findings(analysed.policy, around), *findings]


def _read(text: str) -> tuple[AnalysedPolicy, Document]:
    document = Document(text, SOURCE)
    return AnalysedPolicy(read_document(language.Policy, document, SOURCE)), document


def _surroundings(session: Session, context: Context, policy: language.Policy) -> OrganisationContext:
    return context_of_type(session, type_named(session, context.organisation_id, policy.entity_type))


def _row(
    session: Session, context: Context, policy: language.Policy, document: str, now_us: int, expected_newest: int | None
) -> Policy:
    newest = next(iter(policy_versions(session, context.organisation_id, policy.name, Part(1))), None)
    number = next_number(newest, policy.name, policy.content_hash, expected_newest)
    if newest is not None and _type_of(newest) != policy.entity_type:
        raise ConflictError(f"the policy {policy.name} is of another entity type than {policy.entity_type}, for good")
    return Policy(
        organisation_id=context.organisation_id,
        name=policy.name,
        number=number,
        document=document,
        canonical=policy.canonical,
        content_hash=policy.content_hash,
        state=PROPOSED,
        written_by=context.actor.name,
        written_us=now_us,
    )


def approve_policy(
    context: Context,
    name: str,
    number: int,
    reason: str,
    expected_active: int | None = None,
    expected_hash: str | None = None,
) -> PolicyLine:
    """Activate a proposed version in place of the one before.

    *expected_active*: the number of the version that decided while this one was read, 0 for none; None for no check.
    *expected_hash*: the content hash of the version that was read; None for no check.

    Raises:
        ConfigError: there is no reason.
        NotFoundError: there is no such version.
        ConflictError: it is not proposed any more, the actor wrote it, or a newer one or another one than expected is
            active; or it is for commerce, and reads what has become `aml` since; or a flow that asks it could not run
            any more; or its stored text was changed.
    """
    now = context.now()
    why = checked_reason(reason)
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        row = policy_numbered(session, context.organisation_id, name, number)
        before = active_policy(session, context.organisation_id, name)
        replaced = approve_version(session, context, row, before, name, now, expected_active, expected_hash)
        unchanged_canonical(row, f"the policy {name}")
        refuse_feeding_commerce(session, context.organisation_id)
        refuse_unusable_flows(session, context.organisation_id)
        changed_rows = (row,) if before is None else (before, row)
        _record(session, context, "policy.approved", row, {"reason": why}, changed_rows, replaced=replaced)
        return policy_line(row)


def policy_as_seen(
    context: Context, name: str, number: int, expected_state: str | None, expected_hash: str | None
) -> PolicyLine:
    """Return a version that is to be refused, or retired by a proposal, depending on its state.

    *expected_state* and *expected_hash* are of the version that was read; None for no check. NotFoundError for an
    unknown version; ConflictError if it is not the expected one, or in another state.
    """
    with context.reading() as session:
        row = policy_numbered(session, context.organisation_id, name, number)
        refuse_ended(row, name, expected_state, expected_hash)
        return policy_line(row)


def refuse_policy(context: Context, name: str, number: int, reason: str) -> PolicyLine:
    """Refuse or withdraw a proposed version, which never decided.

    Raises:
        ConfigError: there is no reason.
        NotFoundError: there is no such version.
        ConflictError: it is active, or retired already.
    """
    why = checked_reason(reason)
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        row = policy_numbered(session, context.organisation_id, name, number)
        if row.state == ACTIVE:
            raise ConflictError(f"version {number} of {name} is active; to retire it is proposed, and approved")
        return _retired(session, context, row, why)


def retire_policy_in(session: Session, context: Context, name: str, number: int, why: str) -> PolicyLine:
    """Retire an active version; then nothing decides under its name.

    It runs in the transaction that approves the proposal.

    Raises:
        NotFoundError: there is no such version.
        ConflictError: it is not active, or a flow that acts or runs as a shadow asks it.
    """
    row = policy_numbered(session, context.organisation_id, name, number)
    if row.state != ACTIVE:
        raise ConflictError(f"version {number} of {name} is {row.state}; one that is active can be retired")
    line = _retired(session, context, row, why)
    refuse_unusable_flows(session, context.organisation_id)
    return line


def _retired(session: Session, context: Context, row: Policy, why: str) -> PolicyLine:
    was = end_version(session, row, row.name)
    _record(session, context, "policy.retired", row, {"reason": why}, (row,), was=was)
    return policy_line(row)


def policies_of(context: Context, name: str | None = None, part: Part = WHOLE) -> Page[PolicyLine]:
    """List the versions of one policy, or of all: by name, the newest first."""
    with context.reading() as session:
        return policy_versions(session, context.organisation_id, name, part).map(policy_line)


def active_number(context: Context, name: str) -> int | None:
    """Return the number of the active version of a policy; None if there is none."""
    with context.reading() as session:
        row = active_policy(session, context.organisation_id, name)
        return None if row is None else row.number


def how_versions_ended(context: Context, name: str) -> Mapping[int, VersionEnd]:
    """Return who ended each retired version of a policy, when and why, by version number."""
    with context.reading() as session:
        numbers = [row.id for row in policy_versions(session, context.organisation_id, name)]
        return ends_of_versions(session, context.organisation_id, "policy", numbers)


def show_policy(context: Context, name: str, number: int) -> PolicyView:
    """Return a version as it was written, with lint's present findings; NotFoundError if it does not exist."""
    with context.reading() as session:
        row = policy_numbered(session, context.organisation_id, name, number)
        lists, line, text = named_lists(session, context.organisation_id), policy_line(row), row.document
        declared = declared_of(session, type_named(session, context.organisation_id, line.entity_type))
    analysed, document = _read(text)
    return PolicyView(**vars(line), document=text, doubts=tuple(lint_policy(analysed, lists, document, declared)))


def policy_line(row: Policy) -> PolicyLine:
    """Return a version as it is listed."""
    return row_as(
        PolicyLine, row, entity_type=_type_of(row), purpose=analyse_canonical_policy(row.canonical).policy.purpose
    )


def _type_of(row: Policy) -> str:
    return analyse_canonical_policy(row.canonical).policy.entity_type


def _record(
    session: Session,
    context: Context,
    action: str,
    row: Policy,
    after: dict[str, Any],
    changed_rows: Sequence[Policy],
    others: Digests | None = None,
    **details: Any,
) -> None:
    context.record(
        session,
        action,
        ("policy", row.id),
        after=after,
        details={**about_version("policy", row.name, row), **details},
        rows=merge_digests(digests(session, "policies", [each.id for each in changed_rows]), others or {}),
    )
