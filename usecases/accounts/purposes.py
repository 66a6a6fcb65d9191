"""What the data of an organisation were gathered for; and that nothing which decides for commerce reads what is `aml`.

Data gathered against money laundering must not feed commerce (Regulation (EU) 2024/1624, article 76(4)).
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.flows.actions import GivesTag
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.groups.analysis import analyse_canonical_group
from fivefold.risk.compiler.analysis import Analysed, analyse_canonical, analyse_canonical_policy
from fivefold.risk.compiler.purposes import Sources
from fivefold.risk.language.messages import problem_of
from fivefold.risk.language.purposes import PolicyPurposes, Purpose, Purposes, strictest
from fivefold.store.accounts.lists import list_purposes
from fivefold.store.decisions.decisions import active_policies
from fivefold.store.flows.versions import versions_that_acted
from fivefold.store.groups.groups import active_canonicals, groups_of_organisation
from fivefold.store.ingest.entities import type_named, types_of_organisation
from fivefold.store.rulesets.activations import contents_that_decided
from fivefold.store.rulesets.rulesets import all_active_versions
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.flows import FlowVersion
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.usecases.accounts.flows_in_force import flow_as_asked, flow_of_version, standing_flows

_PURPOSE: TypeAdapter[Purpose] = TypeAdapter(Purpose)


def checked_purpose(purpose: str) -> Purpose:
    """Read a purpose; ConfigError where it is none."""
    try:
        return _PURPOSE.validate_python(purpose)
    except ValidationError as error:
        raise ConfigError(f"the purpose {problem_of(error.errors(include_url=False)[0], ())}") from None


def joined_purposes(row: EntityType, purposes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Join what is said of a type's data with what was said before; None where nothing was ever said.

    ConfigError where a purpose is none, or is said of a field or a link that the type does not have.
    """
    try:
        new = Purposes.model_validate(purposes)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ConfigError(f"purposes: {', '.join(map(str, fault['loc']))} {problem_of(fault, ())}") from None
    said = dict(row.purposes or {})
    known_by_part = {"fields": row.fields, "transaction_fields": row.transaction_fields, "links": row.links or {}}
    for part, known in (*known_by_part.items(), ("tags", None)):
        there, words = said.get(part, {}), getattr(new, part)
        strange = [] if known is None else [name for name in words if name not in known]
        if strange:
            raise ConfigError(
                f"purposes, {part}: there is no {strange[0]}; there are {', '.join(known or ()) or 'none'}"
            )
        joined = {**there, **{name: strictest([word, there.get(name)]) for name, word in words.items()}}
        said |= {part: joined} if joined else {}
    return said or None


class TypeSaid(NamedTuple):
    """What a type says: which fields its transactions have, and what its data were gathered for."""

    transaction_fields: Collection[str]
    purposes: Mapping[str, Any]


def declared_purposes(name: str, types: Mapping[str, TypeSaid], level: Purpose) -> PolicyPurposes:
    """Return what the data that are read of a type were gathered for.

    Transactions of everything that is owned are read among its own. So a declared field of transactions is for what
    every type says whose transactions have a field of that name: `aml` where one of those types says nothing of it.

    Args:
        name: of the type.
        types: all types of the organisation by name, it among them.
        level: what its level is for.
    """
    own = types[name].purposes
    said = [(each.transaction_fields, each.purposes.get("transaction_fields", {})) for each in types.values()]
    joined = {
        field: strictest(words.get(field, "aml") for fields, words in said if field in fields)
        for field in own.get("transaction_fields", {})
    }
    return PolicyPurposes.model_validate({**own, "transaction_fields": joined, "level": level})


def declared_of(session: Session, kind: EntityType, candidate: RulesetVersion | None = None) -> PolicyPurposes:
    """Return what the data that are read of a type were gathered for, and what its level is for.

    The level is for what every ruleset is for that ever decided on the type: levels outlast what set them. *candidate*
    is one that is to decide.
    """
    contents = [*contents_that_decided(session, kind.id), *([] if candidate is None else [candidate.canonical])]
    decided = [json.loads(canonical).get("purpose", "aml") for canonical in contents]
    types = {
        row.name: TypeSaid(row.transaction_fields, row.purposes or {})
        for row in types_of_organisation(session, kind.organisation_id)
    }
    return declared_purposes(kind.name, types, strictest(decided))


