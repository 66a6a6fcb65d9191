"""Evidence of purposes: what everything that decided read, and that nothing for commerce read `aml` data.

A reader need not believe the verdict: it is computed anew, from the documents in the archive alone.
"""

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from fivefold.domain.clock import iso_text
from fivefold.domain.errors import FivefoldError
from fivefold.flows.analysis import analyse_canonical_flow
from fivefold.flows.groups.analysis import analyse_canonical_group
from fivefold.flows.groups.language import read_group
from fivefold.flows.language import read_flow
from fivefold.risk.compiler.analysis import analyse_canonical, analyse_canonical_policy
from fivefold.risk.compiler.purposes import Reading, Sources, readings
from fivefold.risk.language.policy import Policy as PolicyDefinition
from fivefold.risk.language.policy import read_policy
from fivefold.risk.language.purposes import Purpose, strictest
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset
from fivefold.store.accounts.lists import list_rows
from fivefold.store.decisions import policy_versions
from fivefold.store.evidence.archive import (
    policies_retired,
    types_defined,
    versions_of_organisation,
)
from fivefold.store.evidence.archive_flows import flow_activations_before, flow_versions
from fivefold.store.groups.groups import GroupVersionRow
from fivefold.store.ingest.entities import types_of_organisation
from fivefold.store.tables.events import Policy
from fivefold.store.tables.flows import FlowRow, FlowVersion
from fivefold.store.tables.rulesets import Activation, Family, RulesetVersion
from fivefold.usecases.accounts.purposes import TypePurposes, checked_purpose, declared_purposes
from fivefold.usecases.evidence.archive import (
    MANIFEST,
    ArchiveSection,
    json_file,
    optional_iso_text,
)
from fivefold.usecases.evidence.flows import ACTING, flow_document, flows_in_force
from fivefold.usecases.evidence.groups import group_document, groups_deciding
from fivefold.usecases.evidence.purposes_of_flows import (
    asked_of_flow,
    groups_listened_to,
    readings_of_flow,
    readings_of_group,
)
from fivefold.usecases.evidence.rulesets import InForce, activations_that_decided, in_force
from fivefold.usecases.shared.inputs import Quarter

PURPOSES = "purposes.json"
Line = dict[str, Any]


def purposes_part(session: Session, organisation_id: int, quarter: Quarter) -> ArchiveSection:
    """Collect what decided in a quarter, its purpose and what it read, and the declared purposes of lists and types."""
    versions = {version.id: (version, family) for version, family in versions_of_organisation(session, organisation_id)}
    activations = activations_that_decided(session, organisation_id, quarter.until_us)
    type_names = {row.id: row.name for row in types_of_organisation(session, organisation_id)}
    declarations: Line = {
        "lists": [
            {
                "list": row.name,
                "since": optional_iso_text(row.since_us),
                "stored": optional_iso_text(row.created_us),
                "says": row.purpose,
            }
            for row in list_rows(session, organisation_id)
            if row.created_us < quarter.until_us
        ],
        "entity_types": [
            {
                "type": after["name"],
                "said": optional_iso_text(at_us),
                "transaction_fields": sorted(after.get("transaction_fields", ())),
                "purposes": after.get("purposes", {}),
            }
            for at_us, after in types_defined(session, organisation_id, quarter.until_us)
        ],
        "rulesets_that_decided": [
            _decided(*versions[row.version_id], row, type_names)
            for row in _first_activations(activations)
            if row.version_id is not None
        ],
    }
    deciding = [
        *_rulesets(declarations, in_force(activations, quarter, lambda row: row.family_id), versions, quarter),
        *_policies(declarations, policies_deciding(session, organisation_id, quarter), quarter),
        *_groups(declarations, groups_deciding(session, organisation_id, quarter), quarter),
    ]
    deciding += _flows(session, organisation_id, declarations, deciding, quarter)
    feeds = any(not each["allowed"] for line in deciding for each in line["reads"])
    return ArchiveSection([json_file(PURPOSES, {**declarations, "deciding": deciding, "feeds_commerce": feeds})], {})


def _first_activations(activations: Sequence[Activation]) -> Iterator[Activation]:
    version_ids = set[int | None]()
    for row in activations:
        if row.version_id not in version_ids:
            version_ids.add(row.version_id)
            yield row


