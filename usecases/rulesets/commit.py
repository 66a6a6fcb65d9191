"""Commits: a draft becomes a version that never changes, stored with the results of its examples."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from fivefold.risk.language.ruleset import Ruleset
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.audit.bound_rows import digests
from fivefold.store.rulesets.rulesets import draft_of, family_named, newest_version
from fivefold.store.tables.rulesets import Draft, Family, RulesetVersion
from fivefold.usecases.rulesets.life_cycle import (
    about_version,
    number_to_commit,
    refuse_other_revision,
    refuse_uncommittable,
)
from fivefold.usecases.rulesets.review import Review, context_of, review
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason


@dataclass(frozen=True)
class Committed:
    """A version that was committed; neither its editors nor who committed it may activate it.

    Attributes:
        number: of the version, from 1 in each family.
        content_hash: what its backtest is of.
        editors: those who edited the draft; neither they nor who committed it may activate it.
    """

    family: str
    number: int
    content_hash: str
    editors: tuple[str, ...]


def commit(context: Context, family: str, expected_revision: int, accept_warnings: str = "") -> Committed:
    """Make a version of a draft, and delete the draft.

    Args:
        context: the actor, who cannot activate the version.
        family: the ruleset's name.
        expected_revision: the revision of the draft that the actor looked at.
        accept_warnings: why it is committed despite lint's warnings; stored with the version, as the warnings are.

    Raises:
        NotFoundError: there is no such family, or no draft of it.
        InvalidRulesetError: the draft cannot be read or run, does not fit the organisation, or fails its examples; the
            examples cover too little; or there are warnings that were not accepted.
        ConflictError: the draft was saved or committed in between; or the newest version has this content already.
    """
    now = context.now()
    why = checked_reason(accept_warnings, "accept_warnings") if accept_warnings else ""
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        draft = draft_of(session, family_row)
        refuse_other_revision(family, draft, expected_revision)
        around = context_of(session, family_row)
    # The review takes a while, so it runs before the transaction.
    looked, ruleset = review(draft.document, family, draft.revision, around, now)
    why = refuse_uncommittable(looked.errors, looked.warnings, why, family, draft.revision)
    assert ruleset is not None  # what cannot be read has errors
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        family_row = family_named(session, context.organisation_id, family)
        present = session.get(Draft, family_row.id)
        refuse_other_revision(family, present, expected_revision)
        assert present is not None
        version = _version(session, family_row, present, ruleset, _tests(looked, why, now), context, now)
        session.add(version)
        session.delete(present)
        session.flush()
        _record(session, context, family_row, version, why)
        return Committed(family, version.number, version.content_hash, tuple(version.editors))


def _version(
    session: Session,
    family: Family,
    draft: Draft,
    ruleset: Ruleset,
    tests: dict[str, Any],
    context: Context,
    now_us: int,
) -> RulesetVersion:
    return RulesetVersion(
        organisation_id=context.organisation_id,
        family_id=family.id,
        number=number_to_commit(newest_version(session, family.id), ruleset.content_hash, family.name),
        document=draft.document,
        canonical=ruleset.canonical,
        content_hash=ruleset.content_hash,
        tests=tests,
        editors=draft.editors,
        committed_by=context.actor.name,
        committed_us=now_us,
    )


def _tests(looked: Review, why: str, now_us: int) -> dict[str, Any]:
    return {
        "revision": looked.revision,
        "as_of_us": now_us,
        "examples": [{"name": each.name, "line": each.line} for each in looked.examples],
        "rules_percent": looked.rules_percent,
        "cases_percent": looked.cases_percent,
        "not_reached": list(looked.not_reached),
        "warnings": [str(warning) for warning in looked.warnings],
        "warnings_accepted": why,
    }


def _record(session: Session, context: Context, family: Family, version: RulesetVersion, why: str) -> None:
    context.record(
        session,
        "ruleset.committed",
        ("ruleset", family.id),
        after={"accept_warnings": why},
        details=about_version("ruleset", family.name, version),
        rows=digests(session, "ruleset_versions", [version.id]),
    )
