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
from fivefold.risk.language.base import IDENTIFIER, Name
from fivefold.risk.language.fields import FieldType, OneOf
from fivefold.risk.language.messages import problem_of
from fivefold.risk.language.ruleset import MOST_LINK_TYPES
from fivefold.store.accounts.organisation import lock_deciding
from fivefold.store.audit.bound_rows import digests
from fivefold.store.sql.keyset import scalars_of
from fivefold.store.tables.entities import EntityType
from fivefold.usecases.accounts.purposes import (
    merged_purposes,
    refuse_feeding_commerce,
    refuse_tags_of_aml_groups,
    refuse_tags_of_flows,
)
from fivefold.usecases.shared.api_fields import schema
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.correction_columns import NAMES as CORRECTIONS

Fields = Mapping[str, FieldType]

FIELDS: TypeAdapter[dict[str, FieldType]] = TypeAdapter(dict[Name, FieldType])
"""Reads typed fields, from people's input or from their columns."""
LinkKind = Literal["shared", "directed"]
_LINKS: TypeAdapter[dict[str, LinkKind]] = TypeAdapter(dict[Name, LinkKind])

PARTS = ("fields", "transaction_fields", "case_fields")
"""The parts with typed fields: the entity, its transactions, its cases and alerts."""


@schema("EntityType")
@dataclass(frozen=True)
class TypeLine:
    """A type of entity, its typed fields, the purposes of its data, and the links of its entities.

    Attributes:
        purposes: the declared ones.
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
    """Create a type of entity, or add fields and links to one; existing ones that are not named again are kept.

    Args:
        context: who does it.
        name: of the type.
        fields: of the entity, as rulesets declare them.
        transaction_fields: of its transactions.
        case_fields: of its cases and alerts.
        purposes: for which the data were gathered, as in rulesets; a declared purpose can only be changed to `aml`.
        links: for each type of link between its entities its kind: `shared` or `directed`.

    Raises:
        ConfigError: a name, a type or a purpose is invalid.
        ConflictError: a field or a link exists with another type: facts were stored, and rulesets written, for that
            one; or what decides for commerce reads data that would become `aml`; or a tag would become commercial that
            a flow gave because of `aml` data, or whose group is for `aml`.
    """
    now = context.now()
    _check_name(name)
    declared = {
        part: checked_fields(part, fields_of_part)
        for part, fields_of_part in zip(PARTS, (fields, transaction_fields or {}, case_fields or {}), strict=True)
    }
    with context.writing() as session:
        lock_deciding(session, context.organisation_id)  # no reader of the data can become active meanwhile
        row = session.scalar(_of(context).where(EntityType.name == name))
        before = None if row is None else vars(_line(row))
        if row is None:
            row = EntityType(organisation_id=context.organisation_id, name=name, created_us=now)
            row.fields, row.transaction_fields, row.case_fields = {}, {}, {}
            session.add(row)
        for part, fields_of_part in declared.items():
            setattr(row, part, _merged_fields(part, getattr(row, part), fields_of_part))
        row.links = _joined_links(row.links or {}, links or {}) or None
        row.purposes = merged_purposes(row, purposes or {})
        session.flush()
        session.refresh(row)  # with its fields in their order
        after = vars(_line(row))
        if after != before:
            refuse_feeding_commerce(session, context.organisation_id)
            new_tags = _commercial_tags(after) - _commercial_tags(before or {})
            refuse_tags_of_aml_groups(session, row, new_tags)
            refuse_tags_of_flows(session, row, new_tags)
            _record(session, context, row, before, after)
        return TypeLine(**after)


def _commercial_tags(line: Mapping[str, Any]) -> set[str]:
    """Return the tags of a type that are for more than `aml`."""
    tags = (line.get("purposes") or {}).get("tags", {})
    return {tag for tag, purpose in tags.items() if purpose != "aml"}


def _record(
    session: Session, context: Context, row: EntityType, before: dict[str, Any] | None, after: dict[str, Any]
) -> None:
    """Record the definition; the details name the fields and links that are new."""
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
        IDENTIFIER.validate_python(name)
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
    taken_names = sorted((TAKEN[part] | (CORRECTIONS if part == "transaction_fields" else frozenset())) & set(read))
    if taken_names:
        raise ConfigError(f"{part}: {', '.join(taken_names)} already has a meaning; choose another name")
    return read


def _joined_links(there: Mapping[str, Any], links: Mapping[str, Any]) -> dict[str, Any]:
    """Add links to the existing ones; ConfigError or ConflictError if a new one is invalid or changes a kind."""
    try:
        new = _LINKS.validate_python(dict(links))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ConfigError(f"links: {fault['loc'][0]} {problem_of(fault, ())}") from None
    conflicting = [name for name, kind in new.items() if there.get(name, kind) != kind]
    if conflicting:
        raise ConflictError(
            f"links: {conflicting[0]} is {there[conflicting[0]]}, for good; give the new link another name"
        )
    all_links = {**new, **there}
    if len(all_links) > MOST_LINK_TYPES:
        raise ConfigError(f"links: there would be {len(all_links)}; there may be {MOST_LINK_TYPES}")
    return all_links


def how_to_declare_links(type_name: str) -> str:
    """Explain how to declare a type of link for a type of entity."""
    return _how_to_declare(type_name, "`links: {NAME: shared}` (or `directed`)")


def how_to_declare_field(type_name: str, part: str, name: str, kind: FieldType) -> str:
    """Explain how to declare a field for a type of entity, or for its transactions or cases."""
    return _how_to_declare(type_name, f"`{part}: {{{name}: {type_json(kind)}}}`")


def _how_to_declare(type_name: str, words: str) -> str:
    return (
        f"an admin declares one by {words} in PUT /v1/entity-types/{type_name}, or those of a ruleset by `fivefold"
        " import setup RULESET`"
    )


def read_fields(content: Mapping[str, Any]) -> dict[str, FieldType]:
    """Read the typed fields of a type from their column."""
    return FIELDS.validate_python(content)


def _merged_fields(part: str, content: Mapping[str, Any], new_fields: Fields) -> dict[str, Any]:
    there = read_fields(content)
    conflicting = [name for name, kind in new_fields.items() if name in there and not same_type(kind, there[name])]
    if conflicting:
        changes_text = ", ".join(f"{name} is {type_json(there[name])}" for name in conflicting)
        raise ConflictError(f"{part}: {changes_text}, for good; give the new field another name")
    return {name: type_json(kind) for name, kind in {**new_fields, **there}.items()}


def same_type(one: FieldType, other: FieldType) -> bool:
    """Return whether two types accept the same values, whatever the order of their words.

    >>> same_type(OneOf(one_of=("a", "b")), OneOf(one_of=("b", "a"))), same_type("text", ("text",))
    (True, False)
    """
    if isinstance(one, OneOf) and isinstance(other, OneOf):
        return set(one.one_of) == set(other.one_of)
    return one == other


def type_json(kind: FieldType) -> Any:
    """Write a type as in JSON.

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
