"""Where a version that runs as a shadow comes to other ends than the one that acts, and for whom."""

from dataclasses import dataclass
from typing import Annotated

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.flows.flows import flow_named
from fivefold.store.flows.shadows import ends_of_pairs, pairs_that_differ
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context


@schema("FlowEndsOfBoth")
@dataclass(frozen=True, kw_only=True)
class EndsOfBoth:
    """Where runs of one cause came to: the steps at which they stopped, what follows, and how many did.

    Attributes:
        acting_state: ended, failed or waiting.
        shadow_state: the same of the shadow, which waits where a person or a system would be asked.
        comparable: false where the shadow asks something that nobody answered: the run that acts got an answer at this
            step, but was asked something else. Where it asks the same, it goes on by that answer.
        same_actions: the same actions follow from both, with the same amounts; so it is taken of runs that began before
            that was kept.
    """

    acting_at: str
    acting_state: str
    shadow_at: str
    shadow_state: str
    comparable: bool
    same_actions: bool
    runs: int

    @property
    def same(self) -> bool:
        """Both came to the same; false where that cannot be said."""
        ends = (self.acting_at, self.acting_state) == (self.shadow_at, self.shadow_state)
        return self.comparable and ends and self.same_actions


@schema("FlowShadowPair")
@dataclass(frozen=True, kw_only=True)
class ShadowPair:
    """Two runs of one cause that came to different ends or would do something else, by their numbers.

    Attributes:
        acting_actions: what the run that acts did, such as `look, bound 100 EUR`; empty for nothing, None where it
            began before that was kept.
        shadow_actions: what the shadow would have done.
    """

    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    cause: str
    begun_us: Annotated[Moment, shown_as("begun_at")]
    acting_run: int
    acting_at: str | None
    acting_actions: str | None
    shadow_run: int
    shadow_at: str | None
    shadow_actions: str | None


def compare_shadow(context: Context, flow: str) -> tuple[EndsOfBoth, ...]:
    """Count where the version that acts and the shadow came to for the same causes, the most first.

    Nothing where no version acts, none runs as a shadow, or nothing has happened since. NotFoundError where there is no
    such flow.
    """
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        return tuple(EndsOfBoth(**pair._asdict()) for pair in ends_of_pairs(session, row))


def list_shadow_pairs(
    context: Context, flow: str, acting_at: str | None = None, shadow_at: str | None = None, part: Part = WHOLE
) -> Page[ShadowPair]:
    """List for whom the two versions come to different ends or actions, the latest first.

    NotFoundError as `compare_shadow`.

    Args:
        context: who asks.
        flow: its name.
        acting_at: of those alone at whose step the version that acts stopped; None for any.
        shadow_at: the same of the shadow.
        part: of the list.
    """
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        return pairs_that_differ(session, row, acting_at, shadow_at, part).map(
            lambda pair: ShadowPair(
                entity_type=pair.entity_type,
                external_id=pair.external_id,
                cause=pair.acting.cause,
                begun_us=pair.acting.begun_us,
                acting_run=pair.acting.id,
                acting_at=pair.acting.stopped_at,
                acting_actions=pair.acting.does,
                shadow_run=pair.shadow.id,
                shadow_at=pair.shadow.stopped_at,
                shadow_actions=pair.shadow.does,
            )
        )
