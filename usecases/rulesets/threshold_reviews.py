"""Quarterly threshold reviews: where the portfolio would have its thresholds now, smoothed over a year, as a draft.

Once a quarter is over, a worker begins a review for every ruleset that decides. A failed review begins again a day
later, as no person can request one; not one that killed its workers. A review activates nothing: people commit,
backtest and activate the draft like any other. A draft that a person edits stays as it is. One of an earlier quarter
that no person edited is replaced, or deleted if thresholds are to stay. No draft is left while every level holds its
usual share, or if it would change nothing.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

import polars as pl
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.domain.errors import ConfigError, InvalidRulesetError, NotEnoughDataError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.risk.governance.thresholds.draft import draft_text
from fivefold.risk.governance.thresholds.propose import (
    LabelledTotals,
    PortfolioTotals,
    ThresholdProposal,
    propose_for_totals,
    with_capture,
)
from fivefold.risk.governance.validate.labels import AT, match_labels, refuse_leaks
from fivefold.risk.governance.validate.verdicts import AcceptanceLimits
from fivefold.risk.language.purposes import PURPOSE_PHRASES
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.rulesets.activations import was_active
from fivefold.store.rulesets.jobs import (
    EARLIER_REVIEWS,
    OldFailures,
    add_review,
    earlier_thresholds,
    latest_reviews,
    reviews_of,
    unreviewed,
)
from fivefold.store.rulesets.rulesets import family_named, newest_version
from fivefold.store.sql.clocks import clock_of
from fivefold.store.sql.database import reading, writing
from fivefold.store.sql.json_text import stored_report
from fivefold.store.tables.rulesets import Draft, Family, RulesetVersion, ThresholdReview
from fivefold.usecases.rulesets.assessing import assessed_parts, labels_from_cases, later_cautions, nobody_there
from fivefold.usecases.rulesets.drafts import discard_draft_in, save_draft_in
from fivefold.usecases.rulesets.life_cycle import NO_DRAFT
from fivefold.usecases.rulesets.run_backtest import LeftOut, Setting, setting_of
from fivefold.usecases.shared.actors import SYSTEM, Actor
from fivefold.usecases.shared.api_fields import row_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import Quarter, quarter_of, read_quarter
from fivefold.usecases.shared.jobs import JobKind, JobLine, Lease, new_job


@dataclass(frozen=True, kw_only=True)
class ThresholdReviewLine(JobLine):
    """The review of a ruleset's thresholds for a quarter.

    Attributes:
        outcome: kept, where every level holds its usual share; same, where no other thresholds would come nearer;
            draft, where `draft_revision` is left; beside a draft, where a person edited one already; changed since,
            where another version decides by then, or one is committed that never decided, or the ruleset is off; not
            proposed, where no thresholds can be, as `because` says; None until it is done.
        because: why none are proposed; None where they are.
        levels: by level the shares of those assessed: now, proposed and target.
        cuts: by level above the lowest where it begins now, where it would, and what this quarter alone came to.
        moved: how many entities would be in another level.
        capture: of those who were confirmed in the quarter, how many the upper levels held as it began, by the present
            thresholds and by the proposed ones; None where that is not measured, as `cautions` say.
        cautions: what the numbers do not say.
    """

    quarter: str
    outcome: str | None
    because: str | None
    draft_revision: int | None
    levels: list[dict[str, Any]]
    cuts: list[dict[str, Any]]
    moved: int | None
    capture: dict[str, Any] | None
    cautions: list[str]


def list_threshold_reviews(context: Context, family: str, part: Part = WHOLE) -> Page[ThresholdReviewLine]:
    """List the reviews of a ruleset's thresholds, the newest first; NotFoundError if it does not exist."""
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        return reviews_of(session, family_row.id, part).map(_line)


@dataclass(frozen=True)
class RecentReview:
    """A review, and the name of its ruleset."""

    ruleset: str
    review: ThresholdReviewLine


def list_recent_reviews(context: Context, most: int, rulesets: Sequence[str] | None) -> list[RecentReview]:
    """List at most *most* reviews of *rulesets*, of all if None, the newest first."""
    with context.reading() as session:
        reviews = latest_reviews(session, context.organisation_id, most, rulesets)
        return [RecentReview(name, _line(row)) for name, row in reviews]


def _line(row: ThresholdReview) -> ThresholdReviewLine:
    report: dict[str, Any] = {} if row.report is None else json.loads(row.report)
    return row_as(
        ThresholdReviewLine,
        row,
        outcome=report.get("outcome"),
        because=report.get("because"),
        levels=report.get("levels", []),
        cuts=report.get("cuts", []),
        moved=report.get("moved"),
        capture=report.get("capture"),
        cautions=report.get("cautions", []),
    )


