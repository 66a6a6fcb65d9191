"""The life of a text that decides, whether a ruleset, a flow, a policy or a group: who wrote it never lets it decide.

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
"""The revision that stands for: there is no draft."""
SOURCE = "the draft"
_Read = TypeVar("_Read")


def names_in(document: str, word: str) -> tuple[str, str]:
    """Tell what a document is of, by the *word* that it begins with, and of which entity type.

    InvalidRulesetError where it does not say so.
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
    """Raise InvalidRulesetError where a document is of another ruleset or flow than it is to be saved as."""
    name = names_in(document, word)[0]
    if name != expected:
        raise InvalidRulesetError([Finding(word, f"is {name}; here it must be {expected}")], SOURCE)


def refuse_other_revision(called: str, draft: DraftColumns | None, expected_revision: int) -> None:
    """Raise ConflictError where a draft is not of the expected revision; *called*: what it is of, for people."""
    present = NO_DRAFT if draft is None else draft.revision
    if present != expected_revision:
        there = "has no draft now (revision 0)" if draft is None else f"has a draft of revision {present}"
        raise ConflictError(f"{called} {there}, not {expected_revision}: it was changed meanwhile; read it first")


def refuse_other_newest(called: str, newest: CommittedColumns | None, expected_newest: int | None) -> None:
    """Raise ConflictError where another version than the expected one is the newest; *called*: what it is of."""
    if expected_newest is not None and newest is not None and newest.number != expected_newest:
        raise ConflictError(f"version {newest.number} of {called} was committed meanwhile")


def write_draft(draft: DraftColumns, document: str, editor: str, now_us: int) -> bool:
    """Put a text into a draft as its next revision; False where it is there already, and the editor among its own."""
    if draft.document == document and editor in draft.editors:
        return False
    draft.document, draft.edited_us = document, now_us
    draft.editors = list(dict.fromkeys([*draft.editors, editor]))
    draft.revision += 1
    return True


def refuse_findings(findings: Sequence[Finding], why: str, source: str, purpose: str) -> None:
    """Raise InvalidRulesetError where something is wrong, or doubtful and *why* does not accept it.

    *source* names the document in the error, *purpose* what it is for: `to be committed`.
    """
    is_wrong = any(finding.fatal for finding in findings)
    if is_wrong or (findings and not why):
        accept = Finding("accept_warnings", f"is empty; say why it is {purpose} with these doubts")
        raise InvalidRulesetError([*findings, *([] if is_wrong else [accept])], source)


def refuse_uncommittable(
    errors: Sequence[Finding], warnings: Sequence[Finding], why: str, name: str, revision: int
) -> str:
    """Raise InvalidRulesetError where a draft cannot be committed, or is doubtful and *why* does not accept it.

    Returns why it is committed in spite of its warnings; empty where it has none.
    """
    source = f"the draft of {name}, revision {revision},"
    refuse_findings([*errors, *(() if why else warnings)], why, source, "to be committed")
    return why if warnings else ""


def number_to_commit(newest: CommittedColumns | None, content_hash: str, called: str) -> int:
    """Return the number of a version that is committed after the *newest* one; *called*: what it is of, for people.

    ConflictError where that one has this content.
    """
    if newest is not None and newest.content_hash == content_hash:
        raise ConflictError(f"version {newest.number} of {called} has this content already")
    return 1 if newest is None else newest.number + 1


def refuse_author(session: Session, context: Context, version: CommittedColumns, called: str) -> None:
    """Raise ConflictError where who is to let a version decide edited or committed it, or may be the same person."""
    refuse_same_person(
        session,
        context.actor,
        (version.committed_by, *version.editors),
        f"edited or committed version {version.number} of {called}: another person activates",
    )


def objections(*checks: Callable[[], object]) -> tuple[str, ...]:
    """Say what each of the checks that raises ConflictError has against a version."""
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
    """Look through a text that is proposed; return it as it was read, and what the audit log keeps of why.

    Raises:
        InvalidRulesetError: something is wrong in it, or doubtful, and the warnings are not accepted.
        ConfigError: the reason is empty.
    """
    why = checked_reason(reason)
    accepted = checked_reason(accept_warnings, "accept_warnings") if accept_warnings else ""
    written, findings = review()
    refuse_findings(findings, accepted, source, "to be")
    return written, {"reason": why, **({"accept_warnings": accepted} if findings else {})}


def next_number(newest: ProposedColumns | None, name: str, content_hash: str, expected_newest: int | None) -> int:
    """Return the number of a version that is proposed after the *newest* one.

    ConflictError where that one says the same and is not retired, or is another one than was expected.
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
    """Let a proposed version decide in place of the *active* one; return the number of that, None where none did.

    ConflictError where it is not proposed any more, its writer approves it, a newer one is active, or another one than
    was expected, or it has another content than was expected.
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
    """Raise ConflictError where a version that is to end is another than was looked at, ended, or in another state."""
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
    """Refuse a proposed version, or retire an active one; return which it was. ConflictError as `refuse_ended`."""
    refuse_ended(row, name, expected_state, expected_hash)
    was, row.state = row.state, RETIRED
    session.flush()
    return was


def about_version(kind: str, name: str, version: VersionColumns) -> dict[str, Any]:
    """Give the details by which the audit log names a version."""
    return {kind: name, "version": version.number, "content_hash": version.content_hash}
