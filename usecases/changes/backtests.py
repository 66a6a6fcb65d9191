"""Backtests: requested by publishers, run in the background, required before a version may be activated.

A backtest is of a content, whichever draft or version has it: editing a draft, or committing it, changes no backtest.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.compiler.value_types import column_for, vocabulary
from fivefold.risk.engine.explain.describe import input_words
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.ruleset import Ruleset
from fivefold.store.accounts.organisation import base_currency_of, settings_row
from fivefold.store.audit.bound_rows import digests
from fivefold.store.ingest.entities import names_of_entities
from fivefold.store.rulesets.backtests import (
    backtest_numbered,
    backtests_of,
    forget_movers,
    keep_movers,
    movers_of,
    under_way,
    without_erased,
)
from fivefold.store.rulesets.rulesets import (
    draft_of,
    family_named,
    newest_numbers,
    rulesets_of_versions,
    version_numbered,
)
from fivefold.store.sql.database import reading
from fivefold.store.sql.jobs import OPEN
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.rulesets import Backtest, Family
from fivefold.usecases.changes.proposal_backtests import proposal_setting, run_proposal_backtest
from fivefold.usecases.rulesets.review import context_of, read_matching_ruleset
from fivefold.usecases.rulesets.run_backtest import run_backtest, setting_of
from fivefold.usecases.shared.actors import SYSTEM, Actor
from fivefold.usecases.shared.api_fields import Moment, row_as, shown_as
from fivefold.usecases.shared.context import Context, record
from fivefold.usecases.shared.inputs import checked_reason
from fivefold.usecases.shared.jobs import JobKind, Lease, new_job

MOST_ATTEMPTS = 5
"""After this many workers that ended while they ran it, a backtest is quarantined: each attempt takes smaller parts."""


@dataclass(frozen=True, kw_only=True)
class BacktestLine:
    """A backtest; `done` of `total` entities were assessed so far, and `part` is assessed now.

    `state` is queued, running, done, failed, cancelled, or quarantined if it ended `attempts` workers; `error` says
    why.

    Attributes:
        family: of its content; None for a proposal's.
        version: that has its content; None for a draft's.
        proposal: its proposal, if it is not of a ruleset's content.
        state: queued, running, done, failed, cancelled or quarantined.
        done: assessed entities, of `total`; both 0 before it begins.
        error: why it failed, was cancelled or is quarantined.
        attempts: how often a worker began it.
        part: what is assessed now, in words; None unless it runs.
        movers_removed_us: when the retention policy removed its movers; None if it did not.
    """

    id: int
    family: str | None
    version: int | None
    proposal: int | None
    content_hash: str
    state: str
    done: int
    total: int
    requested_by: str
    requested_us: Annotated[Moment, shown_as("requested_at")]
    finished_us: Annotated[Moment | None, shown_as("finished_at")]
    error: str | None
    attempts: int
    part: str | None
    movers_removed_us: Annotated[Moment | None, shown_as("movers_removed_at")]


def request_backtest(context: Context, family: str, version: int | None = None) -> BacktestLine:
    """Request a backtest of a version, or of the draft; if one of its content is under way already, return that.

    Raises:
        NotFoundError: there is no such family or version, or no draft.
        InvalidRulesetError: the draft cannot be run, or does not fit the organisation.
    """
    now = context.now()
    with context.reading() as session:
        ruleset = _content(session, family_named(session, context.organisation_id, family), version)
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        family_row = family_named(session, context.organisation_id, family)
        running = under_way(session, family_row.id, ruleset.content_hash)
        if running is not None:
            return _line(session, running)
        content = {"content_hash": ruleset.content_hash, "canonical": ruleset.canonical}
        backtest = Backtest(**new_job(context, now), family_id=family_row.id, type_id=family_row.type_id, **content)
        session.add(backtest)
        session.flush()
        _record(session, backtest, "backtest.requested", context.actor.name)
        return _line(session, backtest)


def _content(session: Session, family: Family, version: int | None) -> Ruleset:
    if version is None:
        return read_matching_ruleset(draft_of(session, family).document, context_of(session, family))
    return analyse_canonical(version_numbered(session, family, version).canonical).ruleset


def _record(session: Session, backtest: Backtest, action: str, actor: str, after: dict[str, str] | None = None) -> None:
    whose = (
        {"ruleset_id": backtest.family_id} if backtest.proposal_id is None else {"proposal_id": backtest.proposal_id}
    )
    details = {**whose, "content_hash": backtest.content_hash}
    of = ("backtest", backtest.id)
    rows = digests(session, "backtests", [backtest.id])
    record(session, Actor(backtest.organisation_id, actor), action, of, after=after, details=details, rows=rows)


def list_backtests(context: Context, family: str, part: Part = WHOLE) -> Page[BacktestLine]:
    """List the backtests of a family, the newest first; NotFoundError if there is none of that name."""
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        page = backtests_of(session, family_row.id, part)
        versions = newest_numbers(session, family_row.id, {row.content_hash for row in page})
        return page.map(lambda row: _line_with(row, family_row.name, versions.get(row.content_hash)))


def read_backtest(context: Context, number: int) -> BacktestLine:
    """Show the progress of a backtest; NotFoundError if there is none of that number."""
    with context.reading() as session:
        return _line(session, backtest_numbered(session, context.organisation_id, number))


def report_of(context: Context, number: int) -> dict[str, Any]:
    """Return the result of a backtest, with customers by their external names; NotFoundError unless it is done."""
    with context.reading() as session:
        row = session.get(Backtest, number)
        if row is None or row.organisation_id != context.organisation_id or row.report is None:
            raise NotFoundError(f"there is no finished backtest {number}")
        report: dict[str, Any] = json.loads(row.report)
        report.pop("validity", None)  # internal numbers
        if report["basis"] == "customers":
            _name_customers(session, row.organisation_id, report["backtest"])
        return report


@dataclass(frozen=True, kw_only=True)
class RulesetDecides:
    """A ruleset that decides before or after a change; `version` is None for an uncommitted text."""

    name: str
    version: int | None


@dataclass(frozen=True, kw_only=True)
class BacktestSubject:
    """The subject of a finished backtest.

    Attributes:
        entity_type: of the assessed entities.
        proposal: the number of its proposal; None for a ruleset's content.
        before: the rulesets that decided when it was run, in the order in which they were tried; for a ruleset's
            content, that ruleset.
        after: the rulesets that would decide.
        looked_at: the input of each rule, by the rule's id, with the currency of money; none for a proposal.
    """

    entity_type: str
    proposal: int | None
    before: tuple[RulesetDecides, ...]
    after: tuple[RulesetDecides, ...]
    looked_at: Mapping[str, str] = field(default_factory=dict)


def subject_of_backtest(context: Context, number: int) -> BacktestSubject:
    """Return the subject of a backtest; NotFoundError if no finished one has that number."""
    with context.reading() as session:
        row = backtest_numbered(session, context.organisation_id, number)
        if row.report is None:
            raise NotFoundError(f"there is no finished backtest {number}")
        entity_type, report = session.get_one(EntityType, row.type_id).name, json.loads(row.report)
        if row.family_id is None:
            before, after = (_rulesets(session, report["decides"][side]) for side in ("before", "after"))
            return BacktestSubject(entity_type=entity_type, proposal=row.proposal_id, before=before, after=after)
        family, present = session.get_one(Family, row.family_id), report["present_version"]
        return BacktestSubject(
            entity_type=entity_type,
            proposal=None,
            before=() if present is None else (RulesetDecides(name=family.name, version=present),),
            after=(RulesetDecides(name=family.name, version=_committed(session, family, row)),),
            looked_at=_looked_at(
                analyse_canonical(row.canonical).ruleset, base_currency_of(session, family.organisation_id)
            ),
        )


def _rulesets(session: Session, pairs: list[tuple[str, int]]) -> tuple[RulesetDecides, ...]:
    """Name versions by the numbers that people know."""
    rulesets = rulesets_of_versions(session, [version_id for _, version_id in pairs])
    return tuple(
        RulesetDecides(name=rulesets[version_id][0], version=rulesets[version_id][1])
        for _, version_id in pairs
        if version_id in rulesets
    )


def _committed(session: Session, family: Family, row: Backtest) -> int | None:
    """Find the newest version that has a backtest's content; None for a draft's."""
    return newest_numbers(session, family.id, [row.content_hash]).get(row.content_hash)


def _looked_at(ruleset: Ruleset, base: str) -> dict[str, str]:
    """Name the input of each rule that has a single one."""
    names, inputs = vocabulary(ruleset), {}
    for rule in ruleset.rules:
        if rule.input is not None:
            money = column_for(rule.input, names, base).kind is ValueType.MONEY
            currency = f" in {base}" if money and getattr(rule.input, "in_currency", None) is None else ""
            inputs[rule.id] = f"{input_words(rule.input)}{currency}"
    return inputs


@dataclass(frozen=True, kw_only=True)
class MoverLine:
    """An entity whose level a backtest would change by the rules alone, with its level after the cooldown."""

    entity_type: str
    external_id: str
    before: str
    after: str
    later: str


def list_movers(
    context: Context, number: int, before: str | None = None, after: str | None = None, part: Part = WHOLE
) -> Page[MoverLine]:
    """List the entities whose level a finished backtest would change, all or those from one level, or to one.

    NotFoundError unless it is done. Entities without a level before are not listed; erased ones are not among them, and
    a backtest by an older version of fivefold has none. The retention policy may have removed them.
    """
    with context.reading() as session:
        row = backtest_numbered(session, context.organisation_id, number)
        if row.state != "done":
            raise NotFoundError(f"there is no finished backtest {number}")
        kind = session.get_one(EntityType, row.type_id).name
        return movers_of(session, number, before, after, part).map(
            lambda mover: row_as(MoverLine, mover, entity_type=kind)
        )


def _name_customers(session: Session, organisation_id: int, report: dict[str, Any]) -> None:
    """Replace numbers with external names: the stored report has none, so that it has no names of erased entities."""
    sides = [side for side in (report["draft"], report["present"]) if side is not None]
    rows = [*report["movers"], *(failure for side in sides for failure in side["failures"])]
    numbers = {int(row["entity"]) for row in rows}
    names = names_of_entities(session, organisation_id, numbers)
    for row in rows:
        number = int(row["entity"])
        row["entity"] = names[number][1] if number in names else row["entity"]


def _line(session: Session, row: Backtest) -> BacktestLine:
    """Describe a backtest with the newest version that has its content."""
    if row.family_id is None:
        return _line_with(row, None, None)
    family = session.get_one(Family, row.family_id)
    return _line_with(row, family.name, _committed(session, family, row))


def _line_with(row: Backtest, family: str | None, version: int | None) -> BacktestLine:
    part = row.part if row.state == "running" else None
    return row_as(BacktestLine, row, part=part, family=family, version=version, proposal=row.proposal_id)


def cancel_backtest(context: Context, number: int, reason: str) -> BacktestLine:
    """Cancel a waiting or running backtest; a worker stops at the next part.

    Raises:
        ConfigError: the reason is empty.
        NotFoundError: there is no such backtest.
        ConflictError: it has ended already.
    """
    now = context.now()
    why = checked_reason(reason)
    with context.writing() as session:
        row = backtest_numbered(session, context.organisation_id, number, locked=True)
        if row.state not in OPEN:
            raise ConflictError(f"backtest {number} is {row.state}; only a waiting or running one can be cancelled")
        row.state, row.error = "cancelled", f"{context.actor.name} cancelled it: {why}"
        row.lease_until_us, row.finished_us = None, now
        _record(session, row, "backtest.cancelled", context.actor.name, {"reason": why})
        return _line(session, row)


def _begin(row: Backtest) -> Callable[[Lease], None]:
    family_id, canonical = row.family_id, row.canonical
    return lambda lease: _run(lease, family_id, canonical)


def _run(lease: Lease, family_id: int | None, canonical: str) -> None:
    """Run a backtest of a ruleset's content, or of a proposal; store its report."""
    engine, number = lease.who.engine, lease.number
    if family_id is None:
        proposal = proposal_setting(engine, number, lease.began_us, lease.attempt)
        report = run_proposal_backtest(engine, proposal, lease.progress, partial(_store_movers, lease))
    else:
        with reading(engine) as session:
            family = session.get_one(Family, family_id)
            setting = setting_of(session, family, canonical, lease.began_us, lease.attempt)
        report = run_backtest(engine, setting, lease.progress, partial(_store_movers, lease))
    lease.keep(lambda session: {"report": without_erased(session, report)})


def _store_movers(lease: Lease, rows: pl.DataFrame) -> None:
    if len(rows):
        lease.store(lambda session: keep_movers(session, lease.number, rows))


BACKTESTS = JobKind(
    name="backtest",
    rows=Backtest,
    begin=_begin,
    most_attempts=MOST_ATTEMPTS,
    discard=forget_movers,
    record_end=lambda session, row: _record(session, row, f"backtest.{row.state}", SYSTEM),
)
