"""The purposes of an organisation's data, and the rule that nothing which decides for commerce reads `aml` data.

Data gathered against money laundering must not feed commerce (Regulation (EU) 2024/1624, article 76(4)).
"""

import json
from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.flows.actions import GivesTag
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.groups.analysis import analyse_canonical_group
from fivefold.flows.groups.language import GROUP_TAG, tag_of_group
from fivefold.risk.compiler.analysis import Analysed, analyse_canonical, analyse_canonical_policy
from fivefold.risk.compiler.purposes import Sources, place_diagnostics
from fivefold.risk.language.messages import problem_of
from fivefold.risk.language.purposes import PURPOSE_PHRASES, PolicyPurposes, Purpose, Purposes, strictest
from fivefold.risk.language.ruleset import Ruleset
from fivefold.store.accounts.lists import list_purposes
from fivefold.store.decisions import active_policies
from fivefold.store.flows.versions import versions_that_acted
from fivefold.store.groups.groups import active_canonicals, groups_of_organisation, in_force_since
from fivefold.store.ingest.entities import type_named, types_of_organisation
from fivefold.store.rulesets.activations import contents_that_decided
from fivefold.store.rulesets.rulesets import all_active_versions
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.flows import FlowVersion
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.usecases.accounts.flows_in_force import DecidedOverTime, flow_as_asked, flow_of_version, standing_flows

_PURPOSE: TypeAdapter[Purpose] = TypeAdapter(Purpose)


def checked_purpose(purpose: str) -> Purpose:
    """Read a purpose; ConfigError if it is invalid."""
    try:
        return _PURPOSE.validate_python(purpose)
    except ValidationError as error:
        raise ConfigError(f"the purpose {problem_of(error.errors(include_url=False)[0], ())}") from None


