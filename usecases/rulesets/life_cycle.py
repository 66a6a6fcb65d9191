"""The life of a ruleset, a flow, a policy or a group: the author of a version never lets it decide.

Rulesets and flows have drafts, whose revision each call names; a draft is committed, and another person activates the
version. One person proposes a version of a policy or a group, and another approves it.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, Finding, InvalidRulesetError
from fivefold.risk.language.base import IDENTIFIER
from fivefold.risk.language.documents import Document
from fivefold.risk.language.messages import problem_of
from fivefold.store.tables.versions import (
    ACTIVE,
    PROPOSED,
    RETIRED,
    CommittedColumns,
    DraftColumns,
    ProposedColumns,
    VersionColumns,
)
from fivefold.usecases.accounts.second_person import refuse_same_person
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason, refuse_unseen, refuse_unseen_content, refuse_unseen_state

NO_DRAFT = 0
"""The revision that stands for the absence of a draft."""
SOURCE = "the draft"
_Read = TypeVar("_Read")


def names_in(document: str, word: str) -> tuple[str, str]:
    """Return the name that a document has under *word*, such as `ruleset`, and its entity type.

    InvalidRulesetError if one of them is missing or invalid.
    """
    read = Document(document, SOURCE)
    if not isinstance(read.data, dict):
        raise InvalidRulesetError([Finding(SOURCE, f"must be a mapping that begins with `{word}: NAME`")], SOURCE)
    names, faults = [], []
    for each in (word, "entity_type"):
        try:
            names.append(IDENTIFIER.validate_python(read.data.get(each)))
        except ValidationError as error:
            is_there = each in read.data
            problem = problem_of(error.errors(include_url=False)[0], ()) if is_there else "is missing"
            _, line, column = read.position((each,)) if is_there else ((), None, None)
            faults.append(Finding(each, problem, line, column=column))
    if faults:
        raise InvalidRulesetError(faults, SOURCE)
    return names[0], names[1]


def refuse_other_name(document: str, word: str, expected: str) -> None:
    """Raise InvalidRulesetError if a document names another ruleset or flow than *expected*."""
    name = names_in(document, word)[0]
    if name != expected:
        raise InvalidRulesetError([Finding(word, f"is {name}; here it must be {expected}")], SOURCE)


def refuse_other_revision(called: str, draft: DraftColumns | None, expected_revision: int) -> None:
    """Raise ConflictError if a draft is not of the expected revision; *called* names its subject in the message."""
    present = NO_DRAFT if draft is None else draft.revision
    if present != expected_revision:
        there = "has no draft now (revision 0)" if draft is None else f"has a draft of revision {present}"
        raise ConflictError(f"{called} {there}, not {expected_revision}: it was changed meanwhile; read it first")


def refuse_other_newest(called: str, newest: CommittedColumns | None, expected_newest: int | None) -> None:
    """Raise ConflictError if *newest* is not the expected version; *called* names its subject in the message."""
    if expected_newest is not None and newest is not None and newest.number != expected_newest:
        raise ConflictError(f"version {newest.number} of {called} was committed meanwhile")


def write_draft(draft: DraftColumns, document: str, editor: str, now_us: int) -> bool:
    """Write a text as a draft's next revision; False if the draft has this text and this editor already."""
    if draft.document == document and editor in draft.editors:
        return False
    draft.document, draft.edited_us = document, now_us
    draft.editors = list(dict.fromkeys([*draft.editors, editor]))
    draft.revision += 1
    return True


def refuse_findings(findings: Sequence[Finding], why: str, source: str, purpose: str) -> None:
    """Raise InvalidRulesetError for errors, or for warnings that *why* does not accept.

    *source* names the document in the message, *purpose* is what happens to it, such as `to be committed`.
    """
    is_wrong = any(finding.fatal for finding in findings)
    if is_wrong or (findings and not why):
        accept = Finding("accept_warnings", f"is empty; say why it is {purpose} with these doubts")
        raise InvalidRulesetError([*findings, *([] if is_wrong else [accept])], source)


def refuse_uncommittable(
    errors: Sequence[Finding], warnings: Sequence[Finding], why: str, name: str, revision: int
) -> str:
    """Raise InvalidRulesetError if a draft has errors, or warnings that *why* does not accept.

    Returns why it is committed in spite of its warnings; empty if it has none.
    """
    source = f"the draft of {name}, revision {revision},"
    refuse_findings([*errors, *(() if why else warnings)], why, source, "to be committed")
    return why if warnings else ""