def begin_threshold_reviews(engine: Engine, now_us: int) -> bool:
    """Begin the reviews of the last full quarter, also those that failed a day ago; False if none is to begin.

    A review that failed while a clock was ahead does not wait for the day that this clock gave it.
    """
    quarter = quarter_of(quarter_of(now_us).from_us - 1)
    failures = OldFailures(now_us - DAY_US, now_us + clock_of(engine).tolerance_us)
    with reading(engine) as session:
        if not unreviewed(session, quarter.name, quarter.until_us, failures):
            return False
    with writing(engine) as session:
        for family, version in unreviewed(session, quarter.name, quarter.until_us, failures):
            context = Context(engine, Actor(family.organisation_id, SYSTEM))
            about = {"family_id": family.id, "version_id": version.id, "quarter": quarter.name}
            about |= {"rules_hash": rules_hash(version.canonical)}
            add_review(session, {**new_job(context, now_us), **about}, failures)
    return True


def rules_hash(canonical: str) -> str:
    """Return the hash of what makes the totals of a ruleset: its rules, what they name, and weights; no thresholds."""
    data = json.loads(canonical, parse_float=str)  # as they are written: bounds may have decimals
    weights = data["score"].get("weighted", {})
    made_of = {"rules": data["rules"], **{name: weights.get(name) for name in ("weights", "weights_by")}}
    made_of |= {name: data[name] for name in ("calculate", "links", "reference") if data.get(name)}
    return sha256(canonical_json(made_of).encode()).hexdigest()


def _begin(job: ThresholdReview) -> Callable[[Lease], None]:
    family_id, version_id, quarter = job.family_id, job.version_id, read_quarter(job.quarter)
    attempt, same_rules = job.attempts, job.rules_hash

    def make(lease: Lease) -> None:
        with lease.who.reading() as session:
            family, version = session.get_one(Family, family_id), session.get_one(RulesetVersion, version_id)
            document = version.document
            setting = setting_of(session, family, version.canonical, quarter.until_us, attempt, known_then=True)
            past = earlier_thresholds(session, family_id, same_rules, _year_until(quarter).name, quarter.name)
        ruleset = setting.draft.ruleset
        try:
            proposal = _proposal(lease, setting, past)
        except _NotProposedError as why:
            _keep_reason(lease, family_id, quarter, str(why))
            return
        proposal = _with_capture(lease, replace(setting, as_of_us=quarter.from_us), proposal, quarter)
        stays = _reason_to_stay(proposal)

        def write(session: Session) -> dict[str, Any]:
            settings_row(session, lease.who.organisation_id, locked=True)  # every save or commit of a draft locks it
            if stays:
                _discard_left(session, lease.who, family_id)
            revision, outcome = None, stays or _outcome(session, family_id, version_id)
            if outcome == "draft":
                text, left = draft_text(document, ruleset, proposal), session.get(Draft, family_id)
                expected = NO_DRAFT if left is None else left.revision
                revision = save_draft_in(session, lease.who, text, expected, lease.began_us).revision
            _record(session, lease.who, family_id, quarter, {"outcome": outcome})
            plain = proposal.to_dict()
            return {
                "thresholds": [cut.alone or cut.proposed for cut in proposal.cuts],
                "report": stored_report({**{name: plain[name] for name in _KEPT}, "outcome": outcome}),
                "draft_revision": revision,
            }

        lease.keep(write)

    return make


def _year_until(quarter: Quarter) -> Quarter:
    """Return the first of the four quarters that end with this one: older portfolios do not smooth.

    >>> _year_until(read_quarter("2026Q4")).name, _year_until(read_quarter("2026Q1")).name
    ('2026Q1', '2025Q2')
    """
    for _ in range(EARLIER_REVIEWS):
        quarter = quarter_of(quarter.from_us - 1)
    return quarter


_KEPT: Final = ("levels", "cuts", "moved", "entities", "left_out", "capture", "cautions")
"""The fields of a proposal that are stored."""


def _keep_reason(lease: Lease, family_id: int, quarter: Quarter, because: str) -> None:
    """Store why no thresholds are proposed."""

    def write(session: Session) -> dict[str, Any]:
        details = {"outcome": "not proposed", "because": because}
        _record(session, lease.who, family_id, quarter, details)
        return {"report": stored_report(details)}

    lease.keep(write)


def _outcome(session: Session, family_id: int, version_id: int) -> str:
    """Return the outcome for thresholds that are to move: a draft, unless a person was faster."""
    session.expire_all()
    family, newest = session.get_one(Family, family_id), newest_version(session, family_id)
    if not family.enabled or family.active_version_id != version_id or newest is None:
        return "changed since"
    if newest.id != version_id and not was_active(session, newest):  # one that decided was rolled back since
        return "changed since"
    draft = session.get(Draft, family_id)
    return "draft" if draft is None or _is_left(draft) else "beside a draft"


