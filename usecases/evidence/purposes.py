"""Evidence of purposes: what each ruleset and policy that decided has read, and that none for commerce read `aml`.

A reader need not believe the verdict: what is read is worked out anew, from the documents in the archive alone.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from fivefold.domain.errors import FivefoldError
from fivefold.risk.compiler.analysis import analyse_canonical, analyse_canonical_policy
from fivefold.risk.compiler.purposes import Reading, Sources, readings
from fivefold.risk.language.policy import Policy as PolicyDefinition
from fivefold.risk.language.policy import read_policy
from fivefold.risk.language.purposes import PolicyPurposes, strictest
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset
from fivefold.store.accounts.lists import list_rows
from fivefold.store.decisions.decisions import policy_versions
from fivefold.store.evidence.archive import activations_before, policies_retired, versions_of_organisation
from fivefold.store.ingest.entities import types_of_organisation
from fivefold.store.tables.entities import ListVersionRow
from fivefold.store.tables.events import Policy
from fivefold.store.tables.rulesets import Activation, Family, RulesetVersion
from fivefold.usecases.accounts.purposes import TypeSaid, checked_purpose, declared_purposes
from fivefold.usecases.evidence.archive import ArchiveCheck, ArchiveSection, check_archive, json_file, optional_iso_text
from fivefold.usecases.evidence.rulesets import in_force
from fivefold.usecases.shared.inputs import Quarter

PURPOSES = "purposes.json"
Line = dict[str, Any]


class _Said:
    """What was said of purposes, and when."""

    def __init__(self, session: Session, organisation_id: int, quarter: Quarter) -> None:
        self.rows = [row for row in list_rows(session, organisation_id) if row.created_us < quarter.until_us]
        self.types = {row.id: row for row in types_of_organisation(session, organisation_id)}
        self.versions: dict[int, tuple[RulesetVersion, Family]] = {
            version.id: (version, family) for version, family in versions_of_organisation(session, organisation_id)
        }
        self.activations: Sequence[Activation] = activations_before(session, organisation_id, quarter.until_us)

    def at(self, moment_us: int, type_id: int) -> Sources:
        """Give what was said before a moment; what types say is as it is now."""
        said: dict[str, list[ListVersionRow]] = {}
        for row in self.rows:
            if row.created_us < moment_us:
                said.setdefault(row.name, []).append(row)
        lists = {
            name: strictest(None if row.purpose is None else checked_purpose(row.purpose) for row in rows)
            for name, rows in said.items()
        }
        decided = {row.version_id for row in self.activations if row.at_us < moment_us and row.version_id is not None}
        of_type = [
            version for number in decided for version, family in [self.versions[number]] if family.type_id == type_id
        ]
        level = strictest(analyse_canonical(version.canonical).ruleset.purpose for version in of_type)
        types = {row.name: TypeSaid(row.transaction_fields, row.purposes or {}) for row in self.types.values()}
        return Sources(lists=lists, declared=declared_purposes(self.types[type_id].name, types, level))


def purposes_part(session: Session, organisation_id: int, quarter: Quarter) -> ArchiveSection:
    """Collect what decided in a quarter with its purpose, what it read, and what lists and types say of theirs."""
    said = _Said(session, organisation_id, quarter)
    deciding = [*_rulesets(said, quarter), *_policies(session, organisation_id, said, quarter)]
    content = {
        "deciding": deciding,
        "lists": [
            {
                "list": row.name,
                "since": optional_iso_text(row.since_us),
                "stored": optional_iso_text(row.created_us),
                "says": row.purpose,
            }
            for row in said.rows
        ],
        "entity_types_when_archived": {row.name: row.purposes or {} for row in said.types.values()},
        "feeds_commerce": any(not each["allowed"] for line in deciding for each in line["reads"]),
    }
    return ArchiveSection([json_file(PURPOSES, content)], {})


def _rulesets(said: _Said, quarter: Quarter) -> Iterator[Line]:
    for force in in_force(said.activations, quarter):
        version, family = said.versions[force.version_id]
        ruleset = analyse_canonical(version.canonical).ruleset
        document = f"rulesets/{family.name}/{version.number:04}.yaml"
        until_us = quarter.until_us if force.until_us is None else min(force.until_us, quarter.until_us)
        sources = said.at(until_us, family.type_id)
        yield _line(ruleset, version.number, document, (force.from_us, force.until_us), sources)


def _policies(session: Session, organisation_id: int, said: _Said, quarter: Quarter) -> Iterator[Line]:
    rows = [row for row in policy_versions(session, organisation_id) if row.approved_us is not None]
    retired = policies_retired(session, organisation_id)
    types = {row.name: row.id for row in said.types.values()}
    for row in rows:
        begins = row.approved_us or 0
        later = [other.approved_us or 0 for other in rows if other.name == row.name and other.number > row.number]
        ends = min([*later, *([retired[row.id]] if row.id in retired else [])], default=None)
        if begins < quarter.until_us and (ends is None or ends > quarter.from_us):
            policy = analyse_canonical_policy(row.canonical).policy
            until_us = quarter.until_us if ends is None else min(ends, quarter.until_us)
            sources = said.at(until_us, types[policy.entity_type])
            yield _line(policy, row.number, _document_of(row), (begins, ends), sources)


def _document_of(row: Policy) -> str:
    return f"policies/{row.id:06}.yaml"


def _line(
    definition: Ruleset | PolicyDefinition,
    number: int,
    document: str,
    times: tuple[int, int | None],
    sources: Sources,
) -> Line:
    assert sources.declared is not None  # as `_Said` gives them
    from_us, until_us = times
    return {
        "kind": definition.word,
        "name": definition.name,
        "version": number,
        "content_hash": definition.content_hash,
        "document": document,
        "from": optional_iso_text(from_us),
        "until": optional_iso_text(until_us),
        "purpose": definition.purpose,
        "lists": dict(sources.lists or {}),
        "declared": sources.declared.model_dump(mode="json", exclude={"actions"}),
        "reads": [_reading(each) for each in readings(definition, sources)],
    }


def _reading(reading: Reading) -> Line:
    return {
        "what": reading.source,
        "gathered_for": reading.purpose,
        "serves": reading.serves,
        "path": list(reading.steps),
        "allowed": reading.is_allowed,
    }


def check_evidence(path: Path) -> ArchiveCheck:
    """Compare an archive with its manifest, and what it says of purposes with its documents; ConfigError as above."""
    return check_archive(path, purpose_problems)


def purpose_problems(archive: zipfile.ZipFile) -> Iterator[str]:
    """Work out anew what every document that decided read, and name what reads for commerce what is `aml`.

    Nothing of an archive that was made before purposes were in it. The files must be those of the manifest.
    """
    if PURPOSES not in archive.namelist():
        return
    try:
        content = json.loads(archive.read(PURPOSES))
        listed = {(line["kind"], line["name"], line["version"]) for line in content["deciding"]}
        for line in content["deciding"]:
            yield from _problems_of(archive, line)
        for version in json.loads(archive.read("rulesets/versions.json")):
            if version["in_force"] and ("ruleset", version["ruleset"], version["version"]) not in listed:
                yield f"{PURPOSES}: says nothing of {version['ruleset']} {version['version']}, which decided"
    except (KeyError, TypeError, ValueError, FivefoldError) as error:
        yield f"{PURPOSES}: cannot be checked: {error}"


def _problems_of(archive: zipfile.ZipFile, line: Mapping[str, Any]) -> Iterator[str]:
    text, called = archive.read(line["document"]).decode(), f"{line['kind']} {line['name']} {line['version']}"
    definition = read_ruleset(text) if line["kind"] == "ruleset" else read_policy(text)
    if definition.content_hash != line["content_hash"]:
        yield f"{PURPOSES}: {called} is of another content than {line['document']}"
    sources = Sources(lists=line["lists"], declared=PolicyPurposes.model_validate(line["declared"]))
    found = list(readings(definition, sources))
    if [_reading(each) for each in found] != line["reads"]:
        yield f"{PURPOSES}: {called} reads something else than is listed"
    for each in found:
        if not each.is_allowed:
            yield f"{PURPOSES}: {called} read for commerce what is for aml alone: {' → '.join(each.steps)}"
