"""Names that the forms of a flow offer from outside its text: those of the organisation, and what it may ask."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import read_settings
from fivefold.store.flows.flows import names_of_flows
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.events import Policy
from fivefold.store.tables.groups import NamedGroup
from fivefold.store.tables.rulesets import Family
from fivefold.usecases.flows.outside import OutsideAccess, outside_of
from fivefold.usecases.shared.context import Context


def known_names(context: Context, of: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the names of each kind that a form can offer, see `risk.language.base.NameOf`."""
    if not any(kind in _STORED or kind in _OUTSIDE for kind in of):
        return {}
    with context.reading() as session:
        by_kind = {kind: names(session, context.organisation_id) for kind, names in _STORED.items() if kind in of}
        organisation = session.get_one(Organisation, context.organisation_id).name
    if any(kind in _OUTSIDE for kind in of):
        try:
            outside = outside_of(read_settings(), organisation)
        except ConfigError:  # the check of the text reports it
            return by_kind
        by_kind |= {kind: tuple(sorted(names(outside))) for kind, names in _OUTSIDE.items() if kind in of}
    return by_kind


def _names_in(table: type[Policy | Family | NamedGroup]) -> Callable[[Session, int], tuple[str, ...]]:
    def names(session: Session, organisation_id: int) -> tuple[str, ...]:
        of = select(table.name).where(table.organisation_id == organisation_id)
        return tuple(session.scalars(of.distinct().order_by(table.name)))

    return names


_STORED: Final[Mapping[str, Callable[[Session, int], tuple[str, ...]]]] = {
    "flows": names_of_flows,
    "policies": _names_in(Policy),
    "rulesets": _names_in(Family),
    "groups": _names_in(NamedGroup),
}
_OUTSIDE: Final[Mapping[str, Callable[[OutsideAccess], Collection[str]]]] = {
    "sources": lambda outside: outside.sources,
    "models": lambda outside: outside.models.allowed,
}