def _decided(version: RulesetVersion, family: Family, row: Activation, type_names: Mapping[int, str]) -> Line:
    return {
        "entity_type": type_names[family.type_id],
        "ruleset": family.name,
        "version": version.number,
        "from": optional_iso_text(row.at_us),
        "purpose": analyse_canonical(version.canonical).ruleset.purpose,
    }


def _sources(declarations: Mapping[str, Any], type_name: str, until: str | None, quarter_ends: str | None) -> Sources:
    """Return the purposes declared before a moment, at most the end of the quarter, by the sections of an archive."""
    moment = min(_moment(each) for each in (until, quarter_ends) if each is not None)
    lists: dict[str, list[str | None]] = {}
    for row in declarations["lists"]:
        if _moment(row["stored"]) < moment:
            lists.setdefault(row["list"], []).append(row["says"])
    types = {type_name: TypePurposes((), {})} | {
        row["type"]: TypePurposes(row["transaction_fields"], row["purposes"])
        for row in declarations["entity_types"]
        if _moment(row["said"]) < moment
    }
    decided = [
        row["purpose"]
        for row in declarations["rulesets_that_decided"]
        if row["entity_type"] == type_name and _moment(row["from"]) < moment
    ]
    return Sources(
        lists={name: _strictest_said(each) for name, each in lists.items()},
        declared=declared_purposes(type_name, types, _strictest_said(decided)),
    )


def _strictest_said(purposes: Sequence[str | None]) -> Purpose:
    return strictest(None if each is None else checked_purpose(each) for each in purposes)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _rulesets(
    declarations: Line,
    forces: Iterable[InForce],
    versions: Mapping[int, tuple[RulesetVersion, Family]],
    quarter: Quarter,
) -> Iterator[Line]:
    for force in forces:
        version, family = versions[force.version_id]
        ruleset = analyse_canonical(version.canonical).ruleset
        document = _ruleset_document(family.name, version.number)
        yield _line(ruleset, version.number, document, (force.from_us, force.until_us), declarations, quarter)


def policies_deciding(
    session: Session, organisation_id: int, quarter: Quarter
) -> Iterator[tuple[Policy, int, int | None]]:
    """Yield the policies that decided at some time of a quarter, and when, as for rulesets."""
    rows = [row for row in policy_versions(session, organisation_id) if row.approved_us is not None]
    retired = policies_retired(session, organisation_id)
    for row in rows:
        begins = row.approved_us or 0
        approvals = [(other.approved_us or 0, other.number) for other in rows if other.name == row.name]
        later = [at_us for at_us, number in approvals if (at_us, number) > (begins, row.number)]
        ends = min([*later, *([retired[row.id]] if row.id in retired else [])], default=None)
        if begins < quarter.until_us and (ends is None or ends > quarter.from_us):
            yield row, begins, ends


def _policies(
    declarations: Line, deciding: Iterable[tuple[Policy, int, int | None]], quarter: Quarter
) -> Iterator[Line]:
    for row, begins, ends in deciding:
        policy = analyse_canonical_policy(row.canonical).policy
        yield _line(policy, row.number, _document_of(row), (begins, ends), declarations, quarter)


def _groups(
    declarations: Line, deciding: Iterable[tuple[GroupVersionRow, int, int | None]], quarter: Quarter
) -> Iterator[Line]:
    for row, begins, ends in deciding:
        analysed = analyse_canonical_group(row.version.canonical)
        of = (analysed.group, row.version.number, group_document(row), (begins, ends))
        line, sources = _described(*of, declarations, quarter)
        yield {**line, "reads": [_reading(each) for each in analysed.readings(sources)]}


def _flows(
    session: Session, organisation_id: int, declarations: Line, deciding: Sequence[Line], quarter: Quarter
) -> Iterator[Line]:
    """Describe the versions of flows that acted; the versions that they asked follow from *deciding*."""
    versions = {version.id: (version, flow) for version, flow in flow_versions(session, organisation_id)}
    changes = flow_activations_before(session, organisation_id, quarter.until_us)
    described = []
    for force in flows_in_force(changes, ACTING, quarter):
        version, row = versions[force.version_id]
        document, times = flow_document(row.name, version.number), (force.from_us, force.until_us)
        flow = analyse_canonical_flow(version.canonical).flow
        described.append(_described(flow, version.number, document, times, declarations, quarter))
    others = [*deciding, *(line for line, _ in described)]
    text_of = _texts(session, organisation_id, versions.values()).__getitem__
    for line, sources in described:
        yield {**line, **_of_flow(line, others, text_of, _ends_of(quarter), sources)}


