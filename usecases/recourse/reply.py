"""The reply to a challenge, for the person concerned: fixed words by the outcome, and the answer written for them.

It is made from the challenge alone. Who settled it, why, which facts were corrected, and overrides are not in it: some
of that may reveal things that must not be disclosed to the person. The new assessment has a statement of its own.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.store.ingest.entities import entity_named
from fivefold.store.levels.overrides import ended_us, override_numbered
from fivefold.store.recourse.challenges import CONFIRMED, CORRECTED, OVERRIDDEN
from fivefold.usecases.recourse.challenges import ChallengeLine, read_challenge
from fivefold.usecases.recourse.statement import Disclosure, Form
from fivefold.usecases.shared.api_fields import Moment, row_as, shown_as
from fivefold.usecases.shared.context import Context

SENTENCES: Final = {
    CONFIRMED: "A person looked again at the data and at the outcome. The outcome stands.",
    CORRECTED: "Data about you were corrected. The outcome was worked out anew from the corrected data.",
    OVERRIDDEN: "A person looked again at the data and at the outcome, and decided on the outcome themselves.",
}
"""The same words for everybody whose challenge was settled in this way."""
OVER: Final = (
    "A person had decided on the outcome that you contested. That decision is over. The outcome was worked out anew"
    " without it."
)
"""In place of the sentence of `OVERRIDDEN`, if the contested override had ended, and no other one was in force."""


@dataclass(frozen=True, kw_only=True)
class Reply(Disclosure):
    """The reply to a person about their challenge.

    Attributes:
        assessment: the contested one.
        outcome: in fixed words.
        answer: the text written for them; None for none.
        new_assessment: the first one after the change, which has a statement; None if the contested one is confirmed.
    """

    challenge: int
    assessment: str
    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    received_us: Annotated[Moment, shown_as("received_at")]
    settled_us: Annotated[Moment, shown_as("settled_at")]
    outcome: str
    answer: str | None
    new_assessment: str | None


def give_reply(context: Context, challenge: int, form: Form) -> Reply:
    """Make the reply to a settled challenge, and record that it was given.

    Raises:
        NotFoundError: there is no such challenge.
        ConflictError: it is open.
    """
    line = read_challenge(context, challenge)
    with context.writing() as session:
        reply = _reply(line, is_over=_is_over(session, context.organisation_id, line))
        entity_named(session, context.organisation_id, reply.entity_type, reply.external_id, stays=True)
        details = {"assessment": reply.assessment, "form": form, "sha256": reply.sha256}
        context.record(session, "challenge.answered", ("challenge", challenge), details=details)
    return reply


def _is_over(session: Session, organisation_id: int, line: ChallengeLine) -> bool:
    """Return whether the override of the settlement had ended, so that the rules decide; only a contested one may."""
    if line.override is None or line.settled_us is None:
        return False
    end = ended_us(override_numbered(session, organisation_id, line.override))
    return end is not None and end <= line.settled_us


def _reply(line: ChallengeLine, *, is_over: bool) -> Reply:
    """Make the reply from the settled challenge; ConflictError if it is open."""
    if line.settled_us is None:
        raise ConflictError(f"challenge {line.id} is open: there is no reply to it yet")
    return row_as(Reply, line, challenge=line.id, outcome=OVER if is_over else SENTENCES[line.state])