def merged_purposes(row: EntityType, purposes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Merge new declared purposes of a type's data with the earlier ones; None if none were ever declared.

    ConfigError if a purpose is invalid, or is declared for a field or a link that the type does not have.
    """
    try:
        new = Purposes.model_validate(purposes)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ConfigError(f"purposes: {', '.join(map(str, fault['loc']))} {problem_of(fault, ())}") from None
    merged = dict(row.purposes or {})
    known_by_part = {"fields": row.fields, "transaction_fields": row.transaction_fields, "links": row.links or {}}
    for part, names in (*known_by_part.items(), ("tags", None)):
        there, words = merged.get(part, {}), getattr(new, part)
        strange = [] if names is None else [name for name in words if name not in names]
        if strange:
            raise ConfigError(
                f"purposes, {part}: there is no {strange[0]}; there are {', '.join(names or ()) or 'none'}"
            )
        part_purposes = {**there, **{name: strictest([word, there.get(name)]) for name, word in words.items()}}
        merged |= {part: part_purposes} if part_purposes else {}
    return merged or None


class TypePurposes(NamedTuple):
    """A type's fields of transactions, and the declared purposes of its data."""

    transaction_fields: Collection[str]
    purposes: Mapping[str, Any]


def declared_purposes(name: str, types: Mapping[str, TypePurposes], level: Purpose) -> PolicyPurposes:
    """Return the purposes of a type's data.

    An entity's transactions include those of everything that it owns. So a declared field of transactions has the
    strictest purpose of all types with a field of that name: `aml` if one of those types declares none for it.

    Args:
        name: of the type.
        types: all types of the organisation by name, it among them.
        level: the purpose of its level.
    """
    own = types[name].purposes
    transaction_purposes = [
        (each.transaction_fields, each.purposes.get("transaction_fields", {})) for each in types.values()
    ]
    shared_fields = {
        field: strictest(words.get(field, "aml") for fields, words in transaction_purposes if field in fields)
        for field in own.get("transaction_fields", {})
    }
    return PolicyPurposes.model_validate({**own, "transaction_fields": shared_fields, "level": level})


def declared_of(session: Session, kind: EntityType, candidate: RulesetVersion | None = None) -> PolicyPurposes:
    """Return the purposes of a type's data, and of its level.

    The level has the strictest purpose of all rulesets that ever decided on the type: levels outlast the rulesets that
    set them. *candidate* is one that is to decide.
    """
    contents = [*contents_that_decided(session, kind.id), *([] if candidate is None else [candidate.canonical])]
    ruleset_purposes = [json.loads(canonical).get("purpose", "aml") for canonical in contents]
    types = {
        row.name: TypePurposes(row.transaction_fields, row.purposes or {})
        for row in types_of_organisation(session, kind.organisation_id)
    }
    return declared_purposes(kind.name, types, strictest(ruleset_purposes))


def refuse_feeding_commerce(
    session: Session,
    organisation_id: int,
    candidate: RulesetVersion | None = None,
    flow: FlowVersion | None = None,
) -> None:
    """Raise ConflictError if something that decides for commerce reads `aml` data, with the path.

    Called in the transaction of a change of what decides or of purposes, after it: so the change is rolled back. Or
    before it, with the version of a ruleset or a flow that is to decide.
    """
    session.flush()
    type_id = None if candidate is None else session.get_one(Family, candidate.family_id).type_id
    lists = purposes_of_lists(session, organisation_id)
    for analysed in _deciding_for_commerce(session, organisation_id, candidate):
        definition = analysed.definition
        kind = type_named(session, organisation_id, definition.entity_type)
        declared = declared_of(session, kind, candidate if kind.id == type_id else None)
        for diagnostic in analysed.purpose_diagnostics(Sources(lists=lists, declared=declared)):
            raise ConflictError(f"{definition.word} {definition.name} would feed commerce: it {diagnostic.problem}")
    for kind_id, rulesets in _rulesets_in_order(session, organisation_id, candidate):
        declared = declared_of(session, session.get_one(EntityType, kind_id), candidate if kind_id == type_id else None)
        for ruleset, diagnostic in place_diagnostics(rulesets, Sources(lists=lists, declared=declared)):
            raise ConflictError(f"ruleset {ruleset.name} would feed commerce: it {diagnostic.problem}")
    groups = _purposes_of_groups(session, organisation_id)
    for analysed in _flows_for_commerce(session, organisation_id, flow):
        kind = type_named(session, organisation_id, analysed.flow.entity_type)
        declared = declared_of(session, kind, candidate if kind.id == type_id else None)
        for diagnostic in analysed.purpose_diagnostics(Sources(lists=lists, declared=declared, groups=groups)):
            raise ConflictError(f"flow {analysed.flow.name} would feed commerce: it {diagnostic.problem}")


def refuse_peers_from_aml(session: Session, version: RulesetVersion) -> None:
    """Raise ConflictError if a version of a ruleset for commerce has peers whom `aml` data choose, with the path.

    Its reference portfolio is for commerce as it is, and may be read by others before the version ever decides.
    """
    if analyse_canonical(version.canonical).definition.purpose != "aml":
        refuse_feeding_commerce(session, version.organisation_id, version)


def _purposes_of_groups(session: Session, organisation_id: int) -> dict[str, Purpose]:
    return {row.name: checked_purpose(row.purpose) for row in groups_of_organisation(session, organisation_id)}


def purposes_of_lists(session: Session, organisation_id: int) -> dict[str, Purpose]:
    """Return the purpose of each list: `aml` if any version declares it, future ones included, or none declares any."""
    by_list = list_purposes(session, organisation_id)
    return {name: strictest(map(_or_none, each)) for name, each in by_list.items()}


def _or_none(purpose: str | None) -> Purpose | None:
    return None if purpose is None else checked_purpose(purpose)


def _deciding_for_commerce(
    session: Session, organisation_id: int, candidate: RulesetVersion | None
) -> Iterator[Analysed[Any]]:
    """Yield the rulesets, policies and groups that decide and are not for `aml` alone, without reading the others."""
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


def _rulesets_in_order(
    session: Session, organisation_id: int, candidate: RulesetVersion | None
) -> Iterator[tuple[int, list[Ruleset]]]:
    """Yield types of which a ruleset may be for commerce, with their rulesets in the order in which they are tried."""
    versions = {version.family_id: version for _, version in all_active_versions(session, organisation_id)}
    if candidate is not None:
        versions[candidate.family_id] = candidate
    families = sorted(
        (session.get_one(Family, family_id) for family_id in versions),
        key=lambda family: (family.type_id, family.position, family.id),
    )
    for type_id, together in groupby(families, key=lambda family: family.type_id):
        canonicals = [versions[family.id].canonical for family in together]
        if len(canonicals) > 1 and any('"purpose":' in canonical for canonical in canonicals):
            yield type_id, [analyse_canonical(canonical).ruleset for canonical in canonicals]


_GIVES_TAG: Final = ('"tag":', '"group":')


def _flows_for_commerce(
    session: Session, organisation_id: int, candidate: FlowVersion | None
) -> Iterator[AnalysedFlow]:
    """Yield the flows that act, or run as a shadow, and are not for `aml` alone, or may give a tag that is not."""
    standing = standing_flows(session, organisation_id)
    for each in standing if candidate is None else [*standing, flow_of_version(session, candidate.id)]:
        if '"purpose' in each.version.canonical or any(word in each.version.canonical for word in _GIVES_TAG):
            yield each.analysed


def refuse_tags_of_aml_groups(session: Session, kind: EntityType, tags: Collection[str]) -> None:
    """Raise ConflictError if a type declares a tag to be for commerce whose group is for `aml` alone.

    An entity with the tag is a member, and people add members by it too. Called after a change of a type's
    declarations, or of a group that comes into force, in its transaction. A retired group counts too: its tags stay.
    """
    session.flush()
    declared = {tag: purpose for tag, purpose in (kind.purposes or {}).get("tags", {}).items() if purpose != "aml"}
    names = sorted(tag.removeprefix(GROUP_TAG) for tag in declared.keys() & {*tags} if tag.startswith(GROUP_TAG))
    purposes = _purposes_of_groups(session, kind.organisation_id) if names else {}
    for name in in_force_since(session, kind.id, names) if names else ():
        if purposes[name] == "aml":
            tag = tag_of_group(name)
            raise ConflictError(
                f"the group {name} is for aml alone, and so is its tag {tag}; purposes, tags of the entity type"
                f" {kind.name} would say that it is for {PURPOSE_PHRASES[declared[tag]]}"
            )


def refuse_tags_of_flows(session: Session, kind: EntityType, tags: Collection[str]) -> None:
    """Raise ConflictError if a flow gave one of some tags because of `aml` data, even if it acts no more.

    Tags outlast the flow that gave them, and what it asked then, so none of these may become one that commerce reads.
    Called when they are first declared commercial, in the same transaction.
    """
    session.flush()
    if not tags:
        return
    lists, groups = (of(session, kind.organisation_id) for of in (purposes_of_lists, _purposes_of_groups))
    sources = Sources(lists=lists, declared=declared_of(session, kind), groups=groups)
    over_time = DecidedOverTime.of(session, kind.organisation_id)
    for version in versions_that_acted(session, kind.id):
        now = flow_of_version(session, version.id).analysed
        given_tags = [action.given_tag for action in now.flow.actions if isinstance(action, GivesTag)]
        if not set(given_tags) & set(tags):
            continue
        pinned = {
            name: {of: int(each["version"]) for of, each in rows.items()} for name, rows in version.pinned.items()
        }
        then = over_time.asked_while_acting(version, now.flow.name)
        for analysed in (flow_as_asked(session, version.id, pinned), *then, now):
            for diagnostic in analysed.purpose_diagnostics(sources):
                flow_name = f"version {version.number} of the flow {analysed.flow.name}"
                raise ConflictError(f"{flow_name} gave a tag that would feed commerce: it {diagnostic.problem}")