def _ends_of(quarter: Quarter) -> tuple[str, str]:
    return iso_text(quarter.from_us), iso_text(quarter.until_us)


def _texts(session: Session, organisation_id: int, flows: Iterable[tuple[FlowVersion, FlowRow]]) -> Mapping[str, str]:
    """Return every document that a flow may be or ask, by the name of its file."""
    rulesets = versions_of_organisation(session, organisation_id)
    return {
        **{_ruleset_document(family.name, version.number): version.document for version, family in rulesets},
        **{_document_of(row): row.document for row in policy_versions(session, organisation_id)},
        **{flow_document(flow.name, version.number): version.document for version, flow in flows},
    }


def _of_flow(
    line: Mapping[str, Any],
    others: Sequence[Mapping[str, Any]],
    text_of: Callable[[str], str],
    quarter: tuple[str, str],
    sources: Sources,
    *,
    with_groups: bool = True,
) -> Line:
    """Return what a flow asked, listened to and read; *with_groups* is false for archives from before named groups."""
    documents = {(each["kind"], each["name"], each["version"]): each["document"] for each in others}
    if with_groups:
        sources = replace(sources, groups={each["name"]: each["purpose"] for each in others if each["kind"] == "group"})
    periods = asked_of_flow(line, others, text_of, quarter)
    reads = [_reading(each) for each in readings_of_flow(line, periods, documents, text_of, sources)]
    listens = {"listens_to": groups_listened_to(line, others, text_of)} if with_groups else {}
    return {"asked": periods, **listens, "reads": reads}


def _ruleset_document(name: str, number: int) -> str:
    return f"rulesets/{name}/{number:04}.yaml"


def _document_of(row: Policy) -> str:
    return f"policies/{row.id:06}.yaml"


def _line(
    definition: Ruleset | PolicyDefinition,
    number: int,
    document: str,
    times: tuple[int, int | None],
    declarations: Mapping[str, Any],
    quarter: Quarter,
) -> Line:
    line, sources = _described(definition, number, document, times, declarations, quarter)
    return {**line, "reads": [_reading(each) for each in readings(definition, sources)]}


def _described(
    definition: Any,
    number: int,
    document: str,
    times: tuple[int, int | None],
    declarations: Mapping[str, Any],
    quarter: Quarter,
) -> tuple[Line, Sources]:
    """Describe what decided; return also the declared purposes of its data."""
    from_us, until_us = times
    quarter_ends = optional_iso_text(quarter.until_us)
    sources = _sources(declarations, definition.entity_type, optional_iso_text(until_us), quarter_ends)
    line = {
        "kind": definition.word,
        "name": definition.name,
        "version": number,
        "content_hash": definition.content_hash,
        "document": document,
        "from": optional_iso_text(from_us),
        "until": optional_iso_text(until_us),
        "purpose": definition.purpose,
        **_sources_json(sources),
    }
    return line, sources


def _sources_json(sources: Sources) -> Line:
    assert sources.declared is not None  # as `_sources` gives them
    return {
        "lists": dict(sources.lists or {}),
        "declared": sources.declared.model_dump(mode="json", exclude={"actions"}),
    }


def _reading(reading: Reading) -> Line:
    return {
        "what": reading.source,
        "gathered_for": reading.purpose,
        "serves": reading.serves,
        "path": list(reading.steps),
        "allowed": reading.is_allowed,
    }


def purpose_problems(archive: zipfile.ZipFile) -> Iterator[str]:
    """Compute anew what every document that decided read, and name what reads `aml` data for commerce.

    Empty for an archive from before purposes were part of it. The files must be those of the manifest.
    """
    if PURPOSES not in archive.namelist():
        return
    try:
        content = json.loads(archive.read(PURPOSES))
        listed = {_when(line["kind"], line["name"], line) for line in content["deciding"]}
        decided = set(_decided_by_other_files(archive))
        for each in sorted(decided - listed, key=str):
            yield f"{PURPOSES}: does not say that {_words(each)}"
        for each in sorted(listed - decided, key=str):
            yield f"{PURPOSES}: no other file says that {_words(each)}"
        yield from _omitted_of_lists(archive, content)
        quarter = json.loads(archive.read(MANIFEST))["quarter"]
        for line in content["deciding"]:
            yield from _problems_of(archive, content, line, (quarter["from"], quarter["until"]))
    except (AttributeError, KeyError, TypeError, ValueError, FivefoldError) as error:
        yield f"{PURPOSES}: cannot be checked: {error}"


