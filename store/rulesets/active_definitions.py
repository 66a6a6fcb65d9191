"""The definitions that decide now, in any organisation: rulesets, policies, flows, groups; in canonical form."""

from typing import Any, Final, NamedTuple

from sqlalchemy import Select, String, literal, select, union_all
from sqlalchemy.orm import Session

from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.events import Policy
from fivefold.store.tables.flows import FlowRow, FlowVersion
from fivefold.store.tables.groups import GroupVersion, NamedGroup
from fivefold.store.tables.rulesets import Family, RulesetVersion


class ActiveDefinition(NamedTuple):
    """An active version.

    Attributes:
        word: the kind of definition, such as ruleset.
    """

    organisation: str
    word: str
    name: str
    canonical: str


def active_definitions(session: Session, organisation_id: int | None) -> list[ActiveDefinition]:
    """List the active versions of one organisation, or of all, by organisation, word and name."""
    each = union_all(*_STATEMENTS).subquery()
    statement = select(Organisation.name, each.c.word, each.c.name, each.c.canonical)
    statement = statement.join(each, each.c.organisation_id == Organisation.id)
    if organisation_id is not None:
        statement = statement.where(Organisation.id == organisation_id)
    rows = session.execute(statement.order_by(Organisation.name, each.c.word, each.c.name))
    return [ActiveDefinition(*row) for row in rows]


def canonical_forms(session: Session, organisation_id: int) -> list[str]:
    """List the canonical forms of an organisation's active versions."""
    return [each.canonical for each in active_definitions(session, organisation_id)]


def _named(word: str, row: Any, canonical: Any) -> Select[Any]:
    columns = (row.organisation_id.label("organisation_id"), literal(word, String).label("word"))
    return select(*columns, row.name.label("name"), canonical.label("canonical"))


_STATEMENTS: Final = (
    _named("ruleset", Family, RulesetVersion.canonical)
    .join(RulesetVersion, RulesetVersion.id == Family.active_version_id)
    .where(Family.enabled),
    _named("policy", Policy, Policy.canonical).where(Policy.state == "active"),
    _named("flow", FlowRow, FlowVersion.canonical).join(FlowVersion, FlowVersion.id == FlowRow.active_version_id),
    _named("group", NamedGroup, GroupVersion.canonical)
    .join(GroupVersion, GroupVersion.group_id == NamedGroup.id)
    .where(GroupVersion.state == "active"),
)
