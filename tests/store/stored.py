"""An organisation with a type, families and versions, written straight into the tables."""

from sqlalchemy.orm import Session

from fivefold.store.accounts import tokens as accounts
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.rulesets import Backtest, Family, RulesetVersion


def type_of(session: Session, organisation: str = "acme", name: str = "customer") -> EntityType:
    number = accounts.organisation_named(session, organisation, 1).id
    made = EntityType(organisation_id=number, name=name, fields={}, transaction_fields={}, case_fields={}, created_us=1)
    session.add(made)
    session.flush()
    return made


def entity_of(session: Session, kind: EntityType, name: str) -> Entity:
    made = Entity(organisation_id=kind.organisation_id, type_id=kind.id, external_id=name, created_us=1)
    session.add(made)
    session.flush()
    return made


def family_of(
    session: Session, kind: EntityType, name: str, position: int, *, versions: int = 0, enabled: bool = True
) -> Family:
    """Make a family; the last of its versions is active."""
    made = Family(
        organisation_id=kind.organisation_id,
        type_id=kind.id,
        name=name,
        position=position,
        enabled=enabled,
        created_us=1,
    )
    session.add(made)
    session.flush()
    for number in range(1, versions + 1):
        made.active_version_id = version_of(session, made, number).id
    return made


def version_of(session: Session, family: Family, number: int) -> RulesetVersion:
    made = RulesetVersion(
        organisation_id=family.organisation_id,
        family_id=family.id,
        number=number,
        document="",
        canonical="",
        content_hash=f"{number}",
        tests={"revision": number * 10},
        editors=["member:1", "member:2"],
        committed_by="member:3",
        committed_us=number,
    )
    session.add(made)
    session.flush()
    return made


def backtest_of(session: Session, family: Family, state: str = "queued", **values: object) -> Backtest:
    given = {"content_hash": "1", "requested_us": 1, "done": 0, "total": 0} | values
    made = Backtest(
        organisation_id=family.organisation_id,
        family_id=family.id,
        type_id=family.type_id,
        canonical="",
        state=state,
        requested_by="member:1",
        **given,
    )
    session.add(made)
    session.flush()
    return made