_When = tuple[str, str, int, str, str | None]


def _when(kind: str, name: str, line: Mapping[str, Any]) -> _When:
    return kind, name, line["version"], line["from"], line["until"]


def _words(when: _When) -> str:
    kind, name, version, begins, ends = when
    return f"{kind} {name} {version} decided from {begins} until {ends or 'the end of the quarter'}"


def _decided_by_other_files(archive: zipfile.ZipFile) -> Iterator[_When]:
    """Yield what decided, and when, by the files that list the versions of rulesets and policies."""
    for version in json.loads(archive.read("rulesets/versions.json")):
        for force in version["in_force"]:
            yield _when("ruleset", version["ruleset"], {**version, **force})
    for version in json.loads(archive.read("policies/versions.json")):
        if version["decided"] is not None:
            yield _when("policy", version["policy"], {**version, **version["decided"]})
    for version in _versions_in(archive, "groups/versions.json"):
        if version.get("decided") is not None:
            yield _when("group", version["group"], {**version, **version["decided"]})
    for version in _versions_in(archive, "flows/versions.json"):
        for force in version["acted"]:
            yield _when("flow", version["flow"], {**version, **force})


def _versions_in(archive: zipfile.ZipFile, name: str) -> list[Line]:
    """Read a file that older archives lack."""
    versions: list[Line] = json.loads(archive.read(name)) if name in archive.namelist() else []
    return versions


def _omitted_of_lists(archive: zipfile.ZipFile, content: Mapping[str, Any]) -> Iterator[str]:
    listed_rows = {(row["list"], row["since"], row["stored"], row["says"]) for row in content["lists"]}
    for row in json.loads(archive.read("lists.json")):
        if (row["list"], row["since"], row["stored"], row["purpose"]) not in listed_rows:
            yield f"{PURPOSES}: says something else of the list {row['list']} since {row['since']} than lists.json"


def _problems_of(
    archive: zipfile.ZipFile, content: Mapping[str, Any], line: Mapping[str, Any], quarter: tuple[str, str]
) -> Iterator[str]:
    text, called = archive.read(line["document"]).decode(), f"{line['kind']} {line['name']} {line['version']}"
    definition = _READERS[line["kind"]](text)
    if definition.content_hash != line["content_hash"]:
        yield f"{PURPOSES}: {called} is of another content than {line['document']}"
    if isinstance(definition, Ruleset):
        decided = {(row["ruleset"], row["version"], row["purpose"]) for row in content["rulesets_that_decided"]}
        if (line["name"], line["version"], definition.purpose) not in decided:
            yield f"{PURPOSES}: {called} is not among rulesets_that_decided with its purpose, {definition.purpose}"
    sources = _sources(content, definition.entity_type, line["until"], quarter[1])
    if any(line[part] != words for part, words in _sources_json(sources).items()):
        yield f"{PURPOSES}: of {called} something else is listed than lists, types and rulesets said until it stopped"
    expected_parts = _expected_parts(archive, content, line, text, (definition, sources), quarter)
    if any(line.get(part) != words for part, words in expected_parts.items()):
        yield f"{PURPOSES}: {called} reads something else than is listed"
    for each in expected_parts["reads"]:
        if not each["allowed"]:
            yield f"{PURPOSES}: {called} read for commerce what is for aml alone: {' → '.join(each['path'])}"


_READERS: Mapping[str, Callable[[str], Any]] = {
    "ruleset": read_ruleset,
    "policy": read_policy,
    "group": read_group,
    "flow": read_flow,
}


def _expected_parts(
    archive: zipfile.ZipFile,
    content: Mapping[str, Any],
    line: Mapping[str, Any],
    text: str,
    about: tuple[Any, Sources],
    quarter: tuple[str, str],
) -> Line:
    """Compute what a document read, and for a flow which versions it asked when."""
    definition, sources = about
    if line["kind"] == "flow":
        of = (content["deciding"], lambda name: archive.read(name).decode(), quarter, sources)
        return _of_flow(line, *of, with_groups="listens_to" in line)
    is_group = line["kind"] == "group"
    document_readings = readings_of_group(text, sources) if is_group else readings(definition, sources)
    return {"reads": [_reading(each) for each in document_readings]}
