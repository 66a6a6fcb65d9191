"""Types of entities and their typed fields, as rulesets declare them. Fields are added, never changed or removed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.risk.compiler.checks import TAKEN
from fivefold.risk.language.base import Identifier, Name
from fivefold.risk.language.fields import FieldType, OneOf
from fivefold.risk.language.messages import problem_of
from fivefold.risk.language.ruleset import MOST_LINK_TYPES
from fivefold.store.accounts.organisation import lock_deciding
from fivefold.store.audit.bound_rows import digests
from fivefold.store.sql.keyset import scalars_of
from fivefold.store.tables.entities import EntityType
from fivefold.usecases.accounts.purposes import joined_purposes, refuse_feeding_commerce, refuse_tags_of_flows
from fivefold.usecases.shared.api_fields import schema
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.correction_columns import NAMES as CORRECTIONS

Fields = Mapping[str, FieldType]

FIELDS: TypeAdapter[dict[str, FieldType]] = TypeAdapter(dict[Name, FieldType])
"""Reads typed fields, of people or from their columns."""
LinkKind = Literal["shared", "directed"]
_LINKS: TypeAdapter[dict[str, LinkKind]] = TypeAdapter(dict[Name, LinkKind])
_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)

PARTS = ("fields", "transaction_fields", "case_fields")
"""What has typed fields: the entity, its transactions, its cases and alerts."""


@schema("EntityType")
@dataclass(frozen=True)
class TypeLine:
    """A type of entity, its typed fields, what its data were gathered for, and how its entities are linked.

    Attributes:
        purposes: as far as anything was said.
        links: the kinds of links by name: shared, or directed.
    """

    name: str
    fields: Mapping[str, Any]
    transaction_fields: Mapping[str, Any]
    case_fields: Mapping[str, Any]
    purposes: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, LinkKind] = field(default_factory=dict)


def define_type(
    context: Context,
    name: str,
    fields: Mapping[str, Any],
    transaction_fields: Mapping[str, Any] | None = None,
    case_fields: Mapping[str, Any] | None = None,
    purposes: Mapping[str, Any] | None = None,
    links: Mapping[str, Any] | None = None,
) -> TypeLine:
    """Make a type of entity, or add fields and links to one; those that are there and not named again stay.

    Args:
        context: who does it.
        name: of the type.
        fields: of the entity, as rulesets declare them.
        transaction_fields: of its transactions.
        case_fields: of its cases and alerts.
        purposes: what the data were gathered for, as rulesets say it; what was said before can become `aml`, no more.
        links: of each type of link between its entities its kind: `shared` or `directed`.

    Raises:
        ConfigError: a name, a type or a purpose is invalid.
        ConflictError: a field or a link is there with another type: facts were taken, and rulesets written, for that
            one; or what decides for commerce reads data that would be `aml`; or a tag is said to be for commerce that
            a flow gave because of what is `aml`.
    """
    now = context.now()
    _check_name(name)
    declared = {
        part: checked_fields(part, fields_of_part)
        for part, fields_of_part in zip(PARTS, (fields, transaction_fields or {}, case_fields or {}), strict=True)
    }
    with context.writing() as session:
        lock_deciding(session, context.organisation_id)  # nothing that reads the data begins to decide meanwhile
        row = session.scalar(_of(context).where(EntityType.name == name))
        before = None if row is None else vars(_line(row))
        if row is None:
            row = EntityType(organisation_id=context.organisation_id, name=name, created_us=now)
            row.fields, row.transaction_fields, row.case_fields = {}, {}, {}
            session.add(row)
        for part, fields_of_part in declared.items():
            setattr(row, part, _joined(part, getattr(row, part), fields_of_part))
        row.links = _joined_links(row.links or {}, links or {}) or None
        row.purposes = joined_purposes(row, purposes or {})
        session.flush()
        session.refresh(row)  # with its fields in their order
        after = vars(_line(row))
        if after != before:
            refuse_feeding_commerce(session, context.organisation_id)
            refuse_tags_of_flows(session, row, _said_of_tags(after) - _said_of_tags(before or {}))
            _record(session, context, row, before, after)
        return TypeLine(**after)


def _said_of_tags(line: Mapping[str, Any]) -> set[str]:
    """Name the tags of a type that are for more than `aml`."""
    tags = (line.get("purposes") or {}).get("tags", {})
    return {tag for tag, purpose in tags.items() if purpose != "aml"}


def _record(
    session: Session, context: Context, row: EntityType, before: dict[str, Any] | None, after: dict[str, Any]
) -> None:
    context.record(
        session,
        "type.defined",
        ("entity type", row.id),
        before=before,
        after=after,
        details={
            part: sorted(set(after[part]) - set((before or {}).get(part, ())))
            for part in (*PARTS, *(["links"] if after["links"] else []))
        },
        rows=digests(session, "entity_types", [row.id]),
    )


def _check_name(name: str) -> None:
    try:
        _IDENTIFIER.validate_python(name)
    except ValidationError as error:
        raise ConfigError(f"the type's name {problem_of(error.errors(include_url=False)[0], ())}") from None


def checked_fields(part: str, definitions: Mapping[str, Any]) -> dict[str, FieldType]:
    """Read typed fields as people write them; ConfigError names every invalid one."""
    try:
        read = FIELDS.validate_python(dict(definitions))
    except ValidationError as error:
        faults = error.errors(include_url=False)
        faults_text = "; ".join(f"{fault['loc'][0]} {problem_of(fault, ())}" for fault in faults)
        raise ConfigError(f"{part}: {faults_text}") from None
    reserved = sorted((TAKEN[part] | (CORRECTIONS if part == "transaction_fields" else frozenset())) & set(read))
    if reserved:
        raise ConfigError(f"{part}: {', '.join(reserved)} has a meaning already; choose another name")
    return read


def _joined_links(there: Mapping[str, Any], links: Mapping[str, Any]) -> dict[str, Any]:
    try:
        new = _LINKS.validate_python(dict(links))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ConfigError(f"links: {fault['loc'][0]} {problem_of(fault, ())}") from None
    changed = [name for name, kind in new.items() if there.get(name, kind) != kind]
    if changed:
        raise ConflictError(f"links: {changed[0]} is {there[changed[0]]}, for good; give the new link another name")
    joined = {**new, **there}
    if len(joined) > MOST_LINK_TYPES:
        raise ConfigError(f"links: there would be {len(joined)}; there may be {MOST_LINK_TYPES}")
    return joined


def how_to_declare_links(type_name: str) -> str:
    """Say how a type of entity comes to declare a type of link."""
    return (
        f"an admin declares one by `links: {{NAME: shared}}` (or `directed`) in PUT /v1/entity-types/{type_name}, "
        "or those of a ruleset by `fivefold import setup RULESET`"
    )


def read_fields(content: Mapping[str, Any]) -> dict[str, FieldType]:
    """Read the typed fields of a type from their column."""
    return FIELDS.validate_python(content)


def _joined(part: str, content: Mapping[str, Any], new_fields: Fields) -> dict[str, Any]:
    there = read_fields(content)
    changed = [name for name, kind in new_fields.items() if name in there and not same_type(kind, there[name])]
    if changed:
        changes_text = ", ".join(f"{name} is {type_json(there[name])}" for name in changed)
        raise ConflictError(f"{part}: {changes_text}, for good; give the new field another name")
    return {name: type_json(kind) for name, kind in {**new_fields, **there}.items()}


def same_type(one: FieldType, other: FieldType) -> bool:
    """Return whether two types take the same values; in which order their words stand makes no difference.

    >>> same_type(OneOf(one_of=("a", "b")), OneOf(one_of=("b", "a"))), same_type("text", ("text",))
    (True, False)
    """
    if isinstance(one, OneOf) and isinstance(other, OneOf):
        return set(one.one_of) == set(other.one_of)
    return one == other


def type_json(kind: FieldType) -> Any:
    """Return a type as it is written in JSON.

    >>> type_json(("text",)), type_json(OneOf(one_of=("a", "b")))
    (['text'], {'one_of': ['a', 'b']})
    """
    if isinstance(kind, OneOf):
        return {"one_of": list(kind.one_of)}
    return kind if isinstance(kind, str) else list(kind)


def list_types(context: Context, part: Part = WHOLE) -> Page[TypeLine]:
    """List the types of an actor's organisation, by name."""
    with context.reading() as session:
        return scalars_of(session, _of(context), (EntityType.name,), part).map(_line)


def _of(context: Context) -> Select[EntityType]:
    return select(EntityType).where(EntityType.organisation_id == context.organisation_id)


def _line(row: EntityType) -> TypeLine:
    parts = {part: getattr(row, part) for part in PARTS}
    return TypeLine(name=row.name, **parts, purposes=row.purposes or {}, links=row.links or {})