def number_to_commit(newest: CommittedColumns | None, content_hash: str, called: str) -> int:
    """Return the number of a version committed after the *newest* one; *called* names its subject in the message.

    ConflictError if the newest version has this content.
    """
    if newest is not None and newest.content_hash == content_hash:
        raise ConflictError(f"version {newest.number} of {called} has this content already")
    return 1 if newest is None else newest.number + 1


def refuse_author(session: Session, context: Context, version: CommittedColumns, called: str) -> None:
    """Raise ConflictError if the actor, who is to activate a version, is or may be one who edited or committed it."""
    refuse_same_person(
        session,
        context.actor,
        (version.committed_by, *version.editors),
        f"edited or committed version {version.number} of {called}: another person activates",
    )


def objections(*checks: Callable[[], object]) -> tuple[str, ...]:
    """Return the message of each check that raises ConflictError."""
    against = []
    for check in checks:
        try:
            check()
        except ConflictError as error:
            against.append(str(error))
    return tuple(against)


def reviewed(
    review: Callable[[], tuple[_Read, Sequence[Finding]]], reason: str, accept_warnings: str, source: str
) -> tuple[_Read, dict[str, str]]:
    """Review a proposed text; return it as it was read, and the reasons that the audit log keeps.

    Raises:
        InvalidRulesetError: it has errors, or warnings that were not accepted.
        ConfigError: the reason is empty.
    """
    why = checked_reason(reason)
    accepted = checked_reason(accept_warnings, "accept_warnings") if accept_warnings else ""
    written, findings = review()
    refuse_findings(findings, accepted, source, "to be")
    return written, {"reason": why, **({"accept_warnings": accepted} if findings else {})}


def next_number(newest: ProposedColumns | None, name: str, content_hash: str, expected_newest: int | None) -> int:
    """Return the number of a version that is proposed after the *newest* one.

    ConflictError if the newest one has the same content and is not retired, or is not the one that was expected.
    """
    last = 0 if newest is None else newest.number
    if newest is not None and newest.content_hash == content_hash and newest.state != RETIRED:
        raise ConflictError(f"version {last} of {name} says the same, and is {newest.state}")
    refuse_unseen(f"the newest version of {name}", expected_newest, last)
    return last + 1


def approve_version(
    session: Session,
    context: Context,
    row: ProposedColumns,
    active: ProposedColumns | None,
    name: str,
    now_us: int,
    expected_active: int | None,
    expected_hash: str | None,
) -> int | None:
    """Let a proposed version decide in place of the *active* one; return the latter's number, None if there was none.

    ConflictError if the version is no longer proposed, its writer approves it, its content is not the expected one, or
    the active version is newer or not the expected one.
    """
    of = f"version {row.number} of {name}"
    refuse_unseen_content(of, expected_hash, row.content_hash)
    if row.state != PROPOSED:
        raise ConflictError(f"{of} is {row.state}; what is proposed can be approved")
    refuse_same_person(session, context.actor, (row.written_by,), f"wrote {of}; another person approves it")
    if active is not None and active.number > row.number:
        raise ConflictError(f"version {active.number} of {name} is active and newer; propose this one anew")
    refuse_unseen(f"the active version of {name}", expected_active, None if active is None else active.number)
    if active is not None:
        active.state = RETIRED
        session.flush()
    row.state, row.approved_by, row.approved_us = ACTIVE, context.actor.name, now_us
    return None if active is None else active.number


def refuse_ended(row: ProposedColumns, name: str, expected_state: str | None, expected_hash: str | None) -> None:
    """Raise ConflictError if a version that is to end has ended, or its content or state is not the expected one."""
    of = f"version {row.number} of {name}"
    refuse_unseen_content(of, expected_hash, row.content_hash)
    if row.state == RETIRED:
        raise ConflictError(f"{of} was refused or retired already")
    refuse_unseen_state(of, expected_state, row.state)


def end_version(
    session: Session,
    row: ProposedColumns,
    name: str,
    expected_state: str | None = None,
    expected_hash: str | None = None,
) -> str:
    """Refuse a proposed version, or retire an active one; return the state it had. ConflictError as `refuse_ended`."""
    refuse_ended(row, name, expected_state, expected_hash)
    was, row.state = row.state, RETIRED
    session.flush()
    return was


def about_version(kind: str, name: str, version: VersionColumns) -> dict[str, Any]:
    """Return the details by which the audit log names a version."""
    return {kind: name, "version": version.number, "content_hash": version.content_hash}