def _is_left(draft: Draft) -> bool:
    """Check whether a draft is of an earlier quarter, and no person edited it."""
    return draft.editors == [SYSTEM]


def _discard_left(session: Session, who: Context, family_id: int) -> None:
    """Delete the draft of an earlier quarter, as its thresholds fit a portfolio of the past."""
    session.expire_all()
    draft = session.get(Draft, family_id)
    if draft is not None and _is_left(draft):
        discard_draft_in(session, who, session.get_one(Family, family_id), draft)


class _NotProposedError(Exception):
    """No thresholds can be proposed for a ruleset and its portfolio as they are; the review has not failed."""


def _proposal(lease: Lease, setting: Setting, past: Sequence[Sequence[str]]) -> ThresholdProposal:
    """Assess the entities that the ruleset decides on, part by part, as of the setting's moment; propose thresholds."""
    ruleset, usual = setting.draft.ruleset, len(AcceptanceLimits().shares)
    if len(ruleset.levels) != usual:
        raise _NotProposedError(
            f"{ruleset.name} has {len(ruleset.levels)} levels, and usual shares are known of {usual}; "
            "`fivefold rules propose-thresholds --shares` takes your own"
        )
    left_out = LeftOut.none_of(setting)
    parts = [PortfolioTotals.of(part) for part in assessed_parts(lease, setting, left_out)]
    if not parts:
        raise _NotProposedError(nobody_there(setting))
    earlier = [[Decimal(value) for value in values] for values in past]
    try:
        proposal = propose_for_totals(PortfolioTotals.joined(parts), earlier=earlier)
    except (ConfigError, NotEnoughDataError) as why:  # from the ruleset and its totals; assessing is outside the `try`
        raise _NotProposedError(str(why)) from why
    return replace(proposal, cautions=(*proposal.cautions, *later_cautions(left_out, setting)))


def _with_capture(lease: Lease, begins: Setting, proposal: ThresholdProposal, quarter: Quarter) -> ThresholdProposal:
    """Add the proposal's effect on customers confirmed in the quarter, by levels of its beginning, or why it is absent.

    Levels of its end know the cases confirmed in it already, so they would predict nothing. Cases are for `aml` alone,
    so they are not read for a ruleset that is for commerce: its thresholds are not to be chosen by them.
    """
    purpose = begins.draft.ruleset.purpose
    if purpose != "aml":
        served = PURPOSE_PHRASES[purpose]
        why = f"the ruleset is for {served}, and cases, by which customers are confirmed, are for aml alone"
        return _without_capture(proposal, why)
    with lease.who.reading() as session:
        labels = labels_from_cases(session, lease.who.organisation_id, quarter.until_us)
    try:
        refuse_leaks(begins.draft)
    except InvalidRulesetError:
        why = "its rules read cases or alerts, by which customers are confirmed"
        return _without_capture(proposal, why)
    if labels.filter(pl.col(AT) > from_microseconds(quarter.from_us)).is_empty():
        return _without_capture(proposal, f"no case was confirmed in {quarter.name}")
    try:
        parts = [LabelledTotals.of(part, match_labels(labels, part.outcomes)) for part in assessed_parts(lease, begins)]
    except InvalidRulesetError as why:  # a list that its rules name has no version at that moment
        problems = "; ".join(f"{each.where} {each.problem}" for each in why.findings)
        return _without_capture(proposal, f"nobody can be assessed as of the beginning of {quarter.name}: {problems}")
    totals = LabelledTotals.joined(parts) if parts else None
    effect = proposal if totals is None else with_capture(begins.draft.ruleset, proposal, totals)
    if effect.capture is None:
        return _without_capture(proposal, f"nobody on whom it decides was confirmed in {quarter.name}")
    return effect


def _without_capture(proposal: ThresholdProposal, why: str) -> ThresholdProposal:
    caution = f"What the thresholds do to confirmed customers is not measured: {why}."
    return replace(proposal, cautions=(*proposal.cautions, caution))


def _reason_to_stay(proposal: ThresholdProposal) -> str | None:
    """Return why thresholds are to stay; None if they are to move."""
    bands = AcceptanceLimits().shares
    if all(least <= level.present <= most for level, (least, most) in zip(proposal.levels, bands, strict=True)):
        return "kept"
    return "same" if all(cut.proposed == cut.present for cut in proposal.cuts) else None


def _record(session: Session, who: Context, family_id: int, quarter: Quarter, details: dict[str, str]) -> None:
    who.record(session, "thresholds.reviewed", ("ruleset", family_id), details={"quarter": quarter.name, **details})


REVIEW = JobKind(
    name="threshold review",
    rows=ThresholdReview,
    begin=_begin,
    after_quarantine="it is not begun again; the next quarter has a review of its own",
)
