"""References for peers: built by a worker from the platform's own portfolio, and proposed as a version of their list.

Peers are the entities on which the ruleset decides: those to which it applies, and no ruleset before it. Building puts
nothing in force: another person approves the version like that of any list.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, NotEnoughDataError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_canonical
from fivefold.risk.facts.peers import BuiltFor, made_reference
from fivefold.risk.language.base import canonical_form
from fivefold.store.accounts.organisation import lock_deciding
from fivefold.store.rulesets.jobs import JobOfVersion, jobs_of, open_job
from fivefold.store.rulesets.rulesets import family_named, version_numbered
from fivefold.store.sql.json_text import stored_report
from fivefold.store.tables.rulesets import Family, ReferenceJob, RulesetVersion
from fivefold.usecases.accounts.lists import list_version
from fivefold.usecases.accounts.purposes import refuse_peers_from_aml
from fivefold.usecases.changes.contents import ListVersionsAdded
from fivefold.usecases.changes.proposals import request_change_in
from fivefold.usecases.changes.reference_fit import small_groups
from fivefold.usecases.portfolio_files.reference import (
    number_lines,
    peer_numbers,
    peers_wanted,
    purpose_of,
    reference_hash,
    unread_cautions,
)
from fivefold.usecases.rulesets.peers import refuse_list_of_another
from fivefold.usecases.rulesets.run_backtest import LeftOut, reached_portfolios, setting_of
from fivefold.usecases.shared.api_fields import row_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import JobKind, JobLine, Lease, new_job


@dataclass(frozen=True, kw_only=True)
class ReferenceJobLine(JobLine):
    """A reference portfolio that a worker builds for a version of a ruleset.

    Attributes:
        list: of which it is to be a version.
        entities: from how many it was made; None until it is done, as `groups` and what follows.
        small_groups: groups with too few peers for a statement.
        unreadable: of each number that could not be read of everyone, of how many, and why.
        proposal: the change that would make it a version; None if it became one at once.
    """

    ruleset: str
    version: int
    list: str | None
    entities: int | None
    groups: int | None
    small_groups: int | None
    unreadable: tuple[str, ...] | None
    content_hash: str | None
    proposal: int | None


def request_reference(context: Context, ruleset: str, version: int) -> tuple[ReferenceJobLine, bool]:
    """Request the reference portfolio of a version of a ruleset; return the job, and whether it is new.

    Raises:
        NotFoundError: there is no such version.
        ConfigError: it places nothing among peers; or its list is for the peers of another ruleset.
        ConflictError: it is for commerce, and data for aml would choose its peers.
    """
    now = context.now()
    with context.writing() as session:
        lock_deciding(session, context.organisation_id)
        family = family_named(session, context.organisation_id, ruleset)
        row = version_numbered(session, family, version)
        analysed = analyse_canonical(row.canonical)
        name = _require_peers(analysed)
        refuse_list_of_another(session, context.organisation_id, name, BuiltFor.of(analysed.ruleset))
        refuse_peers_from_aml(session, row)
        present = open_job(session, row.id)
        if present is not None:
            return _line(family, JobOfVersion(present, version)), False
        job = ReferenceJob(**new_job(context, now), family_id=family.id, version_id=row.id)
        session.add(job)
        session.flush()
        details = {"ruleset": ruleset, "version": version}
        context.record(session, "reference.requested", ("ruleset", family.id), details=details)
        return _line(family, JobOfVersion(job, version)), True


def _require_peers(ruleset: AnalysedRuleset) -> str:
    """Return the name of the list from which a ruleset reads peers; ConfigError if it reads none."""
    name = ruleset.definition.reference
    if name is None or not ruleset.peer_inputs:
        raise ConfigError(f"{ruleset.definition.name} places nothing among peers, so it needs no reference portfolio")
    return name


def list_reference_jobs(context: Context, ruleset: str, part: Part = WHOLE) -> Page[ReferenceJobLine]:
    """List the requested reference portfolios of a ruleset, the newest first; NotFoundError without it."""
    with context.reading() as session:
        family = family_named(session, context.organisation_id, ruleset)
        return jobs_of(session, family.id, part).map(lambda job: _line(family, job))


def _line(family: Family, entry: JobOfVersion) -> ReferenceJobLine:
    """Describe a job with the figures of its report."""
    report: dict[str, Any] = {} if entry.job.report is None else json.loads(entry.job.report)
    return row_as(
        ReferenceJobLine,
        entry.job,
        ruleset=family.name,
        version=entry.version,
        list=report.get("list"),
        entities=report.get("entities"),
        groups=report.get("groups"),
        small_groups=report.get("small_groups"),
        unreadable=tuple(report["unreadable"]) if "unreadable" in report else None,
        content_hash=report.get("content_hash"),
        proposal=entry.job.proposal_id,
    )


def _begin(job: ReferenceJob) -> Callable[[Lease], None]:
    """Return the function that builds the portfolio part by part, and requests it as a version of its list."""
    family_id, version_id, attempt = job.family_id, job.version_id, job.attempts

    def make(lease: Lease) -> None:
        with lease.who.reading() as session:
            family, version = session.get_one(Family, family_id), session.get_one(RulesetVersion, version_id)
            name, number = family.name, version.number
            refuse_peers_from_aml(session, version)
            setting = setting_of(session, family, version.canonical, lease.began_us, attempt)
        list_name, peers = _require_peers(setting.draft), peers_wanted(setting.draft)
        left_out = LeftOut.none_of(setting)
        parts, base = [], ""
        for _, portfolio in reached_portfolios(lease.who.engine, setting, [setting.draft], left_out, lease.progress):
            parts.append(peer_numbers(setting.draft, peers, portfolio, setting.as_of_us))
            base = portfolio.rates.base
        numbers = pl.concat(parts) if parts else None
        if numbers is None or not len(numbers):
            raise NotEnoughDataError(_no_peers(name, left_out.decided))
        reference = made_reference(peers, numbers, setting.as_of_us, base, BuiltFor.of(setting.draft.ruleset))
        members, lines = reference.lines(), number_lines(reference, peers, numbers)
        source = (
            f"{len(numbers):,} of type {setting.draft.definition.entity_type} as of {day_text(setting.as_of_us)[:10]}"
        )
        words = (f"Peers for {name}", source)
        document = list_version(list_name, setting.as_of_us, members, *words, purpose_of(setting.draft))

        def write(session: Session) -> dict[str, Any]:
            why = f"Built from the portfolio for version {number} of {name}"
            content = ListVersionsAdded(list_name, canonical_form(document))
            outcome = request_change_in(session, lease.who, content, why)
            report = {
                "list": list_name,
                "entities": len(numbers),
                "groups": len(reference.distributions),
                "small_groups": small_groups(reference),
                "unreadable": unread_cautions(lines, setting.as_of_us),
                "content_hash": reference_hash(members),
            }
            proposal = None if outcome.proposal is None else outcome.proposal.id
            return {"report": stored_report(report), "proposal_id": proposal}

        lease.keep(write)

    return make


def _no_peers(name: str, counts: Mapping[str, int]) -> str:
    """Explain why peers are lacking, with the number on which each earlier ruleset decides.

    >>> _no_peers("firms", {"retail": 1000, "cards": 0})
    'firms has nobody to decide on, and so lacks peers: retail is tried before it, and decides on 1,000'
    """
    before = [f"{other} is tried before it, and decides on {count:,}" for other, count in counts.items() if count]
    if not before:
        return f"{name} applies to no entity, so there are no peers"
    return f"{name} has nobody to decide on, and so lacks peers: {'; '.join(before)}"


REFERENCE = JobKind(name="reference portfolio", rows=ReferenceJob, begin=_begin)
