"""Which roles see which items of the queue: those that may act on the items, or read their subjects."""

from collections.abc import Mapping
from typing import Final

from fivefold.store.queue.sources import VERSIONS, Kind
from fivefold.usecases.flows.runs.answering import ANSWERED_BY
from fivefold.usecases.shared.actors import OF_APPROVAL, OF_RISK, OF_VERSIONS, Role

_REVIEWERS: Final = OF_VERSIONS | OF_APPROVAL
SEEN_BY: Final[Mapping[Kind, frozenset[Role]]] = {
    Kind.OVERRIDE: OF_RISK,
    Kind.CHALLENGE: OF_RISK,
    Kind.QUESTION: frozenset[Role]().union(*ANSWERED_BY.values()),
    Kind.FLOW_REVIEW: frozenset({Role.INVESTIGATOR, Role.ADMIN}),
    Kind.CHANGE: _REVIEWERS,
    **dict.fromkeys(VERSIONS, OF_VERSIONS),
    Kind.TOKEN: frozenset({Role.ADMIN}),
    Kind.VALIDATION: _REVIEWERS,
    Kind.MATERIAL: _REVIEWERS,
    Kind.FAILURE: OF_VERSIONS,
    Kind.QUARANTINE: OF_VERSIONS,
    Kind.RISE: OF_RISK,
    Kind.REVIEW: OF_RISK,
}
"""The roles that see items of a kind: those that may read their subjects. A role sees the questions that it may answer.
"""


def roles_of(kind: Kind, asks: str | None) -> frozenset[Role]:
    """Return the roles that see items of a kind; for questions, the roles that may answer for *asks*."""
    return SEEN_BY[kind] if asks is None else ANSWERED_BY[asks]


def kinds_for(role: Role) -> tuple[Kind, ...]:
    """Return the kinds of items that a role sees.

    >>> [kind.value for kind in kinds_for(Role.INVESTIGATOR)]
    ['override', 'challenge', 'question', 'flow_review', 'rise', 'review']
    """
    return tuple(kind for kind in Kind if role in SEEN_BY[kind])
