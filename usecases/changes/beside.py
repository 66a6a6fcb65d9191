"""The open proposals beside a change: which are about the same, which is the same, and which it makes impossible.

And how a proposal ends: by a person's decision, or because it was overtaken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from fivefold.store.audit.bound_rows import digests, merge_digests
from fivefold.store.changes.proposals import WITHDRAWN, backtests_of_proposal, open_proposals
from fivefold.store.decisions import policy_numbered
from fivefold.store.sql.jobs import OPEN
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import OverrideRow
from fivefold.store.tables.rulesets import Backtest, Proposal
from fivefold.store.tables.versions import ACTIVE
from fivefold.usecases.changes import effects
from fivefold.usecases.changes.contents import (
    Content,
    ModelPromoted,
    OverrideRevoked,
    PolicyRetirement,
    RecordChanged,
    ScreeningCleared,
    TagChanged,
    read_content,
)
from fivefold.usecases.changes.reach import entity_of, levels_moved, moved_since, named_reach
from fivefold.usecases.ingest.facts import live_tag_in, record_in
from fivefold.usecases.levels.overrides import state_of
from fivefold.usecases.shared.context import Context


def proposed_already(
    session: Session, context: Context, content: Content, counted: Mapping[str, Any], why: str, now_us: int
) -> tuple[Proposal | None, bool]:
    """Find the same change among the actor's open proposals; withdraw it if that is outdated.

    *counted*: the reach of the change as of now, `reach_of`.

    Returns the one that stays, None if there is none; and whether one was withdrawn.
    """
    is_withdrawn = False
    for row, open_content in open_beside(session, context, content):
        is_same = _as_asked(open_content, row.proposed_us) == _as_asked(content, now_us)
        if is_same and row.proposed_by == context.actor.name:
            moved = moved_since(session, context, content, row.reach, now_us)
            moved = moved or ("it leads to other levels by now" if _levels_moved(session, counted, row) else "")
            moved = moved or ("for another reason" if row.reason != why else "")
            if not moved:
                return row, is_withdrawn
            close_proposal(session, context, row, WITHDRAWN, f"it was proposed anew: {moved}", now_us)
            is_withdrawn = True
    return None, is_withdrawn


def _levels_moved(session: Session, counted: Mapping[str, Any], row: Proposal) -> bool:
    """Return whether a change leads to other levels by now; a proposal keeps why it ended, so no entity is named."""
    present, proposed = (named_reach(session, row.organisation_id, reach) for reach in (counted, row.reach))
    return bool(levels_moved(present, proposed))


def _as_asked(content: Content, asked_us: int) -> Content:
    """Return a content without the moment of its screening if none was given: it then is the moment of the request."""
    if isinstance(content, ScreeningCleared) and content.at_us == asked_us:
        return replace(content, at_us=0)
    return content


def open_beside(session: Session, context: Context, content: Content) -> list[tuple[Proposal, Content]]:
    """List the open proposals about the same, with their contents, the oldest first."""
    pairs = [
        (row, read_content(row.kind, row.content))
        for row in open_proposals(session, context.organisation_id, entity_of(session, content))
    ]
    return [(row, beside) for row, beside in pairs if beside.touches & content.touches]


def withdraw_overtaken(session: Session, context: Context, content: Content, event: str, now_us: int) -> None:
    """Withdraw the open proposals about the same that a change made impossible; *event*: what happened."""
    for row, beside in open_beside(session, context, content):
        if why := why_overtaken(session, context, row, beside, now_us):
            close_proposal(session, context, row, WITHDRAWN, f"{event}: {why}", now_us)


def why_overtaken(session: Session, context: Context, row: Proposal, content: Content, now_us: int) -> str:
    """Explain why an open proposal cannot be approved any more, by doing it and rolling it back; empty if it can.

    A promotion of a model can: only the registry knows what serves, and `promotions` checks it on approval.
    """
    why = moved_since(session, context, content, row.reach, now_us)
    if why or isinstance(content, ModelPromoted):
        return why
    return effects.why_impossible(session, context, content, row.reason, now_us)


def is_overtaken(session: Session, context: Context, row: Proposal, content: Content, now_us: int) -> bool:
    """Return, by reading alone, whether the subject of an open proposal ended or changed; `why_overtaken` says how.

    A change refused for another reason, such as a flow that needs the version, may be possible again later.
    """
    if moved_since(session, context, content, row.reach, now_us):
        return True
    of = context.organisation_id
    match content:
        case OverrideRevoked():
            return state_of(session.get_one(OverrideRow, content.override), now_us) != "live"
        case PolicyRetirement():
            return policy_numbered(session, of, content.policy, content.number).state != ACTIVE
        case TagChanged(ended=False, until_us=int(until_us)) if until_us <= now_us:
            return live_tag_in(session, session.get_one(Entity, content.entity), content.tag, now_us) is None
        case RecordChanged(only_new=True):
            entity = session.get_one(Entity, content.entity)
            return record_in(session, entity, content.of, content.external_id) is not None
        case _:
            return False


def close_proposal(session: Session, context: Context, row: Proposal, state: str, why: str, now_us: int) -> None:
    """Refuse or withdraw a proposal, and cancel its waiting and running backtests."""
    decide(row, state, context, why, now_us)
    cancelled_backtests = [each for each in backtests_of_proposal(session, row.id) if each.state in OPEN]
    for backtest in cancelled_backtests:
        backtest.state, backtest.error = "cancelled", f"proposal {row.id} was {state}"
        backtest.lease_until_us, backtest.finished_us = None, now_us
    session.flush()
    record_act(session, context, f"proposal.{state}", row, {"reason": why}, cancelled_backtests)


def decide(row: Proposal, state: str, context: Context, why: str, now_us: int) -> None:
    """Write on a proposal who decided it, how, when and why; the caller records it."""
    row.state, row.decided_by, row.decided_us, row.decision_reason = state, context.actor.name, now_us, why


def record_act(
    session: Session,
    context: Context,
    action: str,
    row: Proposal,
    after: dict[str, str],
    changed_backtests: Sequence[Backtest] = (),
) -> None:
    """Record an act on a proposal, and the backtests that it changed."""
    backtests = digests(session, "backtests", [each.id for each in changed_backtests])
    context.record(
        session,
        action,
        ("proposal", row.id),
        after=after,
        details={"kind": row.kind, "proposed_by": row.proposed_by},
        rows=merge_digests(digests(session, "proposals", [row.id]), backtests),
    )
