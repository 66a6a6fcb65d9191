"""What a person concerned may know and contest: what would move a level, statements, and challenges."""

from typing import Annotated, Literal

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.risk.governance.what_if.search import WantedDirection
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.routes.levels import Numbered
from fivefold.serving.v1.schemas import (
    LARGEST_BIG,
    WHOLE,
    BigNumber,
    MomentGiven,
    Reason,
    RequestModel,
    ResponseModel,
    Text,
)
from fivefold.usecases.levels.entity_profile import read_entity
from fivefold.usecases.recourse import challenges, reply, settlement
from fivefold.usecases.recourse import statement as statements
from fivefold.usecases.recourse import what_if as what_ifs
from fivefold.usecases.recourse.challenges import ChallengeFilters, ChallengeLine
from fivefold.usecases.recourse.reply import Reply
from fivefold.usecases.recourse.settlement import MOST_FACTS, Settlement
from fivefold.usecases.recourse.statement import Statement
from fivefold.usecases.recourse.what_if import WhatIfShown
from fivefold.usecases.shared.actors import OF_VERSIONS
from fivefold.usecases.shared.api_fields import Moment


class ChallengeGiven(RequestModel):
    """The words of the person, and when they were received; now by default."""

    words: Text
    received: MomentGiven | None = None


class SettlementGiven(RequestModel):
    """How the challenge is settled, and why.

    `answer`: what the person is shown besides the fixed words. `facts`: what was corrected, such as `field income`,
    where the outcome is corrected. `override`: the number of the one that a person decided on since the challenge was
    opened, where the outcome is overridden. `expected_opened_at`: the `opened_at` of the challenge that was looked at,
    as after a restore another one may have its number; where it is left out, that is not checked.
    """

    outcome: Literal["confirmed", "corrected", "overridden"]
    reason: Reason
    answer: Text = ""
    facts: Annotated[list[Text], Field(max_length=MOST_FACTS)] = Field(default_factory=list)
    override: Annotated[int, Field(ge=1, le=LARGEST_BIG), WHOLE] | None = None
    expected_opened_at: MomentGiven | None = None


class PageOfChallenges(PageQuery):
    """Which challenges; without a filter all. `external_id` is of an entity of the `type`, or else a customer."""

    state: Literal["open", "confirmed", "corrected", "overridden"] | None = None
    type: Text | None = None
    external_id: Text | None = None
    due_before: MomentGiven | None = None


class ReplyGiven(ResponseModel):
    """A reply, and the SHA-256 of its content, which the audit log keeps."""

    reply: Reply
    sha256: str


def open_challenge(context: RequestContext, assessment: Numbered, body: ChallengeGiven) -> ChallengeLine:
    """Open a challenge of an assessment, such as 12.3: its record is kept as it is until the challenge is settled.

    The same words received at the same time are the same challenge, however often they are sent.
    """
    return challenges.open_challenge(context, assessment, body.words, body.received)


def list_challenges(context: RequestContext, query: PageOfChallenges) -> Page[ChallengeLine]:
    """List challenges, ordered by due date."""
    filters = ChallengeFilters(
        state=query.state,
        type_name=query.type,
        entity=None if query.external_id is None else (query.type or "customer", query.external_id),
        due_before_us=query.due_before,
    )
    return challenges.list_challenges(context, filters, query.part)


def read_challenge(context: RequestContext, challenge: BigNumber) -> ChallengeLine:
    """Show a challenge, and whether the record that it contests is what it was."""
    return challenges.read_challenge(context, challenge)


def settle_challenge(context: RequestContext, challenge: BigNumber, body: SettlementGiven) -> ChallengeLine:
    """Settle a challenge: the outcome stands, facts were corrected, or a person decided instead of the rules.

    By another person than those who decided what is contested. What is corrected or overridden, is so before.
    """
    fields = body.model_dump(exclude={"expected_opened_at"})
    settlement_of_body = Settlement(**fields, expected_opened_us=body.expected_opened_at)
    return settlement.settle_challenge(context, challenge, settlement_of_body, valuer=context.valuer)


def give_reply(context: RequestContext, challenge: BigNumber) -> ReplyGiven:
    """Make the reply to a challenge that was settled, for the person concerned, and record that it was given."""
    reply_document = reply.give_reply(context, challenge, "json")
    return ReplyGiven(reply=reply_document, sha256=reply_document.sha256)


class StatementGiven(ResponseModel):
    """A statement, and the SHA-256 of its content, which the audit log keeps."""

    statement: Statement
    sha256: str


def give_statement(context: RequestContext, assessment: Numbered) -> StatementGiven:
    """Make the statement of an assessment, such as 12.3, for the person concerned, and record that it was given.

    It says which data were looked at, what each did, and what other values would have done: so it is for those who
    may see thresholds. A rule that is not disclosable leaves no trace.
    """
    statement = statements.give_statement(context, assessment, "json")
    return StatementGiven(statement=statement, sha256=statement.sha256)


class WhatIfAsked(RequestModel):
    """Where the level is to move, and to which one; by default one step from the present."""

    direction: WantedDirection = WantedDirection.DOWN
    level: Text | None = None


class WhatIfOfEntity(ResponseModel):
    """What would move a level; null where there is no assessment, or it was erased.

    `erased_at`: when what was personal of the entity was erased.
    """

    what_if: WhatIfShown | None
    erased_at: Moment | None


def read_what_if(context: RequestContext, type_: Text, external_id: Text, query: WhatIfAsked) -> WhatIfOfEntity:
    """Find the smallest changes of one factor, or of two, that would move the level of an entity.

    From its last assessment as it was recorded. `held_by` and `held_until` say what holds the level in force beside the
    rules, and until when; `held_beneath` what would hold without that. What a person can change is declared in the
    ruleset. Thresholds, other cases and the score then are for publishers alone.
    """
    everything = context.role in OF_VERSIONS
    what_if = what_ifs.read_what_if(
        context, type_, external_id, query.direction, query.level, with_thresholds=everything
    )
    erased_us = read_entity(context, type_, external_id).erased_us
    return WhatIfOfEntity.of({"what_if": what_if, "erased_at": erased_us})