def refuse_feeding_commerce(
    session: Session,
    organisation_id: int,
    candidate: RulesetVersion | None = None,
    flow: FlowVersion | None = None,
) -> None:
    """Raise ConflictError where something that decides for commerce reads what is `aml`, with the path.

    Called in the transaction of whatever changes what decides or what is said of data, after it: so the change is
    undone. Or before it, with the version of a ruleset or a flow that is to decide.
    """
    session.flush()
    type_id = None if candidate is None else session.get_one(Family, candidate.family_id).type_id
    lists = purposes_of_lists(session, organisation_id)
    for analysed in _deciding_for_commerce(session, organisation_id, candidate):
        definition = analysed.definition
        kind = type_named(session, organisation_id, definition.entity_type)
        declared = declared_of(session, kind, candidate if kind.id == type_id else None)
        for found in analysed.purpose_diagnostics(Sources(lists=lists, declared=declared)):
            raise ConflictError(f"{definition.word} {definition.name} would feed commerce: it {found.problem}")
    groups = _purposes_of_groups(session, organisation_id)
    for analysed in _flows_for_commerce(session, organisation_id, flow):
        kind = type_named(session, organisation_id, analysed.flow.entity_type)
        declared = declared_of(session, kind, candidate if kind.id == type_id else None)
        for found in analysed.purpose_diagnostics(Sources(lists=lists, declared=declared, groups=groups)):
            raise ConflictError(f"flow {analysed.flow.name} would feed commerce: it {found.problem}")


def _purposes_of_groups(session: Session, organisation_id: int) -> dict[str, Purpose]:
    return {row.name: checked_purpose(row.purpose) for row in groups_of_organisation(session, organisation_id)}


def purposes_of_lists(session: Session, organisation_id: int) -> dict[str, Purpose]:
    """Give what each list was made for: `aml` where a version says so, one to come included, or none says anything."""
    said = list_purposes(session, organisation_id)
    return {name: strictest(map(_or_none, each)) for name, each in said.items()}


def _or_none(said: str | None) -> Purpose | None:
    return None if said is None else checked_purpose(said)


def _deciding_for_commerce(
    session: Session, organisation_id: int, candidate: RulesetVersion | None
) -> Iterator[Analysed[Any]]:
    """Yield the rulesets, policies and groups that decide and are not for `aml` alone; others are not even read."""
    versions = [version for _, version in all_active_versions(session, organisation_id)]
    for version in versions if candidate is None else [*versions, candidate]:
        if '"purpose":' in version.canonical:
            yield analyse_canonical(version.canonical)
    for policy in active_policies(session, organisation_id):
        if '"purpose' in policy.canonical:
            yield analyse_canonical_policy(policy.canonical)
    for _, canonical in active_canonicals(session, organisation_id):
        if '"purpose":' in canonical:
            yield analyse_canonical_group(canonical)


_GIVES_TAG: Final = ('"tag":', '"group":')


def _flows_for_commerce(
    session: Session, organisation_id: int, candidate: FlowVersion | None
) -> Iterator[AnalysedFlow]:
    """Yield the flows that act, or run as a shadow, and are not for `aml` alone, or may give a tag that is not."""
    standing = standing_flows(session, organisation_id)
    for each in standing if candidate is None else [*standing, flow_of_version(session, candidate.id)]:
        if '"purpose' in each.version.canonical or any(word in each.version.canonical for word in _GIVES_TAG):
            yield each.analysed


def refuse_tags_of_flows(session: Session, kind: EntityType, tags: Collection[str]) -> None:
    """Raise ConflictError where a flow gave one of some tags because of what is `aml`, though it acts no more.

    Tags outlast the flow that gave them. So none of these becomes one that commerce reads: called where that is said
    of them for the first time, in the transaction that says it.
    """
    session.flush()
    lists, groups = (of(session, kind.organisation_id) for of in (purposes_of_lists, _purposes_of_groups))
    sources = Sources(lists=lists, declared=declared_of(session, kind), groups=groups)
    for version in versions_that_acted(session, kind.id) if tags else ():
        asked = {name: {of: int(each["version"]) for of, each in rows.items()} for name, rows in version.pinned.items()}
        for analysed in (flow_as_asked(session, version.id, asked), flow_of_version(session, version.id).analysed):
            given = [action.given_tag for action in analysed.flow.actions if isinstance(action, GivesTag)]
            if not set(given) & set(tags):
                continue
            for found in analysed.purpose_diagnostics(sources):
                called = f"version {version.number} of the flow {analysed.flow.name}"
                raise ConflictError(f"{called} gave a tag that would feed commerce: it {found.problem}")
